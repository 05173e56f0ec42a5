internal import EventLoop
internal import Glibc
internal import Host
internal import RedisLink
internal import TokenCache
internal import UnixTime

extension Figure {
    /// One row a figure, in INFO's order.
    static let all: [Figure] =
        server + clients + memory + stats + other + upstream + nearCache + tokens + everySession
        + stateless

    private static let server: [Figure] = [
        .text(.server, "tokencached_version", "the daemon's version") { _ in Product.version },
        .text(.server, "redis_version", "the version of Redis whose protocol is spoken here") { _ in
            Dispatcher.redisVersion
        },
        .text(.server, "redis_mode", "`standalone`, always") { _ in "standalone" },
        .text(.server, "process_id", "the daemon's process") { _ in "\(getpid())" },
        .text(.server, "run_id", "40 random hex digits, new at each start") { $0.environment.runID },
        .gauge(.server, "uptime_in_seconds", "since the start", .seconds) { $0.uptime }.forInfoOnly,
        .gauge(.server, "uptime_in_days", "the same in whole days") { $0.uptime / 86_400 }.forInfoOnly,
        .text(.server, "executable", "the program's file") { _ in ProgramFile.path },
        .text(.server, "config_file", "the configuration's file; empty where none was read") {
            $0.environment.configurationFile
        },
    ]

    private static let clients: [Figure] = [
        .gauge(.clients, "connected_clients", "clients that are connected at the workers' socket") {
            $0.server.places.taken
        },
        .gauge(.clients, "http_clients", "clients that are connected for HTTP, which have places of their own") {
            $0.server.httpPlaces.taken + $0.server.tcpPlaces.taken
        },
        .gauge(.clients, "maxclients", "the limit in force") { $0.server.places.limit },
        .gauge(
            .clients, "maxclients_configured",
            "`limits.max-clients`; more than `maxclients` where the limit of open files is too low"
        ) { $0.server.limits.maxClients },
        .gauge(.clients, "admin_places", "kept for admins, on top") { _ in ClientPlaces.forAdmins },
        .gauge(.clients, "admin_places_taken", "of them") { $0.server.places.admins },
        .gauge(.clients, "incomplete_requests", "requests of which a part has come") { $0.server.incomplete.count },
        .gauge(
            .clients, "incomplete_requests_bytes", "memory that they take, `limits.max-input` at most", .bytes
        ) { $0.server.incomplete.bytes },
        .gauge(.clients, "blocked_clients", "clients that wait for Redis") {
            $0.server.sessions.values.count { $0.isWaiting }
        },
        .counter(.clients, "rejected_connections", "workers turned away: there were too many") {
            $0.server.counters.rejectedConnections
        }.forInfoOnly,
        .counter(.clients, "http_rejected_connections", "the same of clients for HTTP") {
            $0.server.counters.rejectedHTTPConnections
        },
        .gauge(.clients, "open_descriptors", "about as many descriptors are open") {
            $0.dispatcher.openDescriptors(of: $0.server)
        }.forInfoOnly,
        .gauge(.clients, "descriptor_limit", "the limit of open files") { _ in ProcessFacts.descriptorLimit }
            .forInfoOnly,
    ]

    private static let memory: [Figure] = [
        .gauge(.memory, "used_memory", "what the allocator has handed out", .bytes) { _ in ProcessFacts.allocatedBytes
        },
        .gauge(.memory, "used_memory_rss", "in memory now", .bytes) { _ in ProcessFacts.residentBytes }.forInfoOnly,
        .gauge(.memory, "used_memory_peak", "the most that was in memory", .bytes) { _ in
            ProcessFacts.peakResidentBytes
        }.forInfoOnly,
        .gauge(.memory, "maxmemory", "0: none", .bytes) { _ in 0 }.forInfoOnly,
    ]

