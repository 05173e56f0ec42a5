import TestSupport
import Testing

/// No reply of VISIT goes over a newer cookie that the browser holds, or is about to hold.
@Suite("The cookie rule: VISIT of a token that was replaced", .parallel)
struct PageOnlyGuestTests {
    private static func visit(_ client: RESPClient, _ token: String, _ options: String...) throws -> Fields {
        try client.fields(["TOKEN.VISIT", token] + options)
    }

    /// A guest for this page only: its fields, and no token.
    private static func expectPageOnly(
        _ reply: Fields, status: String, at location: SourceLocation = #_sourceLocation
    ) {
        #expect(reply.status == status && !reply.isAccepted, "\(reply)", sourceLocation: location)
        #expect(reply.sessionToken == nil, "a cookie that goes over a newer one", sourceLocation: location)
        #expect(reply.text("kind") == "guest" && reply.sid?.count == 32, "\(reply)", sourceLocation: location)
    }

    @Test(
        "a poll with the token that a LOGIN, ROTATE or rotation has replaced brings no cookie",
        arguments: Backend.allCases)
    func polls(_ backend: Backend) throws {
        try withWorld(backend, settings: ["rotation.after": "50ms", "rotation.overlap": "50ms"]) { world in
            let client = try world.client()
            let loggedIn = try client.issue()
            _ = try client.fields("TOKEN.LOGIN", loggedIn, "ann").newToken()
            let guest = try client.guest()
            _ = try client.fields("TOKEN.LOGIN", guest, "ben").newToken()
            let forced = try client.issue()
            _ = try client.fields("TOKEN.ROTATE", forced).newToken()
            let rotated = try client.issue()
            _ = try client.rotateAndConfirm(rotated)
            try client.awaitStatus("replayed", of: rotated)
            for token in [loggedIn, guest, forced, rotated] {
                for mode in [[], ["FETCH-MODE", "cors"], ["FETCH-MODE", "navigate"], ["FETCH-MODE", ""]] {
                    Self.expectPageOnly(
                        try client.fields(["TOKEN.VISIT", token] + mode), status: "replayed")
                }
            }
        }
    }

    @Test("after the grace a replayed token is nobody's any more, and a navigation gets a guest's cookie")
    func afterGrace() throws {
        try withWorld(settings: ["rotation.replay-grace": "1s"]) { world in
            let client = try world.client()
            let old = try client.issue()
            _ = try client.fields("TOKEN.ROTATE", old)
            Self.expectPageOnly(try Self.visit(client, old), status: "replayed")
            try awaitThat("the end of the grace") { try Self.visit(client, old).sessionToken != nil }
            Self.expectPageOnly(try Self.visit(client, old, "FETCH-MODE", "no-cors"), status: "replayed")
        }
    }

    @Test(
        "a session that a LOGIN of another subject ended; one after whose end LOGIN was called",
        arguments: ["64MiB", "0"])
    func ended(_ cache: String) throws {
        try withWorld(daemons: 2, settings: ["near-cache.max-memory": cache]) { world in
            let clients = try (0..<2).map { try world.client(ofDaemon: $0) }
            let bob = try clients[0].issue("SUBJECT", "bob")
            _ = try clients[0].fields("TOKEN.LOGIN", bob, "ann").newToken()
            for client in clients {
                let reply = try Self.visit(client, bob)
                Self.expectPageOnly(reply, status: "revoked")
                #expect(reply.reason == "login")
            }
            // Two browsers with one session: a copied token, or two tabs of which one is older.
            let first = try clients[0].issue("SUBJECT", "carl")
            let second = try clients[0].fields("TOKEN.ROTATE", first).newToken()
            _ = try clients[0].fields("TOKEN.REVOKE", second)
            for client in clients {
                #expect(try Self.visit(client, second).sessionToken != nil, "nobody logged in since")
            }
            _ = try clients[0].fields("TOKEN.LOGIN", second, "carl").newToken()
            for client in clients {
                Self.expectPageOnly(try Self.visit(client, second), status: "revoked")
                // The mark is of the token, not of the session: a name that is no secret acts on nobody else.
                #expect(try Self.visit(client, first).sessionToken != nil)
            }
        }
    }

