internal import DequeModule

/// What a fresh connection is asked before it is used, all at once, and what the answers say of the server.
///
/// Both connections of a node begin with one: that of the commands speaks RESP2 and loads the scripts, the feed speaks
/// RESP3, turns tracking on and subscribes.
struct Handshake {
    enum Step: Equatable {
        case authenticate
        /// RESP3, authenticated in the same command.
        case hello
        case select
        /// Whether the server's data is or was carried to another.
        case moved
        case ping
        case name
        case server
        case replication
        case evictionPolicy
        case time
        case script(Int)
        case track
        case subscribe

        /// What Redis may refuse without the connection being the worse for it.
        var isOptional: Bool {
            switch self {
            case .moved, .name, .server, .replication, .evictionPolicy: true
            case .authenticate, .hello, .select, .ping, .time, .script, .track, .subscribe: false
            }
        }
    }

    /// What an answer says to the owner of the connection.
    enum Outcome: Equatable {
        case nothing
        /// Redis's clock, as `TIME` answers it.
        case time(RedisReply)
        /// SHA-1 in hex of the script with this number.
        case digest(Int, [UInt8])
        /// The connection cannot be used.
        case failed(RedisFault)
    }

    private(set) var server = RedisServerInfo()
    /// Whether a mark of a move stands there could not be said: the cluster is down, or slots are on their way.
    private(set) var isMoveOpen = false
    private var awaited: Deque<Step>
    private let scripts: [RedisScript]

    /// All answers have come.
    var isComplete: Bool { awaited.isEmpty }
    var next: Step? { awaited.first }

    private init(_ steps: [Step], scripts: [RedisScript] = []) {
        awaited = Deque(steps)
        self.scripts = scripts
    }

    /// For commands.
    /// - Parameter moveMarks: the keys that tell of a move; they come first, as a user whose rights a move took has the
    ///   right to read these.
    /// - Returns: the handshake, and what is sent: one command a step.
    static func forCommands(
        _ login: RedisLogin, scripts: [RedisScript], moveMarks: [[UInt8]] = []
    ) -> (Handshake, [[UInt8]]) {
        var steps = authentication(login)
        if login.database != 0 { steps.append((.select, RedisCommand("SELECT", login.database))) }
        steps += moveMarks.map { (.moved, MoveMark.question($0)) }
        steps += [
            (.ping, RedisCommand("PING")),
            (.name, RedisCommand("CLIENT", "SETNAME", "tokencached")),
            (.server, RedisCommand("INFO", "server")),
            (.replication, RedisCommand("INFO", "replication")),
            (.evictionPolicy, RedisCommand("CONFIG", "GET", "maxmemory-policy")),
            (.time, RedisCommand("TIME")),
        ]
        for (number, script) in scripts.enumerated() {
            steps.append((.script(number), RedisCommand("SCRIPT", "LOAD", script.source)))
        }
        return (Handshake(steps.map(\.0), scripts: scripts), steps.map(\.1.bytes))
    }

    /// For questions to a Sentinel.
    static func forSentinel(_ login: RedisLogin) -> (Handshake, [[UInt8]]) {
        var steps = authentication(login)
        steps.append((.ping, RedisCommand("PING")))
        return (Handshake(steps.map(\.0)), steps.map(\.1.bytes))
    }

    /// Nothing where there is no password.
    static func authentication(_ login: RedisLogin) -> [(Step, RedisCommand)] {
        guard let password = login.password else { return [] }
        let user = login.user.map { [$0.redisArgument] } ?? []
        return [(.authenticate, RedisCommand(["AUTH".redisArgument] + user + [password.bytes]))]
    }

