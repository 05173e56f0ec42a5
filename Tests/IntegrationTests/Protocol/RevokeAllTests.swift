import TestSupport
import Testing

/// An index of many pages: REVOKEALL has ended everything when it is acknowledged, whatever happens on the way.
@Suite("S5 REVOKEALL of a thousand sessions", .parallel)
struct RevokeAllTests {
    private static let count = 1_000

    /// Issues the sessions of `ann`.
    private static func issue(_ client: RESPClient) throws -> [String] {
        try (0..<count / 100).flatMap { _ in
            try client.pipeline(Array(repeating: ["TOKEN.ISSUE", "SUBJECT", "ann"], count: 100)).map {
                try Fields($0).newToken()
            }
        }
    }

    private static func index(_ redis: RESPClient, _ world: World) throws -> String {
        let keys = try redis.call("KEYS", "\(world.stage.prefix)u:*").elements ?? []
        return try #require(keys.first?.text)
    }

    private static func living(_ tokens: [String], _ client: RESPClient) throws -> Int {
        let replies = try client.pipeline(tokens.map { ["TOKEN.VALIDATE", $0] })
        return try zip(tokens, replies).filter { token, reply in
            // A cluster's master that has just come back may not be believed yet.
            let isBack = reply.errorCode != "UNAVAILABLE" || !Topology.ofTests.isCluster
            return try (isBack ? Fields(reply) : client.answered("TOKEN.VALIDATE", token)).status != "revoked"
        }.count
    }

    @Test("Redis is killed and comes back in the middle: nothing is passed over", arguments: [false, true])
    func restart(manyOfOneEnd: Bool) throws {
        try withWorld(settings: ["redis.timeout": "10s"]) { world in
            let client = try world.client()
            let server = try world.requireServer()
            var interrupted = 0
            for _ in 0..<3 {
                let tokens = try Self.issue(client)
                let redis = try server.client()
                let index = try Self.index(redis, world)
                if manyOfOneEnd { try Self.giveOneEnd(index, redis) }
                try client.send("TOKEN.REVOKEALL", "ann")
                // Its sessions leave the index as they are ended.
                var left = Self.count
                for _ in 0..<1_000_000 where left > Self.count * 9 / 10 {
                    left = try redis.call("ZCARD", index).integer ?? 0
                }
                try server.restart()
                if left > 0 { interrupted += 1 }
                let reply = try client.readReply()
                // A cluster is down for two seconds after its master's start: asked again.
                let isCut = Topology.ofTests.isCluster && reply.errorCode == "UNAVAILABLE"
                let answer = try isCut ? client.answered("TOKEN.REVOKEALL", "ann") : Fields(reply)
                #expect(answer.status == "revoked")
                let living = try Self.living(tokens, client)
                #expect(living == 0, "\(living) sessions live on, after a restart with \(left) left")
            }
            #expect(interrupted > 0, "Redis came to an end too late each time")
        }
    }

