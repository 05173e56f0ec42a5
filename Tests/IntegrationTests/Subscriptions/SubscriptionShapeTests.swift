import TestSupport
import Testing

@Suite("SUBSCRIBE speaks as Redis does", .parallel, .needsNearCache)
struct SubscriptionShapeTests {
    private static let ones = "session:" + String(repeating: "1", count: 32)
    private static let twos = "session:" + String(repeating: "2", count: 32)

    /// Calls, each with the number of replies it has; the slot of "b" is the first master's of three, whom the test asks.
    private static let calls: [(words: [String], replies: Int)] = [
        (["UNSUBSCRIBE"], 1), (["UNSUBSCRIBE", ones, "other"], 2), (["PUNSUBSCRIBE"], 1), (["SUNSUBSCRIBE"], 1),
        (["SUBSCRIBE", ones, twos], 2), (["SUBSCRIBE", ones], 1), (["PING"], 1), (["PING", "text"], 1),
        (["PUNSUBSCRIBE", "a"], 1), (["GET", "b"], 1), (["ECHO", "a"], 1), (["HELLO", "2"], 1), (["SUBSCRIBE"], 1),
        (["UNSUBSCRIBE", twos], 1), (["UNSUBSCRIBE", twos], 1), (["UNSUBSCRIBE"], 1), (["PING"], 1),
        (["SUBSCRIBE", ones], 1),
        (["RESET"], 1), (["PING"], 1), (["SUBSCRIBE", twos], 1), (["QUIT"], 1),
    ]

    @Test("replies in RESP2 and RESP3 are byte for byte those of a redis-server", arguments: [2, 3])
    func sameAsRedis(_ version: Int) throws {
        // The Redis that is asked beside lets everybody subscribe.
        try withSubscribers(daemons: 1, isRestricted: false) { world in
            let clients = [try world.requireServer().client(), try world.client()]
            for client in clients where version == 3 { _ = try client.call("HELLO", "3") }
            for (words, replies) in Self.calls {
                // Known to Redis alone, or answered with what only Redis has.
                if version == 3, ["GET", "HELLO"].contains(words[0]) { continue }
                if words == ["SUBSCRIBE"] { continue }
                let answers = try clients.enumerated().map { index, client in
                    try client.send(index == 1 && words[0] == "GET" ? ["TOKEN.GET"] + words.dropFirst() : words)
                    return try (0..<replies).map { _ in try client.readReply() }
                }
                let theirs = answers[0].map { "\($0)".replacing("execute \\'get\\'", with: "execute \\'token.get\\'") }
                // Sessions that never were are told of, behind the confirmation.
                for client in clients.suffix(1) where words[0] == "SUBSCRIBE" {
                    for _ in 0..<replies { #expect(try client.readReply().elements?.last?.text == "unknown") }
                }
                #expect(answers[1].map { "\($0)" } == theirs, "\(words)")
            }
        }
    }

    @Test("a subscriber takes only what is about that in RESP2, and all in RESP3")
    func context() throws {
        try withSubscribers(daemons: 1) { world in
            let token = try world.client().issue()
            let two = try Subscriber(world.daemon)
            try two.watch([TokenText.sid(token)])
            for words in [["TOKEN.VALIDATE", token], ["HELLO", "3"], ["INFO"], ["CLIENT", "ID"], ["AUTH", "a"]] {
                let error =
                    "ERR Can't execute '\(words[0].lowercased())': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                    + "RESET are allowed in this context"
                #expect(try two.client.call(words) == .error(error))
            }
            #expect(try two.client.call("PING", "a") == .array([.bulk(Array("pong".utf8)), .bulk([97])]))
            #expect(try two.client.call("RESET") == .simple("RESET"))
            #expect(try two.client.validate(token).isAccepted)
            let three = try Subscriber(world.daemon, version: 3)
            try three.watch([TokenText.sid(token)])
            #expect(try three.client.validate(token).isAccepted)
            #expect(try three.client.call("PING") == .simple("PONG"))
            // The reply and the message of its own call, in this order or the other.
            try three.client.send("TOKEN.REVOKE", token)
            let both = [try three.client.readReply(), try three.client.readReply()]
            #expect(both.contains { if case .push = $0 { true } else { false } })
            #expect(both.contains { if case .map = $0 { true } else { false } })
        }
    }

    @Test("what is no channel of a session is ERR, and nothing is subscribed to")
    func wrongChannels() throws {
        try withSubscribers(daemons: 1) { world in
            let client = try world.client()
            for channel in [
                "", "session:", "news", "session:12", String(Self.ones.dropLast()), Self.ones + "1",
                "SESSION:" + Self.ones.dropFirst(8), "session:" + String(repeating: "A", count: 32),
            ] {
                let reply = try client.call("SUBSCRIBE", Self.ones, channel)
                #expect(
                    reply == .error("ERR a channel is session:<sid>, with the 32 lower-case hex digits of a session"))
            }
            for command in ["PSUBSCRIBE", "SSUBSCRIBE"] {
                #expect(try client.call(command, "session:*").errorCode == "ERR")
            }
            #expect(try client.call("SUBSCRIBE").errorText?.contains("SUBSCRIBE channel …") == true)
            #expect(try client.call("PING") == .simple("PONG"))
            #expect(try world.daemon.figure("subscriptions") == 0)
        }
    }

