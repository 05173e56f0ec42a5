import EventLoop
import Testing

@testable import RedisLink

@Suite("The invalidation connection in trouble")
struct FeedMachineFaultTests {
    @Test("a replica is refused, unless reading from one is allowed", arguments: [true, false])
    func replica(_ requiresMaster: Bool) {
        var settings = LinkSettings()
        settings.requiresMaster = requiresMaster
        var driver = FeedDriver(settings: settings)
        _ = driver.machine.start(now: driver.now)
        _ = driver.prepare(role: "slave")
        let actions = driver.receive(FeedDriver.acknowledged)
        if requiresMaster {
            #expect(FeedDriver.failure(in: actions) == .readOnly)
        } else {
            #expect(actions.first == .subscribed(runID: "abc"))
        }
    }

    @Test("a server that does not say who it is is not believed")
    func noRunID() {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        _ = driver.machine.connected(login: RedisLogin(), now: driver.now)
        for reply in [
            .status("OK"), .bulk(Array("redis_version:7.0\r\n".utf8)), .bulk(Array("role:master\r\n".utf8)),
            .integer(1),
            .status("OK"),
        ] as [RedisReply] { #expect(FeedDriver.failure(in: driver.receive(reply)) == nil) }
        #expect(FeedDriver.failure(in: driver.receive(FeedDriver.acknowledged)) == .protocolError)
    }

    @Test("an id that is no number, and an acknowledgement that is none, end the attempt")
    func unexpected() {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        _ = driver.machine.connected(login: RedisLogin(), now: driver.now)
        for _ in 0..<3 { _ = driver.receive(.status("OK")) }
        #expect(FeedDriver.failure(in: driver.receive(.status("OK"))) == .protocolError)

        var other = FeedDriver()
        _ = other.machine.start(now: other.now)
        _ = other.prepare()
        #expect(FeedDriver.failure(in: other.receive(.status("OK"))) == .protocolError)
    }

    @Test("tracking that is refused arms nothing")
    func trackingRefused() {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        _ = driver.machine.connected(login: RedisLogin(), now: driver.now)
        for reply in [.status("OK"), FeedDriver.info("run_id:a\r\n"), FeedDriver.info("role:master\r\n"), .integer(7)]
            as [RedisReply]
        { _ = driver.receive(reply) }
        let refusal = "NOPERM this user has no permissions to run the 'client|tracking' command"
        #expect(FeedDriver.failure(in: driver.receive(.error(refusal))) == .credentials)
        #expect(driver.receive(FeedDriver.acknowledged).isEmpty, "what comes after is not listened to")
    }

    @Test("a name that cannot be set is no obstacle")
    func nameRefused() {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        _ = driver.machine.connected(login: RedisLogin(), now: driver.now)
        #expect(driver.receive(.error("NOPERM this user has no permissions")).isEmpty)
    }

    @Test("what cannot be prepared within a second is given up", arguments: [false, true])
    func slowPreparation(_ isConnected: Bool) {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        if isConnected { _ = driver.prepare() }
        #expect(driver.advance(.seconds(1)).isEmpty)
        let actions = driver.machine.tick(now: driver.now + .milliseconds(1))
        #expect(FeedDriver.failure(in: actions) == .timeout)
    }

    @Test("the wait doubles from failure to failure, up to its limit, and begins anew after a success")
    func backoff() {
        let settings = LinkSettings()
        var driver = FeedDriver(settings: settings)
        _ = driver.machine.start(now: driver.now)
        var expected = settings.reconnectMinimum
        for _ in 0..<10 {
            let actions = driver.machine.disconnected(RedisFault(.unreachable, "refused"), now: driver.now)
            #expect(FeedDriver.failure(in: actions) == .unreachable)
            #expect(driver.machine.phase == .waiting(until: driver.now + expected))
            #expect(driver.machine.tick(now: driver.now + expected - .milliseconds(1)).isEmpty)
            driver.now = driver.now + expected
            #expect(driver.machine.tick(now: driver.now) == [.connect])
            expected = min(expected * 2, settings.reconnectMaximum)
        }
        #expect(expected == settings.reconnectMaximum)
        _ = driver.prepare()
        _ = driver.receive(FeedDriver.acknowledged)
        _ = driver.machine.disconnected(RedisFault(.closed, "gone"), now: driver.now)
        #expect(driver.machine.phase == .waiting(until: driver.now + settings.reconnectMinimum))
    }

    @Test("a loss is told once, and nothing from before it counts afterwards")
    func loss() {
        var driver = FeedDriver()
        driver.subscribe()
        let fault = RedisFault(.closed, "gone")
        #expect(driver.machine.disconnected(fault, now: driver.now) == [.lost(fault), .disconnect])
        #expect(driver.receive(FeedDriver.pong).isEmpty)
        #expect(driver.receive(FeedDriver.message(.null)).isEmpty)
        driver.now = driver.now + .milliseconds(50)
        #expect(driver.machine.tick(now: driver.now) == [.connect])
        let proof = driver.machine.lastProof
        _ = driver.prepare(runID: "def")
        #expect(driver.machine.lastProof == proof)
        #expect(driver.receive(FeedDriver.acknowledged).first == .subscribed(runID: "def"))
        // The PINGs of the connection before were forgotten: the first PONG answers the first PING of this one.
        let sent = driver.now
        driver.now = driver.now + .milliseconds(10)
        _ = driver.receive(FeedDriver.pong)
        #expect(driver.machine.lastProof == sent)
    }

    @Test("a renewal closes and connects at once, and says that nothing is told meanwhile")
    func renewal() {
        var driver = FeedDriver()
        #expect(driver.machine.renew(now: driver.now).isEmpty, "what was not started is not renewed")
        driver.subscribe()
        let actions = driver.machine.renew(now: driver.now)
        guard actions.count == 3, case .lost = actions[0] else {
            Issue.record("\(actions)")
            return
        }
        #expect(actions.dropFirst() == [.disconnect, .connect])
        // While it is being made anew there is nothing to lose.
        #expect(driver.machine.renew(now: driver.now) == [.disconnect, .connect])
        #expect(!driver.prepare().isEmpty)
        #expect(driver.receive(FeedDriver.acknowledged).first == .subscribed(runID: "abc"))
    }

    @Test("after the end nothing happens any more")
    func closed() {
        var driver = FeedDriver()
        driver.subscribe()
        #expect(driver.machine.close() == [.disconnect])
        #expect(driver.advance(.seconds(5)).isEmpty)
        #expect(driver.machine.disconnected(RedisFault(.closed, "gone"), now: driver.now).isEmpty)
        #expect(driver.machine.renew(now: driver.now).isEmpty)
        #expect(driver.receive(FeedDriver.message(.null)).isEmpty)
    }
}
