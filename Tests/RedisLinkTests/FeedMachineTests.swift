import EventLoop
import Testing
import WireProtocol

@testable import RedisLink

@Suite("The feed")
struct FeedMachineTests {
    @Test("the order leaves no gap: RESP3, then TRACKING, then SUBSCRIBE, and armed with its acknowledgement only")
    func order() {
        var driver = FeedDriver()
        #expect(driver.machine.start(now: driver.now) == [.connect])
        let actions = driver.prepare()
        #expect(
            FeedDriver.words(actions) == [
                ["HELLO", "3"], ["CLIENT", "SETNAME", "tokencached-invalidation"], ["INFO", "server"],
                ["INFO", "replication"], ["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "tc:s:"],
                ["SUBSCRIBE", "tc:none"],
            ])
        #expect(!actions.contains { if case .subscribed = $0 { true } else { false } })
        #expect(driver.receive(FeedDriver.told("tc:s:1")).isEmpty, "before the acknowledgement nothing is told yet")
        #expect(driver.receive(FeedDriver.acknowledged) == [.subscribed(runID: "abc")])
    }

    @Test("user and password go with HELLO, and the refusal of them ends the attempt", arguments: ["app", nil])
    func authentication(_ user: String?) {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        let login = RedisLogin(user: user, password: RedisPassword("secret"))
        let sent = FeedDriver.words(driver.machine.connected(login: login, now: driver.now))
        #expect(sent.first == ["HELLO", "3", "AUTH", user ?? "default", "secret"])
        let refusal = RESPValue.error(Array("WRONGPASS invalid username-password pair or user is disabled.".utf8))
        #expect(FeedDriver.failure(in: driver.receive(refusal)) == .credentials)
    }

    @Test("a list names keys, null means everything, and so does what is not understood")
    func invalidations() {
        var driver = FeedDriver()
        driver.subscribe()
        let keys = [Array("tc:s:1".utf8), Array("tc:s:2".utf8)]
        #expect(driver.receive(FeedDriver.told("tc:s:1", "tc:s:2")) == [.invalidate(keys: keys)])
        #expect(driver.receive(FeedDriver.everything) == [.invalidateAll])
        #expect(driver.receive(.push([FeedDriver.text("invalidate")])) == [.invalidateAll])
        #expect(driver.receive(.push([FeedDriver.text("invalidate"), .list([.integer(1)])])) == [.invalidateAll])
        #expect(driver.receive(.push([FeedDriver.text("message"), FeedDriver.text("tc:none"), .null])).isEmpty)
    }

    @Test("a beat comes behind the changes of its message, whatever its place in it")
    func beats() {
        var driver = FeedDriver()
        driver.subscribe()
        #expect(driver.receive(FeedDriver.told("tc:s:~123")) == [.beat(123, tag: [])])
        #expect(
            driver.receive(FeedDriver.told("tc:s:~7", "tc:s:1", "tc:s:~8")) == [
                .invalidate(keys: [Array("tc:s:1".utf8)]), .beat(7, tag: []), .beat(8, tag: []),
            ])
    }

    @Test(
        "what only looks like a beat is a key like others",
        arguments: ["~", "~1x", "~-1", "~ 1", "~1234567890123456789"])
    func noBeats(_ suffix: String) {
        var driver = FeedDriver()
        driver.subscribe()
        #expect(
            driver.receive(FeedDriver.told("tc:s:" + suffix)) == [.invalidate(keys: [Array("tc:s:\(suffix)".utf8)])])
    }

    @Test("a PING's answer says when the PING was sent; an error in its place says why nothing is proved")
    func pings() {
        var driver = FeedDriver()
        #expect(driver.machine.ping(now: driver.now).isEmpty, "nobody is there")
        driver.subscribe()
        let sent = driver.now
        #expect(FeedDriver.words(driver.machine.ping(now: sent)) == [["PING"]])
        driver.now = driver.now + .milliseconds(100)
        #expect(driver.machine.oldestPing == sent)
        #expect(driver.receive(FeedDriver.pong) == [.pong(sentAt: sent)])
        #expect(driver.machine.oldestPing == nil)
        _ = driver.machine.ping(now: driver.now)
        let refusal = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."
        let actions = driver.receive(.error(Array(refusal.utf8)))
        guard case .pingRefused(let fault)? = actions.first else { Issue.record("\(actions)"); return }
        #expect(fault.kind == .misconfigured)
    }

    @Test("a changed password: it authenticates again while it listens, and goes on as it was where that is refused")
    func password() {
        var driver = FeedDriver()
        driver.subscribe()
        let login = RedisLogin(user: "u", password: RedisPassword("new"))
        #expect(FeedDriver.words(driver.machine.authenticate(login: login, now: driver.now)) == [["AUTH", "u", "new"]])
        _ = driver.machine.ping(now: driver.now)
        let sent = driver.now
        #expect(driver.machine.oldestPing == sent)
        #expect(driver.receive(FeedDriver.told("tc:s:a")) == [.invalidate(keys: [Array("tc:s:a".utf8)])])
        #expect(driver.receive(FeedDriver.text("OK")).isEmpty)
        #expect(driver.receive(FeedDriver.pong) == [.pong(sentAt: sent)])
        _ = driver.machine.authenticate(login: login, now: driver.now)
        let actions = driver.receive(.error(Array("WRONGPASS invalid username-password pair".utf8)))
        guard case .loginRefused(let fault)? = actions.first else { Issue.record("\(actions)"); return }
        #expect(fault.kind == .credentials && actions.count == 1 && driver.machine.isSubscribed)
    }

    @Test("a changed password: one that waits to try again does at once")
    func passwordWhileWaiting() {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        let login = RedisLogin(password: RedisPassword("new"))
        #expect(driver.machine.authenticate(login: login, now: driver.now).isEmpty)
        _ = driver.machine.disconnected(RedisFault(.credentials, .wrongPassword), now: driver.now)
        #expect(driver.machine.authenticate(login: login, now: driver.now) == [.connect])
    }

    @Test("PINGs without an answer are bounded")
    func manyPings() {
        var driver = FeedDriver()
        driver.subscribe()
        let sent = (0..<100).map { _ in driver.machine.ping(now: driver.now).count }.reduce(0, +)
        #expect(sent == FeedMachine.maxQuestions)
    }

    @Test("a subscribed feed costs no timer")
    func idle() {
        var driver = FeedDriver()
        #expect(driver.machine.nextWake == nil)
        _ = driver.machine.start(now: driver.now)
        #expect(driver.machine.nextWake == driver.now + FeedMachine.preparationLimit)
        _ = driver.prepare()
        _ = driver.receive(FeedDriver.acknowledged)
        #expect(driver.machine.nextWake == nil)
        #expect(driver.advance(.seconds(60)).isEmpty)
    }
}
