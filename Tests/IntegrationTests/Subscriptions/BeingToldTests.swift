import TestSupport
import Testing

/// A way to end a session or to give it a new token, and what its subscribers are told.
enum ToldEnding: String, CaseIterable, CustomTestStringConvertible {
    case revoke, revokeSID, revokeAll, loginSame, loginOther, rotate, replay, deleted

    var testDescription: String { rawValue }

    var message: String {
        switch self {
        case .revoke, .revokeSID: "revoked logout"
        case .revokeAll: "revoked logout-all"
        case .loginSame: "replaced login"
        case .loginOther: "revoked login"
        case .rotate: "replaced rotate"
        case .replay: "revoked replay"
        case .deleted: "unknown"
        }
    }

    /// Settings under which it happens by one command.
    var settings: [String: String] {
        guard self == .replay else { return [:] }
        return [
            "rotation.after": "1ms", "rotation.overlap": "0", "rotation.on-replay": "revoke",
            "rotation.replay-grace": "0",
        ]
    }

    /// What is presented to end it: the session's token, or one that was retired.
    func prepare(_ token: String, _ client: RESPClient) throws -> String {
        if self == .replay { _ = try client.rotateAndConfirm(token) }
        return token
    }

    func carryOut(_ token: String, subject: String, _ client: RESPClient, _ world: World) throws {
        let sid = TokenText.sid(token)
        switch self {
        case .revoke: _ = try client.fields("TOKEN.REVOKE", token)
        case .revokeSID: _ = try client.fields("TOKEN.REVOKE", "SID", sid)
        case .revokeAll: _ = try client.fields("TOKEN.REVOKEALL", subject)
        case .loginSame: _ = try client.fields("TOKEN.LOGIN", token, subject)
        case .loginOther: _ = try client.fields("TOKEN.LOGIN", token, "another")
        case .rotate: _ = try client.fields("TOKEN.ROTATE", token)
        case .replay: #expect(try client.validate(token).status == "replayed")
        case .deleted:
            let redis = try world.requireServer().client()
            #expect(try redis.call("DEL", "\(world.stage.prefix)s:\(sid)") == .integer(1))
        }
    }
}

@Suite("Being told that a session ends", .parallel, .needsNearCache)
struct BeingToldTests {
    @Test("once, whatever ends it, by the own daemon and by another within 50 ms", arguments: ToldEnding.allCases)
    func everyEnding(_ ending: ToldEnding) throws {
        try withSubscribers(settings: ending.settings) { world in
            let subscribers = [
                try Subscriber(world.daemons[0]), try Subscriber(world.daemons[0], version: 3),
                try Subscriber(world.daemons[1]),
            ]
            let worker = try world.client(ofDaemon: 0)
            var late = 0
            for round in 0..<15 {
                let token = try worker.issue("SUBJECT", "user-\(round)")
                let presented = try ending.prepare(token, worker)
                let sid = TokenText.sid(token)
                for subscriber in subscribers { try subscriber.watch([sid], from: round) }
                // They have been read.
                _ = try eventually("watched") { try world.daemon.figure("sessions_watched") == 1 ? true : nil }
                letPass(.milliseconds(20))
                try ending.carryOut(presented, subject: "user-\(round)", worker, world)
                let clock = ContinuousClock()
                let start = clock.now
                for subscriber in subscribers { try subscriber.expectMessage(sid, ending.message) }
                if start.duration(to: clock.now) > .milliseconds(50) { late += 1 }
            }
            // A machine that stands still tells nobody anything.
            #expect(late <= 2, "told later than 50 ms after the acknowledgement, of 15")
            for subscriber in subscribers { try subscriber.expectSilence() }
            #expect(try world.daemon.figure("subscribers_told") == 30)
            #expect(try world.daemon.figure("sessions_watched") == 0)
            #expect(try world.daemon.figure("subscriptions") == 30)
        }
    }

