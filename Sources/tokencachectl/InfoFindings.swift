internal import Host

/// What `doctor` reads out of INFO. Pure: the same figures give the same findings.
enum InfoFindings {
    /// - Parameter trouble: what a question to Redis met just now.
    static func all(_ info: Info, ownVersion: String, trouble: Finding? = nil) -> [Finding] {
        guard info["tokencached_version"] != nil || info["upstream_state"] != nil else {
            return [.fail("daemon", "what answers there is not tokencached", remedy: "is --socket right?")]
        }
        // What a link that is not ready last heard of Redis may be old, or nothing: one finding is enough then.
        let isReady = info["upstream_state"] == "ready"
        let redis =
            isReady
            ? [
                role(info), policy(info), redisVersion(info), dataLosses(info), skew(info), nearCache(info, trouble),
            ] : []
        return [link(info), password(info), answers(info)].compactMap { $0 } + redis + nodes(info) + informants(info)
            + [keyRing(info), clients(info), descriptors(info), version(info, ownVersion)]
    }

    private static func silent(_ check: String, _ field: String) -> Finding {
        .warn(
            check, "not known: INFO has no \(field)",
            remedy: "let the daemon's Redis user run INFO, TIME and CONFIG GET, or update the daemon")
    }

    static func link(_ info: Info) -> Finding {
        let fault = info["upstream_last_fault"].map { ", last fault: \(Layout.printable($0))" } ?? ""
        let remedy = info["upstream_last_fault_remedy"].map { Layout.printable($0) }
        switch info["upstream_state"] {
        case "ready": return .ok("redis link", "ready, \(info.text("upstream_reconnects")) reconnects\(fault)")
        case "connecting":
            return .fail(
                "redis link", "connecting\(fault)",
                remedy: remedy ?? "wait a moment; if it stays so, check redis.url and Redis")
        case let state?:
            return .fail(
                "redis link", "\(Layout.printable(state))\(fault)",
                remedy: remedy ?? "check that Redis runs and that redis.url and its password are right")
        case nil: return silent("redis link", "upstream_state")
        }
    }

    /// Of `redis.password-command`; nil where there is none, or nothing is wrong with it.
    static func password(_ info: Info) -> Finding? {
        info["upstream_password_fault"].map { fault in
            .fail(
                "redis password", Layout.printable(fault),
                remedy:
                    "run it by hand as the daemon's user; connections that stand go on, new ones have the last password"
            )
        }
    }

    /// Each server that owns keys, where there may be several.
    static func nodes(_ info: Info) -> [Finding] {
        info.rows("upstream_node_").map { node in
            let slots = node["slots"].map { ", slots \($0)" } ?? ""
            let check = "redis node \(node["endpoint"] ?? Layout.absent)"
            guard node["state"] == "ready", node["fault"] == nil else {
                return .fail(
                    check, "\(node["fault"] ?? node["state"] ?? Layout.absent)\(slots)",
                    remedy: node["remedy"] ?? "does it run, and can this host reach it? the log has the reason")
            }
            guard node["confirmed_by"] != "replicas" else {
                return .warn(
                    check, "too few Sentinels answer: only its replicas, all in step, show that it is still the master",
                    remedy: "bring the Sentinels back: without them a replica that falls behind is an outage")
            }
            return .ok(check, "\(node["role"] ?? "ready")\(slots)")
        }
    }

    /// Those that say which servers there are: half of them and one more are needed of Sentinels, one of a cluster.
    static func informants(_ info: Info) -> [Finding] {
        info.rows("upstream_informant_").map { informant in
            let check = "told by \(informant["endpoint"] ?? Layout.absent)"
            guard informant["state"] == "ready" else {
                return .warn(
                    check, informant["state"] ?? Layout.absent,
                    remedy: "does it run, and can this host reach it? the log has the reason")
            }
            return .ok(check, informant["master"].map { "the master is \($0)" } ?? "ready")
        }
    }

    /// Whether visitors were told that nobody knows, and why last.
    static func answers(_ info: Info) -> Finding {
        guard let count = info.number("unavailable_answers") else { return silent("answers", "unavailable_answers") }
        guard count > 0 else { return .ok("answers", "none was UNAVAILABLE since the start") }
        let age = info.number("upstream_last_fault_seconds_ago")
        let last =
            age.map { ", the last \(Layout.duration(seconds: $0)) ago: \(info.text("upstream_last_fault"))" } ?? ""
        let detail = "\(count) were UNAVAILABLE since the start\(last)"
        let remedy = info["upstream_last_fault_remedy"].map { Layout.printable($0) } ?? "the log has the reasons"
        switch age {
        case .some(..<60): return .fail("answers", detail, remedy: remedy)
        case .some(..<3_600): return .warn("answers", detail, remedy: remedy)
        default: return .ok("answers", detail)
        }
    }

    static func dataLosses(_ info: Info) -> Finding {
        guard let count = info.number("upstream_data_losses") else {
            return silent("redis data", "upstream_data_losses")
        }
        guard count > 0 else { return .ok("redis data", "never lost since the daemon's start") }
        return .fail(
            "redis data", "Redis was started anew without what was written before, \(count) times",
            remedy: "let Redis keep its data: `appendonly yes` in redis.conf; was its folder emptied?")
    }

