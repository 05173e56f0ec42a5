internal import EventLoop
internal import Glibc
internal import RedisLink
internal import TokenCache
internal import WireProtocol

/// INFO: Redis's sections and names where the meaning is the same, so that existing dashboards work, and our own.
extension Dispatcher {
    private static var sections: [(name: StaticString, fields: (Dispatcher) -> (Server) -> [(String, String)])] {
        [
            ("Server", serverFields), ("Clients", clientFields), ("Memory", memoryFields), ("Stats", statsFields),
            ("Replication", replicationFields), ("CPU", cpuFields), ("Commandstats", commandFields),
            ("Latencystats", latencyFields),
            ("Errorstats", errorFields), ("Keyspace", keyspaceFields), ("Upstream", upstreamFields),
            ("Nearcache", nearCacheFields),
            ("Tokens", tokenFields),
        ]
    }
    private static let nearCacheRemedy =
        "the Redis user needs the rule in conf/redis-users.acl, and nothing may hold back what Redis tells; every access "
        + "asks Redis until then"
    /// Not shown unless asked for, as in Redis.
    private static let quiet = ["commandstats", "latencystats"]

    /// The sections asked for; without an argument all but the long ones; `all` and `everything` mean all.
    func information(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        writer.verbatim(information(call.arguments, of: call.session.server))
        return .now
    }

    private func information(_ arguments: Arguments, of server: Server) -> String {
        statistics.settle()
        let asked = (0..<arguments.count).map { String(decoding: arguments[$0], as: UTF8.self).lowercased() }
        let everything = asked.contains { $0 == "all" || $0 == "everything" }
        let usual = asked.isEmpty || asked.contains("default")
        var blocks: [String] = []
        for section in Self.sections {
            let name = section.name.description.lowercased()
            guard everything || asked.contains(name) || usual && !Self.quiet.contains(name) else { continue }
            let lines = section.fields(self)(server).map { "\($0.0):\($0.1)\r\n" }
            blocks.append("# \(section.name)\r\n" + lines.joined())
        }
        return blocks.joined(separator: "\r\n")
    }

    private func serverFields(_ server: Server) -> [(String, String)] {
        let uptime = environment.startedAt.duration(to: .now()).components.seconds
        return [
            ("tokencached_version", Version.current), ("redis_version", Self.redisVersion),
            ("redis_mode", "standalone"), ("process_id", "\(getpid())"), ("run_id", environment.runID),
            ("uptime_in_seconds", "\(uptime)"), ("uptime_in_days", "\(uptime / 86_400)"),
            ("executable", ProcessFacts.executable), ("config_file", environment.configurationFile),
        ]
    }

    private func clientFields(_ server: Server) -> [(String, String)] {
        let waiting = server.sessions.values.count { $0.idleSince == nil }
        return [
            ("connected_clients", "\(server.sessions.count)"), ("maxclients", "\(server.places.limit)"),
            ("maxclients_configured", "\(server.limits.maxClients)"),
            ("admin_places", "\(ClientPlaces.forAdmins)"), ("admin_places_taken", "\(server.places.admins)"),
            ("incomplete_requests", "\(server.incomplete.count)"),
            ("incomplete_requests_bytes", "\(server.incomplete.bytes)"),
            ("blocked_clients", "\(waiting)"), ("rejected_connections", "\(server.counters.rejectedConnections)"),
            ("open_descriptors", "\(openDescriptors(of: server))"),
            ("descriptor_limit", "\(ProcessFacts.descriptorLimit)"),
        ]
    }

    private func memoryFields(_ server: Server) -> [(String, String)] {
        let resident = ProcessFacts.residentBytes
        return [
            ("used_memory", "\(ProcessFacts.allocatedBytes)"), ("used_memory_rss", "\(resident)"),
            ("used_memory_peak", "\(ProcessFacts.peakResidentBytes)"), ("maxmemory", "0"),
        ]
    }

    private func statsFields(_ server: Server) -> [(String, String)] {
        let counters = server.counters
        let near = service.nearCacheCounters
        return [
            ("total_connections_received", "\(counters.acceptedConnections)"),
            ("total_commands_processed", "\(statistics.totalCalls)"),
            ("instantaneous_ops_per_sec", "\(operationsPerSecond.latest)"),
            ("keyspace_hits", "\(near.hits)"), ("keyspace_misses", "\(near.misses)"),
            ("evicted_keys", "\(near.evictions)"), ("total_net_input_bytes", "\(counters.inputBytes)"),
            ("total_net_output_bytes", "\(counters.outputBytes)"),
            ("rejected_connections", "\(counters.rejectedConnections)"),
            ("denied_connections", "\(counters.deniedConnections)"),
            ("timed_out_connections", "\(counters.timedOutConnections)"),
            ("input_limit_connections", "\(counters.inputLimitConnections)"),
            ("audit_events", "\(audit.written)"), ("audit_lost", "\(audit.lost)"),
            ("protocol_errors", "\(counters.protocolErrors)"), ("unknown_commands", "\(statistics.unknownCommands)"),
            ("total_error_replies", "\(statistics.totalErrors)"),
        ]
    }

    /// Clients wait for a master before they send anything. Redis's own role is in Upstream.
    private func replicationFields(_ server: Server) -> [(String, String)] {
        [("role", "master"), ("connected_slaves", "0")]
    }