    /// For a feed of the changes of keys that begin with `prefix`.
    ///
    /// The subscription to a channel that nobody uses puts the connection into the class `pubsub`, whose output Redis
    /// bounds: without it a daemon that stops reading would fill Redis's memory.
    static func forFeed(_ login: RedisLogin, prefix: [UInt8], channel: [UInt8]) -> (Handshake, [[UInt8]]) {
        var hello = ["HELLO".redisArgument, "3".redisArgument]
        if let password = login.password {
            hello += ["AUTH".redisArgument, (login.user ?? "default").redisArgument, password.bytes]
        }
        let steps: [(Step, RedisCommand)] = [
            (.hello, RedisCommand(hello)),
            (.name, RedisCommand("CLIENT", "SETNAME", "tokencached-invalidation")),
            (.server, RedisCommand("INFO", "server")),
            (.replication, RedisCommand("INFO", "replication")),
            (.track, RedisCommand("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", prefix)),
            (.subscribe, RedisCommand("SUBSCRIBE", channel)),
        ]
        return (Handshake(steps.map(\.0)), steps.map(\.1.bytes))
    }

    /// Takes in the next answer.
    mutating func received(_ reply: RedisReply) -> Outcome {
        guard let step = awaited.popFirst() else { return .failed(Self.unexpected) }
        if case .error(let text) = reply {
            if step == .moved, MoveMark.isOpen(text, isOwn: next != .moved) { isMoveOpen = true }
            return failure(of: step, text: text).map(Outcome.failed) ?? .nothing
        }
        switch step {
        case .authenticate, .hello, .select, .ping, .name, .track, .subscribe: break
        case .moved: return MoveMark.fault(reply).map(Outcome.failed) ?? .nothing
        case .server:
            server.runID = InformationText.field("run_id", in: reply)
            // Valkey 8 has renamed the field.
            server.isCluster = ["redis_mode", "server_mode"].contains {
                InformationText.field($0, in: reply) == "cluster"
            }
            let identity = ServerIdentity(reply)
            server.name = identity.name
            server.version = identity.version
            if let fault = identity.fault { return .failed(fault) }
        case .replication: server.role = InformationText.field("role", in: reply)
        case .evictionPolicy:
            if case .array(let pair) = reply, pair.count == 2, case .bulk(let policy) = pair[1] {
                server.maxmemoryPolicy = String(decoding: policy, as: UTF8.self)
            }
        case .time: return .time(reply)
        case .script(let number):
            guard case .bulk(let digest) = reply, digest.count == RedisScript.digestLength else {
                return .failed(Self.unexpected)
            }
            return .digest(number, digest)
        }
        return .nothing
    }

    static let unexpected = RedisFault(.protocolError, .firstCommands)

    private func failure(of step: Step, text: String) -> RedisFault? {
        let verdict = RedisFault.classify(error: text)
        switch verdict.fault.kind {
        // Of the server, not of the step.
        case .loading, .busy, .maxClients, .readOnly, .masterDown: return verdict.fault
        // A disk that is full keeps Redis from writing, not from living.
        case .misconfigured where verdict.consequence == .none && step == .ping: return nil
        case .credentials where step.isOptional && verdict.consequence == .none: return nil
        case .credentials, .misconfigured: return verdict.fault
        default: break
        }
        if step.isOptional { return nil }
        if KnownFault.of(verdict.fault.description) == .unknownCommand { return verdict.fault }
        return switch step {
        case .authenticate: RedisFault(.credentials, .wrongPassword)
        case .hello: RedisFault(.other, "Redis does not speak RESP3")
        case .select: RedisFault(.misconfigured, .noDatabase)
        case .script(let number): RedisFault(.scriptError, .scriptRefused, " \(scripts[number].name)")
        case .track: RedisFault(.other, "Redis refuses to tell of changes (CLIENT TRACKING)")
        default: verdict.fault
        }
    }
}

/// The text that `INFO` answers.
enum InformationText {
    /// The value of a field; nil where it is missing. Bounded: it goes to INFO and the log.
    /// - Parameter last: as many bytes of its end instead.
    static func field(_ name: String, in reply: RedisReply, last: Int? = nil) -> String? {
        guard case .bulk(let bytes) = reply else { return nil }
        let prefix = Array("\(name):".utf8)
        for line in bytes.split(whereSeparator: { $0 == 0x0d || $0 == 0x0a }) where line.starts(with: prefix) {
            let value = line.dropFirst(prefix.count)
            return String(decoding: last.map { value.suffix($0) } ?? value.prefix(64), as: UTF8.self)
        }
        return nil
    }
}