    private static let stats: [Figure] = [
        .counter(.stats, "total_connections_received", "clients that were let in") {
            $0.server.counters.acceptedConnections
        },
        .counter(.stats, "total_commands_processed", "commands that were answered") {
            $0.dispatcher.statistics.totalCalls
        }.forInfoOnly,
        .gauge(.stats, "instantaneous_ops_per_sec", "commands in the last second") {
            Int(clamping: $0.dispatcher.operationsPerSecond.latest)
        }.forInfoOnly,
        .counter(.stats, "keyspace_hits", "`near_cache_hits`") { $0.near.hits }.forInfoOnly,
        .counter(.stats, "keyspace_misses", "`near_cache_misses`") { $0.near.misses }.forInfoOnly,
        .counter(.stats, "evicted_keys", "`near_cache_dropped_by_eviction`") { $0.near.evicted }.forInfoOnly,
        .counter(.stats, "total_net_input_bytes", "read from clients", .bytes) { $0.server.counters.inputBytes },
        .counter(.stats, "total_net_output_bytes", "sent to clients", .bytes) { $0.server.counters.outputBytes },
        .counter(.stats, "rejected_connections", "clients turned away: there were too many") {
            $0.server.counters.rejectedConnections
        },
        .counter(.stats, "denied_connections", "peers whose role is `none`") { $0.server.counters.deniedConnections },
        .counter(.stats, "timed_out_connections", "closed because of a limit of time") {
            $0.server.counters.timedOutConnections
        },
        .counter(.stats, "input_limit_connections", "closed because of `limits.max-input`") {
            $0.server.counters.inputLimitConnections
        },
        .counter(.stats, "audit_events", "lines of the trail for auditors") { $0.dispatcher.audit.written },
        .counter(.stats, "audit_lost", "lines of it that could not be written") { $0.dispatcher.audit.lost },
        .counter(.stats, "protocol_errors", "bytes that were no request") { $0.server.counters.protocolErrors },
        .counter(.stats, "unknown_commands", "requests for a command that there is not") {
            $0.dispatcher.statistics.unknownCommands
        },
        .counter(.stats, "http_requests", "requests over HTTP") { $0.http.requests },
        .counter(.stats, "http_auth_accepted", "visitors whom `/auth` let in") { $0.http.accepted },
        .counter(.stats, "http_auth_denied", "visitors whom it did not") { $0.http.denied },
        .counter(.stats, "http_unavailable", "answers over HTTP that were 503: Redis was out of reach") {
            $0.http.unavailable
        },
        .counter(.stats, "http_refused_hosts", "requests over TCP for a name that is not in `http.hosts`") {
            $0.http.refusedHosts
        },
        .counter(.stats, "total_error_replies", "replies that were an error") { $0.dispatcher.statistics.totalErrors }
            .forInfoOnly,
    ]

    private static let other: [Figure] = [
        .text(.replication, "role", "`master`: client libraries wait for it. Redis's own role is in Upstream") { _ in
            "master"
        },
        .gauge(.replication, "connected_slaves", "0: none") { _ in 0 }.forInfoOnly,
        .time(.cpu, "used_cpu_sys", "CPU time in the kernel") { _ in ProcessFacts.cpuSeconds.system }.forInfoOnly,
        .time(.cpu, "used_cpu_user", "CPU time in the program") { _ in ProcessFacts.cpuSeconds.user }.forInfoOnly,
    ]

    private static let upstream: [Figure] = [
        .text(.upstream, "upstream_state", "`ready`, `connecting`, `down`, `closed`") {
            $0.environment.router.state.name
        },
        .text(.upstream, "upstream_endpoint", "where Redis is") { $0.node.endpoint.description },
        .text(.upstream, "upstream_server", "which server it is: `Redis`, `Valkey`") { $0.node.serverInfo.name },
        .text(.upstream, "upstream_redis_version", "its own version") { $0.node.serverInfo.version },
        .text(.upstream, "upstream_role", "its role: `master`") { $0.node.serverInfo.role },
        .text(.upstream, "upstream_run_id", "of its start") { $0.node.serverInfo.runID },
        .text(.upstream, "upstream_maxmemory_policy", "`noeviction`, or sessions vanish") {
            $0.node.serverInfo.maxmemoryPolicy
        },
        .gauge(.upstream, "upstream_clock_skew_ms", "Redis's clock minus the host's", .milliseconds) {
            $0.node.clockSkew.map { Int($0) }
        }.forInfoOnly,
        .counter(.upstream, "upstream_requests", "commands for clients, and beats") { $0.node.counters.requests }
            .forInfoOnly,
        .counter(.upstream, "upstream_round_trips", "replies, heartbeats too") { $0.node.counters.replies }.forInfoOnly,
        .counter(.upstream, "upstream_connects", "connections that were made") { $0.node.counters.connects }
            .forInfoOnly,
        .counter(.upstream, "upstream_reconnects", "of them, all but the first") {
            let connects = $0.node.counters.connects
            return connects == 0 ? 0 : connects - 1
        }.forInfoOnly,
        .counter(.upstream, "upstream_failures", "connections that were lost, or not made") {
            $0.node.counters.failures
        }.forInfoOnly,
        .counter(.upstream, "upstream_timeouts", "requests without a reply in time") { $0.node.counters.timeouts }
            .forInfoOnly,
        .counter(.upstream, "upstream_late_replies", "replies after their time") { $0.node.counters.lateReplies }
            .forInfoOnly,
        .counter(.upstream, "upstream_resends", "requests sent again over a new connection") {
            $0.node.counters.resends
        }.forInfoOnly,
        .counter(.upstream, "upstream_script_reloads", "scripts that Redis had forgotten") {
            $0.node.counters.scriptReloads
        }.forInfoOnly,
        .counter(.upstream, "upstream_protocol_errors", "replies that were not understood") {
            $0.node.counters.protocolErrors
        }.forInfoOnly,
        .counter(.upstream, "upstream_overloads", "requests refused here: too many were under way") {
            $0.node.counters.overloads
        }.forInfoOnly,
        .gauge(.upstream, "upstream_wait_replicas", "`redis.wait-replicas`") { $0.node.replicas?.count ?? 0 },
        .counter(.upstream, "upstream_waits", "times that replicas were waited for, for one or many changes") {
            $0.environment.router.nodes.reduce(0) { $0 &+ ($1.replicas?.counters.rounds ?? 0) }
        },
        .counter(.upstream, "upstream_wait_shortfalls", "changes that too few replicas had in time") {
            $0.environment.router.nodes.reduce(0) { $0 &+ ($1.replicas?.counters.shortfalls ?? 0) }
        }.forInfoOnly,
        .counter(
            .upstream, "upstream_data_losses", "Redis was started anew without what was written before"
        ) { $0.environment.marking()?.dataLosses ?? 0 },
        .text(
            .upstream, "upstream_last_fault",
            "the last connection that was lost, or the last answer that was UNAVAILABLE"
        ) { $0.lastFault?.reason },
        .gauge(.upstream, "upstream_last_fault_seconds_ago", "when that was", .seconds) {
            $0.lastFault.map { Int($0.at.duration(to: .now()).components.seconds) }
        },
        .text(.upstream, "upstream_last_fault_remedy", "what to do about it") { $0.lastFault?.remedy },
        .text(.upstream, "upstream_password_fault", "why `redis.password-command` gave none the last time") {
            $0.environment.passwordFault()
        },
    ]

