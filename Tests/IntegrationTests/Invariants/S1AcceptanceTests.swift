import TestSupport
import Testing

@Suite(
    "S1: accepted if and only if the session lives and the token is current, pending, or previous and not retired",
    .parallel)
struct S1AcceptanceTests {
    @Test("a token's whole life", arguments: Backend.allCases)
    func life(_ backend: Backend) throws {
        try withWorld(backend, settings: ["rotation.after": "1500ms", "rotation.overlap": "1500ms"]) { world in
            let client = try world.client()
            let first = try client.issue()
            #expect(try client.validate(first).status == "valid")

            let second = try client.rotateWhenDue(first)
            #expect(second != first)
            #expect(TokenText.sid(second) == TokenText.sid(first), "rotation never replaces the sid")
            let again = try client.validate(first)
            #expect(again.status == "rotated" && again.sessionToken == second, "previous, successor pending")

            let confirmation = try client.validate(second)
            #expect(confirmation.status == "valid" && confirmation.sessionToken == nil)
            let late = try client.validate(first)
            #expect(late.status == "valid" && late.sessionToken == nil, "previous, within the overlap: \(late)")

            expectRefused("replayed", try client.awaitStatus("replayed", of: first))
            #expect(try client.validate(second).isAccepted, "a retired token took its successor with it")
        }
    }

    @Test("a second rotation retires the previous token although its overlap has not passed")
    func cutShort() throws {
        try withWorld(settings: ["rotation.after": "200ms", "rotation.overlap": "60s"]) { world in
            let client = try world.client()
            let first = try client.issue()
            let second = try client.rotateAndConfirm(first)
            #expect(try client.validate(first).status == "valid")
            let third = try client.rotateWhenDue(second)
            expectRefused("replayed", try client.validate(first))
            #expect(try client.validate(second).status == "rotated")
            #expect(try client.validate(third).status == "valid")
        }
    }

    @Test("nothing but a token that was issued for a session is accepted", arguments: Backend.allCases)
    func neverIssued(_ backend: Backend) throws {
        try withWorld(backend) { world in
            let client = try world.client()
            let mine = try client.issue()
            let other = try client.issue()
            let crossed = TokenText.sid(mine) + other.dropFirst(32)
            for token in [TokenText.random(), TokenText.forged(mine), crossed] {
                expectRefused("unknown", try client.validate(token))
            }
            #expect(try client.validate(mine).status == "valid")
            #expect(try client.validate(other).status == "valid")
        }
    }

    @Test("unknown ids leave the store as it was: none is ever adopted")
    func neverAdopted() throws {
        try withWorld { world in
            let client = try world.client()
            _ = try client.issue()
            let redis = try world.daemon.redis()
            let before = try KeyAudit.keysOfUsers(redis)
            for _ in 0..<20 {
                let replies = try client.pipeline((0..<250).map { _ in ["TOKEN.VALIDATE", TokenText.random()] })
                for reply in replies { #expect(try Fields(reply).status == "unknown") }
            }
            #expect(try KeyAudit.keysOfUsers(redis) == before)

            let presented = TokenText.random()
            let login = try client.fields("TOKEN.LOGIN", presented, "ann")
            #expect(login.sid != TokenText.sid(presented))
            let visit = try client.fields("TOKEN.VISIT", presented)
            #expect(visit.status == "unknown" && visit.sid != TokenText.sid(presented))
        }
    }

    @Test("an ended session refuses its tokens, whichever they are, with the reason")
    func ended() throws {
        try withWorld(settings: ["rotation.after": "200ms"]) { world in
            let client = try world.client()
            let first = try client.issue()
            let second = try client.rotateAndConfirm(first)
            let third = try client.rotateWhenDue(second)
            _ = try client.call("TOKEN.REVOKE", third)
            for token in [first, second, third] {
                expectRefused("revoked", reason: "logout", try client.validate(token))
            }
        }
    }

    @Test("idle and absolute limits end a session", arguments: ["IDLE", "ABSOLUTE"])
    func limits(_ option: String) throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue(option, "2500ms")
            #expect(try client.inspect(token).isAccepted)
            // INSPECT renews nothing, so asking does not keep the session alive.
            let end = try eventually(every: .milliseconds(20), "the limit") {
                let reply = try client.inspect(token)
                return reply.isAccepted ? nil : reply
            }
            #expect(["expired", "unknown"].contains(end.status))
            #expect(["expired", "unknown"].contains(try client.validate(token).status))
        }
    }
}