    @Test("limits.max-subscriptions: one more is OVERLOADED; who leaves makes room; a reload changes it")
    func limit() throws {
        try withSubscribers(daemons: 1, settings: ["limits.max-subscriptions": "5"]) { world in
            let tokens = try world.client().issue(count: 7)
            let sids = tokens.map(TokenText.sid)
            let first = try Subscriber(world.daemon)
            let second = try Subscriber(world.daemon)
            try first.watch(Array(sids[..<3]))
            let refused = try second.client.call(["SUBSCRIBE"] + sids[3..<6].map(Subscriber.channel))
            #expect(refused == .error("OVERLOADED there may be 5 subscriptions (limits.max-subscriptions)"))
            try second.watch(Array(sids[3..<5]))
            #expect(try second.client.call("SUBSCRIBE", Subscriber.channel(sids[5])).errorCode == "OVERLOADED")
            // What is there already takes no more room.
            try second.client.send("SUBSCRIBE", Subscriber.channel(sids[3]))
            #expect(
                try second.client.readReply() == second.frame("subscribe", Subscriber.channel(sids[3]), .integer(2)))
            first.client.quit()
            try second.watch([sids[5]], from: 2)
        }
    }

    @Test("CLIENT LIST and INFO show the subscriptions; a subscriber is not idle")
    func listed() throws {
        try withSubscribers(daemons: 1, settings: ["limits.idle-timeout": "300ms"]) { world in
            let sids = try world.client().issue(count: 3).map(TokenText.sid)
            let subscriber = try Subscriber(world.daemon, version: 3)
            try subscriber.watch(sids)
            letPass(.seconds(1))
            let admin = try world.client()
            let lines = try #require(admin.call("CLIENT", "LIST", "TYPE", "pubsub").text)
            #expect(lines.split(whereSeparator: \.isNewline).count == 1)
            #expect(lines.contains(" flags=PU ") && lines.contains(" sub=3 psub=0 "))
            #expect(try #require(admin.call("CLIENT", "LIST", "TYPE", "normal").text).contains(" sub=0 "))
            #expect(try #require(subscriber.client.call("CLIENT", "INFO").text).contains(" sub=3 "))
            #expect(try world.daemon.figure("blocked_clients") == 0)
            #expect(try world.daemon.figure("sessions_watched") == 3)
        }
    }
}

@Suite("SUBSCRIBE where nobody could be told", .parallel)
struct NotToldTests {
    private static let channel = "session:" + String(repeating: "1", count: 32)

    @Test("without the near cache it is ERR")
    func nearCacheOff() throws {
        try withWorld(settings: ["near-cache.max-memory": "0"]) { world in
            let reply = try world.client().call("SUBSCRIBE", Self.channel)
            #expect(reply.errorText?.hasPrefix("ERR nobody can be told of ends without the near cache") == true)
        }
    }

    @Test("where Redis refuses to tell it is UNAVAILABLE with the reason", .needsNearCache)
    func trackingRefused() throws {
        try withWorld { world in
            let server = try world.requireServer()
            let redis = try server.client()
            // Whoever comes anew may not ask to be told.
            _ = try redis.call("ACL", "SETUSER", "default", "-client|tracking")
            let list = try redis.call("CLIENT", "LIST").text ?? ""
            for line in list.split(whereSeparator: \.isNewline) where line.contains(" sub=1 ") {
                _ = try redis.call("CLIENT", "KILL", "ID", String(line.split(separator: " ")[0].dropFirst(3)))
            }
            let client = try world.client()
            let error = try eventually("refused") { try client.call("SUBSCRIBE", Self.channel).errorText }
            #expect(error.hasPrefix("UNAVAILABLE Redis does not tell of changes at the moment: "))
        }
    }
}
