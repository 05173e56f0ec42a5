extension Report {
    /// All results, a line each.
    public func csv() -> String {
        var lines = ended.map { reason in [CSVLine("ended", "early") { $0.measured = reason }] } ?? []
        lines += workloads.flatMap { Self.lines("workload", $0) }
        if let comparison { lines += Self.lines(comparison) }
        if let scale { lines += Self.lines(scale) }
        if let guests { lines += Self.lines(guests) }
        return ([CSVLine.head] + lines.map(\.text)).map { $0 + "\n" }.joined()
    }

    private static func lines(_ kind: String, _ result: WorkloadResult) -> [CSVLine] {
        let circumstances = CSVLine(kind, result.workload.rawValue) {
            $0.connections = result.connections
            $0.pipeline = result.pipeline
            $0.rate = result.rate
        }
        var all = circumstances
        all.throughput = Spread([result.throughput])
        all.serverMicroseconds = result.serverMicroseconds
        all.serverLoad = result.serverLoad
        all.clientLoad = result.clientLoad
        all.latency = result.latency
        all.failed = result.failed + result.unanswered
        all.unsent = result.unsent
        guard result.hitLatency != nil else { return [all] }
        var hits = circumstances
        hits.form = "hits"
        hits.latency = result.hitLatency
        return [all, hits]
    }

    private static func lines(_ result: ComparisonResult) -> [CSVLine] {
        func lines(_ kind: String, _ table: ComparisonTable, to base: Contender) -> [CSVLine] {
            table.rows.map { row in
                CSVLine(kind, row.subject.rawValue) {
                    $0.form = table.form.rawValue
                    $0.connections = result.connections
                    $0.pipeline = table.form.pipeline
                    $0.take(row.speed, ratioTo: base.rawValue)
                }
            }
        }
        var all = result.tables.flatMap { lines("comparison", $0, to: .limit) }
        if let cold = result.cold { all += lines("cold", cold, to: .redisEvalsha) }
        all += result.latencies.map { row in
            CSVLine("latency", row.contender.rawValue) {
                $0.connections = result.connections
                $0.pipeline = 1
                $0.rate = row.rate
                $0.latency = row.summary
                $0.failed = row.unanswered
                $0.unsent = row.unsent
            }
        }
        if let saturation = result.mixedSaturation {
            let line = CSVLine("mix", Workload.mixed.rawValue) {
                $0.form = "saturation"
                $0.connections = result.connections
                $0.pipeline = 1
                $0.throughput = Spread([saturation])
            }
            all.append(line)
        }
        if let mixed = result.mixed { all += Self.lines("mix", mixed) }
        return all + Self.lines(result.figures)
    }

    private static func lines(_ result: ScaleResult) -> [CSVLine] {
        let memory = result.memory.map { row in
            CSVLine("memory", row.name) {
                $0.form = row.form
                $0.connections = row.connections
                $0.value = row.bytes
                $0.unit = "bytes"
            }
        }
        let growth = result.growth.flatMap { row in
            [(row.small, row.smallMicroseconds, 1), (row.large, row.largeMicroseconds, row.ratio.median)].map {
                count, microseconds, ratio in
                CSVLine("growth", row.contender.rawValue) {
                    $0.form = "\(count) \(row.what)"
                    $0.serverMicroseconds = microseconds.median
                    $0.ratio = ratio
                    $0.ratioTo = "\(row.small) \(row.what)"
                }
            }
        }
        let data = result.data.map { row in
            CSVLine("data", row.command.rawValue) {
                $0.form = row.data.rawValue
                $0.serverMicroseconds = row.microseconds.median
                $0.ratio = row.ratio.median
                $0.ratioTo = SessionData.none.rawValue
                $0.value = Double(row.data.bytes)
                $0.unit = "bytes"
            }
        }
        return memory + growth + data + lines(result.figures)
    }

    private static func lines(_ result: GuestResult) -> [CSVLine] {
        let speeds = result.rows.map { row in
            CSVLine("guests", row.subject.rawValue) {
                $0.connections = result.connections
                $0.pipeline = 1
                $0.take(row.speed, ratioTo: GuestQuestion.session.rawValue)
            }
        }
        let visitors = result.visitors.flatMap { row in
            [
                ("page views", row.pageViews), ("write commands", row.writeCount), ("new keys", row.keys),
                ("bytes", row.bytes),
            ].map { unit, value in
                CSVLine("visitors", row.site) {
                    $0.value = Double(value)
                    $0.unit = unit
                }
            }
        }
        return speeds + visitors + lines(result.figures)
    }

    private static func lines(_ figures: [FigureResult]) -> [CSVLine] {
        figures.map { figure in
            CSVLine("figure", figure.id) {
                $0.form = figure.text
                $0.wanted = figure.wanted
                $0.measured = figure.measured
                $0.verdict = figure.verdict
            }
        }
    }
}
