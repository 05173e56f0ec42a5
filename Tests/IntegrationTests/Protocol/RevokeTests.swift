import TestSupport
import Testing

@Suite("REVOKE, REVOKEALL, ROTATE", .parallel)
struct RevokeTests {
    @Test("current, pending, previous and remembered tokens end the session", arguments: [0, 1, 2, 3])
    func everyOwnToken(_ index: Int) throws {
        try withWorld(settings: ["rotation.after": "150ms", "rotation.overlap": "50ms"]) { world in
            let client = try world.client()
            let first = try client.issue("SUBJECT", "ann")
            let second = try client.rotateAndConfirm(first)
            let third = try client.rotateAndConfirm(second)
            let fourth = try client.rotateWhenDue(third)
            let tokens = [first, second, third, fourth]
            let reply = try client.call("TOKEN.REVOKE", tokens[index])
            try expectShape(reply, ["status", "accepted", "reason"])
            expectRefused("revoked", reason: "logout", try Fields(reply))
            for token in tokens { expectRefused("revoked", reason: "logout", try client.validate(token)) }
            #expect(try client.call("TOKEN.LIST", "ann") == .array([]))
        }
    }

    @Test("a made-up verifier ends nothing")
    func forged() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            expectRefused("unknown", try client.fields("TOKEN.REVOKE", TokenText.forged(token)))
            #expect(try client.validate(token).status == "valid")
        }
    }

    @Test("REVOKE is idempotent, by token and by SID", arguments: Backend.allCases)
    func idempotent(_ backend: Backend) throws {
        try withWorld(backend) { world in
            let client = try world.client()
            for bySID in [false, true] {
                let token = try client.issue()
                let command = bySID ? ["TOKEN.REVOKE", "SID", TokenText.sid(token)] : ["TOKEN.REVOKE", token]
                for _ in 0..<3 { expectRefused("revoked", reason: "logout", try client.fields(command)) }
                expectRefused("revoked", reason: "logout", try client.validate(token))
            }
        }
    }

    @Test("the reason is known for session.tombstone, then the token is unknown")
    func tombstone() throws {
        try withWorld(settings: ["session.tombstone": "2s"]) { world in
            let client = try world.client()
            let token = try client.issue()
            _ = try client.call("TOKEN.REVOKE", token)
            expectRefused("revoked", reason: "logout", try client.validate(token))
            expectRefused("unknown", try client.awaitStatus("unknown", of: token, within: .seconds(10)))
            expectRefused("unknown", try client.fields("TOKEN.REVOKE", token))
        }
    }

    @Test("REVOKEALL ends all of a subject, and nobody else's")
    func all() throws {
        try withWorld { world in
            let client = try world.client()
            let mine = try (0..<5).map { _ in try client.issue("SUBJECT", "ann") }
            let others = [try client.issue("SUBJECT", "bob"), try client.issue(), try client.issue("SUBJECT", "Ann")]
            let reply = try client.fields("TOKEN.REVOKEALL", "ann")
            #expect(reply.status == "revoked" && reply.integer("count") == 5)
            for token in mine { expectRefused("revoked", reason: "logout-all", try client.validate(token)) }
            for token in others { #expect(try client.validate(token).status == "valid") }
            #expect(try client.fields("TOKEN.REVOKEALL", "ann").integer("count") == 0)
            #expect(try client.fields("TOKEN.REVOKEALL", "nobody").integer("count") == 0)
        }
    }

    @Test("EXCEPT keeps the session of an accepted token")
    func except() throws {
        try withWorld { world in
            let client = try world.client()
            let kept = try client.issue("SUBJECT", "ann")
            let ended = try (0..<3).map { _ in try client.issue("SUBJECT", "ann") }
            let reply = try client.fields("TOKEN.REVOKEALL", "ann", "EXCEPT", kept)
            #expect(reply.names == ["status", "accepted", "count"] && reply.integer("count") == 3)
            #expect(try client.validate(kept).status == "valid")
            for token in ended { expectRefused("revoked", reason: "logout-all", try client.validate(token)) }
        }
    }

    @Test("an EXCEPT token that is not accepted changes nothing and answers its status")
    func exceptRefused() throws {
        try withWorld { world in
            let client = try world.client()
            let live = try client.issue("SUBJECT", "ann")
            let ended = try client.issue("SUBJECT", "ann")
            _ = try client.call("TOKEN.REVOKE", ended)
            let retired = try client.issue("SUBJECT", "ann")
            let current = try client.fields("TOKEN.ROTATE", retired).newToken()
            expectRefused("unknown", try client.fields("TOKEN.REVOKEALL", "ann", "EXCEPT", TokenText.forged(live)))
            expectRefused("unknown", try client.fields("TOKEN.REVOKEALL", "ann", "EXCEPT", ""))
            expectRefused("revoked", reason: "logout", try client.fields("TOKEN.REVOKEALL", "ann", "EXCEPT", ended))
            expectRefused("replayed", try client.fields("TOKEN.REVOKEALL", "ann", "EXCEPT", retired))
            #expect(try client.validate(live).status == "valid")
            #expect(try client.validate(current).status == "valid")
        }
    }

    @Test("ROTATE: a new token, the old one dead at once, limits and data as they were")
    func rotate() throws {
        try withWorld { world in
            let client = try world.client()
            let old = try client.issue("SUBJECT", "ann", "ABSOLUTE", "1h", "DATA", "a", "1")
            let reply = try client.fields("TOKEN.ROTATE", old)
            #expect(reply.status == "rotated" && reply.isAccepted && reply.generation == 2)
            #expect(reply.sid == TokenText.sid(old) && reply.text("subject") == "ann")
            #expect((reply.integer("absolute_in") ?? 9999) <= 3600)
            let new = try reply.newToken()
            expectRefused("replayed", try client.validate(old))
            expectRefused("replayed", try client.fields("TOKEN.ROTATE", old))
            #expect(try client.validate(new).status == "valid")
            #expect(try client.inspect(new).text("successor") == "none")
            #expect(try client.fields("TOKEN.GET", new).data() == ["a": "1"])
        }
    }
}
