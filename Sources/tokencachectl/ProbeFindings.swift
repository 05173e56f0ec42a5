import TokenCacheClient

/// What `doctor` reads out of PROBE: whether a session can be made, read and ended, and what Redis says of itself.
enum ProbeFindings {
    static func all(_ fields: ReplyFields) -> [Finding] {
        [write(fields), disk(fields), memory(fields), replicas(fields), keyRings(fields)].compactMap { $0 }
    }

    static func write(_ fields: ReplyFields) -> Finding {
        guard fields.status == "ok" else {
            return .fail("redis write", text(fields, "fault"), remedy: text(fields, "remedy"))
        }
        return .ok("redis write", "a session was made, read and ended in \(fields["microseconds"]?.number ?? 0) µs")
    }

    static func disk(_ fields: ReplyFields) -> Finding? {
        if fields["disk"]?.string == "failing" {
            return .fail(
                "redis disk", "Redis could not save to its disk",
                remedy: "is Redis's disk full, or its folder gone or not writable? Redis's log names the file")
        }
        switch fields["persistence"]?.string {
        case "aof": return .ok("redis disk", "append-only file")
        case "rdb":
            return .warn(
                "redis disk",
                "snapshots only: after a crash, what came after the last one is gone, ends of sessions too",
                remedy: "`appendonly yes` in redis.conf")
        case "none":
            return .warn(
                "redis disk", "Redis keeps nothing on disk: after a restart every session is gone",
                remedy: "`appendonly yes` in redis.conf")
        default: return nil
        }
    }

    static func memory(_ fields: ReplyFields) -> Finding? {
        guard let used = fields["used_memory"]?.number, let limit = fields["maxmemory"]?.number, used >= 0, limit >= 0
        else { return nil }
        guard limit > 0 else { return .ok("redis space", "\(used >> 20) MiB, without a limit (maxmemory)") }
        let detail = "\(used >> 20) of \(limit >> 20) MiB (maxmemory)"
        guard Double(used) > 0.9 * Double(limit) else { return .ok("redis space", detail) }
        return .warn(
            "redis space", detail,
            remedy: "raise `maxmemory` at Redis, give it less to keep besides, or shorten `session.idle`")
    }

    /// What replicas do not have is lost with the master.
    static func replicas(_ fields: ReplyFields) -> Finding? {
        guard let connected = fields["replicas"]?.number, let awaited = fields["wait_replicas"]?.number, connected >= 0,
            awaited > 0
        else { return nil }
        let detail = "\(awaited) of \(connected) have a change before it is acknowledged (redis.wait-replicas)"
        guard connected > awaited else { return .ok("replicas", detail) }
        return .warn(
            "replicas", detail + ": another one may be promoted without it",
            remedy: "set `redis.wait-replicas` to \(connected); priority 0 at a replica does not help: it counts, too"
        )
    }

    /// A daemon renews its mark every 60 s and with each PROBE; the other 15 are for a slow Redis. A daemon whose mark is
    /// older may have ended.
    static let markIsFreshFor: Int64 = 75

    /// The rings of all daemons before the same Redis, by the marks that they leave in it.
    static func keyRings(_ fields: ReplyFields) -> Finding? {
        let daemons = fields["daemons"]?.elements?.compactMap(\.fields) ?? []
        guard daemons.count > 1 else { return nil }
        let own = fields["name"]?.string
        guard let mine = daemons.first(where: { $0["name"]?.string == own })?["fingerprint"]?.string else { return nil }
        let strangers = daemons.filter { $0["fingerprint"]?.string != mine }
        let others = strangers.filter { isFresh($0) }
        guard !others.isEmpty else {
            let same = daemons.count - strangers.count
            let agreement =
                same > 1 ? "the same at all \(same) daemons of this Redis" : "no other daemon was here within a minute"
            let gone = strangers.map { daemon in
                let age = Layout.duration(seconds: daemon["age"]?.number ?? 0)
                return "; \(ring(daemon)), last seen \(age) ago"
            }
            return .ok("key rings", agreement + gone.joined())
        }
        return .fail(
            "key rings",
            "this daemon has \(mine.isEmpty ? "none" : mine), \(others.map(ring).joined(separator: ", "))",
            remedy:
                "copy one key ring to every host, then `tokencachectl reload` on each: guests, forms and captchas of one "
                + "are refused by the other")
    }

    private static func isFresh(_ daemon: ReplyFields) -> Bool {
        (daemon["age"]?.number).map { $0 <= markIsFreshFor } ?? true
    }

    private static func ring(_ daemon: ReplyFields) -> String {
        let fingerprint = text(daemon, "fingerprint")
        return "\(text(daemon, "name")) has \(fingerprint == Layout.absent ? "none" : fingerprint)"
    }

    private static func text(_ fields: ReplyFields, _ name: String) -> String {
        guard let text = fields[name]?.string, !text.isEmpty else { return Layout.absent }
        return Layout.printable(text)
    }
}
