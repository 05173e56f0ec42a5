import EventLoop
import Logging
import RedisLink
import SeededRandom
import TestSupport
import Testing
import TokenCache
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

/// Two daemons' services on one loop before one Redis, and a link of the test's own to look at what is stored.
final class ServicePair {
    let loop: EventLoop
    let services: [TokenService]
    let nodes: [RedisNode]
    private let server: RedisProcess
    private let observer: RedisLink

    init(
        policy: TokenPolicy = TokenPolicy(), seed: UInt64 = 1, options: [String] = [], timeout: Milliseconds = 5_000
    ) throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let loop = try EventLoop()
        let server = try RedisProcess(options)
        var settings = LinkSettings()
        settings.timeout = .milliseconds(timeout)
        var node = RedisNode.Settings()
        node.link = settings
        node.prefix = Array("tc:".utf8)
        node.hasFeed = false
        let nodes = (0..<2).map { _ in
            RedisNode(
                host: LinkHost(loop: loop), endpoint: .unix(path: server.socket), settings: node,
                scripts: TokenService.scripts,
                logger: logger)
        }
        self.loop = loop
        self.server = server
        self.nodes = nodes
        observer = RedisLink(
            host: LinkHost(loop: loop), endpoint: .unix(path: server.socket), settings: settings,
            scripts: TokenService.scripts,
            logger: logger)
        services = try (0..<2).map { index in
            try TokenService(
                router: RedisRouter(node: nodes[index]), scheduler: loop, prefix: Array("tc:".utf8), timeout: timeout,
                policy: policy,
                random: SeededRandom(seed: seed &* 2 &+ UInt64(index)), logger: logger)
        }
        for node in nodes {
            let _: Void = wait { done in
                node.onStateChange = { state in if state == .ready { done(()) } }
                node.start()
            }
            node.onStateChange = nil
        }
        let _: Void = wait { done in
            observer.onStateChange = { state in if state == .ready { done(()) } }
            observer.start()
        }
        observer.onStateChange = nil
    }

    /// Runs the loop until `start`'s completion was called.
    func wait<Answer>(_ start: (@escaping (Answer) -> Void) -> Void) -> Answer {
        var answer: Answer?
        start { value in
            #expect(answer == nil, "a completion is called once")
            answer = value
            self.loop.stop()
        }
        run { answer != nil }
        guard let answer else { fatalError("Redis did not answer a test within a minute") }
        return answer
    }

    /// Runs the loop until something it does makes `condition` true, or for a minute: what fails then fails the whole run.
    func run(until condition: () -> Bool) {
        var isLate = false
        let guardian = loop.makeTimer { [loop] in
            isLate = true
            loop.stop()
        }
        guardian.start(after: .seconds(60))
        while !condition(), !isLate { loop.run() }
        guardian.cancel()
    }

    /// Calls a body once, so long from now.
    func later(_ delay: Duration, _ body: @escaping () -> Void) {
        var timer: LoopTimer?
        timer = loop.makeTimer {
            body()
            timer?.cancel()
            timer = nil
        }
        timer?.start(after: delay)
    }

    /// Runs the loop until a condition holds that nothing of the test's own makes true.
    func eventually(within limit: Duration = .seconds(10), _ condition: () -> Bool) -> Bool {
        let end = MonotonicInstant.now() + limit
        while !condition(), MonotonicInstant.now() < end {
            later(.milliseconds(10)) { self.loop.stop() }
            loop.run()
        }
        return condition()
    }

    // MARK: Redis itself

    @discardableResult
    func redis(_ words: String...) throws -> RedisReply { try redis(words.map { Array($0.utf8) }) }

    @discardableResult
    func redis(_ words: [[UInt8]]) throws -> RedisReply {
        let result: Result<RedisReply, RedisFault> = wait { done in
            observer.send(RedisCommand(words), repeatable: true, completion: done)
        }
        return try result.get()
    }

    func script(_ script: RedisScript, key: String, _ arguments: [String]) throws -> RedisReply {
        try self.script(script, keys: [key], arguments)
    }

    func script(_ script: RedisScript, keys: [String], _ arguments: [String]) throws -> RedisReply {
        let result: Result<RedisReply, RedisFault> = wait { done in
            observer.run(
                script, keys: keys.map { Array($0.utf8) }, arguments: arguments.map { Array($0.utf8) },
                repeatable: false,
                completion: done)
        }
        return try result.get()
    }

    /// Redis's time, Unix milliseconds.
    func time() throws -> Int64 {
        guard case .array(let parts) = try redis("TIME"), case .bulk(let seconds) = parts[0],
            case .bulk(let micros) = parts[1]
        else { return 0 }
        return (Int64(String(decoding: seconds, as: UTF8.self)) ?? 0) * 1_000
            + (Int64(String(decoding: micros, as: UTF8.self)) ?? 0) / 1_000
    }

    func hash(_ key: String) throws -> [String: [UInt8]] {
        guard case .array(let elements) = try redis("HGETALL", key) else { return [:] }
        let bytes = elements.map { element -> [UInt8] in if case .bulk(let bytes) = element { bytes } else { [] } }
        return Dictionary(
            uniqueKeysWithValues: stride(from: 0, to: bytes.count, by: 2).map {
                (String(decoding: bytes[$0], as: UTF8.self), bytes[$0 + 1])
            })
    }

    /// Without the beats.
    func keys() throws -> [String] {
        guard case .array(let elements) = try redis("KEYS", "*") else { return [] }
        return elements.compactMap {
            if case .bulk(let bytes) = $0 { String(decoding: bytes, as: UTF8.self) } else { nil }
        }.filter { !$0.contains("s:~") }
    }

    func integer(_ words: String...) throws -> Int64 {
        guard case .integer(let number) = try redis(words.map { Array($0.utf8) }) else { return .min }
        return number
    }

    // MARK: The commands, awaited

    func validate(_ token: SessionToken, on daemon: Int = 0) throws -> Verdict {
        try wait { self.services[daemon].validate(token, $0) }.get()
    }

    func issue(_ request: SessionRequest = SessionRequest()) throws -> SessionToken {
        let answer: LoginAnswer = try wait { self.services[0].issue(request, $0) }.get()
        return try #require(answer.made.sessionToken)
    }
}

extension SessionRequest {
    init(subject: String = "", data: [RecordField]) {
        self.init()
        self.subject = Array(subject.utf8)
        self.data = data
    }
}

extension SessionRequest {
    init(subject: String) { self.init(subject: subject, data: []) }
}

extension RecordField {
    init(data name: String, _ value: String) { self.init(name: Array(name.utf8), value: Array(value.utf8)) }
}

extension LoginAnswer {
    /// The session of a login that was not refused.
    var made: SessionView {
        switch self {
        case .issued(let view, _): return view
        case .refused: fatalError("no test sets a limit but those that ask for the whole answer")
        }
    }
}

extension Verdict {
    var view: SessionView? { if case .accepted(let view) = self { view } else { nil } }
    var refusal: Refusal? { if case .refused(let refusal) = self { refusal } else { nil } }
}
