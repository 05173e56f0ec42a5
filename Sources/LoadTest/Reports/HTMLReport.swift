extension Report {
    /// One page that needs nothing else: no network, no script.
    public func html() -> String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(Markup.escape(heading))</title>
        <style>
        \(Markup.colors)\(Markup.page)</style>
        </head>
        <body>
        <h1>\(Markup.escape(heading))</h1>
        <p class="lead">\(Markup.escape(lead))</p>
        \(endedNote.map { "<p class=\"lead\"><strong>\(Markup.escape($0))</strong></p>" } ?? "")
        \(pictures)
        <h2>Tables</h2>
        \(tables.map { $0.html() }.joined())
        <h2>How it was measured</h2>
        <dl>
        \(facts.map { "<dt>\(Markup.escape($0.0))</dt><dd>\(Markup.escape($0.1))</dd>\n" }.joined())</dl>
        </body>
        </html>

        """
    }

    var heading: String {
        if comparison != nil { return "tokencached beside its peers" }
        if scale != nil { return "tokencached: memory and growth" }
        if guests != nil { return "tokencached: guests, forms and captchas" }
        return "tokencached: load test"
    }

    private var lead: String {
        if let comparison {
            let judged = comparison.figures.filter { $0.isReached != nil }
            let reached = judged.count { $0.isReached == true }
            return "Validation of a session token over a Unix socket, on one core. "
                + "\(reached) of \(judged.count) figures of the design were reached."
        }
        if let scale {
            return "\(Figures.grouped(scale.sessions)) sessions, \(Figures.grouped(scale.connections)) connections."
        }
        if let guests {
            return "Visitors who are stored nowhere, beside \(Figures.grouped(guests.sessions)) sessions."
        }
        let requests = workloads.reduce(0) { $0 + $1.requests }
        return
            "\(Figures.grouped(requests)) requests, \(workloads.reduce(0) { $0 + $1.failed + $1.unanswered }) failed."
    }

    private var pictures: String {
        var text = ""
        if let comparison {
            text += figure(
                "Throughput", BarChart(comparison).picture,
                "Medians of \(comparison.rounds) rounds; the thin line is the span of the rounds; × is the ratio to the "
                    + "limit, a bare epoll loop that answers without looking. A star: the client was the bottleneck.")
            text += figure("Latency", LatencyChart(comparison).picture, latencyCaption(comparison))
            text += figure(
                "Server CPU", BarChart(cpuOf: comparison).picture, "Less is better: user and system time of the server."
            )
        }
        if !workloads.isEmpty {
            text += figure("Throughput", BarChart(workloads).picture, "Answers a second in the measured time.")
            let isOpen = workloads.contains { $0.rate != nil }
            text += figure(
                "Latency", LatencyChart(workloads).picture,
                isOpen
                    ? "Each latency counts from the moment at which its request was meant to be sent."
                    : "As the client met them at full load.")
        }
        return text
    }

    private func latencyCaption(_ comparison: ComparisonResult) -> String {
        let rate = comparison.latencies.first.map { "\(Figures.rate($0.rate)) requests/s each" } ?? ""
        var caption =
            "At \(rate), which all of them can keep up with. Each latency counts from the moment at which "
            + "its request was meant to be sent, so that no stall hides."
        if let mixed = comparison.mixed?.rate {
            caption +=
                " The mix (94 % hits, 5 % misses, 1 % rotations) at \(Figures.rate(mixed))/s, half of what the "
                + "daemon can do of it."
        }
        return caption
    }

    private func figure(_ title: String, _ picture: Picture, _ caption: String) -> String {
        """
        <h2>\(Markup.escape(title))</h2>
        <figure>
        <div class="wide">\(picture.inline)</div><figcaption>\(Markup.escape(caption))</figcaption>
        </figure>

        """
    }
}
