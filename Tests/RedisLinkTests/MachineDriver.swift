import EventLoop
import Testing

@testable import RedisLink

/// Drives a link machine by hand: its own clock, its own Redis, no socket.
struct MachineDriver {
    var machine: LinkMachine<Int>
    var now = MonotonicInstant(nanoseconds: 1_000_000_000)
    /// Results by request; more than one for a request is the bug the tests look for.
    var results: [Int: [Result<RedisReply, RedisFault>]] = [:]
    var states: [LinkState] = []
    var refusedLogins: [RedisFault] = []
    var connects = 0
    var disconnects = 0
    /// How often a connection that stands became known to have no mark of a move.
    var notMoved = 0
    var told: [String] = []
    /// Commands that reached "Redis" on this connection and were not answered, oldest first.
    var commands: [[String]] = []
    /// Scripts that "Redis" has in its cache, by digest.
    var scriptCache: Set<String> = []
    var role = "master"

    init(settings: LinkSettings = LinkSettings(), scripts: [RedisScript] = [], seed: UInt64 = 1) {
        machine = LinkMachine(settings: settings, scripts: scripts, seed: seed)
    }

    mutating func settle() {
        while let action = machine.nextAction() {
            switch action {
            case .connect: connects += 1
            case .disconnect:
                disconnects += 1
                commands = []
            case .complete(let id, let result): results[id, default: []].append(result)
            case .stateChanged(let state): states.append(state)
            case .sendWaiting: machine.transmitWaiting(now: now)
            case .loginRefused(let fault): refusedLogins.append(fault)
            case .told(let message): told.append(String(decoding: message, as: UTF8.self))
            case .notMoved: notMoved += 1
            case .refused, .lost: break
            }
        }
        guard !machine.output.isEmpty else { return }
        commands += parse(machine.output)
        machine.output = []
    }

    mutating func start() {
        machine.start(now: now)
        settle()
    }

    mutating func advance(_ duration: Duration) {
        now = now + duration
        machine.tick(now: now)
        settle()
    }

    mutating func connect() {
        machine.connected(login: RedisLogin(), now: now)
        settle()
    }

    mutating func disconnect(_ fault: RedisFault = RedisFault(.closed, "lost")) {
        machine.disconnected(fault, now: now)
        settle()
    }

    mutating func reply(_ reply: RedisReply) {
        if !commands.isEmpty { commands.removeFirst() }
        machine.received(reply, now: now)
        settle()
    }

    /// Connects and answers everything the preparation asks.
    mutating func becomeReady() {
        connect()
        answerAll()
    }

    mutating func answerAll() {
        while let command = commands.first { reply(answer(to: command)) }
    }

    mutating func submit(_ id: Int, repeatable: Bool = false) {
        let body = RequestBody(bytes: RedisCommand("ECHO", id).bytes)
        machine.submit(body, isRepeatable: repeatable, waiter: id, now: now)
        settle()
    }

    mutating func run(_ id: Int, script: Int = 0, repeatable: Bool = false) {
        let call = RedisScript.formatCall(keys: [Array("key".utf8)], arguments: [id.redisArgument])
        let body = RequestBody(bytes: call.bytes, script: (script, call.digestOffset))
        machine.submit(body, isRepeatable: repeatable, waiter: id, now: now)
        settle()
    }

    /// What a healthy Redis would answer.
    mutating func answer(to command: [String]) -> RedisReply {
        switch command.first ?? "" {
        case "PING": return .status("PONG")
        case "CLIENT", "AUTH", "SELECT": return .status("OK")
        case "INFO" where command.last == "server": return .bulk(Array("run_id:abc\r\nredis_version:7.0.15\r\n".utf8))
        case "INFO": return .bulk(Array("role:\(role)\r\n".utf8))
        case "CONFIG": return .array([.bulk(Array("maxmemory-policy".utf8)), .bulk(Array("noeviction".utf8))])
        case "TIME": return .array([.bulk(Array("1700000000".utf8)), .bulk(Array("5".utf8))])
        case "SCRIPT":
            let digest = MachineDriver.digest(of: command.last ?? "")
            scriptCache.insert(digest)
            return .bulk(Array(digest.utf8))
        case "EVALSHA":
            guard scriptCache.contains(command[1]) else { return .error("NOSCRIPT No matching script.") }
            return .bulk(Array((command.last ?? "").utf8))
        case "ECHO": return .bulk(Array((command.last ?? "").utf8))
        default: return .error("ERR unknown command")
        }
    }

    static func digest(of source: String) -> String {
        String((source + String(repeating: "f", count: 40)).prefix(40))
    }

    private func parse(_ bytes: [UInt8]) -> [[String]] {
        guard let parser = ReplyParser(maxElements: 1 << 20, maxBytes: 64 << 20) else { return [] }
        var commands: [[String]] = []
        do {
            try bytes.withUnsafeBytes { try parser.feed($0) }
            while case .array(let words)? = try parser.next() {
                commands.append(
                    words.map { word in
                        guard case .bulk(let bytes) = word else { return "?" }
                        return String(decoding: bytes, as: UTF8.self)
                    })
            }
        } catch {
            Issue.record("the link wrote something that is not a command")
        }
        return commands
    }
}

extension Result where Success == RedisReply, Failure == RedisFault {
    var faultKind: RedisFault.Kind? {
        guard case .failure(let fault) = self else { return nil }
        return fault.kind
    }
}

func bulk(_ id: Int) -> Result<RedisReply, RedisFault> { .success(.bulk(Array(String(id).utf8))) }
