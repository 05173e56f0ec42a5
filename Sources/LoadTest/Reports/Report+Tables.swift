extension Report {
    /// Its tables that hold something; text, Markdown and HTML show the same ones.
    var tables: [Table] {
        var tables = workloads.isEmpty ? [] : workloadTables
        if let comparison { tables += Self.tables(of: comparison) }
        if let scale { tables += Self.tables(of: scale) }
        if let guests { tables += Self.tables(of: guests) }
        return tables.filter { !$0.rows.isEmpty }
    }

    private var workloadTables: [Table] {
        let notes = workloads.flatMap { result in
            let reasons = result.failures.sorted { $0.value > $1.value }.prefix(4)
            let failures = reasons.map { "\(Figures.grouped($0.value)) × \($0.key)" }
            let unanswered = result.unanswered > 0 ? ["\(result.unanswered) without an answer"] : []
            return (failures + unanswered + result.notes).map { "\(result.workload.rawValue): \($0)" }
        }
        let latencies = workloads.flatMap { result in
            Latency.lines(result.workload.rawValue, result.rate, result.latency, hits: result.hitLatency)
        }
        let meaning =
            workloads.contains { $0.rate != nil }
            ? "A latency counts from the moment at which its request was meant to be sent."
            : "As the client met them at full load; use --rate for latencies at a rate of yours."
        return [
            Table(
                "Throughput", of: workloads, notes: notes,
                [
                    ("workload", { $0.workload.rawValue }), ("requests/s", { Figures.rate($0.throughput) }),
                    ("server CPU", { Figures.time(microseconds: $0.serverMicroseconds) }),
                    ("server load", { Figures.percent($0.serverLoad) }),
                    ("client load", { Figures.percent($0.clientLoad) }),
                    ("cache hits", { Figures.percent($0.nearCacheHits) }),
                    ("failed", { Figures.grouped($0.failed + $0.unanswered) }),
                ]),
            Table("Latency", of: latencies, notes: [meaning], Latency.columns),
        ]
    }

    private static func tables(of result: ComparisonResult) -> [Table] {
        var tables = result.tables.map { table in
            Table(
                "\(table.form.title), \(result.connections) connections", of: table.rows,
                speedColumns("server", ratio: "to the limit"))
        }
        if let cold = result.cold {
            tables.append(
                Table(
                    "cold: each session asked about once, 1 in flight", of: cold.rows,
                    notes: ["The daemon's CPU is without that of the Redis behind it."],
                    speedColumns("server", ratio: "to EVALSHA")))
        }
        let latencies =
            result.latencies.map { Latency(name: $0.contender.title, rate: $0.rate, summary: $0.summary) }
            + (result.mixed.map {
                Latency.lines("tokencached, 94/5/1 mix", $0.rate, $0.latency, hits: $0.hitLatency)
            } ?? [])
        tables.append(
            Table(
                "latency at a fixed rate, counted from the intended time of sending", of: latencies, Latency.columns))
        return tables + [figureTable(result.figures, notes: result.notes)]
    }

    private static func tables(of result: ScaleResult) -> [Table] {
        [
            Table("memory", of: result.memory, [("what", { $0.title }), ("bytes", { Figures.bytes($0.bytes) })]),
            Table(
                "CPU of a request", of: result.growth,
                [
                    ("", { "\(Figures.grouped($0.small)) and \(Figures.grouped($0.large)) \($0.what)" }),
                    ("server", { $0.contender.title }),
                    ("few", { Figures.time(microseconds: $0.smallMicroseconds.median) }),
                    ("many", { Figures.time(microseconds: $0.largeMicroseconds.median) }),
                    ("many to few", { Figures.ratio($0.ratio) }),
                ]),
            Table(
                "CPU of a hit, by the data of its session", of: result.data,
                [
                    ("request", { $0.command.rawValue }), ("data", { $0.data.title }),
                    ("CPU/request", { Figures.time(microseconds: $0.microseconds.median) }),
                    ("to no data", { Figures.ratio($0.ratio) }),
                ]),
            figureTable(result.figures, notes: result.notes),
        ]
    }

    private static func tables(of result: GuestResult) -> [Table] {
        [
            Table(
                "guests, forms and captchas, \(result.connections) connections, 1 in flight", of: result.rows,
                notes: ["The daemon's CPU is without that of the Redis behind it, which only CAPTCHA.VERIFY asks."],
                speedColumns("request", ratio: "to a session's")),
            Table(
                "what page views leave in Redis", of: result.visitors,
                notes: [
                    "Write commands: those of INFO commandstats that Redis's COMMAND flags as writing, scripts' own "
                        + "included, the beat (SET) apart."
                ],
                [
                    ("site", { $0.site }), ("page views", { Figures.grouped($0.pageViews) }),
                    ("write commands", { Figures.grouped($0.writeCount) }),
                    ("keys before", { Figures.grouped($0.keysBefore) }),
                    ("keys after", { Figures.grouped($0.keysAfter) }),
                    ("memory", { $0.bytes > 0 ? Figures.bytes(Double($0.bytes)) : "no growth" }),
                ]),
            figureTable(result.figures, notes: result.notes),
        ]
    }

    private static func figureTable(_ figures: [FigureResult], notes: [String]) -> Table {
        Table(
            "figures", of: figures, notes: notes,
            [
                ("figure", { "\($0.id)  \($0.text)" }), ("wanted", { $0.wanted }), ("measured", { $0.measured }),
                ("", { $0.verdict }),
            ])
    }

    /// - Parameters:
    ///   - subject: the heading of what the speeds are those of.
    ///   - ratio: the heading of what they are compared with.
    private static func speedColumns<Subject>(
        _ subject: String, ratio: String
    ) -> [Table.Column<SpeedRow<Subject>>] {
        [
            (subject, { $0.subject.title }),
            ("requests/s", { Figures.rate($0.speed.throughput.median) + ($0.speed.isClientBound ? " *" : "") }),
            (ratio, { Figures.ratio($0.speed.ratio) }),
            ("CPU/request", { Figures.time(microseconds: $0.speed.serverMicroseconds?.median) }),
            ("server load", { Figures.percent($0.speed.serverLoad) }),
            ("client load", { Figures.percent($0.speed.clientLoad) }),
        ]
    }

    /// A row of a table of latencies.
    private struct Latency {
        var name: String
        var rate: Double?
        var summary: LatencySummary

        /// All requests, and the hits among them where they were measured apart.
        static func lines(
            _ name: String, _ rate: Double?, _ all: LatencySummary?, hits: LatencySummary?
        ) -> [Latency] {
            [(name, all), ("… its hits", hits)].compactMap { name, summary in
                summary.map { Latency(name: name, rate: rate, summary: $0) }
            }
        }

        static var columns: [Table.Column<Latency>] {
            [
                ("", { $0.name }), ("requests/s", { $0.rate.map { Figures.rate($0) } ?? "most" }),
                ("p50", { Figures.time(microseconds: $0.summary.p50) }),
                ("p90", { Figures.time(microseconds: $0.summary.p90) }),
                ("p99", { Figures.time(microseconds: $0.summary.p99) }),
                ("p99.9", { Figures.time(microseconds: $0.summary.p999) }),
                ("highest", { Figures.time(microseconds: $0.summary.highest) }),
            ]
        }
    }
}
