import TestSupport
import Testing

@Suite("The race of a read and an invalidation", .demanding, .needsNearCache)
struct NearCacheRaceTests {
    /// Holds what the data connection says back, so that a read is known to be under way: for longer than a busy machine
    /// stands still, for less than a proof of life is good for.
    private static let delay = Duration.milliseconds(800)

    private static func holdReplies(_ world: NearCacheWorld) {
        world.proxy.treat(.data) { $0.delay = delay }
    }

    private static func release(_ world: NearCacheWorld) { world.proxy.treat(.data) { $0.delay = .zero } }

    /// Redis has carried out as many reads.
    private static func awaitReads(_ count: CommandCount, _ number: Int) throws {
        _ = try eventually("\(number) reads") { try count.calls()["hgetall", default: 0] >= number ? true : nil }
    }

    @Test("concurrent misses of one session share one read", arguments: [2, 20])
    func singleFlight(_ number: Int) throws {
        try withNearCache { world in
            let token = try world.far.client().issue()
            let clients = try (0..<number).map { _ in try world.near.client() }
            let count = try CommandCount(world.server)
            Self.holdReplies(world)
            let replies = try concurrently(number) { try clients[$0].validate(token) }
            Self.release(world)
            #expect(replies.allSatisfy { $0.status == "valid" })
            let calls = try count.calls()
            #expect(calls["hgetall"] == 1, "\(calls)")
            // And what it brought is kept.
            #expect(try clients[0].validate(token).isAccepted)
            #expect(try count.calls()["hgetall"] == 1)
        }
    }

    @Test("an invalidation that overtakes the read's reply: what was read is not kept")
    func invalidationFirst() throws {
        try withNearCache { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            for _ in 0..<5 {
                let token = try far.issue()
                let count = try CommandCount(world.server)
                Self.holdReplies(world)
                try near.send("TOKEN.VALIDATE", token)
                try Self.awaitReads(count, 1)
                #expect(try far.fields("TOKEN.REVOKE", token).status == "revoked")
                // Asked before the end: either answer is right.
                #expect(try Fields(near.readReply()).isAccepted)
                Self.release(world)
                expectRefused("revoked", reason: "logout", try near.validate(token))
            }
        }
    }

    @Test("who joined a read that an invalidation overtook is served by one fresh read")
    func joined() throws {
        try withNearCache { world in
            let far = try world.far.client()
            let clients = try (0..<6).map { _ in try world.near.client() }
            let token = try far.issue()
            let count = try CommandCount(world.server)
            Self.holdReplies(world)
            for client in clients { try client.send("TOKEN.VALIDATE", token) }
            try Self.awaitReads(count, 1)
            // All have asked before the end, so this alone shows that those who joined were not given the old answer.
            letPass(.milliseconds(50))
            #expect(try far.fields("TOKEN.REVOKE", token).status == "revoked")
            let replies = try clients.map { try Fields($0.readReply()) }
            Self.release(world)
            #expect(replies.count { $0.isAccepted } == 1)
            #expect(replies.count { $0.status == "revoked" } == clients.count - 1)
            // Two of the daemon near, one of the daemon far, which revoked.
            #expect(try count.calls()["hgetall"] == 3)
        }
    }

    @Test("who comes after the end does not join a read from before it")
    func latecomer() throws {
        try withNearCache { world in
            let (far, first, second) = (try world.far.client(), try world.near.client(), try world.near.client())
            for _ in 0..<5 {
                let token = try far.issue()
                let count = try CommandCount(world.server)
                Self.holdReplies(world)
                try first.send("TOKEN.VALIDATE", token)
                try Self.awaitReads(count, 1)
                #expect(try far.fields("TOKEN.REVOKE", token).status == "revoked")
                letPass(.milliseconds(50))
                expectRefused("revoked", reason: "logout", try second.validate(token))
                #expect(try Fields(first.readReply()).isAccepted)
                Self.release(world)
            }
        }
    }

    @Test("an own end that overtakes an own read: what was read is not kept")
    func ownEnd() throws {
        // A LOGIN has one time for its round trips, each of which is slow here.
        try withNearCache(settings: ["redis.timeout": "5s"]) { world in
            let (near, ender) = (try world.near.client(), try world.near.client())
            for ending in [Ending.revoke, .rotate, .loginSame] {
                let token = try near.issue("SUBJECT", "user-1")
                let count = try CommandCount(world.server)
                Self.holdReplies(world)
                try near.send("TOKEN.VALIDATE", token)
                try Self.awaitReads(count, 1)
                let acknowledged = try ender.fields(ending.command(token, "1"))
                #expect(["revoked", "rotated", "issued"].contains(acknowledged.status))
                Self.release(world)
                #expect(try !ender.validate(token).isAccepted)
                #expect(try Fields(near.readReply()).isAccepted)
                #expect(try !near.validate(token).isAccepted, "\(ending)")
            }
        }
    }

    @Test("invalidations that come late: accepted at most 1 s longer, and never again")
    func invalidationLate() throws {
        try withNearCache { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            world.proxy.treat(.feed) { $0.delay = .milliseconds(300) }
            for _ in 0..<5 {
                let token = try far.issue()
                try near.warm([token])
                _ = try far.fields("TOKEN.REVOKE", token)
                let acknowledged = ContinuousClock.now
                var wasRefused = false
                while ContinuousClock.now - acknowledged < .milliseconds(1_300) {
                    let sent = ContinuousClock.now
                    let reply = try near.validate(token)
                    if reply.isAccepted {
                        #expect(!wasRefused, "accepted again")
                        #expect(sent - acknowledged <= .seconds(1))
                    } else {
                        wasRefused = true
                    }
                }
                #expect(wasRefused)
            }
        }
    }

    @Test("under random delays both ways nobody is accepted a second after the end")
    func randomDelays() throws {
        try withNearCache { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            for _ in 0..<NearCacheWorld.rounds(10, long: 500) {
                let tokens = try far.issue(count: 20)
                world.proxy.treat(.data) { $0.delay = .milliseconds(Int.random(in: 0...60)) }
                world.proxy.treat(.feed) { $0.delay = .milliseconds(Int.random(in: 0...60)) }
                for token in tokens {
                    try near.send("TOKEN.VALIDATE", token)
                    if Bool.random() { letPass(.milliseconds(Int.random(in: 0...10))) }
                    _ = try far.fields("TOKEN.REVOKE", token)
                }
                let acknowledged = ContinuousClock.now
                for _ in tokens { _ = try near.readReply() }
                // Far above the largest delay, far below what the mere passing of time would cure.
                letPass(max(.zero, .milliseconds(600) - (ContinuousClock.now - acknowledged)))
                for reply in try near.pipeline(tokens.map { ["TOKEN.VALIDATE", $0] }) {
                    expectRefused("revoked", reason: "logout", try Fields(reply))
                }
            }
        }
    }
}