    @Test("a record of the wrong type blocks neither REVOKEALL nor LIST: it is to leave the index, is said, and stays")
    func wrongType() throws {
        try withWorld { world in
            let client = try world.client()
            let tokens = try (0..<5).map { _ in try client.issue("SUBJECT", "ann") }
            let redis = try world.requireServer().client()
            let index = try Self.index(redis, world)
            let sid = TokenText.sid(tokens[2])
            let key = "\(world.stage.prefix)s:\(sid)"
            #expect(try redis.call("DEL", key) == .integer(1))
            #expect(try redis.call("SET", key, "of somebody else", "PX", "600000") == .simple("OK"))
            #expect(try client.call("TOKEN.LIST", "ann").elements?.count == 4)
            #expect(try client.fields("TOKEN.REVOKEALL", "ann").integer("count") == 4)
            for (index, token) in tokens.enumerated() where index != 2 {
                #expect(try client.validate(token).status == "revoked")
            }
            // Two minutes later whoever looks takes it out.
            _ = try eventually("it alone is left, with a half millisecond") {
                let left = try redis.call("ZRANGE", index, "0", "-1", "WITHSCORES").elements?.compactMap(\.text) ?? []
                return left.count == 2 && left[0] == sid && left[1].hasSuffix(".5") ? true : nil
            }
            #expect(try redis.call("GET", key).text == "of somebody else")
            #expect(
                world.daemon.log.contains(
                    "a session's key holds something of another type, or damaged: it leaves its subject's index, and stays "
                        + "sid=\(sid)"))
            #expect(try client.fields("TOKEN.REVOKEALL", "ann").integer("count") == 0)
            // Nobody is let in by it.
            expectError("UNAVAILABLE", try client.call("TOKEN.VALIDATE", tokens[2]))
        }
    }

    @Test("a damaged record does not keep the subject's other sessions from being listed and ended")
    func damagedRecord() throws {
        try withWorld { world in
            let client = try world.client()
            let tokens = try (0..<3).map { _ in try client.issue("SUBJECT", "ann") }
            let redis = try world.requireServer().client()
            let sid = TokenText.sid(tokens[1])
            let key = "\(world.stage.prefix)s:\(sid)"
            #expect(try redis.call("DEL", key) == .integer(1))
            #expect(try redis.call("HSET", key, "foo", "bar") == .integer(1))
            #expect(try redis.call("PEXPIRE", key, "600000") == .integer(1))
            expectError("UNAVAILABLE", try client.call("TOKEN.VALIDATE", tokens[1]))
            #expect(try client.call("TOKEN.LIST", "ann").elements?.count == 2)
            #expect(try client.fields("TOKEN.REVOKEALL", "ann").integer("count") == 2)
            #expect(world.daemon.log.contains("or damaged: it leaves its subject's index, and stays sid=\(sid)"))
            #expect(try client.fields("TOKEN.REVOKEALL", "ann").integer("count") == 0)
        }
    }

    @Test("REVOKEALL that ends with UNAVAILABLE after some sessions says how many were ended so far")
    func countSoFar() throws {
        try withWorld(settings: ["redis.timeout": "1s"]) { world in
            let client = try world.client()
            let server = try world.requireServer()
            var said: Int?
            for _ in 0..<5 where said == nil {
                let tokens = try Self.issue(client)
                let redis = try server.client()
                let index = try Self.index(redis, world)
                try client.send("TOKEN.REVOKEALL", "ann")
                var left = Self.count
                for _ in 0..<1_000_000 where left > Self.count * 8 / 10 {
                    left = try redis.call("ZCARD", index).integer ?? 0
                }
                server.pause()
                let reply = try client.readReply()
                server.resume()
                if let text = reply.errorText {
                    #expect(text.hasPrefix("UNAVAILABLE Redis did not answer in time; count so far: "), "\(text)")
                    said = text.split(separator: " ").last.flatMap { Int($0) }
                }
                try client.awaitService()
                _ = try client.answered("TOKEN.REVOKEALL", "ann")
                #expect(try Self.living(tokens, client) == 0)
            }
            let count = try #require(said, "Redis came to a stop too late each time")
            #expect((1..<Self.count).contains(count))
        }
    }

    @Test("many sessions with one absolute end are ended, page by page")
    func equalScores() throws {
        try withWorld(settings: ["redis.timeout": "10s"]) { world in
            let client = try world.client()
            let tokens = try Self.issue(client)
            let redis = try world.requireServer().client()
            try Self.giveOneEnd(try Self.index(redis, world), redis)
            let spared = tokens[Self.count / 2]
            let reply = try client.fields("TOKEN.REVOKEALL", "ann", "EXCEPT", spared)
            #expect(reply.integer("count") == Self.count - 1)
            #expect(try client.validate(spared).status == "valid")
            #expect(try Self.living(tokens, client) == 1)
        }
    }

    private static func giveOneEnd(_ index: String, _ redis: RESPClient) throws {
        let members = try redis.call("ZRANGE", index, "0", "-1").elements?.compactMap(\.text) ?? []
        // An ended session may have stayed there: nobody waits for its leaving, and a Redis that is killed forgets it.
        #expect(members.count >= count)
        let end = try #require(try redis.call("ZRANGE", index, "-1", "-1", "WITHSCORES").elements?.last?.text)
        for start in stride(from: 0, to: members.count, by: 100) {
            let some = members[start..<min(start + 100, members.count)]
            _ = try redis.call(["ZADD", index, "XX"] + some.flatMap { [end, $0] })
        }
    }
}
