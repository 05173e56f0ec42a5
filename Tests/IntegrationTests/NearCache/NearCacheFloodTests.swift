import TestSupport
import Testing

@Suite("What nobody issued takes no place in the near cache", .demanding, .needsNearCache)
struct NearCacheFloodTests {
    /// Room for some 400 sessions.
    private static let settings = ["near-cache.max-memory": "64kb"]

    /// - Parameter tombstones: how many entries the body leaves beside the sessions.
    private static func withSessions(
        tombstones: Int = 0, _ body: (RESPClient, [String], CommandCount) throws -> Void
    ) throws {
        try withWorld(settings: settings) { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let tokens = try client.issue(count: 200)
            try client.warm(tokens)
            let before = try NearCacheFacts(client)
            #expect(before["entries"] == tokens.count)
            let count = try CommandCount(world.requireServer())
            try body(client, tokens, count)
            let after = try NearCacheFacts(client)
            #expect(
                after["entries"] == tokens.count + tombstones
                    && after["dropped_by_eviction"] == before["dropped_by_eviction"])
            try count.reset()
            for reply in try client.pipeline(tokens.map { ["TOKEN.VALIDATE", $0] }) {
                #expect(try Fields(reply).status == "valid")
            }
            try count.expectReads(0)
        }
    }

    @Test("a flood of random tokens evicts no living session")
    func randomTokens() throws {
        try Self.withSessions { client, _, _ in
            for _ in 0..<NearCacheWorld.rounds(20, long: 100) {
                let batch = (0..<1_000).map { _ in ["TOKEN.VALIDATE", TokenText.random()] }
                let replies = try client.pipeline(batch)
                #expect(try replies.allSatisfy { try Fields($0).status == "unknown" })
            }
        }
    }

    @Test("forged verifiers of living sessions are unknown, and do not throw them out")
    func forged() throws {
        try Self.withSessions { client, tokens, _ in
            for _ in 0..<5 {
                let replies = try client.pipeline(tokens.map { ["TOKEN.VALIDATE", TokenText.forged($0)] })
                #expect(try replies.allSatisfy { try Fields($0).status == "unknown" })
            }
        }
    }

    @Test("ended sessions answer revoked to any verifier, and displace nobody")
    func tombstones() throws {
        try Self.withSessions(tombstones: 50) { client, _, count in
            let ended = try client.issue(count: 50)
            try client.warm(ended)
            for token in ended { _ = try client.fields("TOKEN.REVOKE", token) }
            // Their ends are told by now: a read that an invalidation overtakes is not kept.
            try client.letInvalidationsCome()
            try count.reset()
            for _ in 0..<10 {
                for token in ended {
                    expectRefused("revoked", reason: "logout", try client.validate(token))
                    expectRefused("revoked", reason: "logout", try client.validate(TokenText.forged(token)))
                }
            }
            try count.expectReads(50)
        }
    }

    @Test("more tombstones than there is room for displace no session in use")
    func manyTombstones() throws {
        try withWorld(settings: Self.settings) { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let hot = try client.issue(count: 50)
            try client.warm(hot)
            for _ in 0..<10 {
                let ended = try client.issue(count: 200)
                _ = try client.pipeline(ended.map { ["TOKEN.REVOKE", $0] })
                for reply in try client.pipeline(ended.map { ["TOKEN.VALIDATE", $0] }) {
                    expectRefused("revoked", reason: "logout", try Fields(reply))
                }
                _ = try client.pipeline(hot.map { ["TOKEN.VALIDATE", $0] })
                let facts = try NearCacheFacts(client)
                #expect(facts["bytes"] <= facts["max_bytes"])
            }
            #expect(try NearCacheFacts(client)["dropped_by_eviction"] > 0)
            let count = try CommandCount(world.requireServer())
            for reply in try client.pipeline(hot.map { ["TOKEN.VALIDATE", $0] }) {
                #expect(try Fields(reply).status == "valid")
            }
            #expect(try count.calls() == [:], "sessions in use were displaced by tombstones")
        }
    }

    @Test("more sessions than there is room for: the cache stays within its bound, and those in use stay in it")
    func scan() throws {
        try withWorld(settings: Self.settings) { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let hot = try client.issue(count: 50)
            try client.warm(hot)
            for _ in 0..<NearCacheWorld.rounds(20, long: 200) {
                let others = try client.issue(count: 200)
                for reply in try client.pipeline(others.map { ["TOKEN.VALIDATE", $0] }) {
                    #expect(try Fields(reply).status == "valid")
                }
                _ = try client.pipeline(hot.map { ["TOKEN.VALIDATE", $0] })
                let facts = try NearCacheFacts(client)
                #expect(facts["bytes"] <= facts["max_bytes"])
            }
            #expect(try NearCacheFacts(client)["dropped_by_eviction"] > 0)
            let count = try CommandCount(world.requireServer())
            for reply in try client.pipeline(hot.map { ["TOKEN.VALIDATE", $0] }) {
                #expect(try Fields(reply).status == "valid")
            }
            #expect(try count.calls() == [:], "sessions in use were displaced by such that are seen once")
        }
    }
}
