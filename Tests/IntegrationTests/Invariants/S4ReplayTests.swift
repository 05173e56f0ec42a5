import TestSupport
import Testing

@Suite("S4: a retired token is never accepted; honest late ones and made-up verifiers never end a session", .parallel)
struct S4ReplayTests {
    private static let revoke = [
        "rotation.after": "300ms", "rotation.overlap": "200ms", "rotation.on-replay": "revoke",
    ]

    @Test("on-replay reject: replayed for ever, and the session lives on", arguments: Backend.allCases)
    func reject(_ backend: Backend) throws {
        try withWorld(backend, settings: ["rotation.after": "150ms", "rotation.overlap": "20ms"]) { world in
            let client = try world.client()
            var tokens = [try client.issue()]
            // The previous one in full and the seven before it by their short digests.
            for _ in 0..<8 { tokens.append(try client.rotateAndConfirm(tokens[tokens.count - 1])) }
            try client.awaitStatus("replayed", of: tokens[7])
            for token in tokens.dropLast() {
                expectRefused("replayed", try client.validate(token))
                #expect(try client.fields("TOKEN.VISIT", token).status == "replayed")
                for command in ["TOKEN.GET", "TOKEN.INSPECT", "TOKEN.ROTATE"] {
                    #expect(try client.fields(command, token).isAccepted == false, "\(command)")
                }
            }
            #expect(try client.validate(tokens[8]).isAccepted)
        }
    }

    @Test("on-replay revoke: within the grace nothing happens, after it a replay ends the session")
    func revoke() throws {
        let settings = Self.revoke.merging(["rotation.replay-grace": "1500ms"]) { $1 }
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let first = try client.issue()
            let second = try client.rotateWhenDue(first)
            let confirmed = ContinuousClock.now
            #expect(try client.validate(second).status == "valid")
            try client.awaitStatus("replayed", of: first)
            #expect(try client.inspect(sid: second).isAccepted, "an honest late one ended the session")

            _ = try eventually(every: .milliseconds(20), "a replay that ends the session") {
                #expect(try !client.validate(first).isAccepted)
                return try client.inspect(sid: second).isAccepted ? nil : true
            }
            let elapsed = ContinuousClock.now - confirmed
            #expect(elapsed > .milliseconds(1600), "ended before overlap and grace had passed: \(elapsed)")
            expectRefused("revoked", reason: "replay", try client.validate(second))
        }
    }

    @Test("on-replay revoke: only VISIT and VALIDATE end a session")
    func onlyAccesses() throws {
        let settings = Self.revoke.merging(["rotation.replay-grace": "100ms"]) { $1 }
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let first = try client.issue()
            let second = try client.rotateAndConfirm(first)
            letPass(.milliseconds(500))
            _ = try client.call("TOKEN.GET", first)
            _ = try client.call("TOKEN.SET", first, "DATA", "a", "b")
            _ = try client.call("TOKEN.INSPECT", first)
            _ = try client.call("TOKEN.ROTATE", first)
            _ = try client.call("TOKEN.REVOKEALL", "ann", "EXCEPT", first)
            #expect(try client.inspect(sid: second).isAccepted)
            #expect(try client.fields("TOKEN.VISIT", first).isAccepted == false)
            expectRefused("revoked", reason: "replay", try client.inspect(sid: second))
        }
    }

    @Test("a made-up verifier is unknown and ends nothing, however often and whenever it comes")
    func forged() throws {
        let settings = Self.revoke.merging(["rotation.replay-grace": "50ms"]) { $1 }
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let first = try client.issue()
            func attack() throws {
                let commands = ["TOKEN.VALIDATE", "TOKEN.VISIT", "TOKEN.REVOKE", "TOKEN.ROTATE", "TOKEN.GET"]
                for _ in 0..<10 {
                    let replies = try client.pipeline(
                        (0..<50).map { [commands[$0 % commands.count], TokenText.forged(first)] })
                    for reply in replies { #expect(try Fields(reply).status == "unknown") }
                }
            }
            try attack()
            let second = try client.rotateWhenDue(first)
            try attack()
            #expect(try client.validate(second).isAccepted)
            letPass(.milliseconds(400))
            try attack()
            #expect(try client.validate(second).isAccepted, "a forger ended somebody's session")
        }
    }

    @Test("tokens from before a LOGIN or ROTATE never end the session", arguments: ["TOKEN.LOGIN", "TOKEN.ROTATE"])
    func beforeForcedRotation(_ command: String) throws {
        let settings = Self.revoke.merging(["rotation.replay-grace": "50ms", "rotation.after": "200ms"]) { $1 }
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let first = try client.issue()
            let second = try client.rotateAndConfirm(first)
            let third = try client.rotateWhenDue(second)
            let arguments = command == "TOKEN.LOGIN" ? [command, third, "ann"] : [command, third]
            let new = try client.fields(arguments).newToken()
            letPass(.milliseconds(600))
            for token in [first, second, third] { expectRefused("replayed", try client.validate(token)) }
            #expect(try client.validate(new).isAccepted)
        }
    }

    @Test("a token whose overlap was cut short ends nothing until that overlap would have ended")
    func cutShort() throws {
        let settings = [
            "rotation.after": "200ms", "rotation.overlap": "2s", "rotation.on-replay": "revoke",
            "rotation.replay-grace": "100ms",
        ]
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let first = try client.issue()
            let second = try client.rotateWhenDue(first)
            let confirmed = ContinuousClock.now
            #expect(try client.validate(second).status == "valid")
            _ = try client.rotateAndConfirm(second)
            _ = try eventually(every: .milliseconds(20), "the end by replay") {
                #expect(try !client.validate(first).isAccepted)
                return try client.inspect(sid: first).isAccepted ? nil : true
            }
            let elapsed = ContinuousClock.now - confirmed
            #expect(elapsed > .milliseconds(1900), "an honest late request ended the session after \(elapsed)")
        }
    }
}