    private func cpuFields(_ server: Server) -> [(String, String)] {
        let (system, user) = ProcessFacts.cpuSeconds
        return [("used_cpu_sys", system), ("used_cpu_user", user)]
    }

    private func commandFields(_ server: Server) -> [(String, String)] {
        calledCommands().map { command, row in
            let perCall = row.calls == 0 ? 0 : Double(row.microseconds) / Double(row.calls)
            return (
                "cmdstat_\(command)",
                "calls=\(row.calls),usec=\(row.microseconds),usec_per_call=\(decimal(perCall, places: 2)),"
                    + "rejected_calls=\(row.rejected),failed_calls=\(row.failed)"
            )
        }
    }

    private func latencyFields(_ server: Server) -> [(String, String)] {
        calledCommands().compactMap { command, row in
            guard let p50 = row.latencies.percentile(0.5), let p99 = row.latencies.percentile(0.99),
                let p999 = row.latencies.percentile(0.999)
            else { return nil }
            return ("latency_percentiles_usec_\(command)", "p50=\(p50),p99=\(p99),p99.9=\(p999)")
        }
    }

    private func calledCommands() -> [(name: String, row: CommandStatistics.Row)] {
        Command.allCases.compactMap { command in
            let row = statistics.rows[Int(command.rawValue)]
            guard row.calls > 0 || row.rejected > 0 else { return nil }
            return ("\(command.row.name)".lowercased(), row)
        }
    }

    private func errorFields(_ server: Server) -> [(String, String)] {
        statistics.errors.filter { $0.count > 0 }.map { ("errorstat_\($0.code)", "count=\($0.count)") }
    }

    /// Tools expect the section. The number of keys is Redis's to tell: `DBSIZE` asks it.
    private func keyspaceFields(_ server: Server) -> [(String, String)] { [] }

    private func upstreamFields(_ server: Server) -> [(String, String)] {
        environment.upstream(service.lastFault)
    }

    private func nearCacheFields(_ server: Server) -> [(String, String)] {
        let counters = service.nearCacheCounters
        return [
            ("near_cache_enabled", counters.maxBytes > 0 ? "1" : "0"),
            ("near_cache_armed", counters.isArmed ? "1" : "0"), ("near_cache_fault", counters.fault ?? ""),
            ("near_cache_remedy", counters.fault.map { KnownFault.of($0)?.remedy ?? Self.nearCacheRemedy } ?? ""),
            ("near_cache_entries", "\(counters.entries)"),
            ("near_cache_bytes", "\(counters.bytes)"), ("near_cache_max_bytes", "\(counters.maxBytes)"),
            ("near_cache_hits", "\(counters.hits)"), ("near_cache_misses", "\(counters.misses)"),
            ("near_cache_invalidations", "\(counters.invalidations)"),
            ("near_cache_invalidated", "\(counters.invalidated)"), ("near_cache_flushes", "\(counters.flushes)"),
            ("near_cache_evictions", "\(counters.evictions)"),
            ("near_cache_stale_answers", "\(counters.staleAnswers)"),
        ]
    }

    private func tokenFields(_ server: Server) -> [(String, String)] {
        let counters = service.counters
        return [
            ("tokens_issued", "\(counters.issued)"), ("tokens_logins", "\(counters.logins)"),
            ("tokens_validated_valid", "\(counters.valid)"), ("tokens_validated_rotated", "\(counters.rotated)"),
            ("tokens_validated_unknown", "\(counters.unknown)"),
            ("tokens_validated_replayed", "\(counters.replayed)"),
            ("tokens_validated_revoked", "\(counters.revoked)"),
            ("tokens_validated_expired", "\(counters.expired)"),
            ("tokens_validated_mismatch", "\(counters.mismatch)"),
            ("tokens_validated_anonymous", "\(counters.anonymous)"),
            ("tokens_validated_reauthenticate", "\(counters.reauthenticate)"), ("rotations", "\(counters.rotations)"),
            ("forced_rotations", "\(counters.forcedRotations)"), ("confirmations", "\(counters.confirmations)"),
            ("recoveries", "\(counters.recoveries)"),
            ("replays", "\(counters.replayed)"), ("touches", "\(counters.touches)"),
            ("sessions_ended", "\(counters.ended)"), ("changes_overtaken", "\(counters.overtaken)"),
            ("unavailable_answers", "\(counters.unavailable)"),
            ("guests_issued", "\(counters.guestsIssued)"), ("guests_looked_up", "\(counters.guestsLookedUp)"),
            ("guests_validated", "\(counters.guestsValid)"), ("guests_renewed", "\(counters.guestsRenewed)"),
            ("guests_page_only", "\(counters.pageGuests)"),
            ("guests_promoted", "\(counters.guestsPromoted)"), ("csrf_issued", "\(counters.csrfIssued)"),
            ("csrf_passed", "\(counters.csrfPassed)"), ("csrf_failed", "\(counters.csrfFailed)"),
            ("csrf_outdated", "\(counters.csrfOutdated)"),
            ("captchas_issued", "\(counters.captchasIssued)"), ("captchas_passed", "\(counters.captchasPassed)"),
            ("captchas_failed", "\(counters.captchasFailed)"), ("captchas_spent", "\(counters.captchasSpent)"),
            ("keyring_fingerprint", service.keyFingerprint ?? ""),
        ]
    }
}
