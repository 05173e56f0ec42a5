import EventLoop
import Logging
import Testing

@testable import RedisLink

/// A node before a scripted Redis, in virtual time.
@Suite("A node: when what is remembered may answer, and what is read may be believed")
struct RedisNodeTests {
    private let loop = VirtualLoop()
    private let start: MonotonicInstant
    private let redis: ScriptedRedis
    private let node: RedisNode

    init() {
        redis = ScriptedRedis(loop: loop)
        start = loop.now
        node = Self.makeNode(redis, .beat)
    }

    private static func makeNode(
        _ redis: ScriptedRedis, _ proof: RedisNode.Proof, hasFeed: Bool = true,
        logger: Logger = Logger(label: "t") { _ in SwiftLogNoOpLogHandler() }
    ) -> RedisNode {
        var settings = RedisNode.Settings()
        settings.hasFeed = hasFeed
        settings.prefix = Array("tc:".utf8)
        settings.proof = proof
        let node = RedisNode(
            host: LinkHost(scheduler: redis.network.loop, streams: redis.network, seed: 1),
            endpoint: .unix(path: "/r", login: RedisLogin()), settings: settings, scripts: [],
            logger: logger)
        node.serveStale = .seconds(10)
        node.start()
        return node
    }

    /// Requests come every 10 ms for so long.
    /// - Returns: for each of them, whether what is remembered may answer it.
    @discardableResult
    private func visits(for span: Duration, to other: RedisNode? = nil, _ each: () -> Void = {}) -> [Bool] {
        let node = other ?? node
        var answers: [Bool] = []
        let end = loop.now + span
        while loop.now < end {
            let isFresh = node.isFresh(at: loop.now)
            answers.append(isFresh)
            if !isFresh { node.send(RedisCommand("GET", "k"), repeatable: true) { _ in } }
            each()
            loop.run(for: .milliseconds(10))
        }
        return answers
    }

    /// What one read is answered.
    private func read() -> Result<RedisReply, RedisFault>? {
        var answer: Result<RedisReply, RedisFault>?
        node.send(RedisCommand("GET", "k"), repeatable: true) { answer = $0 }
        loop.run(for: .milliseconds(300))
        return answer
    }

    private func becomeFresh() {
        visits(for: .milliseconds(600))
        #expect(node.isArmed && node.isFresh(at: loop.now))
    }

    @Test("what a script did is not told as done where the word that this is the master has gone meanwhile")
    func unconfirmedScript() {
        becomeFresh()
        let fault = RedisFault(.readOnly, .unconfirmed)
        node.confirmation = RedisNode.Confirmation(askedAt: loop.now, lifetime: .seconds(2), fault: fault)
        var told: [Result<RedisReply, RedisFault>] = []
        func run() {
            node.run(
                RedisNode.beatScript, keys: [Array("tc:s:~1".utf8)], arguments: [Array("1".utf8)], repeatable: true
            ) { told.append($0) }
        }
        run()
        loop.run(for: .milliseconds(50))
        #expect(told.count == 1 && (try? told[0].get()) != nil)
        run()
        node.confirm(askedAt: nil)
        loop.run(for: .milliseconds(50))
        #expect(told.count == 2 && told[1] == .failure(fault))
    }

    @Test("fresh from the first beat that came back, and for as long as requests come")
    func fresh() {
        let answers = visits(for: .seconds(60))
        #expect(answers.first == false)
        #expect(!answers.dropFirst(5).contains(false), "after \(answers.lastIndex(of: false) ?? 0) requests")
        #expect((230...260).contains(redis.count("BEAT")), "\(redis.count("BEAT")) beats in a minute")
    }

