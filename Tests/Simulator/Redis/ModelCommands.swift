import Tokens

/// The commands of the model: those that a daemon sends, and what the tests need to look at a real one.
enum ModelCommands {
    /// For the history: the script's name where it is one.
    static func name(of words: [[UInt8]], in redis: ModelRedis) -> String {
        guard let first = words.first else { return "" }
        let name = text(first).uppercased()
        guard name == "EVALSHA", words.count > 1 else { return name }
        return redis.loaded[text(words[1])]?.name ?? name
    }

    private static let writes: Set<String> = ["SET", "DEL", "HSET", "HDEL", "ZADD", "ZREM", "PEXPIREAT", "FLUSHALL"]
    private static let needMemory: Set<String> = ["SET", "HSET", "ZADD"]
    private static let allowedWhileLoading: Set<String> = [
        "AUTH", "HELLO", "SELECT", "INFO", "CLIENT", "SUBSCRIBE", "CONFIG", "TIME",
    ]

    /// - Returns: nil where the command has answered by itself.
    static func run(_ words: [[UInt8]], on connection: ModelConnection, _ redis: ModelRedis) -> ModelReply? {
        guard let first = words.first else { return nil }
        let name = text(first).uppercased()
        if let cluster = redis.cluster {
            let isAsking = connection.isAsking
            connection.isAsking = name == "ASKING"
            if name == "ASKING" { return .ok }
            if name == "CLUSTER" { return .bulk(bytes(cluster.nodes(at: redis))) }
            if let refusal = cluster.refusal(words, isAsking: isAsking, at: redis) {
                if refusal.hasPrefix("ASK") { cluster.onAsk(connection.path.daemon) }
                return .error(refusal)
            }
        }
        if let refusal = refusal(name, words, connection, redis) {
            switch code(of: refusal) {
            case "READONLY" where redis.bent.contains(.readOnlyIsAnyRefusal):
                return .error("MISCONF It does not say why.")
            case "READONLY", "NOREPLICAS":
                guard redis.bent.contains(.refusalsAreSilent) else { break }
                connection.closeByServer()
                return nil
            default: break
            }
            return .error(refusal)
        }
        let arguments = Array(words.dropFirst())
        if name == "WAIT" {
            let end = redis.agenda.now + .milliseconds(number(arguments.last) ?? 0)
            redis.await(number(arguments.first) ?? 0, replicasUntil: end, on: connection)
            return nil
        }
        return connectionCommand(name, arguments, connection, redis) ?? keyCommand(name, arguments, redis)
    }

    /// What Redis looks at before a command, in its order (processCommand in server.c, 7.0).
    private static func refusal(
        _ name: String, _ words: [[UInt8]], _ connection: ModelConnection, _ redis: ModelRedis
    ) -> String? {
        let faults = redis.faults
        if redis.password != nil, !connection.isAuthenticated, name != "AUTH", name != "HELLO" {
            return "NOAUTH Authentication required."
        }
        let script = name == "EVALSHA" && words.count > 1 ? redis.loaded[text(words[1])] : nil
        let isWrite = writes.contains(name) || script != nil
        if faults.fence?.refuses(name, isWrite: isWrite) == true {
            return "NOPERM this user has no permissions to run the '\(name.lowercased())' command"
        }
        var needsMemory = needMemory.contains(name) || script?.allowsFullMemory == false
        if redis.bent.contains(.fullRedisRefusesAccess), script != nil { needsMemory = true }
        if faults.isFull, needsMemory { return "OOM command not allowed when used memory > 'maxmemory'." }
        if faults.cannotSave, isWrite || name == "PING", faults.role == .master {
            return "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."
        }
        if faults.lacksReplicas, isWrite, faults.role == .master {
            return "NOREPLICAS Not enough good replicas to write."
        }
        if faults.role == .slave, isWrite { return "READONLY You can't write against a read only replica." }
        if !connection.channels.isEmpty, !connection.isRESP3, !["PING", "SUBSCRIBE", "UNSUBSCRIBE"].contains(name) {
            return "ERR Can't execute '\(name.lowercased())': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                + "RESET are allowed in this context"
        }
        if faults.loadingUntil > redis.agenda.now, !allowedWhileLoading.contains(name) {
            return "LOADING Redis is loading the dataset in memory"
        }
        if faults.busyUntil > redis.agenda.now, !["AUTH", "HELLO"].contains(name) {
            return "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        }
        return nil
    }

    private static func code(of refusal: String) -> String { String(refusal.prefix { $0 != " " }) }

    // MARK: The connection

    private static func connectionCommand(
        _ name: String, _ words: [[UInt8]], _ connection: ModelConnection, _ redis: ModelRedis
    ) -> ModelReply? {
        switch name {
        case "AUTH":
            guard let password = redis.password else {
                return .error("ERR AUTH <password> called without any password configured for the default user.")
            }
            guard words.last == password else {
                return .error("WRONGPASS invalid username-password pair or user is disabled.")
            }
            connection.isAuthenticated = true
            return .ok
        case "HELLO": return hello(words, connection, redis)
        case "SELECT": return .ok
        case "PING":
            return connection.channels.isEmpty || connection.isRESP3
                ? .status("PONG") : .array([.bulk(bytes("pong")), .bulk([])])
        case "CLIENT": return client(words, connection)
        case "INFO": return .verbatim(bytes(information(words.first.map(text) ?? "", redis)))
        case "CONFIG":
            guard text(words.first ?? []).uppercased() == "GET" else { return .ok }
            return .map(words.dropFirst().flatMap { [.bulk($0), .bulk(bytes("noeviction"))] })
        case "TIME":
            let time = redis.microseconds
            return .array([.bulk(decimal(time / 1_000_000)), .bulk(decimal(time % 1_000_000))])
        case "SCRIPT": return script(words, redis)
        case "SUBSCRIBE":
            let answers = words.map { channel -> ModelReply in
                if !connection.channels.contains(channel) { connection.channels.append(channel) }
                let told: [ModelReply] = [
                    .bulk(bytes("subscribe")), .bulk(channel), .integer(Int64(connection.channels.count)),
                ]
                return connection.isRESP3 ? .push(told) : .array(told)
            }
            for answer in answers.dropLast() { connection.reply(answer) }
            return answers.last
        case "FLUSHALL":
            redis.flushAll()
            return .ok
        default: return nil
        }
    }

    private static func hello(
        _ words: [[UInt8]], _ connection: ModelConnection, _ redis: ModelRedis
    ) -> ModelReply {
        var rest = words.dropFirst()
        while let option = rest.popFirst() {
            switch text(option).uppercased() {
            case "AUTH":
                rest = rest.dropFirst()
                guard rest.popFirst() == redis.password else {
                    return .error("WRONGPASS invalid username-password pair or user is disabled.")
                }
                connection.isAuthenticated = true
            case "SETNAME": rest = rest.dropFirst()
            default: return .error("ERR Syntax error in HELLO option '\(text(option))'")
            }
        }
        if redis.password != nil, !connection.isAuthenticated {
            return .error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
                    + "<user> <pass> option can be used to authenticate the client and select the RESP protocol version "
                    + "at the same time")
        }
        if let version = number(words.first) { connection.isRESP3 = version == 3 }
        return .map([
            .bulk(bytes("server")), .bulk(bytes("redis")), .bulk(bytes("version")), .bulk(bytes("7.0.15")),
            .bulk(bytes("proto")), .integer(connection.isRESP3 ? 3 : 2), .bulk(bytes("id")), .integer(connection.id),
            .bulk(bytes("mode")), .bulk(bytes(redis.mode)), .bulk(bytes("role")),
            .bulk(bytes(redis.faults.role == .master ? "master" : "replica")), .bulk(bytes("modules")), .array([]),
        ])
    }

