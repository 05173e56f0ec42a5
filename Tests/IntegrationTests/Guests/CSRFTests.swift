import TestSupport
import Testing

@Suite("CSRF tokens", .parallel)
struct CSRFTests {
    @Test("bound to holder and form, different bytes at every call, all of them good")
    func binding() throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let other = try world.client(ofDaemon: 1)
            let session = try client.issue("SUBJECT", "ann")
            for holder in [session, try client.guest()] {
                let tokens = try (0..<20).map { _ in try client.csrf(holder, "FORM", "contact") }
                #expect(Set(tokens).count == 20)
                // From the mask on nothing is common: the page can be compressed.
                #expect(Set(tokens.map { $0.suffix(43) }).count == 20)
                for token in tokens { #expect(try other.verify(holder, token, "FORM", "contact") == "passed") }
                #expect(try client.verify(holder, tokens[0]) == "failed")
                #expect(try client.verify(holder, tokens[0], "FORM", "contac") == "failed")
                for stranger in [try client.issue("SUBJECT", "ann"), try client.guest()] {
                    #expect(try client.verify(stranger, tokens[0], "FORM", "contact") == "failed")
                }
            }
        }
    }

    @Test("survives rotation, its confirmation and the retirement of the token it was made with")
    func rotation() throws {
        let settings = ["rotation.after": "100ms", "rotation.overlap": "200ms"]
        try withWorld(daemons: 2, settings: settings) { world in
            let client = try world.client()
            let old = try client.issue()
            let csrf = try client.csrf(old)
            let pending = try client.rotateWhenDue(old)
            for holder in [old, pending] {
                #expect(try world.client(ofDaemon: 1).verify(holder, csrf) == "passed")
            }
            _ = try client.validate(pending)
            try client.awaitStatus("replayed", of: old)
            // The holder of a token that was replaced lately is the guest of its page.
            #expect(try client.verify(old, csrf) == "failed")
            #expect(try client.verify(old, client.csrf(old)) == "passed")
            let current = try client.rotateAndConfirm(pending)
            #expect(try client.verify(current, csrf) == "passed")
        }
    }

    @Test("survives the guest's first write, with the guest's token and with the session's")
    func promotion() throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let guest = try client.guest()
            let csrf = try client.csrf(guest, "FORM", "cart")
            let session = try client.fields("TOKEN.SET", guest, "DATA", "cart", "3 pens").newToken()
            for index in 0..<2 {
                let client = try world.client(ofDaemon: index)
                #expect(try client.verify(guest, csrf, "FORM", "cart") == "passed")
                #expect(try client.verify(session, csrf, "FORM", "cart") == "passed")
            }
            #expect(try client.validate(session).status == "valid")
            #expect(try client.verify(session, csrf, "FORM", "cart") == "passed")
        }
    }

    @Test(
        "is outdated by LOGIN and ROTATE, and dies at REVOKE, of a session and of a guest",
        arguments: ["LOGIN", "ROTATE", "REVOKE"], ["session", "guest"])
    func endings(_ ending: String, _ holder: String) throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let old = holder == "guest" ? try client.guest() : try client.issue()
            let csrf = try client.csrf(old)
            if holder == "guest", ending == "REVOKE" {
                // Of a guest nothing is stored that could end; of the session it became, there is.
                expectRefused("unknown", try client.fields("TOKEN.REVOKE", old))
                _ = try client.fields("TOKEN.SET", old, "DATA", "a", "1")
            }
            let reply = try client.fields(["TOKEN.\(ending)", old] + (ending == "LOGIN" ? ["ann"] : []))
            if let new = reply.sessionToken {
                for index in 0..<2 { #expect(try world.client(ofDaemon: index).verify(new, csrf) == "outdated") }
                let fresh = try client.csrf(new)
                #expect(try client.verify(new, fresh) == "passed")
            }
            // A double-clicked login form: while LOGIN may be repeated its token is good with the old one.
            let wanted = ["LOGIN": "passed", "ROTATE": "failed", "REVOKE": "revoked"]
            #expect(try client.verify(old, csrf) == wanted[ending])
        }
    }

    @Test("a token from before the login is not good after it, nor one of a former session of the same browser")
    func fixation() throws {
        try withWorld { world in
            let client = try world.client()
            let guest = try client.guest()
            let before = try client.csrf(guest)
            let first = try client.fields("TOKEN.LOGIN", guest, "ann").newToken()
            let loggedIn = try client.csrf(first)
            let second = try client.fields("TOKEN.LOGIN", first, "ann").newToken()
            #expect(try client.verify(second, before) == "failed")
            #expect(try client.verify(second, loggedIn) == "outdated")
            #expect(try client.verify(second, client.csrf(second)) == "passed")
        }
    }

    @Test("past its lifetime it is expired; changed or made up it is failed")
    func expiry() throws {
        try withWorld(settings: ["csrf.lifetime": "1s"]) { world in
            let client = try world.client()
            let guest = try client.guest()
            let reply = try client.fields("CSRF.ISSUE", guest)
            try expectShape(client.call("CSRF.ISSUE", guest), ["status", "accepted", "sid", "csrf", "expires_in"])
            #expect(reply.integer("expires_in") == 1)
            let csrf = try #require(reply.text("csrf"))
            for wrong in ["", "x", csrf + "A", String(csrf.dropLast()), String(csrf.reversed()), guest] {
                #expect(try client.verify(guest, wrong) == "failed")
            }
            try awaitThat("its end") { try client.verify(guest, csrf) == "expired" }
        }
    }

    /// What the browser says of where a request comes from → whether a form with a good token passes.
    private static let sites: [(header: String, token: String, sameOrigin: String)] = [
        ("same-origin", "passed", "passed"), ("none", "passed", "passed"), ("same-site", "passed", "failed"),
        ("cross-site", "failed", "failed"), ("", "passed", "passed"), ("something-new", "passed", "failed"),
        ("Cross-Site", "failed", "failed"),
    ]

    @Test("SITE and csrf.enforce, by CSRF.VERIFY and by VISIT", arguments: ["token", "same-origin"])
    func site(_ mode: String) throws {
        try withWorld(settings: ["csrf.enforce": mode]) { world in
            let client = try world.client()
            for holder in [try client.guest(), try client.issue()] {
                let csrf = try client.csrf(holder, "FORM", "f")
                #expect(try client.verify(holder, csrf, "FORM", "f") == "passed", "the header is not sent")
                for site in Self.sites {
                    let wanted = mode == "token" ? site.token : site.sameOrigin
                    #expect(
                        try client.verify(holder, csrf, "FORM", "f", "FETCH-SITE", site.header) == wanted,
                        "\(mode), \(site.header)")
                    let visit = try client.fields("TOKEN.VISIT", holder, "CHECK", csrf, "f", "FETCH-SITE", site.header)
                    #expect(visit.text("check") == wanted && visit.status == "valid")
                    // A header that says the best makes no bad token good.
                    #expect(try client.verify(holder, "x", "FORM", "f", "FETCH-SITE", site.header) == "failed")
                }
            }
        }
    }

    @Test("VISIT answers check, csrf and data in this order, after the holder's fields, and only what was asked")
    func visit() throws {
        try withWorld { world in
            let client = try world.client()
            let session = try client.issue("DATA", "a", "1")
            let csrf = try client.csrf(session, "FORM", "f")
            let asked = ["CHECK", csrf, "f", "FETCH-SITE", "same-origin", "CSRF", "f", "DATA", "a"]
            try expectShape(
                client.call(["TOKEN.VISIT", session] + asked), acceptedFields + ["check", "csrf", "data"])
            try expectShape(client.call("TOKEN.VISIT", session, "CSRF", "f"), acceptedFields + ["csrf"])
            try expectShape(client.call("TOKEN.VISIT", session, "CHECK", csrf, "f"), acceptedFields + ["check"])
            let guest = try client.guest()
            let guestCSRF = try client.csrf(guest, "FORM", "f")
            let reply = try client.call("TOKEN.VISIT", guest, "CHECK", guestCSRF, "f", "CSRF", "f", "DATA")
            try expectShape(reply, acceptedFields + ["check", "csrf", "data"])
            #expect(try Fields(reply).data().isEmpty && Fields(reply).text("check") == "passed")
            let newcomer = try client.call("TOKEN.VISIT", "", "CHECK", guestCSRF, "f", "CSRF", "f", "DATA")
            try expectShape(newcomer, acceptedFields + ["sessiontoken", "check", "csrf", "data"])
            #expect(try Fields(newcomer).text("check") == "failed", "the form was shown to somebody else")
            // The form that the newcomer is shown is good with the token that came with it.
            let fresh = try Fields(newcomer)
            #expect(try client.verify(fresh.newToken(), #require(fresh.text("csrf")), "FORM", "f") == "passed")
            let stranger = try client.call("TOKEN.VISIT", TokenText.random(), "CHECK", csrf, "f", "CSRF", "f")
            try expectShape(stranger, acceptedFields + ["sessiontoken", "check", "csrf"])
            #expect(try Fields(stranger).status == "unknown" && Fields(stranger).text("check") == "failed")
        }
    }

    @Test("a form with a holder that is not accepted is answered with the holder's own status")
    func holders() throws {
        try withWorld { world in
            let client = try world.client()
            let session = try client.issue()
            let csrf = try client.csrf(session)
            _ = try client.call("TOKEN.REVOKE", session)
            expectRefused("revoked", reason: "logout", try client.fields("CSRF.VERIFY", session, csrf))
            expectRefused("revoked", reason: "logout", try client.fields("CSRF.ISSUE", session))
            for nobody in ["", "x", TokenText.random(), TokenText.forged(try client.issue())] {
                expectRefused("unknown", try client.fields("CSRF.ISSUE", nobody))
                expectRefused("unknown", try client.fields("CSRF.VERIFY", nobody, csrf))
            }
        }
    }
}
