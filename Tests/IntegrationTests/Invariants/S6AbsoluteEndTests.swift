import TestSupport
import Testing

@Suite("S6: nothing but LOGIN moves the absolute end; nothing brings a session back", .parallel)
struct S6AbsoluteEndTests {
    @Test("accesses, rotations, SET and ROTATE do not move the absolute end", arguments: Backend.allCases)
    func absoluteEnd(_ backend: Backend) throws {
        try withWorld(backend, settings: ["rotation.after": "200ms", "session.touch-interval": "100ms"]) { world in
            let client = try world.client()
            let start = ContinuousClock.now
            var token = try client.issue("IDLE", "3s", "ABSOLUTE", "4s")
            var step = 0
            let end = try eventually(within: .seconds(10), every: .milliseconds(30), "the absolute end") {
                step += 1
                let command: [String] =
                    switch step % 10 {
                    case 3: ["TOKEN.SET", token, "DATA", "step", "\(step)"]
                    case 7: ["TOKEN.ROTATE", token]
                    default: ["TOKEN.VALIDATE", token]
                    }
                let reply = try client.fields(command)
                if let newer = reply.sessionToken { token = newer }
                if let left = reply.integer("absolute_in"), let idle = reply.integer("expires_in") {
                    #expect(left <= 4 && idle <= left)
                }
                return reply.isAccepted ? nil : reply
            }
            let lifetime = ContinuousClock.now - start
            #expect(["expired", "unknown"].contains(end.status), "\(end)")
            #expect(lifetime > .milliseconds(3900) && lifetime < .seconds(7), "lived \(lifetime)")
        }
    }

    @Test("LOGIN sets new limits")
    func login() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("ABSOLUTE", "60s")
            let reply = try client.fields("TOKEN.LOGIN", token, "ann", "IDLE", "2h", "ABSOLUTE", "30d")
            #expect((30 * 86400 - 5...30 * 86400).contains(reply.integer("absolute_in") ?? 0))
            #expect((7195...7200).contains(reply.integer("expires_in") ?? 0))
        }
    }

    @Test("a touch that comes after the end of a session leaves it ended")
    func touchAfterRevoke() throws {
        try withWorld(settings: ["session.touch-interval": "1ms"]) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            let tokens = try client.pipeline((0..<300).map { _ in ["TOKEN.ISSUE"] }).map { try Fields($0).newToken() }
            letPass(.milliseconds(20))
            // The touch follows the reply to VALIDATE, so it races with the command behind it.
            _ = try client.pipeline(tokens.flatMap { [["TOKEN.VALIDATE", $0], ["TOKEN.REVOKE", $0]] })
            letPass(.milliseconds(200))
            for reply in try client.pipeline(tokens.map { ["TOKEN.INSPECT", "SID", TokenText.sid($0)] }) {
                expectRefused("revoked", reason: "logout", try Fields(reply))
            }
            #expect(try KeyAudit.violations(redis, prefix: world.stage.prefix).isEmpty)
        }
    }

    @Test("a late touch never makes a key")
    func touchAfterLoss() throws {
        try withWorld(settings: ["session.touch-interval": "1ms"]) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            for _ in 0..<40 {
                let tokens = try client.pipeline((0..<5).map { _ in ["TOKEN.ISSUE"] }).map { try Fields($0).newToken() }
                letPass(.milliseconds(5))
                for token in tokens { try client.send("TOKEN.VALIDATE", token) }
                let keys = tokens.map { "\(world.stage.prefix)s:\(TokenText.sid($0))" }
                _ = try redis.pipeline(keys.map { ["DEL", $0] })
                for _ in tokens { _ = try client.readReply() }
                let after = try client.pipeline(tokens.map { ["TOKEN.VALIDATE", $0] })
                for reply in after { #expect(try Fields(reply).status == "unknown") }
            }
            letPass(.milliseconds(200))
            #expect(try KeyAudit.keysOfUsers(redis) == [])
        }
    }

    @Test("every access renews the idle limit, and INSPECT does not")
    func idleRenewed() throws {
        try withWorld(settings: ["session.touch-interval": "50ms"]) { world in
            let client = try world.client()
            let used = try client.issue("IDLE", "3s")
            let looked = try client.issue("IDLE", "3s")
            let start = ContinuousClock.now
            while ContinuousClock.now - start < .seconds(4) {
                #expect(try client.validate(used).isAccepted)
                _ = try client.inspect(looked)
                letPass(.milliseconds(50))
            }
            #expect(try !client.inspect(looked).isAccepted)
        }
    }
}
