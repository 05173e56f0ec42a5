/// The tables of a report; text, Markdown and HTML show the same ones.
struct ReportTables {
    let report: Report

    struct Titled {
        var title: String
        var head: [String]
        var rows: [[String]]
        /// Lines that explain or warn.
        var notes: [String] = []

        var table: TextTable {
            var table = TextTable(head)
            for row in rows { table.add(row) }
            return table
        }
    }

    var all: [Titled] {
        var tables: [Titled] = []
        if !report.workloads.isEmpty { tables += workloads }
        if let comparison = report.comparison { tables += self.comparison(comparison) }
        if let scale = report.scale { tables += self.scale(scale) }
        if let guests = report.guests { tables += self.guests(guests) }
        return tables
    }

    private var workloads: [Titled] {
        let head = ["workload", "requests/s", "server CPU", "server load", "client load", "cache hits", "failed"]
        let rows = report.workloads.map { result in
            [
                result.workload.rawValue, Figures.rate(result.throughput),
                result.serverMicroseconds.map { Figures.time(microseconds: $0) } ?? "–",
                result.serverLoad.map(Figures.percent) ?? "–", Figures.percent(result.clientLoad),
                result.nearCacheHits.map(Figures.percent) ?? "–",
                Figures.grouped(result.failed + result.unanswered),
            ]
        }
        var notes: [String] = []
        for result in report.workloads {
            let reasons = result.failures.sorted { $0.value > $1.value }.prefix(4)
            notes += reasons.map { "\(result.workload.rawValue): \(Figures.grouped($0.value)) × \($0.key)" }
            if result.unanswered > 0 {
                notes.append("\(result.workload.rawValue): \(result.unanswered) without an answer")
            }
            notes += result.notes.map { "\(result.workload.rawValue): \($0)" }
        }
        let latencies = report.workloads.flatMap { result in
            let all = result.latency.map { latencyCells(result.workload.rawValue, result.rate, $0) }
            let hits = result.hitLatency.map { latencyCells("… its hits", result.rate, $0) }
            return [all, hits].compactMap { $0 }
        }
        let isOpen = report.workloads.contains { $0.rate != nil }
        let meaning =
            isOpen
            ? "A latency counts from the moment at which its request was meant to be sent."
            : "As the client met them at full load; use --rate for latencies at a rate of yours."
        return [
            Titled(title: "Throughput", head: head, rows: rows, notes: notes),
            Titled(title: "Latency", head: latencyHead, rows: latencies, notes: latencies.isEmpty ? [] : [meaning]),
        ]
    }

    private let latencyHead = ["", "requests/s", "p50", "p90", "p99", "p99.9", "highest"]

    init(_ report: Report) { self.report = report }

    private func latencyCells(_ name: String, _ rate: Double?, _ summary: LatencySummary) -> [String] {
        let times = [summary.p50, summary.p90, summary.p99, summary.p999, summary.highest]
        return [name, rate.map { Figures.rate($0) } ?? "most"] + times.map { Figures.time(microseconds: $0) }
    }

    private func comparison(_ result: ComparisonResult) -> [Titled] {
        var tables = result.tables.map { table in
            Titled(
                title: "\(table.form.title), \(result.connections) connections",
                head: ["server", "requests/s", "to the limit", "CPU/request", "server load", "client load"],
                rows: table.rows.map(cells))
        }
        if let cold = result.cold {
            tables.append(
                Titled(
                    title: "cold: each session asked about once, 1 in flight",
                    head: ["server", "requests/s", "to EVALSHA", "CPU/request", "server load", "client load"],
                    rows: cold.rows.map(cells),
                    notes: ["The daemon's CPU is without that of the Redis behind it."]))
        }
        var latencies = result.latencies.map { latencyCells($0.contender.title, $0.rate, $0.summary) }
        if let mixed = result.mixed, let latency = mixed.latency {
            latencies.append(latencyCells("tokencached, 94/5/1 mix", mixed.rate, latency))
            if let hits = mixed.hitLatency { latencies.append(latencyCells("… its hits", mixed.rate, hits)) }
        }
        tables.append(
            Titled(
                title: "latency at a fixed rate, counted from the intended time of sending", head: latencyHead,
                rows: latencies))
        tables.append(figures(result.figures, notes: result.notes))
        return tables
    }