    /// Answers of Redis prove the near cache: if it has no fault of its own, the trouble that a question to Redis met is
    /// the reason.
    static func nearCache(_ info: Info, _ trouble: Finding? = nil) -> Finding {
        guard let isEnabled = info["near_cache_enabled"], let isArmed = info["near_cache_armed"] else {
            return silent("near cache", "near_cache_armed")
        }
        if isEnabled == "0" { return .ok("near cache", "off (near-cache.max-memory)") }
        if isArmed == "1" { return .ok("near cache", "armed, \(info.text("near_cache_entries")) sessions") }
        let fault = info["near_cache_fault"].map { Layout.printable($0) }
        let remedy = info["near_cache_remedy"].map { Layout.printable($0) }
        let known = fault == nil ? trouble : nil
        return .warn(
            "near cache",
            "not armed, every access asks Redis: \(fault ?? known?.detail ?? "no reason is known")",
            remedy: remedy ?? known?.remedy ?? "look again in a second; the log has the reason")
    }

    static func descriptors(_ info: Info) -> Finding {
        guard let open = info.number("open_descriptors"), let limit = info.number("descriptor_limit"), limit > 0 else {
            return silent("descriptors", "open_descriptors")
        }
        let detail = "\(open) of \(limit) open"
        if Double(open) > 0.8 * Double(limit) {
            return .warn(
                "descriptors", detail, remedy: "raise the limit of open files: `LimitNOFILE=` of the unit, ulimit -n")
        }
        if let clients = info.number("maxclients"), clients > limit {
            return .warn(
                "descriptors", "\(detail), less than limits.max-clients, \(clients)",
                remedy: "raise the limit of open files: `LimitNOFILE=` of the unit, ulimit -n")
        }
        return .ok("descriptors", detail)
    }

    static func role(_ info: Info) -> Finding {
        switch info["upstream_role"] {
        case "master": .ok("redis role", "master")
        case let role?:
            .fail(
                "redis role", Layout.printable(role),
                remedy: "a replica cannot be written: point redis.url at the master, or at the Sentinels")
        case nil: silent("redis role", "upstream_role")
        }
    }

    static func policy(_ info: Info) -> Finding {
        switch info["upstream_maxmemory_policy"] {
        case "noeviction": .ok("redis memory", "maxmemory-policy noeviction")
        case let policy?:
            .fail(
                "redis memory", "maxmemory-policy \(Layout.printable(policy)): Redis may throw live sessions away",
                remedy: "set `maxmemory-policy noeviction` in redis.conf and by CONFIG SET")
        case nil: silent("redis memory", "upstream_maxmemory_policy")
        }
    }

    static func redisVersion(_ info: Info) -> Finding {
        guard let version = info["upstream_redis_version"] else {
            return silent("redis version", "upstream_redis_version")
        }
        // A server that does not work is the fault of a link that is not ready, and is told there.
        return .ok("redis version", "\(info.text("upstream_server")) \(Layout.printable(version))")
    }

    /// Of several servers the one whose clock is farthest from this host's.
    static func skew(_ info: Info) -> Finding {
        let nodes = info.rows("upstream_node_").compactMap { node in
            node["clock_skew_ms"].flatMap { Int64($0) }.map { (server: node["endpoint"] ?? Layout.absent, skew: $0) }
        }
        let only = info.number("upstream_clock_skew_ms").map { (server: "Redis", skew: $0) }
        guard let (server, skew) = nodes.max(by: { $0.skew.magnitude < $1.skew.magnitude }) ?? only else {
            return silent("clock", "upstream_clock_skew_ms")
        }
        guard skew.magnitude > Product.tolerableClockSkew.magnitude else {
            return .ok("clock", "\(skew) ms from \(nodes.isEmpty ? "Redis's clock" : "the clock of \(server)")")
        }
        return .warn(
            "clock", "this host and \(server) differ by \(skew) ms",
            remedy: "run a time service (chrony, systemd-timesyncd) on both")
    }

    /// The daemon tells its fingerprint, or nothing where it has no ring: `subscript` makes no difference between a
    /// field that is empty and one that is missing, so this asks whether INFO tells of guests at all.
    static func keyRing(_ info: Info) -> Finding {
        if let fingerprint = info["keyring_fingerprint"] {
            return .ok("key ring", "fingerprint \(Layout.printable(fingerprint)): the same on every host of the site")
        }
        guard info["guests_issued"] != nil else { return silent("key ring", "keyring_fingerprint") }
        return .warn(
            "key ring", "none: guests, CSRF tokens and captchas are refused (NOKEYS)",
            remedy: "`tokencachectl keyring init`, the same file on every host, keyring.file, `tokencachectl reload`")
    }

    static func clients(_ info: Info) -> Finding {
        guard let connected = info.number("connected_clients"), let limit = info.number("maxclients"), limit > 0 else {
            return silent("clients", "connected_clients or maxclients")
        }
        let detail = "\(connected) of \(limit), \(info.text("rejected_connections")) rejected since start"
        guard Double(connected) > 0.8 * Double(limit) else { return .ok("clients", detail) }
        return .warn("clients", detail, remedy: "raise limits.max-clients, or let workers keep fewer connections")
    }

    static func version(_ info: Info, _ ownVersion: String) -> Finding {
        guard let version = info["tokencached_version"] else { return silent("version", "tokencached_version") }
        guard version != ownVersion else { return .ok("version", "tokencached and tokencachectl \(ownVersion)") }
        return .warn(
            "version", "tokencached \(Layout.printable(version)), tokencachectl \(ownVersion)",
            remedy: "restart the daemon after an update: \(ServiceManager.current.restart)")
    }
}
