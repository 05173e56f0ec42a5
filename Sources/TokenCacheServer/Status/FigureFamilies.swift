extension FigureFamily {
    static let all: [FigureFamily] = [
        FigureFamily(
            section: .commandStats, prefix: "cmdstat_",
            help: "of each command, as in Redis; its time includes waiting for Redis",
            read: { source in
                called(source).map { command, row in
                    let perCall = row.calls == 0 ? 0 : Double(row.microseconds) / Double(row.calls)
                    return (
                        command,
                        "calls=\(row.calls),usec=\(row.microseconds),usec_per_call=\(decimal(perCall, places: 2)),"
                            + "rejected_calls=\(row.rejected),failed_calls=\(row.failed)"
                    )
                }
            }),
        FigureFamily(
            section: .latencyStats, prefix: "latency_percentiles_usec_", help: "of each command, as in Redis",
            read: { source in
                called(source).compactMap { command, row in
                    guard let p50 = row.latencies.percentile(0.5), let p99 = row.latencies.percentile(0.99),
                        let p999 = row.latencies.percentile(0.999)
                    else { return nil }
                    return (command, "p50=\(p50),p99=\(p99),p99.9=\(p999)")
                }
            }),
        FigureFamily(
            section: .errorStats, prefix: "errorstat_", help: "of each error code: how often",
            read: { source in
                source.dispatcher.statistics.errors.filter { $0.count > 0 }.map { ($0.code, "count=\($0.count)") }
            }),
    ]

    /// The commands that were called, by name.
    private static func called(_ source: Figure.Source) -> [(name: String, row: CommandStatistics.Row)] {
        Command.allCases.compactMap { command in
            let row = source.dispatcher.statistics.rows[Int(command.rawValue)]
            guard row.calls > 0 || row.rejected > 0 else { return nil }
            return ("\(command.row.name)".lowercased(), row)
        }
    }
}