    private static let nearCache: [Figure] = [
        .flag(.nearCache, "near_cache_enabled", "1 if `near-cache.max-memory` is more than 0") { $0.near.maxBytes > 0 },
        .flag(
            .nearCache, "near_cache_armed",
            "1 if Redis tells of changes, and that was proved within the last second where requests come"
        ) { $0.near.isArmed },
        .text(.nearCache, "near_cache_fault", "why it is not") { $0.near.fault },
        .text(.nearCache, "near_cache_remedy", "what to do about it") {
            $0.near.fault == nil ? nil : $0.nearCacheRemedy
        },
        .gauge(.nearCache, "near_cache_entries", "sessions in it") { $0.near.entries },
        .gauge(.nearCache, "near_cache_bytes", "memory that it takes", .bytes) { $0.near.bytes },
        .gauge(.nearCache, "near_cache_max_bytes", "`near-cache.max-memory`", .bytes) { $0.near.maxBytes },
        .counter(
            .nearCache, "near_cache_hits",
            """
            VALIDATE, VISIT, GET, CSRF.* of a session's token, and the holder of CAPTCHA.*, answered from memory; each \
            command once, also while it is not armed
            """
        ) { $0.near.hits },
        .counter(.nearCache, "near_cache_misses", "the same, answered by asking Redis") { $0.near.misses },
        .counter(.nearCache, "near_cache_invalidations", "messages of Redis about changed keys") {
            $0.near.invalidations
        },
        .counter(.nearCache, "near_cache_dropped_by_invalidation", "sessions that were dropped for them") {
            $0.near.invalidated
        },
        .counter(.nearCache, "near_cache_dropped_by_write", "dropped because this daemon changed them") {
            $0.near.overwritten
        },
        .counter(.nearCache, "near_cache_dropped_by_flush", "dropped with all the others, or all of some slots") {
            $0.near.flushed
        },
        .counter(.nearCache, "near_cache_dropped_by_eviction", "dropped to make room for others") {
            $0.near.evicted
        },
        .counter(.nearCache, "near_cache_flushes", "times that all were dropped; in a cluster, all of some slots") {
            $0.near.flushes
        },
        .counter(.nearCache, "near_cache_stale_answers", "answers while Redis did not (`near-cache.serve-stale`)") {
            $0.near.staleAnswers
        },
    ]
}

extension Figure.Source {
    /// What is done about a near cache that does not answer.
    var nearCacheRemedy: String {
        near.fault.flatMap(KnownFault.of)?.remedy
            ?? """
            the Redis user needs the rule in conf/redis-users.acl, and nothing may hold back what Redis tells; every access \
            asks Redis until then
            """
    }

    fileprivate var uptime: Int { Int(environment.startedAt.duration(to: .now()).components.seconds) }

    /// The later one of what ended a connection and of what somebody was told.
    fileprivate var lastFault: FaultHistory.Entry? {
        [node.counters.faults.last, dispatcher.service.faultHistory.last].compactMap { $0 }.max { $0.at < $1.at }
    }
}

extension LinkState {
    /// As INFO shows it.
    var name: String {
        switch self {
        case .closed: "closed"
        case .connecting: "connecting"
        case .ready: "ready"
        case .down: "down"
        }
    }
}

extension RedisNode {

    /// Redis's clock minus this host's.
    var clockSkew: Milliseconds? {
        guard let serverTime else { return nil }
        return serverTime - HostClock.now()
    }
}
