import EventLoop
import Foundation
import Testing

@testable import RedisLink

/// Drives the invalidation connection's life by hand, with a clock that stands until it is set.
struct FeedDriver {
    var machine: FeedMachine
    var now = MonotonicInstant(nanoseconds: 5_000_000_000)

    init(settings: LinkSettings = LinkSettings()) {
        machine = FeedMachine(prefix: Array("tc:s:".utf8), settings: settings)
    }

    mutating func receive(_ reply: RedisReply) -> [FeedMachine.Action] { machine.received(reply, now: now) }

    /// Time passes in steps of the shell's timer; all that was done meanwhile.
    mutating func advance(_ duration: Duration) -> [FeedMachine.Action] {
        var actions: [FeedMachine.Action] = []
        let end = now + duration
        while now < end {
            now = min(end, now + .milliseconds(25))
            actions += machine.tick(now: now)
        }
        return actions
    }

    static func info(_ text: String) -> RedisReply { .bulk(Array(text.utf8)) }
    static func message(_ payload: RedisReply) -> RedisReply {
        .array([.bulk(Array("message".utf8)), .bulk(Array(FeedMachine.channel.utf8)), payload])
    }
    static let pong = RedisReply.array([.bulk(Array("pong".utf8)), .bulk([])])
    static let acknowledged = RedisReply.array([
        .bulk(Array("subscribe".utf8)), .bulk(Array(FeedMachine.channel.utf8)), .integer(1),
    ])

    /// Answers what comes before the subscription's acknowledgement.
    mutating func prepare(role: String = "master", runID: String = "abc") -> [FeedMachine.Action] {
        var actions = machine.connected(login: RedisLogin(), now: now)
        for reply in [
            .status("OK"), Self.info("redis_version:7.0\r\nrun_id:\(runID)\r\n"), Self.info("role:\(role)\r\n"),
            .integer(77), .status("OK"),
        ] as [RedisReply] { actions += receive(reply) }
        return actions
    }

    /// Why nothing is told yet, where that is what was said, and the connection was closed.
    static func failure(in actions: [FeedMachine.Action]) -> RedisFault.Kind? {
        guard case .failed(let fault)? = actions.first, actions.last == .disconnect else { return nil }
        return fault.kind
    }

    mutating func subscribe() {
        _ = machine.start(now: now)
        _ = prepare()
        _ = receive(Self.acknowledged)
    }
}

/// The commands in what was sent.
private func words(_ actions: [FeedMachine.Action]) -> [[String]] {
    var all: [[String]] = []
    for case .send(let bytes) in actions {
        var lines = String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")[...]
        while let count = lines.popFirst().flatMap({ Int($0.dropFirst()) }) {
            all.append(
                (0..<count).compactMap { _ in
                    lines.removeFirst(); return lines.popFirst()
                })
        }
    }
    return all
}

private func isSilenced(_ actions: [FeedMachine.Action]) -> Bool {
    actions.contains { if case .lost(let fault) = $0 { fault.kind == .timeout } else { false } }
}

