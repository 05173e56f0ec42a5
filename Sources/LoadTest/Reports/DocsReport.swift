extension Report {
    /// Writes `README.md`, `throughput.svg` and `latency.svg`, or `guests.md`, or `scale.md`, into a folder, which is
    /// made if it is missing.
    public func writeDocs(to folder: String) throws(LoadTestError) {
        try Output.prepare(folder: folder)
        if guests != nil { try writeFile("\(folder)/guests.md", guestsMarkdown()) }
        if scale != nil { try writeFile("\(folder)/scale.md", scaleMarkdown()) }
        guard let comparison else { return }
        try writeFile("\(folder)/throughput.svg", BarChart(comparison).picture.file)
        try writeFile("\(folder)/latency.svg", LatencyChart(comparison).picture.file)
        try writeFile("\(folder)/README.md", markdown())
    }

    /// The tables, with the pictures beside them.
    func markdown() -> String {
        let text = """
            # Benchmarks

            Validation of a session token over a Unix socket: the daemon beside a redis-server that looks a key up \
            (`GET`), one that validates by a script (`EVALSHA`, equal work), memcached, and a bare epoll loop that \
            answers without looking, which is the limit. Written by `\(command)`; run it on your machine.

            ![Requests a second](throughput.svg)

            ![Latency by percentile](latency.svg)


            """
        return text + tablesMarkdown()
    }

    /// The tables about visitors who are stored nowhere.
    func guestsMarkdown() -> String {
        """
        # Benchmarks: guests, forms and captchas

        Requests about visitors of whom nothing is stored, beside validations of sessions from the near cache in the \
        same run; then what page views leave in Redis, beside a site that gives every visitor a session on the same \
        Redis. Written by `\(command)`; run it on your machine.


        """ + tablesMarkdown()
    }

    /// The tables about much of everything.
    func scaleMarkdown() -> String {
        """
        # Benchmarks: memory and growth

        What a session and a connection cost in memory, and what a hit costs where there are many of them, or much \
        data. Beside the \
        daemon a bare epoll loop that answers without looking, which shows the kernel's part, and a redis-server. \
        Written by `\(command)`; run it on your machine.


        """ + tablesMarkdown()
    }

    private func tablesMarkdown() -> String {
        var text = endedNote.map { "**\($0)**\n\n" } ?? ""
        for table in tables { text += table.markdown() }
        text += "## How it was measured\n\n"
        text += facts.map { "- \($0.0): \($0.1)\n" }.joined()
        return text
    }
}
