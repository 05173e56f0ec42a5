import TestSupport
import Testing

@Suite("P4, S8: what an answer costs Redis", .demanding, .needsNearCache)
struct NearCacheCostTests {
    private static func withOne(
        _ settings: [String: String] = [:], _ body: (RESPClient, CommandCount) throws -> Void
    ) throws {
        try withWorld(settings: settings) { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            try body(try world.client(), try CommandCount(world.requireServer()))
        }
    }

    @Test("a cold validation is one HGETALL, a warm one nothing")
    func validation() throws {
        try Self.withOne { client, count in
            let tokens = try client.issue(count: 100)
            try count.reset()
            for token in tokens { #expect(try client.validate(token).status == "valid") }
            try count.expectReads(100)
            for _ in 0..<10 { for token in tokens { #expect(try client.validate(token).status == "valid") } }
            for token in tokens { _ = try client.fields("TOKEN.VISIT", token) }
            try count.expectReads(100)
        }
    }

    @Test("data up to 4 KiB is served from memory, and more is not kept there")
    func data() throws {
        try Self.withOne { client, count in
            let small = try client.issue("DATA", "a", "1")
            let large = try client.issue("DATA", "a", String(repeating: "x", count: 5_000))
            try client.warm([small, large])
            try count.reset()
            for _ in 0..<100 {
                #expect(try client.fields("TOKEN.GET", small).data() == ["a": "1"])
                #expect(try client.fields("TOKEN.VISIT", small, "DATA", "a").data() == ["a": "1"])
                #expect(try client.validate(large).status == "valid")
            }
            try count.expectReads(0)
            #expect(try client.fields("TOKEN.GET", large).data()["a"]?.count == 5_000)
        }
    }

    @Test("ISSUE is one script; a rotation or confirmation of a known session is one script and no read")
    func writes() throws {
        try Self.withOne(["rotation.after": "1s"]) { client, count in
            try count.reset()
            let tokens = try client.issue(count: 20)
            #expect(try count.calls() == ["evalsha": 20])
            try client.warm(tokens)
            letPass(.milliseconds(1_100))
            try count.reset()
            let before = try NearCacheFacts(client)
            let replies = try client.pipeline(tokens.map { ["TOKEN.VALIDATE", $0] }).map { try Fields($0) }
            #expect(replies.allSatisfy { $0.status == "rotated" })
            #expect(try count.calls() == ["evalsha": 20], "rotation from memory")
            let after = try NearCacheFacts(client)
            #expect(after["hits"] == before["hits"] && after["misses"] - before["misses"] == 20, "Redis was asked")
            // The successor of a session that is not known any more: a read and a script.
            try count.reset()
            let successors = try replies.map { try $0.newToken() }
            for token in successors { #expect(try client.validate(token).status == "valid") }
            #expect(try count.calls() == ["hgetall": 20, "evalsha": 20], "cold confirmation")
        }
    }

    @Test("a confirmation is one script where the old token was presented again before")
    func warmConfirmation() throws {
        try Self.withOne(["rotation.after": "1s"]) { client, count in
            let token = try client.issue()
            let successor = try client.rotateWhenDue(token)
            try client.warm([token])
            try count.reset()
            #expect(try client.validate(token).sessionToken == successor)
            #expect(try count.calls() == ["hgetall": 1], "a token is told by Redis only")
            try count.reset()
            #expect(try client.validate(successor).status == "valid")
            #expect(try count.calls() == ["evalsha": 1])
        }
    }

    @Test("the previous token within its overlap is answered from memory, without a new token")
    func overlap() throws {
        try Self.withOne(["rotation.after": "1s"]) { client, count in
            let token = try client.issue()
            let successor = try client.rotateAndConfirm(token)
            try client.warm([token, successor])
            try count.reset()
            let before = try NearCacheFacts(client)
            let reply = try client.validate(token)
            #expect(reply.status == "valid" && reply.sessionToken == nil)
            #expect(try client.validate(successor).status == "valid")
            #expect(try count.calls() == [:])
            let after = try NearCacheFacts(client)
            #expect(after["hits"] - before["hits"] == 2 && after["misses"] == before["misses"])
        }
    }

    @Test("a command counts once: a hit where memory had the answer, a miss where Redis was asked")
    func hitsAndMisses() throws {
        try Self.withOne { client, _ in
            func expect(hits: Int, misses: Int, valid: Int, of what: String, _ commands: () throws -> Void) throws {
                let (before, validBefore) = (try NearCacheFacts(client), try Self.validated(client))
                try commands()
                let after = try NearCacheFacts(client)
                #expect(after["hits"] - before["hits"] == hits, "hits of \(what)")
                #expect(after["misses"] - before["misses"] == misses, "misses of \(what)")
                #expect(try Self.validated(client) - validBefore == valid, "accesses of \(what)")
            }
            let known = try client.issue("DATA", "a", "1")
            let large = try client.issue("DATA", "a", String(repeating: "x", count: 5_000))
            let unseen = try client.issue()
            try client.warm([known, large])
            try expect(hits: 4, misses: 0, valid: 1, of: "a known session") {
                _ = try client.fields("TOKEN.GET", known)
                let csrf = try client.csrf(known)
                #expect(try client.verify(known, csrf) == "passed")
                _ = try client.fields("TOKEN.VISIT", known, "DATA", "a")
            }
            try expect(hits: 1, misses: 2, valid: 2, of: "a session with more data than is kept") {
                _ = try client.fields("TOKEN.GET", large)
                _ = try client.fields("TOKEN.VISIT", large, "DATA", "a")
                _ = try client.fields("TOKEN.VISIT", large)
            }
            try expect(hits: 0, misses: 4, valid: 1, of: "a session that was not asked about before") {
                _ = try client.fields("TOKEN.GET", unseen)
                let csrf = try client.csrf(unseen)
                #expect(try client.verify(unseen, csrf) == "passed")
                _ = try client.fields("TOKEN.VISIT", unseen)
            }
        }
    }

    private static func validated(_ client: RESPClient) throws -> Int {
        let text = try client.call("INFO", "tokens").text ?? ""
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("tokens_validated_valid:") }
        return try #require(line?.split(separator: ":").last.flatMap { Int($0) })
    }

    @Test("a busy session is touched once per interval, by all daemons together")
    func touches() throws {
        try withWorld(daemons: 3, settings: ["session.touch-interval": "1s"]) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let clients = try world.daemons.map { try $0.client() }
            let token = try clients[0].issue()
            for client in clients { try client.warm([token]) }
            let count = try CommandCount(world.requireServer())
            let redis = try world.requireServer().client()
            let before = try Self.writes(redis)
            let start = ContinuousClock.now
            var asked = 0
            while ContinuousClock.now - start < .milliseconds(3_300) {
                for client in clients {
                    for reply in try client.pipeline(Array(repeating: ["TOKEN.VALIDATE", token], count: 8)) {
                        #expect(try Fields(reply).status == "valid")
                    }
                }
                asked += 24
            }
            let writes = try Self.writes(redis) - before
            #expect((2...4).contains(writes), "\(writes) writes")
            let calls = try count.calls()
            // Each daemon may try once an interval; the script lets one of them write. Afterwards each reads anew.
            #expect(calls["evalsha", default: 0] <= 12 && calls["hgetall", default: 0] <= 24, "\(calls) of \(asked)")
        }
    }

    /// Changes of keys since the start, as Redis counts them.
    private static func writes(_ redis: RESPClient) throws -> Int {
        try redis.commandCalls()["pexpireat", default: 0]
    }

    @Test("the touch comes after the reply")
    func touchAfterReply() throws {
        try withNearCache(settings: ["session.touch-interval": "1s"]) { world in
            let near = try world.near.client()
            let token = try near.issue()
            try near.warm([token])
            letPass(.milliseconds(1_300))
            let count = try CommandCount(world.server)
            world.proxy.treat(.data) { $0.delay = .milliseconds(1_500) }
            let start = ContinuousClock.now
            #expect(try near.validate(token).status == "valid")
            #expect(ContinuousClock.now - start < .milliseconds(1_400), "the reply waited for the touch")
            _ = try eventually("the touch") { try count.calls()["evalsha"] == 1 ? true : nil }
            world.proxy.treat(.data) { $0.delay = .zero }
        }
    }

    @Test("INFO # Nearcache tells what happened")
    func counters() throws {
        try withWorld(daemons: 2, settings: ["near-cache.max-memory": "1mb"]) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let (client, other) = (try world.client(ofDaemon: 0), try world.client(ofDaemon: 1))
            let tokens = try other.issue(count: 100)
            let before = try NearCacheFacts(client)
            for _ in 0..<5 { for token in tokens { #expect(try client.validate(token).isAccepted) } }
            for token in tokens.prefix(30) { _ = try other.fields("TOKEN.REVOKE", token) }
            let after = try eventually("invalidations") {
                let facts = try NearCacheFacts(client)
                return facts["dropped_by_invalidation"] - before["dropped_by_invalidation"] == 30 ? facts : nil
            }
            #expect(after["enabled"] == 1 && after.isArmed)
            let (hits, misses) = (after["hits"] - before["hits"], after["misses"] - before["misses"])
            #expect(hits + misses == 500 && (100...100 + CommandCount.excused).contains(misses), "\(hits) + \(misses)")
            #expect(after["entries"] - before["entries"] == 70)
            #expect(after["invalidations"] - before["invalidations"] == 30)
            #expect(after["flushes"] == before["flushes"] && after["stale_answers"] == 0)
            #expect(after["dropped_by_eviction"] == 0 && after["max_bytes"] == 1 << 20)
            #expect(after["bytes"] > 0 && after["bytes"] <= 256 * after["entries"])
        }
    }

    @Test("0 turns the near cache off, and every validation asks Redis")
    func off() throws {
        try withWorld(settings: ["near-cache.max-memory": "0"]) { world in
            let client = try world.client()
            let token = try client.issue()
            let count = try CommandCount(world.requireServer())
            for _ in 0..<50 { #expect(try client.validate(token).status == "valid") }
            let calls = try count.calls()
            // Nobody tells of the epoch: it is read behind each question, in the same write.
            #expect(calls == ["hgetall": 50, "get": 50])
            let facts = try NearCacheFacts(client)
            #expect(facts["enabled"] == 0 && facts["entries"] == 0 && facts["hits"] == 0 && facts["misses"] == 0)
        }
    }
}
