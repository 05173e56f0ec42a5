import TestSupport
import Testing

@Suite("When invalidations are lost the near cache is not believed", .demanding, .needsNearCache)
struct InvalidationLossTests {
    /// The invalidation connections that a Redis has, by id.
    private static func feeds(_ server: RedisServer) throws -> [String] {
        let text = try server.client().call("CLIENT", "LIST").text ?? ""
        return text.split(whereSeparator: \.isNewline).filter { $0.contains("name=tokencached-invalidation") }
            .compactMap { $0.split(separator: " ").first.map { String($0.dropFirst(3)) } }
    }

    private static func awaitAllRearmed(_ world: World, _ flushes: [Int]) throws {
        for (daemon, before) in zip(world.daemons, flushes) {
            try NearCacheFacts.awaitRearmed(daemon, flushesBefore: before)
        }
    }

    private static func flushes(_ world: World) throws -> [Int] {
        try world.daemons.map { try NearCacheFacts($0.client())["flushes"] }
    }

    /// The session is gone, and whoever asks more than a second later is told so.
    private static func expectGone(
        _ token: String, _ client: RESPClient, since moment: ContinuousClock.Instant, status: String = "unknown"
    ) throws {
        _ = try eventually(within: .seconds(10), every: .milliseconds(1), "\(status)") { () throws -> Bool? in
            let sent = ContinuousClock.now
            let reply = try client.call("TOKEN.VALIDATE", token)
            guard reply.errorText == nil, try Fields(reply).isAccepted else {
                return try reply.errorText == nil && Fields(reply).status == status ? true : nil
            }
            guard sent - moment <= .seconds(1) else {
                throw HarnessFailure("accepted \(sent - moment) after it was gone")
            }
            return nil
        }
    }