    @Test("another server has the mark of a move: nothing is asked, and nothing served stale, until it is gone")
    func movedElsewhere() {
        becomeFresh()
        redis.isSilent = true
        visits(for: .milliseconds(1_100))
        #expect(node.mayServeStale(at: loop.now, isUnanswered: true))
        node.barrier = RedisFault(.moved, .moved)
        #expect(!node.isFresh(at: loop.now))
        for isUnanswered in [false, true] {
            #expect(!node.mayServeStale(at: loop.now, isUnanswered: isUnanswered))
        }
        redis.isSilent = false
        redis.network.isReachable = false
        redis.network.cutAll()
        loop.run(for: .seconds(1))
        #expect(read() == .failure(RedisFault(.moved, .moved)), "not what is wrong with its connection")
        redis.network.isReachable = true
        visits(for: .seconds(3))
        #expect(!node.isFresh(at: loop.now))
        // Nobody asks any more: it is not to be taken for one that would answer.
        loop.run(for: .seconds(10))
        #expect(node.isArmed && !node.isProved && node.nearCacheFault == RedisFault(.moved, .moved).description)
        node.barrier = nil
        #expect(node.isProved && node.nearCacheFault == nil)
        visits(for: .seconds(3))
        #expect(node.isFresh(at: loop.now))
    }

    @Test("without requests it costs nothing after five seconds")
    func idle() {
        becomeFresh()
        loop.run(for: .milliseconds(5_500))
        redis.forgetLog()
        loop.run(for: .seconds(60))
        #expect(redis.count("BEAT") == 0)
        #expect(!node.isFresh(at: loop.now))
    }

    @Test(
        "after a pause the feed is not taken for silent: nothing was owed meanwhile", arguments: [10, 260, 700, 5_000])
    func longPause(_ milliseconds: Int64) {
        becomeFresh()
        // Another daemon's beats come all the time.
        for _ in 0..<5 {
            visits(for: .milliseconds(milliseconds))
            loop.run(for: .seconds(60))
        }
        redis.forgetLog()
        visits(for: .seconds(3))
        #expect(redis.count("HELLO") == 0 && node.isFresh(at: loop.now))
    }

    @Test(
        "of a server of one's own that was demoted and is a master again reads are believed, without a near cache too")
    func ownServerAgain() {
        let other = Self.makeNode(redis, .ping, hasFeed: false)
        loop.run(for: .milliseconds(10))
        redis.readRefusal = "READONLY You can't write against a read only replica."
        other.send(RedisCommand("GET", "k"), repeatable: false) { _ in }
        loop.run(for: .seconds(3))
        redis.readRefusal = nil
        loop.run(for: .seconds(3))
        var answer: Result<RedisReply, RedisFault>?
        other.send(RedisCommand("GET", "k"), repeatable: true) { answer = $0 }
        loop.run(for: .milliseconds(300))
        #expect(answer == .success(.bulk([UInt8(ascii: "1")])))
    }

    @Test("a feed that is dead while Redis answers: nothing is served stale, whatever a request says of a hiccup")
    func deadFeed() {
        becomeFresh()
        redis.tells = false
        visits(for: .seconds(3))
        #expect(!node.mayServeStale(at: loop.now, isUnanswered: true))
        #expect(!node.mayServeStale(at: loop.now, isUnanswered: false))
    }

    @Test("a request that waited for the connection goes behind the beat, and is not believed where that is refused")
    func reconnect() {
        becomeFresh()
        redis.forgetLog()
        redis.network.cut { !$0.isTracking }
        redis.refusal = "NOREPLICAS Not enough good replicas to write."
        var answer: Result<RedisReply, RedisFault>?
        node.send(RedisCommand("GET", "k"), repeatable: true) { answer = $0 }
        loop.run(for: .milliseconds(300))
        guard case .failure(let fault)? = answer else { Issue.record("\(String(describing: answer))"); return }
        #expect(fault.kind == .noReplicas)
        let order = redis.log.map { String($0.prefix(3)) }.filter { ["BEA", "GET"].contains($0) }
        #expect(order.first == "BEA" && order.contains("GET"), "\(order)")
    }

