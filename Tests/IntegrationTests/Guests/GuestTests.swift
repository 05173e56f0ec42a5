import TestSupport
import Testing

@Suite("Guests", .parallel)
struct GuestTests {
    @Test("a guest's token, its fields, and the same guest at every daemon of the ring")
    func fields() throws {
        try withWorld(daemons: 2, settings: ["guest.lifetime": "1h", "guest.absolute": "2h"]) { world in
            let client = try world.client()
            let issued = try client.call("GUEST.ISSUE")
            try expectShape(issued, acceptedFields + ["sessiontoken"])
            let first = try Fields(issued)
            #expect(first.status == "issued" && first.text("kind") == "guest" && first.generation == 0)
            #expect(first.text("subject") == "" && first.integer("expires_in") == 3_600)
            #expect(first.integer("absolute_in") == 7_200)
            let token = try first.newToken()
            for index in 0..<2 {
                let client = try world.client(ofDaemon: index)
                try expectShape(client.call("TOKEN.VALIDATE", token), acceptedFields)
                let reply = try client.validateGuest(token)
                #expect(reply.status == "valid" && reply.sid == first.sid && reply.text("kind") == "guest")
                try expectShape(client.call("TOKEN.VISIT", token), acceptedFields)
                try expectShape(client.call("TOKEN.INSPECT", token), acceptedFields + ["successor", "data_fields"])
                try expectShape(client.call("TOKEN.GET", token), ["status", "accepted", "sid", "data"])
            }
            let brief = try client.fields("GUEST.ISSUE", "LIFETIME", "90s")
            #expect(brief.integer("expires_in") == 90)
            expectError("ERR", try client.call("GUEST.ISSUE", "LIFETIME", "3h"))
            // No other guest, and nobody's session.
            #expect(try Set((0..<50).map { _ in try client.fields("GUEST.ISSUE").sid }).count == 50)
        }
    }

    @Test("a visitor without a token, and one with a bad one, are guests from now on; the next page knows them")
    func visit() throws {
        try withWorld { world in
            let client = try world.client()
            for (token, status) in [("", "none"), ("x", "unknown"), (TokenText.random(), "unknown")] {
                let reply = try client.fields("TOKEN.VISIT", token)
                #expect(reply.status == status && !reply.isAccepted && reply.text("kind") == "guest")
                let next = try client.fields("TOKEN.VISIT", reply.newToken())
                #expect(next.status == "valid" && next.sid == reply.sid && next.sessionToken == nil)
            }
            let ended = try client.issue("SUBJECT", "ann")
            _ = try client.call("TOKEN.REVOKE", ended)
            let reply = try client.call("TOKEN.VISIT", ended)
            let names = ["status", "accepted", "reason"] + acceptedFields.dropFirst(2) + ["sessiontoken"]
            try expectShape(reply, names)
            #expect(try Fields(reply).reason == "logout" && Fields(reply).sid != TokenText.sid(ended))
        }
    }

    @Test("past half of its lifetime it is renewed: same sid, same end, and the old token is good until it is over")
    func renewal() throws {
        try withWorld(daemons: 2, settings: ["guest.lifetime": "5s", "guest.absolute": "20s"]) { world in
            let client = try world.client()
            let first = try client.fields("GUEST.ISSUE")
            let token = try first.newToken()
            #expect(try client.validateGuest(token).status == "valid")
            let count = try WriteCount(world.requireServer())
            let renewed = try eventually("renewal") {
                let reply = try world.client(ofDaemon: 1).validateGuest(token)
                return reply.status == "rotated" ? reply : nil
            }
            #expect(renewed.isAccepted && renewed.sid == first.sid && renewed.generation == 0)
            #expect([4, 5].contains(renewed.integer("expires_in")))
            let spent = try #require(first.integer("absolute_in")) - #require(renewed.integer("absolute_in"))
            #expect((3...5).contains(spent), "the end does not move: \(spent)")
            // The second may not have turned yet for this daemon.
            let visit = try eventually("by VISIT, too") {
                let visit = try client.fields("TOKEN.VISIT", token)
                return visit.status == "rotated" ? visit : nil
            }
            #expect(visit.sid == first.sid && visit.sessionToken != nil && visit.sessionToken != token)
            // No other command renews.
            #expect(try client.inspect(token).sessionToken == nil && client.inspect(token).status == "valid")
            let successor = try renewed.newToken()
            #expect(try client.validateGuest(successor).status == "valid")
            try awaitThat("its end") {
                let reply = try client.validateGuest(token)
                if !reply.isAccepted { expectRefused("expired", reply) }
                return !reply.isAccepted
            }
            #expect(try client.validateGuest(successor).isAccepted)
            #expect(try count.writes() == [:])
        }
    }

