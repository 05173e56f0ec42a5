import TestSupport
import Testing

@Suite("An ended session's tombstone is answered from memory, and only while that is true", .demanding, .needsNearCache)
struct CachedTombstoneTests {
    /// An ended session whose tombstone is known from memory.
    private static func endKnown(_ client: RESPClient) throws -> String {
        let token = try client.issue()
        _ = try client.fields("TOKEN.REVOKE", token)
        try awaitKnown(client, token, reason: "logout")
        return token
    }

    /// Presents an ended session's token until its tombstone is answered from memory.
    private static func awaitKnown(_ client: RESPClient, _ token: String, reason: String) throws {
        try awaitThat("a tombstone in memory") {
            let before = try NearCacheFacts(client)["hits"]
            expectRefused("revoked", reason: reason, try client.validate(token))
            return try NearCacheFacts(client)["hits"] > before
        }
    }

    @Test("a revoked token asked 1,000 times costs one read of Redis, whoever ended it")
    func oneRead() throws {
        try withWorld(daemons: 2) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let (client, other) = (try world.client(ofDaemon: 0), try world.client(ofDaemon: 1))
            let token = try client.issue()
            try other.warm(token)
            _ = try client.fields("TOKEN.REVOKE", token)
            // Both were told by now: a read that an invalidation overtakes is not kept.
            for asked in [client, other] { try asked.letInvalidationsCome() }
            let count = try CommandCount(world.requireServer())
            for asked in [client, other] {
                try count.reset()
                for _ in 0..<1_000 { expectRefused("revoked", reason: "logout", try asked.validate(token)) }
                try count.expectReads(1)
            }
        }
    }

    @Test("any verifier is answered; VISIT asks Redis whether a LOGIN has replaced the token since")
    func anyVerifier() throws {
        try withWorld { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let token = try Self.endKnown(client)
            let count = try CommandCount(world.requireServer())
            let forged = TokenText.sid(token) + String(repeating: "a5", count: 48)
            expectRefused("revoked", reason: "logout", try client.validate(forged))
            #expect(try count.calls()["hgetall"] == nil)
            #expect(try client.fields("TOKEN.VISIT", token).status == "revoked")
            try count.expectReads(1)
        }
    }

    @Test("it ends with its key in Redis")
    func endsInTime() throws {
        try withWorld(settings: ["session.tombstone": "2s"]) { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let token = try Self.endKnown(client)
            let redis = try world.requireServer().client()
            let key = "\(world.stage.prefix)s:\(TokenText.sid(token))"
            _ = try eventually(within: .seconds(5), every: .milliseconds(5), "the end of the tombstone") {
                let before = try redis.call("PTTL", key).integer ?? 0
                let status = try client.validate(token).status
                let after = try redis.call("PTTL", key).integer ?? 0
                // Asked after it was gone from Redis, but for what the estimate of Redis's clock may be off.
                if before == -2 { return status == "unknown" ? true : nil }
                #expect(status == "revoked" || after < 20, "forgotten \(after) ms too early")
                return nil
            }
            #expect(try client.validate(token).status == "unknown")
        }
    }

    @Test("a repeated LOGIN finds its memo while the tombstone is answered from memory")
    func loginMemo() throws {
        try withWorld { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let token = try client.issue("SUBJECT", "ann")
            let new = try client.fields("TOKEN.LOGIN", token, "bob").newToken()
            try Self.awaitKnown(client, token, reason: "login")
            let count = try CommandCount(world.requireServer())
            expectRefused("revoked", reason: "login", try client.validate(token))
            #expect(try count.calls() == [:])
            for _ in 0..<3 { #expect(try client.fields("TOKEN.LOGIN", token, "bob").newToken() == new) }
            #expect(try client.validate(new).status == "valid")
        }
    }

    @Test("one that vanished from Redis is not answered any more")
    func vanished() throws {
        try withWorld { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let token = try Self.endKnown(client)
            _ = try world.requireServer().client().call("DEL", "\(world.stage.prefix)s:\(TokenText.sid(token))")
            try client.letInvalidationsCome()
            expectRefused("unknown", try client.validate(token))
        }
    }

    @Test("without invalidations Redis is asked every time")
    func disarmed() throws {
        try withNearCache { world in
            let near = try world.near.client()
            let token = try Self.endKnown(near)
            world.proxy.treat(.feed) { $0.holdsNew = true }
            world.proxy.cut(.feed)
            _ = try eventually("disarmed") { try NearCacheFacts(near).isArmed ? nil : true }
            let count = try CommandCount(world.server)
            for _ in 0..<10 { expectRefused("revoked", reason: "logout", try near.validate(token)) }
            // With the epoch, of which nobody tells, behind each.
            #expect(try count.calls() == ["hgetall": 10, "get": 10])
            world.proxy.treat(.feed) { $0.holdsNew = false }
            try NearCacheFacts.awaitArmed(world.near)
        }
    }

    @Test("it is never served stale: while Redis is silent nobody knows")
    func notStale() throws {
        try withWorld(settings: ["near-cache.serve-stale": "3s"]) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let token = try Self.endKnown(client)
            server.pause()
            defer { server.resume() }
            let began = ContinuousClock.now
            var wasUnavailable = false
            while ContinuousClock.now - began < .milliseconds(2_500) {
                let sent = ContinuousClock.now
                let reply = try client.call("TOKEN.VALIDATE", token)
                if let code = reply.errorCode {
                    #expect(code == "UNAVAILABLE")
                    wasUnavailable = true
                } else {
                    expectRefused("revoked", reason: "logout", try Fields(reply))
                    #expect(!wasUnavailable && sent - began <= .milliseconds(1_000), "answered without a proof of life")
                }
            }
            #expect(wasUnavailable)
        }
    }
}