    private static func client(_ words: [[UInt8]], _ connection: ModelConnection) -> ModelReply {
        switch text(words.first ?? []).uppercased() {
        case "ID": return .integer(connection.id)
        case "TRACKING":
            guard words.count > 1, text(words[1]).uppercased() == "ON" else {
                connection.trackedPrefix = nil
                return .ok
            }
            var rest = words.dropFirst(2)
            var prefix: [UInt8] = []
            var redirect: Int64?
            while let option = rest.popFirst() {
                switch text(option).uppercased() {
                case "REDIRECT": redirect = number(rest.popFirst())
                case "PREFIX": prefix = rest.popFirst() ?? []
                default: break
                }
            }
            if redirect == nil, !connection.isRESP3 {
                return .error(
                    "ERR Client tracking can be enabled only in RESP3 mode or when a RESP2 REDIRECT is specified")
            }
            connection.redirect = redirect
            connection.trackedPrefix = prefix
            return .ok
        default: return .ok
        }
    }

    private static func information(_ section: String, _ redis: ModelRedis) -> String {
        switch section.lowercased() {
        case "server": "# Server\r\nredis_version:7.0.15\r\nredis_mode:\(redis.mode)\r\nrun_id:\(runID(redis))\r\n"
        case "replication":
            "# Replication\r\nrole:\(redis.faults.role.rawValue)\r\n\(replicas(redis))"
        default: "# Other\r\n"
        }
    }

    /// With a removed rule it tells no server from another.
    private static func runID(_ redis: ModelRedis) -> String {
        redis.bent.contains(.serversAreAlike) ? String(repeating: "0", count: 40) : redis.runID
    }

    /// Who follows it. With a removed rule all others do, and have all that it wrote.
    private static func replicas(_ redis: ModelRedis) -> String {
        guard let replication = redis.replication else { return "connected_slaves:0\r\nmaster_repl_offset:0\r\n" }
        let written = replication.written(by: redis.number)
        let followers =
            redis.bent.contains(.replicasAreInStep)
            ? replication.servers.filter { $0 !== redis }.map { ($0.number, true, written) }
            : replication.followers(of: redis.number)
        let lines = followers.enumerated().map { place, follower in
            "slave\(place):ip=\(replication.servers[follower.0].host),port=\(SentinelFleet.redisPort),"
                + "state=\(follower.1 ? "online" : "wait_bgsave"),offset=\(follower.2),lag=0\r\n"
        }
        return "connected_slaves:\(lines.count)\r\n\(lines.joined())master_repl_offset:\(written)\r\n"
    }

    private static func script(_ words: [[UInt8]], _ redis: ModelRedis) -> ModelReply {
        switch (text(words.first ?? []).uppercased(), words.dropFirst().first) {
        case ("LOAD", let source?):
            guard let name = redis.scriptName(source) else { return .error("ERR the model does not know this script") }
            let digest = digest(of: source)
            let flags = source.prefix { $0 != 10 }
            redis.loaded[digest] = .init(name: name, allowsFullMemory: text(flags).contains("allow-oom"))
            return .bulk(bytes(digest))
        case ("FLUSH", _):
            redis.loaded = [:]
            return .ok
        default: return .error("ERR unknown subcommand")
        }
    }

    /// 40 hex digits that stand for the source; not SHA-1, which nobody computes but Redis.
    private static func digest(of source: [UInt8]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in source { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 40 - digits.count) + digits
    }
}
