internal import EventLoop
internal import RedisLink

extension FigureFamily {
    static let all: [FigureFamily] = [
        FigureFamily(
            section: .upstream, prefix: "upstream_node_",
            help:
                "of each server that owns keys, where there may be others: where, state, role, slots, last proof, fault",
            read: { source in
                guard source.environment.router.mayChangeServers else { return [] }
                let router = source.environment.router
                return router.servers.enumerated().map { number, node in
                    let proof = node.proofAge.map { "\($0.wholeMilliseconds)" } ?? ""
                    return (
                        "\(number)",
                        "endpoint=\(node.endpoint),state=\(node.state.name),role=\(node.serverInfo.role ?? ""),"
                            + "slots=\(router.slotRanges(of: node)),proof_age_ms=\(proof),fault=\(node.fault ?? "")"
                    )
                }
            }),
        FigureFamily(
            section: .upstream, prefix: "upstream_informant_",
            help: "of each Sentinel, or each server of the cluster that `redis.url` names: where, state, named master",
            read: { source in
                (source.environment.topology()?.informants ?? []).enumerated().map { number, informant in
                    (
                        "\(number)",
                        "endpoint=\(informant.endpoint),state=\(informant.state.name),master=\(informant.master ?? "")"
                    )
                }
            }),
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
