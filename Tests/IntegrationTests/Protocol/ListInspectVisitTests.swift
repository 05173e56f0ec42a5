import TestSupport
import Testing

@Suite("LIST, INSPECT, VISIT", .parallel)
struct ListInspectVisitTests {
    private func list(_ client: RESPClient, _ arguments: String...) throws -> [Fields] {
        guard case .array(let sessions) = try client.call(["TOKEN.LIST"] + arguments) else {
            throw HarnessFailure("LIST is not an array")
        }
        return try sessions.map { try Fields($0) }
    }

    @Test("LIST: newest first, at most LIMIT, never a token")
    func newestFirst() throws {
        try withWorld { world in
            let client = try world.client()
            let sids = try (0..<6).map { index in
                letPass(.milliseconds(10))
                // The order is by birth, whatever the limits are.
                return TokenText.sid(try client.issue("SUBJECT", "ann", "ABSOLUTE", "\(9 - index)h"))
            }
            #expect(try list(client, "ann").compactMap(\.sid) == sids.reversed())
            #expect(try list(client, "ann", "LIMIT", "2").compactMap(\.sid) == [sids[5], sids[4]])
            #expect(try list(client, "ann", "LIMIT", "100").count == 6)
            #expect(try list(client, "nobody").isEmpty)
            for session in try list(client, "ann") {
                for entry in session.entries { #expect((entry.value.text ?? "").utf8.count <= 32) }
            }
        }
    }

    @Test("LIST: 100 at most by default")
    func hundred() throws {
        try withWorld { world in
            let client = try world.client()
            _ = try client.pipeline((0..<130).map { _ in ["TOKEN.ISSUE", "SUBJECT", "ann"] })
            #expect(try list(client, "ann").count == 100)
            #expect(try list(client, "ann", "LIMIT", "130").count == 130)
        }
    }

    @Test("LIST: ended and expired sessions are not in it; DATA adds the fields asked for")
    func members() throws {
        try withWorld { world in
            let client = try world.client()
            let ended = try client.issue("SUBJECT", "ann")
            _ = try client.call("TOKEN.REVOKE", ended)
            _ = try client.issue("SUBJECT", "ann", "IDLE", "300ms")
            let live = try client.issue("SUBJECT", "ann", "DATA", "device", "phone", "x", "y")
            _ = try eventually("the short session's end") { try list(client, "ann").count == 1 ? true : nil }
            let session = try #require(try list(client, "ann", "DATA", "device").first)
            #expect(session.sid == TokenText.sid(live))
            #expect(try session.data() == ["device": "phone"])
        }
    }

    @Test("INSPECT tells the successor's state and changes nothing", arguments: Backend.allCases)
    func inspect(_ backend: Backend) throws {
        let settings = ["rotation.after": "200ms", "session.touch-interval": "20ms"]
        try withWorld(backend, settings: settings) { world in
            let client = try world.client()
            let first = try client.issue("IDLE", "1h")
            #expect(try client.inspect(first).text("successor") == "none")
            letPass(.milliseconds(300))
            for _ in 0..<5 {
                let reply = try client.inspect(first)
                #expect(reply.isAccepted && reply.text("successor") == "none", "INSPECT rotated")
                #expect(reply.sessionToken == nil)
            }
            let second = try client.rotateWhenDue(first)
            for reply in [try client.inspect(first), try client.inspect(second), try client.inspect(sid: first)] {
                #expect(reply.isAccepted && reply.text("successor") == "pending" && reply.generation == 2)
                #expect(reply.sessionToken == nil, "INSPECT revealed the successor")
            }
            #expect(try client.inspect(first).text("successor") == "pending", "INSPECT confirmed")
            #expect(try client.validate(second).status == "valid")
            #expect(try client.inspect(second).text("successor") == "confirmed")
        }
    }

    @Test("VISIT without a token, or with one that is not accepted, gives a fresh guest")
    func newHolder() throws {
        try withWorld { world in
            let client = try world.client()
            let ended = try client.issue("SUBJECT", "ann", "DATA", "a", "1")
            _ = try client.call("TOKEN.REVOKE", ended)
            for (token, status, reason) in [
                ("", "none", nil), ("nonsense", "unknown", nil), (TokenText.random(), "unknown", nil),
                (ended, "revoked", "logout"),
            ] as [(String, String, String?)] {
                let reply = try client.fields("TOKEN.VISIT", token)
                #expect(reply.status == status && reply.integer("accepted") == 0 && reply.reason == reason)
                #expect(reply.names.suffix(10) == (acceptedFields.dropFirst(2) + ["sessiontoken"])[...])
                #expect(reply.text("kind") == "guest" && reply.text("subject") == "" && reply.generation == 0)
                let fresh = try reply.newToken()
                #expect(reply.sid?.count == 32 && reply.sid != TokenText.sid(token))
                let next = try client.fields("TOKEN.VISIT", fresh)
                #expect(next.status == "valid" && next.sessionToken == nil && next.sid == reply.sid)
                #expect(try client.fields("TOKEN.VISIT", fresh, "DATA", "a").data()["a"] ?? "" == "")
            }
        }
    }

    @Test("VISIT asked for data answers with data, also for a new holder")
    func visitData() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("DATA", "a", "1", "b", "2")
            #expect(try client.fields("TOKEN.VISIT", token, "DATA", "b", "a").data() == ["b": "2", "a": "1"])
            #expect(try client.fields("TOKEN.VISIT", token)["data"] == nil)
            let fresh = try client.fields("TOKEN.VISIT", "", "DATA", "a")
            #expect(fresh.names.last == "data")
            #expect((try fresh.data()["a"] ?? "") == "")
        }
    }
}
