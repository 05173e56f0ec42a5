import EventLoop
import Testing
import WireProtocol

@testable import RedisLink

@Suite("The feed in trouble")
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
            #expect(actions == [.subscribed(runID: "abc")])
        }
    }

    @Test("a server that does not say who it is is not believed")
    func noRunID() {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        #expect(FeedDriver.failure(in: driver.prepare(runID: nil)) == nil)
        #expect(FeedDriver.failure(in: driver.receive(FeedDriver.acknowledged)) == .protocolError)
    }

    @Test("an acknowledgement that is none ends the attempt", arguments: [FeedDriver.text("OK"), .null, .integer(1)])
    func unexpected(_ value: RESPValue) {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        _ = driver.prepare()
        #expect(FeedDriver.failure(in: driver.receive(value)) == .protocolError)
    }

    @Test("RESP3 that is not spoken, tracking that is refused, a channel that is not allowed arm nothing")
    func refusals() {
        let before: [RESPValue] = [
            FeedDriver.hello, FeedDriver.text("OK"), FeedDriver.text("run_id:a\r\n"),
            FeedDriver.text("role:master\r\n"),
        ]
        let noPermission = "NOPERM this user has no permissions to run the 'client|tracking' command"
        let cases: [(after: Int, text: String, kind: RedisFault.Kind)] = [
            (0, "ERR unknown command `HELLO`", .other), (4, noPermission, .credentials),
            (4, "ERR unknown subcommand", .other),
            (5, "NOPERM No permissions to access a channel", .credentials),
        ]
        for (after, text, kind) in cases {
            var driver = FeedDriver()
            _ = driver.machine.start(now: driver.now)
            _ = driver.machine.connected(login: RedisLogin(), now: driver.now)
            for reply in (before + [FeedDriver.text("OK")]).prefix(after) { _ = driver.receive(reply) }
            #expect(FeedDriver.failure(in: driver.receive(.error(Array(text.utf8)))) == kind, "\(text)")
            #expect(driver.receive(FeedDriver.acknowledged).isEmpty, "what comes after is not listened to")
        }
    }

    @Test("a name that cannot be set is no obstacle")
    func nameRefused() {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        _ = driver.machine.connected(login: RedisLogin(), now: driver.now)
        _ = driver.receive(FeedDriver.hello)
        #expect(driver.receive(.error(Array("NOPERM this user has no permissions".utf8))).isEmpty)
        #expect(driver.machine.isListening)
    }

    @Test("what cannot be prepared within a second is given up", arguments: [false, true])
    func slowPreparation(_ isConnected: Bool) {
        var driver = FeedDriver()
        _ = driver.machine.start(now: driver.now)
        if isConnected { _ = driver.prepare() }
        #expect(driver.advance(.milliseconds(999)).isEmpty)
        #expect(FeedDriver.failure(in: driver.machine.tick(now: driver.now + .milliseconds(1))) == .timeout)
    }

    @Test("the wait doubles from failure to failure, a little shorter by chance, and begins anew after a success")
    func backoff() throws {
        let settings = LinkSettings()
        var driver = FeedDriver(settings: settings)
        _ = driver.machine.start(now: driver.now)
        var longest = settings.reconnectMinimum
        var waits: Set<Duration> = []
        for _ in 0..<12 {
            let actions = driver.machine.disconnected(RedisFault(.unreachable, "refused"), now: driver.now)
            #expect(FeedDriver.failure(in: actions) == .unreachable)
            let wake = try #require(driver.machine.nextWake)
            let wait = driver.now.duration(to: wake)
            #expect(wait <= longest && wait >= longest * 3 / 4, "\(wait), not \(longest)")
            waits.insert(wait)
            #expect(driver.machine.tick(now: wake - .milliseconds(1)).isEmpty)
            driver.now = wake
            #expect(driver.machine.tick(now: driver.now) == [.connect])
            longest = min(longest * 2, settings.reconnectMaximum)
        }
        #expect(longest == settings.reconnectMaximum && waits.count > 8, "daemons of a fleet do not come back together")
        _ = driver.prepare()
        _ = driver.receive(FeedDriver.acknowledged)
        // Not after one that broke at once.
        _ = driver.machine.disconnected(RedisFault(.closed, "gone"), now: driver.now)
        #expect(driver.now.duration(to: try #require(driver.machine.nextWake)) >= settings.reconnectMaximum * 3 / 4)
        driver.now = try #require(driver.machine.nextWake)
        _ = driver.machine.tick(now: driver.now)
        _ = driver.prepare()
        _ = driver.receive(FeedDriver.acknowledged)
        driver.now = driver.now + settings.reconnectMaximum
        _ = driver.machine.disconnected(RedisFault(.closed, "gone"), now: driver.now)
        let first = driver.now.duration(to: try #require(driver.machine.nextWake))
        #expect(first <= settings.reconnectMinimum)
    }

    @Test("a loss is told once, and nothing from before it counts afterwards")
    func loss() throws {
        var driver = FeedDriver()
        driver.subscribe()
        _ = driver.machine.ping(now: driver.now)
        let fault = RedisFault(.closed, "gone")
        #expect(driver.machine.disconnected(fault, now: driver.now) == [.lost(fault), .disconnect])
        #expect(driver.receive(FeedDriver.pong).isEmpty)
        #expect(driver.receive(FeedDriver.everything).isEmpty)
        driver.now = try #require(driver.machine.nextWake)
        #expect(driver.machine.tick(now: driver.now) == [.connect])
        _ = driver.prepare(runID: "def")
        #expect(driver.receive(FeedDriver.acknowledged) == [.subscribed(runID: "def")])
        // The PING of the connection before was forgotten: the first PONG answers the first PING of this one.
        let sent = driver.now
        _ = driver.machine.ping(now: sent)
        driver.now = driver.now + .milliseconds(10)
        #expect(driver.receive(FeedDriver.pong) == [.pong(sentAt: sent)])
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
        #expect(driver.receive(FeedDriver.acknowledged) == [.subscribed(runID: "abc")])
    }

    @Test("after the end nothing happens any more")
    func closed() {
        var driver = FeedDriver()
        driver.subscribe()
        #expect(driver.machine.close() == [.disconnect])
        #expect(driver.advance(.seconds(5)).isEmpty)
        #expect(driver.machine.disconnected(RedisFault(.closed, "gone"), now: driver.now).isEmpty)
        #expect(driver.machine.renew(now: driver.now).isEmpty)
        #expect(driver.receive(FeedDriver.everything).isEmpty)
    }
}