@Suite("The invalidation connection")
struct FeedMachineTests {
    @Test("the order leaves no gap: CLIENT ID, then TRACKING, then SUBSCRIBE, and armed with its acknowledgement only")
    func order() {
        var driver = FeedDriver()
        #expect(driver.machine.start(now: driver.now) == [.connect])
        let actions = driver.prepare()
        let commands = words(actions)
        #expect(
            commands.map { $0.prefix(2).joined(separator: " ") } == [
                "CLIENT SETNAME", "INFO server", "INFO replication", "CLIENT ID", "CLIENT TRACKING",
                "SUBSCRIBE __redis__:invalidate",
            ])
        #expect(commands[4] == ["CLIENT", "TRACKING", "ON", "REDIRECT", "77", "BCAST", "PREFIX", "tc:s:"])
        #expect(!actions.contains { if case .subscribed = $0 { true } else { false } })
        let after = driver.receive(FeedDriver.acknowledged)
        #expect(after.first == .subscribed(runID: "abc"))
        #expect(words(after) == [["PING"]])
    }

    @Test("the acknowledgement proves no more than that Redis answered what was sent at the beginning")
    func firstProof() {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        let began = driver.now
        let actions = driver.prepare()
        #expect(!actions.isEmpty && driver.machine.lastProof == nil)
        driver.now = driver.now + .milliseconds(400)
        _ = driver.receive(FeedDriver.acknowledged)
        #expect(driver.machine.lastProof == began)
    }

    @Test("a user and a password are sent first, and the refusal of them ends the attempt")
    func authentication() {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        let login = RedisLogin(user: "app", password: RedisPassword("secret"))
        let sent = words(driver.machine.connected(login: login, now: driver.now))
        #expect(sent.first == ["AUTH", "app", "secret"])
        let actions = driver.receive(.error("WRONGPASS invalid username-password pair or user is disabled."))
        #expect(FeedDriver.failure(in: actions) == .credentials)
    }

    @Test("a PING every 250 ms while it is answered")
    func pings() {
        var driver = FeedDriver()
        driver.subscribe()
        var count = 0
        for _ in 0..<400 {
            driver.now = driver.now + .milliseconds(25)
            let actions = driver.machine.tick(now: driver.now)
            if actions.isEmpty { continue }
            #expect(words(actions) == [["PING"]])
            count += 1
            #expect(driver.receive(FeedDriver.pong).isEmpty)
        }
        #expect((38...40).contains(count))
    }

    @Test("the proof of life is the moment a PING was sent, not the moment it was answered")
    func proof() {
        var driver = FeedDriver()
        driver.subscribe()
        let first = driver.now
        _ = driver.advance(.milliseconds(600))
        _ = driver.receive(FeedDriver.pong)
        #expect(driver.machine.lastProof == first)
        _ = driver.receive(FeedDriver.pong)
        #expect(driver.machine.lastProof == first + .milliseconds(250))
    }

    @Test("a PING that was not answered for a second ends the connection")
    func silence() {
        var driver = FeedDriver()
        driver.subscribe()
        _ = driver.receive(FeedDriver.pong)
        let proof = driver.machine.lastProof
        let calm = driver.advance(.milliseconds(1_225))
        #expect(!isSilenced(calm))
        let actions = driver.advance(.milliseconds(50))
        #expect(isSilenced(actions) && actions.contains(.disconnect))
        #expect(driver.machine.lastProof == proof, "silence is no proof")
    }

    @Test("messages without a PONG are no proof: only a PING's answer says that all was told")
    func messagesAreNoProof() {
        var driver = FeedDriver()
        driver.subscribe()
        let proof = driver.machine.lastProof
        _ = driver.advance(.milliseconds(500))
        _ = driver.receive(FeedDriver.message(.array([.bulk([1])])))
        #expect(driver.machine.lastProof == proof)
    }

    @Test(
        "an error in a PONG's place is a sign of life",
        arguments: [
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "BUSY Redis is busy running a script.",
        ])
    func errorsAreLife(_ text: String) {
        var driver = FeedDriver()
        driver.subscribe()
        var actions: [FeedMachine.Action] = []
        for _ in 0..<20 {
            actions += driver.receive(.error(text))
            actions += driver.advance(.milliseconds(250))
        }
        #expect(!isSilenced(actions))
        #expect(driver.machine.phase == .subscribed)
        #expect(driver.machine.lastProof.map { $0.duration(to: driver.now) <= .milliseconds(500) } == true)
    }

    @Test("an array names keys, nil means everything")
    func invalidations() {
        var driver = FeedDriver()
        driver.subscribe()
        let keys = [Array("tc:s:1".utf8), Array("tc:s:2".utf8)]
        let told = RedisReply.array(RedisArray(keys.map { .bulk($0) }))
        #expect(driver.receive(FeedDriver.message(told)) == [.invalidate(keys: keys)])
        #expect(driver.receive(FeedDriver.message(.null)) == [.invalidateAll])
        #expect(driver.receive(FeedDriver.message(.bulk(keys[0]))) == [.invalidateAll], "not understood: everything")
    }
}