    @Test("rotation on access, confirmations, data and accesses are told to nobody")
    func quietChanges() throws {
        let settings = ["rotation.after": "50ms", "rotation.overlap": "20ms", "session.touch-interval": "1ms"]
        try withSubscribers(settings: settings) { world in
            let worker = try world.client(ofDaemon: 0)
            let other = try world.client(ofDaemon: 1)
            var token = try worker.issue()
            let sid = TokenText.sid(token)
            let subscribers = try world.daemons.map { try Subscriber($0) }
            for subscriber in subscribers { try subscriber.watch([sid]) }
            for round in 0..<10 {
                token = try worker.rotateAndConfirm(token)
                for _ in 0..<5 { #expect(try other.validate(token).isAccepted) }
                _ = try other.fields("TOKEN.SET", token, "DATA", "round", "\(round)")
            }
            for subscriber in subscribers { try subscriber.expectSilence() }
            _ = try other.fields("TOKEN.REVOKE", token)
            for subscriber in subscribers { try subscriber.expectMessage(sid, "revoked logout") }
        }
    }

    @Test("one that is over, or never was, right behind the confirmation; and again when subscribed again")
    func overAlready() throws {
        try withSubscribers { world in
            let worker = try world.client()
            let token = try worker.issue("SUBJECT", "ann")
            _ = try worker.fields("TOKEN.REVOKE", token)
            let (ended, never) = (TokenText.sid(token), String(repeating: "0", count: 32))
            for version in [2, 3] {
                let subscriber = try Subscriber(world.daemons[version - 2], version: version)
                try subscriber.watch([ended])
                try subscriber.expectMessage(ended, "revoked logout")
                try subscriber.watch([never], from: 1)
                try subscriber.expectMessage(never, "unknown")
                try subscriber.expectSilence()
                try subscriber.watch([ended], from: 1)
                try subscriber.expectMessage(ended, "revoked logout")
                try subscriber.expectSilence()
            }
        }
    }

    @Test("within two seconds of its limit, which accesses of another daemon moved; by the absolute end, too")
    func expiry() throws {
        try withSubscribers(settings: ["session.touch-interval": "100ms"]) { world in
            let worker = try world.client(ofDaemon: 1)
            let moved = try worker.issue("IDLE", "2", "ABSOLUTE", "60")
            let short = try worker.issue("IDLE", "3", "ABSOLUTE", "3")
            let clock = ContinuousClock()
            let begin = clock.now
            let subscriber = try Subscriber(world.daemon)
            try subscriber.watch([TokenText.sid(moved), TokenText.sid(short)])
            var last = clock.now
            while begin.duration(to: clock.now) < .seconds(4) {
                #expect(try worker.validate(moved).isAccepted)
                last = clock.now
                letPass(.milliseconds(150))
            }
            // It came while the other one was being moved.
            try subscriber.expectMessage(TokenText.sid(short), "expired", within: .seconds(2))
            try subscriber.expectMessage(TokenText.sid(moved), "expired")
            let span = last.duration(to: clock.now)
            // Two seconds of its limit and two more, the touch interval, and a moment.
            #expect((Duration.seconds(1.7)...(.seconds(4.3))).contains(span), "\(span)")
            try subscriber.expectSilence()
        }
    }

    @Test("who left, or went, is told nothing; a LOGIN is followed by what comes after a new SUBSCRIBE")
    func leaving() throws {
        try withSubscribers { world in
            let worker = try world.client()
            let token = try worker.issue("SUBJECT", "ann")
            let sid = TokenText.sid(token)
            let (stays, leaves, goes) = (
                try Subscriber(world.daemon), try Subscriber(world.daemon), try Subscriber(world.daemon, version: 3)
            )
            for subscriber in [stays, leaves, goes] { try subscriber.watch([sid]) }
            #expect(
                try leaves.client.call("UNSUBSCRIBE")
                    == leaves.frame("unsubscribe", Subscriber.channel(sid), .integer(0)))
            goes.client.quit()
            let newer = try worker.fields("TOKEN.LOGIN", token, "ann").newToken()
            try stays.expectMessage(sid, "replaced login")
            try stays.expectSilence()
            try stays.watch([sid], from: 0)
            _ = try worker.fields("TOKEN.REVOKE", newer)
            try stays.expectMessage(sid, "revoked logout")
            try stays.expectSilence()
            try leaves.expectSilence(for: .milliseconds(50))
            #expect(try leaves.client.call("PING") == .simple("PONG"), "it takes every command again")
            #expect(try world.daemon.figure("subscriptions") == 1)
        }
    }
}
