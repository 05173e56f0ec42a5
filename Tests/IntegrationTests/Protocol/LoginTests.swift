import TestSupport
import Testing

@Suite("LOGIN", .parallel)
struct LoginTests {
    private func sessions(_ client: RESPClient, _ subject: String) throws -> [Fields] {
        guard case .array(let list) = try client.call("TOKEN.LIST", subject) else {
            throw HarnessFailure("LIST is not an array")
        }
        return try list.map { try Fields($0) }
    }

    @Test("an anonymous session becomes the subject's and keeps its data", arguments: Backend.allCases)
    func anonymous(_ backend: Backend) throws {
        try withWorld(backend) { world in
            let client = try world.client()
            let old = try client.issue("DATA", "cart", "7", "lang", "de")
            let reply = try client.fields("TOKEN.LOGIN", old, "ann", "DATA", "lang", "en", "role", "x")
            #expect(reply.status == "issued" && reply.isAccepted)
            #expect(reply.sid == TokenText.sid(old) && reply.generation == 2)
            #expect(reply.text("subject") == "ann")
            let new = try reply.newToken()
            #expect(try client.fields("TOKEN.GET", new).data() == ["cart": "7", "lang": "en", "role": "x"])
            expectRefused("replayed", try client.validate(old))
            #expect(try client.validate(new).status == "valid", "a forced rotation needs no confirmation")
            #expect(try client.inspect(new).text("subject") == "ann")
            #expect(try sessions(client, "ann").map(\.sid) == [reply.sid])
        }
    }

    @Test("a session of the same subject is renewed")
    func sameSubject() throws {
        try withWorld { world in
            let client = try world.client()
            let old = try client.issue("SUBJECT", "ann", "ABSOLUTE", "1h", "DATA", "a", "1")
            let reply = try client.fields("TOKEN.LOGIN", old, "ann")
            #expect(reply.sid == TokenText.sid(old))
            #expect((reply.integer("absolute_in") ?? 0) > 3600, "new limits")
            #expect(try client.fields("TOKEN.GET", reply.newToken()).data() == ["a": "1"])
            expectRefused("replayed", try client.validate(old))
            #expect(try sessions(client, "ann").count == 1)
        }
    }

    @Test("a session of another subject is ended with reason login, and nothing of it is kept")
    func otherSubject() throws {
        try withWorld { world in
            let client = try world.client()
            let old = try client.issue("SUBJECT", "bob", "DATA", "secret", "of bob")
            let reply = try client.fields("TOKEN.LOGIN", old, "ann", "DATA", "a", "1")
            #expect(reply.sid != TokenText.sid(old) && reply.generation == 1)
            expectRefused("revoked", reason: "login", try client.validate(old))
            // A late logout with it ends nothing, and is no reason to delete the newer cookie.
            expectRefused("replayed", try client.fields("TOKEN.REVOKE", old))
            #expect(try client.validate(reply.newToken()).isAccepted)
            #expect(try client.fields("TOKEN.GET", reply.newToken()).data() == ["a": "1"])
            #expect(try sessions(client, "bob").isEmpty)
            #expect(try sessions(client, "ann").map(\.sid) == [reply.sid])
        }
    }

    @Test("anything else gets a new session")
    func anythingElse() throws {
        try withWorld { world in
            let client = try world.client()
            let live = try client.issue()
            let ended = try client.issue()
            _ = try client.call("TOKEN.REVOKE", ended)
            let retired = try client.issue()
            let current = try client.fields("TOKEN.ROTATE", retired).newToken()
            for token in ["", "nonsense", TokenText.random(), TokenText.forged(live), ended, retired] {
                let reply = try client.fields("TOKEN.LOGIN", token, "ann")
                #expect(reply.status == "issued" && reply.generation == 1)
                #expect(reply.sid != TokenText.sid(token))
                #expect(try client.validate(reply.newToken()).status == "valid")
            }
            #expect(try client.validate(live).status == "valid")
            #expect(try client.validate(current).status == "valid")
        }
    }

    @Test("previous and pending tokens log in too", arguments: ["previous", "pending"])
    func previousAndPending(_ which: String) throws {
        try withWorld(settings: ["rotation.after": "200ms"]) { world in
            let client = try world.client()
            let first = try client.issue("DATA", "a", "1")
            let second = try client.rotateWhenDue(first)
            let reply = try client.fields("TOKEN.LOGIN", which == "previous" ? first : second, "ann")
            #expect(reply.sid == TokenText.sid(first) && reply.generation == 3)
            #expect(try client.fields("TOKEN.GET", reply.newToken()).data() == ["a": "1"])
            for token in [first, second] { expectRefused("replayed", try client.validate(token)) }
        }
    }

    @Test("a double-clicked login has one result; past the overlap it is a new one")
    func idempotent() throws {
        try withWorld(settings: ["rotation.overlap": "2s"]) { world in
            let client = try world.client()
            let old = try client.issue("DATA", "a", "1")
            let first = try client.fields("TOKEN.LOGIN", old, "ann")
            let second = try client.fields("TOKEN.LOGIN", old, "ann")
            #expect(second.sessionToken == first.sessionToken && second.generation == first.generation)
            #expect(second.names == first.names)
            let later = try eventually(every: .milliseconds(50), "the overlap's end") {
                let reply = try client.fields("TOKEN.LOGIN", old, "ann")
                return reply.sessionToken == first.sessionToken ? nil : reply
            }
            #expect(later.sid != first.sid)
            #expect(try client.validate(first.newToken()).status == "valid")
        }
    }

    @Test("limits given to LOGIN are the session's")
    func limits() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("IDLE", "10m", "ABSOLUTE", "20m")
            let remembered = try client.fields("TOKEN.LOGIN", token, "ann", "IDLE", "30d", "ABSOLUTE", "60d")
            #expect((2_591_990...2_592_000).contains(remembered.integer("expires_in") ?? 0))
            #expect((5_183_990...5_184_000).contains(remembered.integer("absolute_in") ?? 0))
            let plain = try client.fields("TOKEN.LOGIN", remembered.newToken(), "ann")
            #expect((7190...7200).contains(plain.integer("expires_in") ?? 0), "the defaults, not the old ones")
            #expect((86390...86400).contains(plain.integer("absolute_in") ?? 0))
        }
    }
}
