import Foundation
import TestSupport
import Testing

@Suite("Accepted is not logged in: REQUIRE, auth_time, and what VALIDATE answers besides", .parallel)
struct AccessTailTests {
    @Test("a guest and an anonymous session pass no REQUIRE subject", arguments: ["64MiB", "0"])
    func subject(_ cache: String) throws {
        try withWorld(settings: ["near-cache.max-memory": cache]) { world in
            let client = try world.client()
            for token in [try client.guest(), try client.issue("DATA", "cart", "1")] {
                #expect(try client.validateGuest(token).isAccepted)
                for _ in 0..<2 {
                    let reply = try client.validateGuest(token, "REQUIRE", "subject")
                    #expect(reply.status == "anonymous" && !reply.isAccepted)
                    #expect(reply.names == ["status", "accepted", "sid", "subject", "auth_time"])
                    #expect(reply.integer("auth_time") == 0 && reply.text("subject") == "")
                }
                #expect(
                    try client.validateGuest(token, "REQUIRE", "login-within", "1h").status == "reauthenticate")
            }
            let ann = try client.issue("SUBJECT", "ann")
            for _ in 0..<2 {
                try expectShape(client.call("TOKEN.VALIDATE", ann, "REQUIRE", "subject"), acceptedFields)
                #expect(try client.validateGuest(ann, "REQUIRE", "subject", "REQUIRE", "login-within", "5m").isAccepted)
            }
            expectRefused("unknown", try client.fields("TOKEN.VALIDATE", TokenText.random(), "REQUIRE", "subject"))
        }
    }

    @Test("a validator reads no data and makes no forms; each answer is counted once, by its status")
    func rolesAndCounts() throws {
        try withWorld(settings: ["access.default": "validator", "rotation.after": "50ms"]) { world in
            let client = try world.client()
            let ann = try client.issue("SUBJECT", "ann")
            _ = try client.fields("TOKEN.LOGIN", ann, "ann")
            let before = try DaemonFacts(client, "tokens")
            let anonymous = try client.issue()
            _ = try client.validateGuest(anonymous, "REQUIRE", "subject")
            _ = try client.validateGuest(anonymous, "REQUIRE", "login-within", "1m")
            let after = try DaemonFacts(client, "tokens")
            for (name, count) in [
                ("tokens_validated_anonymous", 1), ("tokens_validated_reauthenticate", 1),
                ("tokens_validated_valid", 0),
            ] { #expect(after.number(name) - before.number(name) == count, "\(name)") }
        }
    }

    @Test("a login that is too long ago asks to prove it again, and a token that was due is handed on")
    func loginWithin() throws {
        try withWorld(settings: ["rotation.after": "50ms"]) { world in
            let client = try world.client()
            let now = Int(Date().timeIntervalSince1970)
            let old = try client.issue("SUBJECT", "ann", "AUTH-TIME", "\(now - 600)")
            let reply = try eventually(every: .milliseconds(10), "rotation") {
                let reply = try client.validateGuest(old, "REQUIRE", "login-within", "5m")
                #expect(reply.status == "reauthenticate" && !reply.isAccepted)
                return reply.sessionToken == nil ? nil : reply
            }
            #expect(reply.names == ["status", "accepted", "sid", "subject", "auth_time", "sessiontoken"])
            #expect(reply.text("subject") == "ann" && reply.integer("auth_time") == now - 600)
            #expect(try client.validateGuest(reply.newToken(), "REQUIRE", "login-within", "15m").isAccepted)
            // They prove it: LOGIN.
            let login = try client.fields("TOKEN.LOGIN", reply.newToken(), "ann")
            #expect((now...now + 60).contains(login.integer("auth_time") ?? 0))
            #expect(try client.validateGuest(login.newToken(), "REQUIRE", "login-within", "5m").isAccepted)
        }
    }

    @Test("AUTH-TIME is a time that has come, and needs a subject")
    func authTime() throws {
        try withWorld { world in
            let client = try world.client()
            let future = Int(Date().timeIntervalSince1970) + 600
            for wrong in ["\(future)", "-5", "yesterday", "1.5"] {
                expectError("ERR", try client.call("TOKEN.ISSUE", "SUBJECT", "ann", "AUTH-TIME", wrong))
                expectError("ERR", try client.call("TOKEN.LOGIN", "", "ann", "AUTH-TIME", wrong))
            }
            expectError("ERR", try client.call("TOKEN.ISSUE", "AUTH-TIME", "1700000000"))
            let nobody = try client.fields("TOKEN.ISSUE", "SUBJECT", "support", "AUTH-TIME", "0")
            #expect(nobody.integer("auth_time") == 0, "nobody proved who they are")
            let login = try client.fields("TOKEN.LOGIN", "", "ann", "AUTH-TIME", "1700000000")
            #expect(login.integer("auth_time") == 1_700_000_000)
            guard case .array(let list) = try client.call("TOKEN.LIST", "ann") else { throw HarnessFailure("no list") }
            #expect(try Fields(#require(list.first)).integer("auth_time") == 1_700_000_000)
        }
    }

    @Test("VALIDATE takes VISIT's tail, LOGIN and ROTATE take CSRF")
    func tail() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("SUBJECT", "ann", "DATA", "a", "1")
            let csrf = try client.csrf(token, "FORM", "f")
            let tail = [
                "CHECK", csrf, "f", "FETCH-SITE", "same-origin", "FETCH-MODE", "cors", "CSRF", "f", "DATA", "a",
            ]
            for _ in 0..<2 {
                let reply = try client.call(["TOKEN.VALIDATE", token] + tail)
                try expectShape(reply, acceptedFields + ["check", "csrf", "data"])
                #expect(try Fields(reply).text("check") == "passed")
                #expect(try Fields(reply).data() == ["a": "1"])
            }
            expectRefused("unknown", try client.fields(["TOKEN.VALIDATE", TokenText.random()] + tail))
            let login = try client.call("TOKEN.LOGIN", token, "ann", "CSRF", "g")
            try expectShape(login, acceptedFields + ["sessiontoken", "csrf"])
            let loggedIn = try Fields(login)
            let form = try #require(loggedIn.text("csrf"))
            #expect(try client.verify(loggedIn.newToken(), form, "FORM", "g") == "passed")
            let rotated = try client.call("TOKEN.ROTATE", loggedIn.newToken(), "CSRF", "g")
            try expectShape(rotated, acceptedFields + ["sessiontoken", "csrf"])
            let next = try Fields(rotated)
            #expect(try client.verify(next.newToken(), #require(next.text("csrf")), "FORM", "g") == "passed")
            #expect(try client.verify(next.newToken(), form, "FORM", "g") == "outdated")
        }
    }

    @Test("max_age stands where the cookie is to outlive the browser")
    func persistence() throws {
        try withWorld(settings: ["rotation.after": "50ms"]) { world in
            let client = try world.client()
            for (options, isPersistent) in [
                ([], false), (["IDLE", "1h"], true), (["ABSOLUTE", "2d"], true), (["COOKIE", "persistent"], true),
                (["IDLE", "1h", "COOKIE", "session"], false), (["COOKIE", "session"], false),
            ] as [([String], Bool)] {
                for command in [["TOKEN.ISSUE"], ["TOKEN.LOGIN", "", "ann"]] {
                    let reply = try client.fields(command + options)
                    #expect((reply.integer("max_age") != nil) == isPersistent, "\(command) \(options)")
                    if isPersistent {
                        #expect(reply.integer("max_age") == reply.integer("absolute_in"))
                        let names = reply.names
                        #expect(names.firstIndex(of: "max_age") == names.firstIndex(of: "sessiontoken").map { $0 + 1 })
                    }
                    // Every later cookie of the session, too.
                    let rotated = try eventually(every: .milliseconds(10), "rotation") {
                        let reply = try client.fields("TOKEN.VISIT", reply.newToken())
                        return reply.status == "rotated" ? reply : nil
                    }
                    #expect((rotated.integer("max_age") != nil) == isPersistent)
                    let forced = try client.fields("TOKEN.ROTATE", rotated.newToken())
                    #expect((forced.integer("max_age") != nil) == isPersistent)
                }
            }
            #expect(try client.fields("GUEST.ISSUE")["max_age"] == nil)
            expectError("ERR", try client.call("TOKEN.ISSUE", "COOKIE", "forever"))
        }
    }

    @Test("a session of a guest lives as long as the guest would have")
    func guestLife() throws {
        try withWorld(settings: ["session.idle": "1h", "session.absolute": "2h"]) { world in
            let client = try world.client()
            let guest = try client.guest()
            let session = try client.fields("TOKEN.SET", guest, "DATA", "cart", "1").newToken()
            let reply = try client.validate(session)
            #expect((reply.integer("expires_in") ?? 0) > 23 * 3_600, "a cart does not shorten a visit")
            #expect((reply.integer("absolute_in") ?? 0) > 29 * 86_400)
            let login = try client.fields("TOKEN.LOGIN", session, "ann")
            #expect((login.integer("absolute_in") ?? 0) <= 7_200, "a login has limits of its own")
        }
    }
}
