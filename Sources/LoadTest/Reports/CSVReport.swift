extension Report {
    /// All results, a line each.
    public func csv() -> String {
        var lines: [CSVLine] = []
        if let ended {
            var line = CSVLine("ended", "early")
            line.measured = ended
            lines.append(line)
        }
        lines += workloads.flatMap { Self.lines("workload", $0) }
        if let comparison { lines += Self.lines(comparison) }
        if let scale { lines += Self.lines(scale) }
        if let guests { lines += Self.lines(guests) }
        return ([CSVLine.head] + lines.map(\.text)).map { $0 + "\n" }.joined()
    }

    private static func lines(_ kind: String, _ result: WorkloadResult) -> [CSVLine] {
        var line = CSVLine(kind, result.workload.rawValue)
        line.connections = result.connections
        line.pipeline = result.pipeline
        line.rate = result.rate
        line.throughput = Spread([result.throughput])
        line.serverMicroseconds = result.serverMicroseconds
        line.serverLoad = result.serverLoad
        line.clientLoad = result.clientLoad
        line.latency = result.latency
        line.failed = result.failed + result.unanswered
        line.unsent = result.unsent
        guard let hits = result.hitLatency else { return [line] }
        var own = CSVLine(kind, result.workload.rawValue)
        own.form = "hits"
        own.connections = result.connections
        own.pipeline = result.pipeline
        own.rate = result.rate
        own.latency = hits
        return [line, own]
    }

    private static func lines(_ result: ComparisonResult) -> [CSVLine] {
        var lines: [CSVLine] = []
        func add(_ kind: String, _ table: ComparisonTable, to base: Contender) {
            lines += table.rows.map { row in
                var line = CSVLine(kind, row.subject.rawValue)
                line.form = table.form.rawValue
                line.connections = result.connections
                line.pipeline = table.form.pipeline
                line.take(row.speed, ratioTo: base.rawValue)
                return line
            }
        }
        for table in result.tables { add("comparison", table, to: .limit) }
        if let cold = result.cold { add("cold", cold, to: .redisEvalsha) }
        lines += result.latencies.map { row in
            var line = CSVLine("latency", row.contender.rawValue)
            line.connections = result.connections
            line.pipeline = 1
            line.rate = row.rate
            line.latency = row.summary
            line.failed = row.unanswered
            line.unsent = row.unsent
            return line
        }
        if let saturation = result.mixedSaturation {
            var line = CSVLine("mix", Workload.mixed.rawValue)
            line.form = "saturation"
            line.connections = result.connections
            line.pipeline = 1
            line.throughput = Spread([saturation])
            lines.append(line)
        }
        if let mixed = result.mixed { lines += Self.lines("mix", mixed) }
        return lines + Self.lines(result.figures)
    }

    private static func lines(_ result: ScaleResult) -> [CSVLine] {
        var lines = result.memory.map { row in
            var line = CSVLine("memory", row.name)
            line.form = row.form
            line.connections = row.connections
            line.value = row.bytes
            line.unit = "bytes"
            return line
        }
        for row in result.growth {
            for (count, microseconds) in [(row.small, row.smallMicroseconds), (row.large, row.largeMicroseconds)] {
                var line = CSVLine("growth", row.contender.rawValue)
                line.form = "\(count) \(row.what)"
                line.serverMicroseconds = microseconds.median
                line.ratio = count == row.small ? 1 : row.ratio.median
                line.ratioTo = "\(row.small) \(row.what)"
                lines.append(line)
            }
        }
        lines += result.data.map { row in
            var line = CSVLine("data", row.command.rawValue)
            line.form = row.data.rawValue
            line.serverMicroseconds = row.microseconds.median
            line.ratio = row.ratio.median
            line.ratioTo = SessionData.none.rawValue
            line.value = Double(row.data.bytes)
            line.unit = "bytes"
            return line
        }
        return lines + Self.lines(result.figures)
    }

    private static func lines(_ result: GuestResult) -> [CSVLine] {
        var lines = result.rows.map { row in
            var line = CSVLine("guests", row.subject.rawValue)
            line.connections = result.connections
            line.pipeline = 1
            line.take(row.speed, ratioTo: GuestQuestion.session.rawValue)
            return line
        }
        for row in result.visitors {
            for (unit, value) in [
                ("page views", row.pageViews), ("write commands", row.writeCount), ("new keys", row.keys),
                ("bytes", row.bytes),
            ] {
                var line = CSVLine("visitors", row.site)
                line.value = Double(value)
                line.unit = unit
                lines.append(line)
            }
        }
        return lines + Self.lines(result.figures)
    }

    private static func lines(_ figures: [FigureResult]) -> [CSVLine] {
        figures.map { figure in
            var line = CSVLine("figure", figure.id)
            line.form = figure.text
            line.wanted = figure.wanted
            line.measured = figure.measured
            line.verdict = figure.verdict
            return line
        }
    }
}
