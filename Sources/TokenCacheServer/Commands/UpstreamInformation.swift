internal import EventLoop
internal import RedisLink

extension RedisNode {
    /// The fields of INFO's section `# Upstream`.
    var informationFields: [(String, String)] {
        let info = serverInfo
        let counters = counters
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
            ("upstream_last_fault", counters.lastFault?.description ?? ""),
        ]
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
    private var clockSkewMilliseconds: Int64? {
        guard let clock = clockMilliseconds else { return nil }
        return clock &- HostClock.milliseconds
    }
}
