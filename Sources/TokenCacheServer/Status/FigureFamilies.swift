internal import EventLoop
internal import RedisLink

extension FigureFamily {
    static let all: [FigureFamily] = [
        FigureFamily(
            .upstream, "upstream_node_", "of each server that owns keys, where there may be others",
            [
                Part("endpoint", .text), Part("state", .text), Part("role", .text), Part("slots", .text),
                Part("proof_age_ms", .gauge, .milliseconds), Part("beat_us", .gauge, .microseconds),
                Part("clock_skew_ms", .gauge, .milliseconds), Part("confirmed_by", .text), Part("fault", .text),
                Part("remedy", .text),
            ]
        ) { source in
            let router = source.environment.router
            guard router.mayChangeServers else { return [] }
            return router.servers.enumerated().map { number, node in
                Member(
                    label: "\(number)",
                    values: [
                        .text("\(node.endpoint)"), .text(node.state.name), .text(node.serverInfo.role ?? ""),
                        .text(router.slotRanges(of: node)),
                        node.proofAge.map { .number($0.wholeMilliseconds) } ?? .nothing,
                        node.beatRoundTrip.map { .number($0.wholeMicroseconds) } ?? .nothing,
                        node.clockSkew.map { .number($0) } ?? .nothing,
                        .text(node.confirmer?.rawValue ?? ""), .text(node.fault ?? ""),
                        .text(node.fault.map(KnownFault.remedy) ?? ""),
                    ])
            }
        },
        FigureFamily(
            .upstream, "upstream_informant_", "of each Sentinel, or each server of the cluster that `redis.url` names",
            [Part("endpoint", .text), Part("state", .text), Part("master", .text)]
        ) { source in
            (source.environment.topology()?.informants ?? []).enumerated().map { number, informant in
                Member(
                    label: "\(number)",
                    values: [
                        .text("\(informant.endpoint)"), .text(informant.state.name),
                        .text(informant.master.map { "\($0)" } ?? ""),
                    ])
            }
        },
        FigureFamily(
            .commandStats, "cmdstat_", "of each command, as in Redis; its time includes waiting for Redis",
            [
                Part("calls", .counter), Part("usec", .counter, .microseconds),
                Part("usec_per_call", .gauge, .microseconds), Part("rejected_calls", .counter),
                Part("failed_calls", .counter),
            ]
        ) { source in
            called(source).map { command, row in
                let perCall = row.calls == 0 ? 0 : Double(row.microseconds) / Double(row.calls)
                return Member(
                    label: command,
                    values: [
                        .count(row.calls), .count(row.microseconds), .decimal(decimal(perCall, places: 2)),
                        .count(row.rejected), .count(row.failed),
                    ])
            }
        },
        FigureFamily(
            .latencyStats, "latency_percentiles_usec_", "of each command, as in Redis",
            [
                Part("p50", .gauge, .microseconds), Part("p99", .gauge, .microseconds),
                Part("p99.9", .gauge, .microseconds),
            ]
        ) { source in
            called(source).compactMap { command, row in
                guard let p50 = row.latencies.percentile(0.5), let p99 = row.latencies.percentile(0.99),
                    let p999 = row.latencies.percentile(0.999)
                else { return nil }
                return Member(label: command, values: [p50, p99, p999].map { .number(Int64($0)) })
            }
        },
        FigureFamily(.errorStats, "errorstat_", "of each error code: how often", [Part("count", .counter)]) { source in
            source.dispatcher.statistics.errors.filter { $0.count > 0 }.map {
                Member(label: "\($0.code)", values: [.count(UInt64($0.count))])
            }
        },
    ]

    /// The commands that were called, by name.
    private static func called(_ source: Figure.Source) -> [(name: String, row: CommandStatistics.Row)] {
        source.dispatcher.statistics.called.map { ($0.name.lowercased(), $0.row) }
    }
}