    @Test(
        "its absolute end comes, however often it was renewed; then it is expired everywhere, and VISIT makes a new guest"
    )
    func absoluteEnd() throws {
        try withWorld(settings: ["guest.lifetime": "5s", "guest.absolute": "10s"]) { world in
            let client = try world.client()
            let first = try client.fields("GUEST.ISSUE")
            var newest = try first.newToken()
            var renewals = 0
            try awaitThat("the end", every: .milliseconds(50)) {
                let reply = try client.validateGuest(newest)
                if reply.status == "expired" { return true }
                #expect(reply.isAccepted && reply.sid == first.sid)
                if let token = reply.sessionToken {
                    newest = token
                    renewals += 1
                }
                return false
            }
            #expect((1...4).contains(renewals), "\(renewals)")
            for command in [
                ["TOKEN.VALIDATE", newest], ["TOKEN.GET", newest], ["TOKEN.SET", newest, "DATA", "a", "1"],
                ["CSRF.ISSUE", newest], ["TOKEN.INSPECT", newest], ["TOKEN.ROTATE", newest],
                ["CAPTCHA.ISSUE", "FOR", newest],
            ] { expectRefused("expired", try client.fields(command)) }
            let visit = try client.fields("TOKEN.VISIT", newest)
            #expect(visit.status == "expired" && visit.text("kind") == "guest" && visit.sid != first.sid)
            // LOGIN takes whatever the client sends.
            let login = try client.fields("TOKEN.LOGIN", newest, "ann")
            #expect(login.status == "issued" && login.sid != first.sid)
        }
    }

    @Test("are answered while Redis is silent, and while it is gone", arguments: ["silent", "gone"])
    func outage(_ fault: String) throws {
        try withWorld(settings: ["redis.timeout": "200ms"]) { world in
            let client = try world.client()
            let guest = try client.guest()
            let csrf = try client.csrf(guest)
            let session = try client.issue()
            let server = try world.requireServer()
            if fault == "silent" { server.pause() } else { server.kill9() }
            try awaitThat("the daemon has noticed") {
                try client.call("TOKEN.ISSUE").errorCode == "UNAVAILABLE"
            }
            for _ in 0..<20 {
                #expect(try client.validateGuest(guest).status == "valid")
                #expect(try client.fields("TOKEN.VISIT", "", "CSRF", "f").status == "none")
                let visit = try client.fields("TOKEN.VISIT", guest, "CHECK", csrf, "", "CSRF", "f")
                #expect(visit.status == "valid" && visit.text("check") == "passed")
                #expect(try client.verify(guest, csrf) == "passed")
                #expect(try client.fields("GUEST.ISSUE").status == "issued")
            }
            // What has to be remembered waits for Redis.
            expectError("UNAVAILABLE", try client.call("TOKEN.SET", guest, "DATA", "a", "1"))
            expectError("UNAVAILABLE", try client.call("TOKEN.LOGIN", guest, "ann"))
            if fault == "silent" { server.resume() } else { try server.start() }
            try client.awaitService()
            // An attempt that was given up may still have been carried out: the same session either way.
            let reply = try client.answered("TOKEN.SET", guest, "DATA", "b", "2")
            #expect(reply.isAccepted || reply.status == "replayed", "\(reply)")
            #expect(try client.answered("TOKEN.VALIDATE", session).isAccepted)
        }
    }

    @Test("LOGIN makes a guest its subject's session, same sid, and keeps what the guest had put down")
    func login() throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let guest = try client.guest()
            let sid = try client.sid(ofGuest: guest)
            let session = try client.fields("TOKEN.SET", guest, "DATA", "cart", "3 pens").newToken()
            let login = try client.fields("TOKEN.LOGIN", session, "ann", "DATA", "name", "Ann")
            #expect(login.status == "issued" && login.sid == sid && login.text("subject") == "ann")
            let data = try world.client(ofDaemon: 1).fields("TOKEN.GET", login.newToken()).data()
            #expect(data == ["cart": "3 pens", "name": "Ann"])
            // And at once, without anything put down before.
            let other = try client.guest()
            let otherSid = try client.sid(ofGuest: other)
            let direct = try client.fields("TOKEN.LOGIN", other, "bob")
            #expect(direct.status == "issued" && direct.sid == otherSid && direct.text("kind") == "session")
            #expect(try client.validate(direct.newToken()).text("subject") == "bob")
        }
    }

    @Test("ROTATE, INSPECT and REVOKE of a guest, before and after it is a session")
    func otherCommands() throws {
        try withWorld { world in
            let client = try world.client()
            let guest = try client.guest()
            let sid = try client.sid(ofGuest: guest)
            let inspection = try client.inspect(guest)
            #expect(inspection.text("successor") == "none" && inspection.integer("data_fields") == 0)
            #expect(inspection.text("kind") == "guest")
            // A change of privilege is something to remember: the old token is dead at once.
            let rotated = try client.fields("TOKEN.ROTATE", guest)
            #expect(rotated.status == "rotated" && rotated.sid == sid && rotated.text("kind") == "session")
            expectRefused("replayed", try client.validateGuest(guest))
            #expect(try client.validate(rotated.newToken()).status == "valid")

            let second = try client.guest()
            expectRefused("unknown", try client.fields("TOKEN.REVOKE", second))
            #expect(try client.validateGuest(second).isAccepted, "nothing is stored that could be ended")
            let session = try client.fields("TOKEN.SET", second, "DATA", "a", "1").newToken()
            let pending = try client.inspect(second)
            #expect(pending.text("successor") == "pending" && pending.integer("data_fields") == 1)
            _ = try client.validate(session)
            #expect(try client.inspect(session).text("successor") == "confirmed")
            // The tab that still has the guest's token may log out.
            expectRefused("revoked", reason: "logout", try client.fields("TOKEN.REVOKE", second))
            for token in [second, session] {
                expectRefused("revoked", reason: "logout", try client.fields("TOKEN.VALIDATE", token))
            }
        }
    }
}
