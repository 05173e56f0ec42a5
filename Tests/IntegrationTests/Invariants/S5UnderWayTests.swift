import TestSupport
import Testing

@Suite("S5: while an end is under way the old token is not accepted any more", .demanding)
struct S5UnderWayTests {
    private static let endings: [Ending] = [.revoke, .revokeSID, .rotate, .loginAnonymous, .loginSame, .loginOther]

    @Test("what stands behind it in the same pipeline is answered by its outcome", arguments: endings, [true, false])
    func pipelined(_ ending: Ending, isKnownFromMemory: Bool) throws {
        try withWorld { world in
            let client = try world.client()
            if isKnownFromMemory, Stage.hasNearCache { try NearCacheFacts.awaitArmed(world.daemon) }
            for round in 0..<50 {
                let token = try client.fields(ending.issue("\(round)")).newToken()
                if isKnownFromMemory { try client.warm([token]) }
                let replies = try client.pipeline([
                    ending.command(token, "\(round)"), ["TOKEN.VALIDATE", token], ["TOKEN.GET", token],
                    ["TOKEN.INSPECT", token], ["TOKEN.SET", token, "DATA", "a", "1"], ["TOKEN.VISIT", token],
                ]).map { try Fields($0) }
                #expect(["revoked", "rotated", "issued"].contains(replies[0].status))
                for reply in replies[1...4] {
                    expectRefused(ending.statusAfter, reason: ending.reasonAfter, reply)
                }
                #expect(replies[5].status == ending.statusAfter, "\(replies[5])")
            }
        }
    }

    @Test("nor while Redis is silent", .needsNearCache, arguments: endings)
    func silent(_ ending: Ending) throws {
        try withWorld(settings: ["near-cache.serve-stale": "20s"]) { world in
            let (client, ender) = (try world.client(), try world.client())
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let token = try client.fields(ending.issue("1")).newToken()
            let other = try client.issue()
            try client.warm([token, other])
            server.pause()
            try ender.send(ending.command(token, "1"))
            letPass(.milliseconds(50))
            let held = Background { expectError("UNAVAILABLE", try client.call("TOKEN.VALIDATE", token)) }
            #expect(try world.client().validate(other).isAccepted, "another session is held up")
            expectError("UNAVAILABLE", try ender.readReply())
            try held.stop()
            server.resume()
            try client.awaitService()
        }
    }

    @Test("a made-up verifier holds nobody up", .needsNearCache, arguments: [Ending.revoke, .rotate, .loginSame])
    func forged(_ ending: Ending) throws {
        try withWorld(settings: ["near-cache.serve-stale": "20s", "redis.timeout": "5s"]) { world in
            let (client, thief) = (try world.client(), try world.client())
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let token = try client.fields(ending.issue("1")).newToken()
            try client.warm([token])
            server.pause()
            try thief.send(ending.command(TokenText.forged(token), "1"))
            letPass(.milliseconds(50))
            #expect(try client.validate(token).isAccepted)
            #expect(try !thief.hasInput(within: .zero), "the thief was answered: this showed nothing")
            server.resume()
            _ = try thief.readReply()
            #expect(try client.validate(token).isAccepted)
        }
    }

    @Test(
        "all of a subject's sessions, where Redis could not say which they are", .needsNearCache,
        arguments: [true, false], [true, false])
    func unreachedSubject(isStale: Bool, sparesOne: Bool) throws {
        try withWorld(settings: ["near-cache.serve-stale": "20s", "redis.timeout": "250ms"]) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let tokens = try (0..<3).map { _ in try client.issue("SUBJECT", "ann") }
            let other = try client.issue("SUBJECT", "bob")
            try client.warm(tokens + [other])
            server.pause()
            if isStale {
                _ = try eventually("served stale") { try client.validate(tokens[0]).integer("stale") == 1 ? true : nil }
            }
            let spared = sparesOne ? ["EXCEPT", tokens[2]] : []
            expectError("UNAVAILABLE", try client.call(["TOKEN.REVOKEALL", "ann"] + spared))
            for token in tokens.prefix(sparesOne ? 2 : 3) {
                expectError("UNAVAILABLE", try client.call("TOKEN.VALIDATE", token))
            }
            for token in [other] + (sparesOne ? [tokens[2]] : []) { #expect(try client.validate(token).isAccepted) }
            server.resume()
            try client.awaitService()
        }
    }
}