    @Test(
        "an unknown token: a navigation gets a guest's cookie, always another; anything else the same guest, without one"
    )
    func unknown() throws {
        try withWorld(daemons: 2) { world in
            let clients = try (0..<2).map { try world.client(ofDaemon: $0) }
            for token in [TokenText.random(), "nonsense"] {
                let navigations = try clients.flatMap { client in
                    try [[], ["FETCH-MODE", "navigate"], ["FETCH-MODE", " Navigate "]].map {
                        try client.fields(["TOKEN.VISIT", token] + $0)
                    }
                }
                #expect(navigations.map(\.status) == Array(repeating: "unknown", count: 6))
                for reply in navigations {
                    #expect(try clients[0].fields("TOKEN.VALIDATE", reply.newToken()).sid == reply.sid)
                }
                #expect(Set(navigations.map(\.sid)).count == navigations.count, "a planted cookie shares no holder")
                let polls = try clients.map { try Self.visit($0, token, "FETCH-MODE", "cors") }
                for reply in polls { Self.expectPageOnly(reply, status: "unknown") }
                #expect(Set(polls.map(\.sid)).count == 1, "the next request with the same token meets the same holder")
                // Its forms work with the token presented, at whatever daemon.
                let form = try Self.visit(clients[0], token, "FETCH-MODE", "cors", "CSRF", "login")
                let csrf = try #require(form.text("csrf"))
                let back = try Self.visit(clients[1], token, "CHECK", csrf, "login")
                #expect(back.text("check") == "passed")
                let other = try Self.visit(clients[1], TokenText.random(), "CHECK", csrf, "login")
                #expect(other.text("check") == "failed", "nobody without the token meets the same holder")
                // It can store nothing.
                expectRefused("unknown", try clients[0].fields("TOKEN.SET", token, "DATA", "a", "1"))
                expectRefused("unknown", try clients[0].fields("CSRF.ISSUE", token))
            }
        }
    }

    @Test("a token in any spelling is one token")
    func spellings() throws {
        try withWorld { world in
            let client = try world.client()
            let token = TokenText.random()
            let sids = try [token, token.uppercased(), "0x" + token].map {
                try Self.visit(client, $0, "FETCH-MODE", "cors").sid
            }
            #expect(Set(sids).count == 1)
        }
    }

    @Test("no token: a form that comes back from another site gets no cookie, for the browser holds its own back")
    func payment() throws {
        try withWorld { world in
            let client = try world.client()
            for options in [["FETCH-SITE", "cross-site", "POST"], ["FETCH-SITE", "cross-site", "CHECK", "x", "f"]] {
                let reply = try client.fields(["TOKEN.VISIT", ""] + options)
                Self.expectPageOnly(reply, status: "none")
                if options.contains("CHECK") { #expect(reply.text("check") == "failed") }
            }
            for options in [
                [], ["FETCH-SITE", "cross-site"], ["POST"], ["FETCH-SITE", "same-origin", "POST"],
                ["FETCH-SITE", "same-site", "CHECK", "x", "f"],
            ] {
                #expect(try client.fields(["TOKEN.VISIT", ""] + options).sessionToken != nil, "\(options)")
            }
            Self.expectPageOnly(try Self.visit(client, "", "FETCH-MODE", "cors"), status: "none")
            let sids = try (0..<2).map { _ in try Self.visit(client, "", "FETCH-MODE", "cors").sid }
            #expect(sids[0] != sids[1], "there is nothing to derive from")
        }
    }

    @Test("forms and captchas of a token that was replaced work with that token")
    func forms() throws {
        try withWorld { world in
            let client = try world.client()
            let old = try client.issue()
            let new = try client.fields("TOKEN.ROTATE", old).newToken()
            let csrf = try client.csrf(old, "FORM", "f")
            #expect(try client.verify(old, csrf, "FORM", "f") == "passed")
            #expect(try Self.visit(client, old, "CHECK", csrf, "f").text("check") == "passed")
            // With the newer cookie it is a form from before the change of privilege: shown again, no forgery.
            #expect(try client.verify(new, csrf, "FORM", "f") == "outdated")
            #expect(try Self.visit(client, new, "CHECK", csrf, "f").text("check") == "outdated")
            let captcha = try client.captcha("FOR", old)
            #expect(try client.answer(captcha.text, captcha.solution, "FOR", old) == "passed")
            for command in [["TOKEN.SET", old, "DATA", "a", "1"], ["TOKEN.GET", old], ["TOKEN.ROTATE", old]] {
                expectRefused("replayed", try client.fields(command))
            }
        }
    }

    @Test("the key ring is replaced between a page and its form", .needsNearCache)
    func ring() throws {
        try withWorld { world in
            let ring = try TestRing(world.stage)
            let client = try world.client()
            let first = ring.key("k1", activeFrom: 1)
            try ring.write([first])
            _ = try client.call("RELOAD")
            let token = TokenText.random()
            let csrf = try #require(
                try Self.visit(client, token, "FETCH-MODE", "cors", "CSRF", "f").text("csrf"))
            try ring.write([first, ring.key("k2", activeFrom: 2)])
            _ = try client.call("RELOAD")
            #expect(try Self.visit(client, token, "CHECK", csrf, "f").text("check") == "passed")
        }
    }
}
