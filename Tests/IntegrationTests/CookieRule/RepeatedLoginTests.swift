import TestSupport
import Testing

@Suite("The token rule: LOGIN with the newest token, and its repetition", .parallel)
struct RepeatedLoginTests {
    @Test(
        "LOGIN with the pending successor, its answer lost, LOGIN with the token before: the same session, the cart there"
    )
    func twoSteps() throws {
        try withWorld(daemons: 2, settings: ["rotation.after": "50ms"]) { world in
            let client = try world.client()
            let other = try world.client(ofDaemon: 1)
            for first in 0..<2 {
                let old = try client.issue("DATA", "cart", "3 pens")
                let pending = try client.rotateWhenDue(old)
                // Which of the two was used first does not matter: either is repeated by either.
                let tokens = first == 0 ? [pending, old] : [old, pending]
                let login = try client.fields("TOKEN.LOGIN", tokens[0], "ann")
                #expect(login.sid == TokenText.sid(old))
                for client in [client, other] {
                    for token in tokens {
                        let again = try client.fields("TOKEN.LOGIN", token, "ann")
                        #expect(again.sessionToken == login.sessionToken && again.sid == login.sid)
                    }
                }
                #expect(try client.fields("TOKEN.GET", login.newToken()).data() == ["cart": "3 pens"])
                // Whoever logs in as somebody else with it gets no session of ann's.
                #expect(try client.fields("TOKEN.LOGIN", old, "ben").sid != login.sid)
            }
        }
    }

    @Test("only VISIT and VALIDATE confirm: everything else leaves the successor pending")
    func neverConfirms() throws {
        try withWorld(settings: ["rotation.after": "50ms"]) { world in
            let client = try world.client()
            let old = try client.issue()
            let pending = try client.rotateWhenDue(old)
            for command in [
                ["TOKEN.SET", pending, "DATA", "a", "1"], ["TOKEN.GET", pending], ["CSRF.ISSUE", pending],
                ["CAPTCHA.ISSUE", "FOR", pending], ["TOKEN.INSPECT", pending],
            ] {
                #expect(try client.call(command).errorText == nil)
                #expect(try client.inspect(old).text("successor") == "pending", "\(command[0])")
                #expect(try client.validate(old).sessionToken == pending)
            }
            #expect(try client.fields("TOKEN.SET", pending, "DATA", "a", "2").sid == TokenText.sid(old))
        }
    }

    @Test(
        "a double-clicked login form whose first answer was dropped is judged by the holder that it had",
        arguments: ["guest", "session", "other"])
    func doubleClick(_ kind: String) throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let other = try world.client(ofDaemon: 1)
            let token =
                switch kind {
                case "guest": try client.guest()
                case "session": try client.issue("DATA", "cart", "1")
                default: try client.issue("SUBJECT", "bob")
                }
            let csrf = try client.csrf(token, "FORM", "login")
            let login = try client.fields("TOKEN.LOGIN", token, "ann")
            let second = try other.fields("TOKEN.VISIT", token, "CHECK", csrf, "login", "POST")
            #expect(second.text("check") == "passed" && second.sessionToken == nil, "\(second)")
            #expect(try other.fields("TOKEN.LOGIN", token, "ann").sessionToken == login.sessionToken)
            // With the newer cookie the form is from before the login; of another subject's session it is nobody's.
            let visit = try other.fields("TOKEN.VISIT", login.newToken(), "CHECK", csrf, "login")
            #expect(visit.text("check") == (kind == "other" ? "failed" : "outdated"))
            #expect(visit.text("subject") == "ann" && visit.isAccepted)
        }
    }

    @Test("when LOGIN may be repeated no more, the form of before is none")
    func afterOverlap() throws {
        try withWorld(settings: ["rotation.overlap": "300ms"]) { world in
            let client = try world.client()
            let token = try client.guest()
            let csrf = try client.csrf(token, "FORM", "login")
            _ = try client.fields("TOKEN.LOGIN", token, "ann")
            try awaitThat("the end of the memo") {
                try client.fields("TOKEN.VISIT", token, "CHECK", csrf, "login").text("check") == "failed"
            }
        }
    }

    @Test("a repetition with a short IDLE ends nothing, and is no second login")
    func shortIdle() throws {
        try withWorld { world in
            let client = try world.client()
            let guest = try client.guest()
            _ = try client.fields("TOKEN.SET", guest, "DATA", "cart", "1")
            let first = try client.fields("TOKEN.LOGIN", guest, "bob")
            let logins = try DaemonFacts(client, "tokens").number("tokens_logins")
            letPass(.milliseconds(1_200))
            let second = try client.fields("TOKEN.LOGIN", guest, "bob", "IDLE", "1s")
            #expect(second.sessionToken == first.sessionToken)
            #expect(try client.fields("TOKEN.GET", first.newToken()).data() == ["cart": "1"])
            #expect(try DaemonFacts(client, "tokens").number("tokens_logins") == logins)
        }
    }

    @Test("a repetition with the same limits and data writes nothing; others are applied")
    func amendments() throws {
        try withWorld { world in
            let client = try world.client()
            let old = try client.issue()
            let command = ["TOKEN.LOGIN", old, "ann"]
            let terms = ["IDLE", "1h", "ABSOLUTE", "30d", "DATA", "a", "1"]
            let first = try client.fields(command + terms)
            #expect(first.integer("max_age") == first.integer("absolute_in"))
            let revision = { () throws -> String? in
                let key = "\(world.stage.prefix)s:\(TokenText.sid(old))"
                return try world.daemon.redis().call("HGET", key, "r").text
            }
            let before = try revision()
            #expect(try client.fields(command + terms).sessionToken == first.sessionToken)
            #expect(try client.fields(command).sessionToken == first.sessionToken)
            #expect(try revision() == before)
            let longer = try client.fields(command + ["IDLE", "2h", "ABSOLUTE", "60d", "DATA", "a", "2", "b", "3"])
            #expect(longer.sessionToken == first.sessionToken)
            #expect((longer.integer("absolute_in") ?? 0) > 59 * 86_400)
            #expect((7_100...7_200).contains(longer.integer("expires_in") ?? 0))
            #expect(longer.integer("auth_time") == first.integer("auth_time"), "nobody proved anything since")
            #expect(try client.fields("TOKEN.GET", first.newToken()).data() == ["a": "2", "b": "3"])
            let again = try client.fields(command + ["IDLE", "2h", "ABSOLUTE", "60d", "DATA", "a", "2", "b", "3"])
            #expect(again.sessionToken == first.sessionToken)
            let settled = try revision()
            _ = try client.fields(command + ["ABSOLUTE", "60d"])
            #expect(try revision() == settled, "a third one writes nothing, and moves no end")
            let shortLived = try client.fields(command + ["COOKIE", "session"])
            #expect(shortLived.sessionToken == first.sessionToken && shortLived["max_age"] == nil)
            let index = try #require(
                try KeyAudit.allKeys(world.daemon.redis()).first { $0.hasPrefix("\(world.stage.prefix)u:") })
            let life = try world.daemon.redis().call("PTTL", index).integer ?? 0
            #expect(life > 59 * 86_400_000, "the index lives as long as its longest session")
        }
    }
}
