internal import EventLoop
internal import RedisLink
internal import TokenCache

extension RedisNode {
    /// The fields of INFO's section `# Upstream`.
    /// - Parameter reported: the last reason for which somebody was answered `UNAVAILABLE`.
    func informationFields(_ reported: ReportedFault?, dataLosses: UInt64) -> [(String, String)] {
        let info = serverInfo
        let counters = counters
        let fault = lastFault(reported)
        return [
            ("upstream_state", stateName), ("upstream_endpoint", "\(endpoint)"),
            ("upstream_redis_version", info.version ?? ""), ("upstream_role", info.role ?? ""),
            ("upstream_run_id", info.runID ?? ""), ("upstream_maxmemory_policy", info.maxmemoryPolicy ?? ""),
            ("upstream_clock_skew_ms", clockSkewMilliseconds.map(String.init) ?? ""),
            ("upstream_requests", "\(counters.requests)"), ("upstream_round_trips", "\(counters.replies)"),
            ("upstream_connects", "\(counters.connects)"),
            ("upstream_reconnects", "\(counters.connects == 0 ? 0 : counters.connects - 1)"),
            ("upstream_failures", "\(counters.failures)"), ("upstream_timeouts", "\(counters.timeouts)"),
            ("upstream_late_replies", "\(counters.lateReplies)"), ("upstream_resends", "\(counters.resends)"),
            ("upstream_script_reloads", "\(counters.scriptReloads)"),
            ("upstream_protocol_errors", "\(counters.protocolErrors)"),
            ("upstream_overloads", "\(counters.overloads)"),
            ("upstream_data_losses", "\(dataLosses)"), ("upstream_last_fault", fault?.reason ?? ""),
            ("upstream_last_fault_seconds_ago", fault.map { "\($0.at.duration(to: .now()).components.seconds)" } ?? ""),
            ("upstream_last_fault_remedy", fault?.remedy ?? ""),
        ]
    }

    /// The later one of what ended a connection and of what somebody was told.
    private func lastFault(_ reported: ReportedFault?) -> ReportedFault? {
        let lost = counters.lastFault.map { ReportedFault(reason: $0.description, at: $0.at) }
        return [lost, reported].compactMap { $0 }.max { $0.at < $1.at }
    }

    private var stateName: String {
        switch state {
        case .closed: "closed"
        case .connecting: "connecting"
        case .ready: "ready"
        case .down: "down"
        }
    }

    /// Redis's clock minus this host's.
    var clockSkewMilliseconds: Int64? {
        guard let clock = clockMilliseconds else { return nil }
        return clock &- HostClock.milliseconds
    }
}
