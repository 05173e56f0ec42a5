import TestSupport
import Testing

@Suite("S5 S10: what is not known to be over is not served either", .demanding, .needsNearCache)
struct OutageRevocationTests {
    @Test("a logout that Redis could not be asked for closes the session at this daemon", arguments: [true, false])
    func unreachedLogout(bySID: Bool) throws {
        try withWorld(settings: ["near-cache.serve-stale": "20s"]) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let (token, kept) = (try client.issue(), try client.issue())
            try client.warm(token)
            try client.warm(kept)
            server.kill9()
            _ = try eventually("a stale answer") { try Fields(client.call("TOKEN.VALIDATE", token))["stale"] }
            let revoke = bySID ? ["TOKEN.REVOKE", "SID", String(token.prefix(32))] : ["TOKEN.REVOKE", token]
            #expect(try client.call(revoke).errorCode == "UNAVAILABLE")
            #expect(try client.call("TOKEN.VALIDATE", token).errorCode == "UNAVAILABLE")
            // A made-up verifier harms nobody.
            let forged = String(kept.prefix(32)) + String(repeating: "ab", count: 48)
            #expect(try client.call("TOKEN.REVOKE", forged).errorCode == "UNAVAILABLE")
            #expect(try client.validate(kept)["stale"] != nil)
            try server.start()
        }
    }

    @Test("a stale VISIT never makes up that there is no data")
    func staleData() throws {
        try withWorld(settings: ["near-cache.serve-stale": "20s"]) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let large = try client.issue("DATA", "cart", String(repeating: "x", count: 5_000))
            try client.warm(large)
            server.kill9()
            _ = try eventually("a stale answer") { try Fields(client.call("TOKEN.VISIT", large))["stale"] }
            #expect(try client.call("TOKEN.VISIT", large, "DATA", "cart").errorCode == "UNAVAILABLE")
            try server.start()
        }
    }
}