    @Test("after a pause the beat goes before the read, and the read counts although the beat is not back")
    func pause() {
        becomeFresh()
        loop.run(for: .seconds(30))
        redis.forgetLog()
        var answer: Result<RedisReply, RedisFault>?
        node.send(RedisCommand("GET", "k"), repeatable: true) { answer = $0 }
        redis.tells = false
        loop.run(for: .milliseconds(1))
        #expect(redis.log.map { String($0.prefix(3)) } == ["BEA", "GET"])
        #expect(answer == .success(.bulk([UInt8(ascii: "1")])))
        #expect(!node.isFresh(at: loop.now))
    }

    @Test(
        "after a pause, a read behind a beat that is refused is not believed",
        arguments: [
            "READONLY You can't write against a read only replica.", "NOREPLICAS Not enough good replicas to write.",
            "CLUSTERDOWN The cluster is down",
        ])
    func pauseAndRefusal(_ refusal: String) {
        becomeFresh()
        loop.run(for: .seconds(30))
        redis.refusal = refusal
        guard case .failure(let fault)? = read() else { Issue.record("the read was believed"); return }
        #expect(fault.isLossOfRole || fault.isSilence, "\(fault)")
    }

    @Test(
        "a server that lost its role: nothing from memory, nothing stale, nothing read, within 400 ms",
        arguments: [
            "READONLY You can't write against a read only replica.", "NOREPLICAS Not enough good replicas to write.",
            "CLUSTERDOWN The cluster is down",
        ])
    func lossOfRole(_ refusal: String) {
        becomeFresh()
        redis.refusal = refusal
        let answers = visits(for: .seconds(3)) {
            #expect(!node.mayServeStale(at: loop.now, isUnanswered: true) || node.isFresh(at: loop.now))
        }
        #expect(answers.lastIndex(of: true) ?? 0 <= 40, "until \(answers.lastIndex(of: true) ?? 0) × 10 ms")
        if case .success? = read() { Issue.record("what it says is believed") }
        // It is a master again, or has its replicas back.
        redis.refusal = nil
        visits(for: .seconds(5))
        #expect(node.isFresh(at: loop.now))
        #expect(read() == .success(.bulk([UInt8(ascii: "1")])))
    }

    @Test(
        "a server that refuses for another reason: nothing from memory, nothing stale, reads go on",
        arguments: [
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "NOPERM this user has no permissions to run the 'evalsha' command",
            "ERR The user executing the script can't run",
            "BUSY Redis is busy running a script.",
        ])
    func otherRefusal(_ refusal: String) {
        becomeFresh()
        redis.refusal = refusal
        let answers = visits(for: .seconds(3)) {
            #expect(!node.mayServeStale(at: loop.now, isUnanswered: true) || node.isFresh(at: loop.now))
        }
        #expect(answers.lastIndex(of: true) ?? 0 <= 40)
        #expect(read() == .success(.bulk([UInt8(ascii: "1")])))
        redis.refusal = nil
        visits(for: .seconds(1))
        #expect(node.isFresh(at: loop.now))
    }

    @Test("beats that are taken and not told: nothing from memory after a second, reads go on, the feed is made anew")
    func silentFeed() {
        becomeFresh()
        redis.tells = false
        let answers = visits(for: .seconds(5))
        #expect(answers.lastIndex(of: true) ?? 0 <= 101)
        #expect(read() == .success(.bulk([UInt8(ascii: "1")])))
        #expect(redis.count("HELLO") > 1)
        redis.tells = true
        visits(for: .seconds(4))
        #expect(node.isFresh(at: loop.now))
    }

