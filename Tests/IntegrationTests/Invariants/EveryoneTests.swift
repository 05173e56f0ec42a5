import TestSupport
import Testing

@Suite("REVOKEEVERYONE, SCAN and the janitor", .parallel)
struct EveryoneTests {
    @Test(
        "S5: everyone is logged out, on both daemons, guests too; who comes afterwards is not",
        arguments: ["64MiB", "0"])
    func everyoneOut(nearCache: String) throws {
        try withWorld(.standalone, daemons: 2, settings: ["near-cache.max-memory": nearCache]) { world in
            let clients = try (0..<2).map { try world.client(ofDaemon: $0) }
            let tokens = try (0..<40).map { index in
                try clients[index % 2].answered(
                    ["TOKEN.ISSUE"] + (index % 4 == 0 ? [] : ["SUBJECT", "user-\(index % 5)"])
                ).newToken()
            }
            let guests = try (0..<10).map { try clients[$0 % 2].fields("TOKEN.VISIT", "").newToken() }
            // Both have seen all of them.
            for client in clients {
                for token in tokens + guests { #expect(try client.fields("TOKEN.VALIDATE", token).status == "valid") }
            }
            let everyone = try clients[0].fields("TOKEN.REVOKEEVERYONE")
            #expect(everyone.status == "revoked" && everyone.integer("count") == 40)
            let later = try clients[1].issue("SUBJECT", "user-1")
            let guest = try clients[0].fields("TOKEN.VISIT", "").newToken()
            for token in tokens + guests {
                expectRefused("revoked", reason: "admin", try clients[0].fields("TOKEN.VALIDATE", token))
            }
            // The other daemon is told, or reads it with its next question.
            _ = try eventually(within: .milliseconds(1_200), "the other daemon knows") {
                try (tokens + guests).allSatisfy { try clients[1].fields("TOKEN.VALIDATE", $0).status == "revoked" }
                    ? true : nil
            }
            for client in clients {
                for token in [later, guest] { #expect(try client.fields("TOKEN.VALIDATE", token).status == "valid") }
                #expect(try client.call("TOKEN.COUNT", "user-1") == .integer(1))
                #expect(try client.call("TOKEN.COUNT", "user-2") == .integer(0))
                // The old token is nothing to build on.
                #expect(try client.fields("TOKEN.LOGIN", tokens[0], "user-9").status == "issued")
                expectError("ERR", try client.call("TOKEN.SCAN", "x"))
            }
            // A visitor with an old guest gets a new one, with its cookie.
            let visit = try clients[1].fields("TOKEN.VISIT", guests[0])
            #expect(visit.status == "revoked" && visit["sessiontoken"] != nil)
            let redis = try world.requireServer().client()
            #expect(try redis.call("PTTL", world.ownKey("s:~epoch")).integer ?? 0 > 399 * 86_400_000)
        }
    }

    @Test("tokencachectl: all sessions in a table, and everyone out with a line that says how far it is")
    func control() throws {
        try withWorld(.standalone) { world in
            let client = try world.client()
            let token = try client.issue("SUBJECT", "ann")
            let program = PackageFolder.program("tokencachectl")
            let table = try Tool.run(world.stage, program, ["--socket", world.daemon.socket, "sessions"]).output
            let lines = table.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
            #expect(lines.count == 2 && lines[0] == ["SID", "AGE", "UNUSED", "ENDS", "IN", "SUBJECT"], "\(table)")
            #expect(lines[1].first == TokenText.sid(token).lowercased() && lines[1].last == "ann", "\(table)")
            let count = 20_000
            for _ in 0..<count / 500 {
                for reply in try client.pipeline(Array(repeating: ["TOKEN.ISSUE", "SUBJECT", "bob"], count: 500)) {
                    #expect(reply.errorText == nil)
                }
            }
            // A terminal of its own: there the line is shown.
            let ending = try Tool.run(
                world.stage, "script",
                ["-qec", "\(program) --socket \(world.daemon.socket) revoke --everything --yes", "/dev/null"])
            #expect(ending.status == 0 && ending.output.contains(" sessions ended …"), "\(ending.output.suffix(500))")
            #expect(ending.output.contains("\(count + 1)"), "\(ending.output.suffix(500))")
            #expect(try client.validate(token).status == "revoked")
        }
    }

    @Test("everyone is logged out for a daemon that starts later, and for one that was cut off meanwhile")
    func everyoneOutForLatecomers() throws {
        try withWorld(.standalone, daemons: 2) { world in
            let clients = try (0..<2).map { try world.client(ofDaemon: $0) }
            let token = try clients[0].issue("SUBJECT", "ann")
            let guest = try clients[0].fields("TOKEN.VISIT", "").newToken()
            #expect(try clients[1].validate(token).status == "valid")
            // Nothing is swept: only the epoch says it.
            let redis = try world.requireServer().client()
            let now = try #require(try redis.call("TIME").elements?.first?.text.flatMap { Int64($0) })
            #expect(
                try redis.call("SET", world.ownKey("s:~epoch"), "\(now * 1_000 + 999)", "PX", "600000")
                    == .simple("OK"))
            for client in clients {
                _ = try eventually(within: .seconds(2), "both are ended") {
                    try [token, guest].allSatisfy { try client.fields("TOKEN.VALIDATE", $0).status == "revoked" }
                        ? true : nil
                }
            }
            let late = try world.stage.addDaemon(.redis(world.requireServer()))
            let client = try late.client()
            expectRefused("revoked", reason: "admin", try client.fields("TOKEN.VALIDATE", token))
            expectRefused("revoked", reason: "admin", try client.fields("TOKEN.VALIDATE", guest))
            #expect(try client.call("TOKEN.LIST", "ann").elements?.isEmpty == true)
            expectRefused(
                "revoked", reason: "admin",
                try client.fields("TOKEN.SET", "SID", TokenText.sid(token), "DATA", "a", "b"))
        }
    }

    @Test("a Redis that has lost when everyone was logged out is told again, by whoever knows")
    func toldAgain() throws {
        try withWorld(.standalone, daemons: 2) { world in
            let client = try world.client()
            _ = try client.issue()
            #expect(try client.fields("TOKEN.REVOKEEVERYONE").status == "revoked")
            let redis = try world.requireServer().client()
            let key = try world.ownKey("s:~epoch")
            let moment = try redis.call("GET", key)
            // As in a failover, which lost what came last.
            #expect(try redis.call("DEL", key) == .integer(1))
            _ = try eventually(within: .seconds(5), "it is there again") {
                try redis.call("GET", key) == moment ? true : nil
            }
            let known = try #require(moment.text.flatMap { Int64($0) })
            for daemon in world.daemons {
                _ = try eventually(within: .seconds(5), "it knows") {
                    try daemon.figure("everyone_ended_at") == Int(known) ? true : nil
                }
            }
            #expect((399 * 86_400_000...400 * 86_400_000).contains(try redis.call("PTTL", key).integer ?? 0))
        }
    }

    @Test("S5: the first guest that comes after a pause is refused, too, whoever tells the daemon or nobody")
    func guestAfterPause() throws {
        for nearCache in ["64mib", "0"] {
            try withWorld(.standalone, daemons: 2, settings: ["near-cache.max-memory": nearCache]) { world in
                let clients = try (0..<2).map { try world.client(ofDaemon: $0) }
                let guest = try clients[1].fields("TOKEN.VISIT", "").newToken()
                letPass(.seconds(2))
                #expect(try clients[0].fields("TOKEN.REVOKEEVERYONE").status == "revoked")
                letPass(.milliseconds(1_500))
                expectRefused("revoked", reason: "admin", try clients[1].fields("TOKEN.VALIDATE", guest))
            }
        }
    }

    @Test("whoever watches a session is told when everyone is logged out, once, on both daemons", .needsNearCache)
    func watchersAreTold() throws {
        try withSubscribers { world in
            let client = try world.client()
            let sids = try (0..<30).map { TokenText.sid(try client.issue("SUBJECT", "user-\($0)")) }
            let subscribers = try world.daemons.map { try Subscriber($0) }
            for subscriber in subscribers { try subscriber.watch(sids) }
            #expect(try client.fields("TOKEN.REVOKEEVERYONE").integer("count") == 30)
            for subscriber in subscribers {
                var told: Set<String> = []
                for _ in sids {
                    let message = try subscriber.message(within: .seconds(3))
                    #expect(message.text == "revoked admin")
                    told.insert(message.sid)
                }
                #expect(told == Set(sids))
                try subscriber.expectSilence()
            }
        }
    }

    @Test("SCAN shows every session with its subject, and never a token")
    func scan() throws {
        try withWorld { world in
            let client = try world.client()
            let tokens = try (0..<300).map { try client.issue("SUBJECT", "user-\($0 % 7)") }
            var found: [String: String] = [:]
            var cursor = "0"
            repeat {
                let parts = try #require(try client.call("TOKEN.SCAN", cursor, "COUNT", "50").elements)
                cursor = try #require(parts[0].text)
                for entry in parts[1].elements ?? [] {
                    let fields = try Fields(entry)
                    #expect(
                        fields.names == [
                            "sid", "subject", "created", "modified", "auth_time", "expires_in", "absolute_in",
                            "generation",
                        ])
                    found[try #require(fields["sid"]?.text)] = fields["subject"]?.text
                }
            } while cursor != "0"
            #expect(found.count == 300)
            for (index, token) in tokens.enumerated() { #expect(found[TokenText.sid(token)] == "user-\(index % 7)") }
        }
    }

    @Test("S5: a guest that was renewed is as old as it was: everyone out means it, too")
    func renewedGuest() throws {
        try withWorld(.standalone, daemons: 2, settings: ["guest.lifetime": "20s"]) { world in
            let clients = try (0..<2).map { try world.client(ofDaemon: $0) }
            let first = try clients[0].fields("TOKEN.VISIT", "").newToken()
            let renewed = try eventually(within: .seconds(19), "renewal") {
                try clients[0].fields("TOKEN.VISIT", first).text("sessiontoken")
            }
            world.stage.book.note(Array(renewed.utf8))
            #expect(try clients[1].fields("TOKEN.VALIDATE", renewed).status == "valid")
            #expect(try clients[0].fields("TOKEN.REVOKEEVERYONE").status == "revoked")
            // Made in the second of the command it would be ended, too.
            letPass(.milliseconds(1_100))
            let later = try clients[1].fields("TOKEN.VISIT", "").newToken()
            for client in clients {
                for token in [first, renewed] {
                    expectRefused("revoked", reason: "admin", try client.fields("TOKEN.VALIDATE", token))
                }
                #expect(try client.fields("TOKEN.VALIDATE", later).status == "valid")
            }
        }
    }

    @Test("the janitor takes dead members out of indexes that nobody looks at; one daemon does")
    func janitor() throws {
        try withWorld(.standalone, daemons: 2, settings: ["janitor.interval": "1s", "janitor.rate": "100000"]) {
            world in
            let client = try world.client()
            let living = try client.issue("SUBJECT", "living")
            for index in 0..<500 { _ = try client.issue("SUBJECT", "dead-\(index)", "IDLE", "300ms") }
            let redis = try world.requireServer().client()
            func indexes() throws -> [String] {
                try redis.call("KEYS", "\(world.stage.prefix)u:*").elements?.compactMap(\.text) ?? []
            }
            #expect(try indexes().count == 501)
            _ = try eventually(within: .seconds(20), "all dead members are condemned") {
                try indexes().count { index in
                    try redis.call("ZRANGE", index, "0", "-1", "WITHSCORES").elements?.last?.text?.hasSuffix(".5")
                        == true
                } == 500 ? true : nil
            }
            // Two minutes pass for them.
            for index in try indexes() {
                let member = try redis.call("ZRANGE", index, "0", "-1", "WITHSCORES").elements?.compactMap(\.text) ?? []
                guard member.count == 2, member[1].hasSuffix(".5"), let end = Double(member[1]) else { continue }
                _ = try redis.call("ZADD", index, String(Int64(end) - 130_000) + ".5", member[0])
            }
            _ = try eventually(within: .seconds(20), "only the living one's is left") {
                try indexes().count == 1 ? true : nil
            }
            #expect(try redis.call("KEYS", "\(world.stage.prefix)n:*").elements?.isEmpty == true)
            #expect(try client.validate(living).status == "valid")
            let rounds = try world.daemons.map { daemon in
                try daemon.figure("janitor_rounds")
            }
            #expect(rounds.reduce(0, +) >= 2)
        }
    }
}