    @Test("FLUSHALL drops everything")
    func flushAll() throws {
        try withWorld(daemons: 2) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let clients = try world.daemons.map { try $0.client() }
            let tokens = try clients[0].issue(count: 50)
            for client in clients {
                try client.warm(tokens)
                #expect(try NearCacheFacts(client)["entries"] == tokens.count)
            }
            _ = try world.requireServer().client().call("FLUSHALL")
            for client in clients {
                try client.letInvalidationsCome()
                for reply in try client.pipeline(tokens.map { ["TOKEN.VALIDATE", $0] }) {
                    expectRefused("unknown", try Fields(reply))
                }
                let facts = try NearCacheFacts(client)
                #expect(facts["entries"] == 0 && facts["bytes"] == 0)
                #expect(facts.isArmed, "a flush is no loss of the connection")
            }
        }
    }

    @Test(
        "a pub/sub buffer that overflows: what was told with it is not missed",
        .topologies(.alone, .cluster, .sentinels, why: "a script writes keys of all slots"))
    func overflow() throws {
        let redis = ["--client-output-buffer-limit", "pubsub 100kb 0 0"]
        try withWorld(daemons: 2, redis: redis) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let client = try world.client()
            let token = try client.issue()
            for daemon in world.daemons { try daemon.client().warm(token) }
            let flushes = try Self.flushes(world)
            let server = try world.requireServer()
            // One turn of Redis's loop that changes so many keys that no list of them fits into the buffer.
            let script = """
                for i = 1, 20000 do redis.call('SET', KEYS[1] .. string.format('%032d', i), '', 'EX', 60) end
                redis.call('DEL', KEYS[1] .. ARGV[1])
                """
            let before = try Self.feeds(server)
            _ = try server.client().call("EVAL", script, "1", "\(world.stage.prefix)s:", TokenText.sid(token))
            let moment = ContinuousClock.now
            for daemon in world.daemons { try Self.expectGone(token, daemon.client(), since: moment) }
            try Self.awaitAllRearmed(world, flushes)
            #expect(try Set(before).isDisjoint(with: Self.feeds(server)), "the buffer did not overflow")
        }
    }

    @Test("CLIENT KILL of the invalidation connection: noticed at once, armed anew, everything dropped")
    func killed() throws {
        try withWorld(daemons: 2) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let client = try world.client()
            let server = try world.requireServer()
            for _ in 0..<5 {
                let token = try client.issue()
                for daemon in world.daemons { try daemon.client().warm(token) }
                let flushes = try Self.flushes(world)
                let ids = try Self.feeds(server)
                #expect(ids.count == 2)
                // The end is not told to anybody: the connections die in the same turn.
                let commands =
                    ids.map { ["CLIENT", "KILL", "ID", $0] }
                    + [["DEL", "\(world.stage.prefix)s:\(TokenText.sid(token))"]]
                _ = try server.client().pipeline(commands)
                let moment = ContinuousClock.now
                for daemon in world.daemons { try Self.expectGone(token, daemon.client(), since: moment) }
                try Self.awaitAllRearmed(world, flushes)
            }
        }
    }

    @Test("Redis killed and started again: armed with the new one, and nothing from before is believed")
    func restarted() throws {
        // Else what was known may be served while the new Redis is not found yet.
        try withWorld(daemons: 2, settings: ["near-cache.serve-stale": "0"]) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let client = try world.client()
            let server = try world.requireServer()
            let (stays, goes) = (try client.issue(), try client.issue())
            for daemon in world.daemons { for token in [stays, goes] { try daemon.client().warm(token) } }
            let flushes = try Self.flushes(world)
            server.kill9()
            try server.start()
            _ = try server.client().call("DEL", "\(world.stage.prefix)s:\(TokenText.sid(goes))")
            let moment = ContinuousClock.now
            for daemon in world.daemons { try Self.expectGone(goes, daemon.client(), since: moment) }
            try Self.awaitAllRearmed(world, flushes)
            for daemon in world.daemons {
                let client = try daemon.client()
                #expect(try client.validate(stays).status == "valid")
                try client.warm(stays)
                expectRefused("unknown", try client.validate(goes))
            }
        }
    }

    @Test(
        "a master that became a replica is not believed: disarmed by its first refusal, armed when it is master again",
        .topologies(.alone, .sentinels, why: "a cluster's server is no replica by REPLICAOF"))
    func demoted() throws {
        try withWorld { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let redis = try world.requireServer().client()
            let token = try client.issue()
            try client.warm(token)
            let flushes = try NearCacheFacts(client)["flushes"]
            _ = try redis.call("REPLICAOF", "127.0.0.1", "1")
            #expect(try client.call("TOKEN.ISSUE").errorCode == "UNAVAILABLE")
            _ = try eventually(within: .seconds(2), "disarmed") { try NearCacheFacts(client).isArmed ? nil : true }
            letPass(.milliseconds(500))
            #expect(try !NearCacheFacts(client).isArmed, "armed by a replica")
            _ = try redis.call("REPLICAOF", "NO", "ONE")
            try NearCacheFacts.awaitRearmed(world.daemon, flushesBefore: flushes)
            try client.awaitService()
            try client.warm(token)
        }
    }

    @Test("a data connection that is made anew disarms too")
    func dataConnection() throws {
        try withNearCache { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            let token = try far.issue()
            try near.warm(token)
            let flushes = try NearCacheFacts(near)["flushes"]
            world.proxy.cut(.data)
            try NearCacheFacts.awaitRearmed(world.near, flushesBefore: flushes)
            #expect(try near.validate(token).status == "valid")
        }
    }

    @Test("without invalidations Redis is asked every time, and nothing is kept or called stale")
    func bypass() throws {
        try withNearCache { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            let tokens = try far.issue(count: 20)
            try near.warm(tokens)
            world.proxy.treat(.feed) { $0.holdsNew = true }
            world.proxy.cut(.feed)
            _ = try eventually("disarmed") { try NearCacheFacts(near).isArmed ? nil : true }
            let before = try NearCacheFacts(near)
            for token in tokens {
                let reply = try near.validate(token)
                #expect(reply.status == "valid" && reply["stale"] == nil)
                _ = try far.fields("TOKEN.REVOKE", token)
                expectRefused("revoked", reason: "logout", try near.validate(token))
            }
            let after = try NearCacheFacts(near)
            #expect(after["hits"] == before["hits"] && after["stale_answers"] == 0)
            #expect(after["misses"] - before["misses"] == 2 * tokens.count, "out of use, it looks as good as ever")
            world.proxy.treat(.feed) { $0.holdsNew = false }
            try NearCacheFacts.awaitArmed(world.near)
        }
    }
}
