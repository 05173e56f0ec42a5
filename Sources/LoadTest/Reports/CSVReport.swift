extension Report {
    /// One line a measurement, the same columns for every kind; an empty cell is something that was not measured.
    public func csv() -> String {
        var lines = [
            "kind,name,form,connections,pipeline,rate,requests_per_second,lowest,highest,ratio_to_limit,"
                + "server_cpu_us,server_load,client_load,p50_us,p90_us,p99_us,p999_us,highest_us,failed"
        ]
        for result in workloads {
            lines.append(
                Self.line(
                    ["workload", result.workload.rawValue, "", "\(result.connections)", "\(result.pipeline)"],
                    [
                        result.rate, result.throughput, nil, nil, nil, result.serverMicroseconds, result.serverLoad,
                        result.clientLoad,
                    ] + Self.latencies(result.latency) + [Double(result.failed + result.unanswered)]))
        }
        guard let comparison else { return lines.joined(separator: "\n") + "\n" }
        let connections = "\(comparison.connections)"
        for table in comparison.tables {
            for row in table.rows {
                lines.append(
                    Self.line(
                        [
                            "comparison", row.contender.rawValue, table.form.rawValue, connections,
                            "\(table.form.pipeline)",
                        ],
                        [
                            nil, row.throughput.median, row.throughput.lowest, row.throughput.highest,
                            row.ratio?.median, row.serverMicroseconds?.median, row.serverLoad, row.clientLoad,
                        ] + Self.latencies(nil) + [0]))
            }
        }
        for row in comparison.latencies {
            lines.append(
                Self.line(
                    ["latency", row.contender.rawValue, "", connections, "1"],
                    [row.rate, nil, nil, nil, nil, nil, nil, nil] + Self.latencies(row.summary) + [Double(row.unsent)]))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func latencies(_ summary: LatencySummary?) -> [Double?] {
        [summary?.p50, summary?.p90, summary?.p99, summary?.p999, summary?.highest]
    }

    private static func line(_ words: [String], _ numbers: [Double?]) -> String {
        let cells = numbers.map { number in
            guard let number else { return "" }
            return number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : Figures.fixed(number, 3)
        }
        return (words + cells).joined(separator: ",")
    }
}