    private func cells(_ row: ComparisonRow) -> [String] {
        [
            row.contender.title, Figures.rate(row.throughput.median) + (row.isClientBound ? " *" : ""),
            row.ratio.map(Figures.ratio) ?? "–",
            row.serverMicroseconds.map { Figures.time(microseconds: $0.median) } ?? "–",
            row.serverLoad.map(Figures.percent) ?? "–", Figures.percent(row.clientLoad),
        ]
    }

    private func scale(_ result: ScaleResult) -> [Titled] {
        let memory = Titled(
            title: "memory", head: ["what", "bytes"],
            rows: result.memory.map { [$0.title, $0.bytes.map(Figures.bytes) ?? "–"] })
        let growth = Titled(
            title: "CPU of a request", head: ["", "server", "few", "many", "many to few"],
            rows: result.growth.map { row in
                [
                    "\(Figures.grouped(row.small)) and \(Figures.grouped(row.large)) \(row.what)",
                    row.contender.title, Figures.time(microseconds: row.smallMicroseconds.median),
                    Figures.time(microseconds: row.largeMicroseconds.median), Figures.ratio(row.ratio),
                ]
            })
        let data = Titled(
            title: "CPU of a hit, by the data of its session", head: ["request", "data", "CPU/request", "to no data"],
            rows: result.data.map { row in
                [
                    row.command.rawValue, row.data.title, Figures.time(microseconds: row.microseconds.median),
                    Figures.ratio(row.ratio),
                ]
            })
        return [memory, growth, data, figures(result.figures, notes: result.notes)]
    }

    private func guests(_ result: GuestResult) -> [Titled] {
        let speed = Titled(
            title: "guests, forms and captchas, \(result.connections) connections, 1 in flight",
            head: ["request", "requests/s", "to a session's", "CPU/request", "server load", "client load"],
            rows: result.rows.map { row in
                [
                    row.question.title, Figures.rate(row.throughput.median) + (row.isClientBound ? " *" : ""),
                    row.ratio.map(Figures.ratio) ?? "–",
                    row.serverMicroseconds.map { Figures.time(microseconds: $0.median) } ?? "–",
                    row.serverLoad.map(Figures.percent) ?? "–", Figures.percent(row.clientLoad),
                ]
            }, notes: ["The daemon's CPU is without that of the Redis behind it, which only CAPTCHA.VERIFY asks."])
        let visitors = Titled(
            title: "what page views leave in Redis",
            head: ["site", "page views", "write commands", "keys before", "keys after", "memory"],
            rows: result.visitors.map { row in
                [
                    row.site, Figures.grouped(row.pageViews), Figures.grouped(row.writeCount),
                    Figures.grouped(row.keysBefore), Figures.grouped(row.keysAfter),
                    row.bytes > 0 ? Figures.bytes(Double(row.bytes)) : "no growth",
                ]
            },
            notes: [
                "Write commands: those of INFO commandstats that Redis's COMMAND flags as writing, scripts' own included, "
                    + "the beat (SET) apart."
            ])
        return [speed, visitors, figures(result.figures, notes: result.notes)]
    }

    private func figures(_ figures: [FigureResult], notes: [String]) -> Titled {
        let rows = figures.map { figure in
            [
                "\(figure.id)  \(figure.text)", figure.wanted, figure.measured,
                figure.verdict,
            ]
        }
        return Titled(title: "figures", head: ["figure", "wanted", "measured", ""], rows: rows, notes: notes)
    }
}