    @Test("a proxy that answers and tells nothing never lets memory answer; it is told once a minute, and shown always")
    func proxy() {
        let log = LogLines()
        let node = Self.makeNode(redis, .beat, logger: Logger(label: "t") { _ in log })
        redis.tells = false
        var shown: Set<String?> = []
        #expect(
            !visits(for: .seconds(10), to: node) {
                if loop.now > start + .seconds(3) { shown.insert(node.nearCacheFault) }
            }
            .contains(true))
        #expect(read() == .success(.bulk([UInt8(ascii: "1")])))
        let words = "the near cache cannot work: Redis does not tell within a second what it was told to write"
        #expect(shown.allSatisfy { $0 == words || $0 == "the feed fell silent" }, "\(shown)")
        #expect(log.lines.filter { $0 == words }.count == 1, "\(log.lines)")
        visits(for: .seconds(60), to: node)
        #expect(log.lines.filter { $0 == words }.count == 2, "\(log.lines)")
    }

    @Test("a server that is silent: fresh for a second at most, then stale until serve-stale is over")
    func silence() {
        becomeFresh()
        let began = loop.now
        redis.isSilent = true
        redis.network.isReachable = false
        var stale: [Duration] = []
        let answers = visits(for: .seconds(13)) {
            if node.mayServeStale(at: loop.now, isUnanswered: false) { stale.append(began.duration(to: loop.now)) }
        }
        #expect(answers.lastIndex(of: true) ?? 0 <= 100)
        #expect(stale.count > 800, "\(stale.count)")
        #expect(stale.max().map { $0 <= .seconds(10) } == true, "from the last proof on")
        #expect(stale.min().map { $0 > .milliseconds(200) } == true, "not while it is fresh")
    }

    @Test("two links that lead to two servers: nothing from memory, whichever of them moved")
    func twoServers() {
        becomeFresh()
        // The feed is made anew, and leads elsewhere.
        redis.feedRunID = "other"
        redis.network.cut { $0.isTracking }
        #expect(!visits(for: .seconds(5)).dropFirst().contains(true))
        // Both lead there.
        redis.runID = "other"
        redis.network.cut { !$0.isTracking }
        visits(for: .seconds(5))
        #expect(node.isFresh(at: loop.now))
        // The commands go elsewhere, and the feed has not noticed.
        redis.runID = "third"
        redis.network.cut { !$0.isTracking }
        #expect(!visits(for: .seconds(5)).dropFirst().contains(true))
        #expect(read() == .success(.bulk([UInt8(ascii: "1")])))
    }

    @Test(
        "Redis's clock that jumps costs a second of freshness at most, and lets nothing answer too long",
        arguments: [
            -3_600_000, -1_500, -300, 300, 1_500, 3_600_000,
        ])
    func clockJump(_ jump: Int64) {
        becomeFresh()
        redis.offset += jump
        visits(for: .milliseconds(3_500))
        #expect(node.isFresh(at: loop.now))
        redis.tells = false
        let answers = visits(for: .seconds(3))
        #expect(answers.lastIndex(of: true) ?? 0 <= 101, "\(answers.lastIndex(of: true) ?? 0)")
    }

    @Test("of a server that is nobody else's a PING is proof enough, and writes nothing")
    func ping() {
        let other = Self.makeNode(redis, .ping)
        loop.run(for: .milliseconds(10))
        redis.forgetLog()
        var fresh = 0
        for _ in 0..<1_000 {
            if other.isFresh(at: loop.now) {
                fresh += 1
            } else {
                other.send(RedisCommand("GET", "k"), repeatable: true) { _ in }
            }
            loop.run(for: .milliseconds(10))
        }
        #expect(fresh > 990, "\(fresh)")
        #expect(redis.count("BEAT") == 0 && (38...44).contains(redis.count("PING")), "\(redis.count("PING"))")
        loop.run(for: .seconds(10))
        redis.forgetLog()
        loop.run(for: .seconds(60))
        #expect(redis.count("PING") == 0)
    }
}

/// What was logged. Used on the one thread that runs its test.
struct LogLines: LogHandler {
    private final class Book: @unchecked Sendable { var lines: [String] = [] }

    private let book = Book()
    var lines: [String] { book.lines }
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { book.lines.append("\(event.message)") }
}
