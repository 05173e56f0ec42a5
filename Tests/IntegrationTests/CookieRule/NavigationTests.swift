import TestSupport
import Testing

@Suite("Navigations rotate and renew first; lost successors; what a token from before a LOGIN may end", .parallel)
struct NavigationTests {
    @Test(
        "a fetch rotates only a token that is twice as old", arguments: ["TOKEN.VISIT", "TOKEN.VALIDATE"],
        ["64MiB", "0"])
    func rotation(_ command: String, _ cache: String) throws {
        try withWorld(settings: ["rotation.after": "1s", "near-cache.max-memory": cache]) { world in
            let client = try world.client()
            let token = try client.issue()
            let start = ContinuousClock.now
            let fetched = try eventually(every: .milliseconds(20), "rotation by a fetch") {
                let reply = try client.fields(command, token, "FETCH-MODE", "cors")
                #expect(reply.isAccepted)
                return reply.sessionToken == nil ? nil : reply
            }
            #expect(ContinuousClock.now - start > .milliseconds(1_900))
            let next = try fetched.newToken()
            // Whoever brings the old one is led to the same successor, fetch or not.
            #expect(try client.fields(command, token, "FETCH-MODE", "cors").sessionToken == next)
            #expect(try client.fields(command, next).status == "valid")
            let begun = ContinuousClock.now
            _ = try eventually(every: .milliseconds(20), "rotation by a navigation") {
                try client.fields(command, next, "FETCH-MODE", "navigate").sessionToken
            }
            #expect(ContinuousClock.now - begun < .milliseconds(1_800))
        }
    }

    @Test("a fetch renews a guest in the last quarter of its life only")
    func renewal() throws {
        try withWorld(settings: ["guest.lifetime": "8s"]) { world in
            let client = try world.client()
            let (first, second) = (try client.guest(), try client.guest())
            var navigated: Int?
            var fetched: Int?
            try awaitThat("both renewals", every: .milliseconds(50)) {
                for (guest, mode) in [(first, "navigate"), (second, "cors")] {
                    let inspected = try client.inspect(guest).integer("expires_in") ?? 0
                    let reply = try client.fields("TOKEN.VISIT", guest, "FETCH-MODE", mode)
                    guard reply.status == "rotated" else { continue }
                    if mode == "cors" { fetched = fetched ?? inspected } else { navigated = navigated ?? inspected }
                }
                return navigated != nil && fetched != nil
            }
            #expect((2...4).contains(try #require(navigated)), "past half")
            #expect(try #require(fetched) <= 2, "in the last quarter")
        }
    }

    @Test(
        "a guest is renewed only after a look at Redis: a LOGIN elsewhere has given its bearer a newer token",
        arguments: ["64MiB", "0"])
    func renewalLooks(_ cache: String) throws {
        try withWorld(daemons: 2, settings: ["guest.lifetime": "4s", "near-cache.max-memory": cache]) { world in
            let clients = try (0..<2).map { try world.client(ofDaemon: $0) }
            for _ in 0..<5 {
                let guest = try clients[0].guest()
                try awaitThat("half of its life") { (try clients[1].inspect(guest).integer("expires_in") ?? 0) <= 1 }
                _ = try clients[0].fields("TOKEN.LOGIN", guest, "ann").newToken()
                let reply = try clients[1].fields("TOKEN.VISIT", guest)
                #expect(reply.sessionToken == nil, "goes over the cookie of the login: \(reply)")
            }
        }
    }

    @Test("lost-successor: recover tells a jar that lost a used cookie its successor again")
    func recover() throws {
        let settings = [
            "rotation.after": "100ms", "rotation.overlap": "100ms", "rotation.lost-successor": "recover",
        ]
        try withWorld(daemons: 2, settings: settings) { world in
            let clients = try (0..<2).map { try world.client(ofDaemon: $0) }
            let old = try clients[0].issue("SUBJECT", "ann")
            let current = try clients[0].rotateAndConfirm(old)
            for client in clients {
                _ = try eventually(every: .milliseconds(10), "the end of the overlap") { () throws -> Bool? in
                    let reply = try client.fields("TOKEN.VISIT", old)
                    #expect(reply.isAccepted && reply.text("subject") == "ann", "\(reply)")
                    guard reply.status == "rotated" else { return nil }
                    #expect(reply.sessionToken == current)
                    return true
                }
            }
            // Other commands take it for what it is.
            expectRefused("replayed", try clients[0].fields("TOKEN.GET", old))
            #expect(try clients.contains { try DaemonFacts($0, "tokens").number("recoveries") > 0 })
            // After a forced rotation there is nothing to recover.
            _ = try clients[0].fields("TOKEN.ROTATE", current)
            #expect(try clients[1].validate(old).status == "replayed")
        }
    }

    @Test("recover asks for bindings as every acceptance does", arguments: ["strict", "log"])
    func recoverIsBound(_ binding: String) throws {
        let settings = [
            "rotation.after": "100ms", "rotation.overlap": "100ms", "rotation.lost-successor": "recover",
            "binding.ip": binding,
        ]
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let home = ["BIND", "ip", "192.0.2.1"]
            let away = ["BIND", "ip", "203.0.113.1"]
            let old = try client.issue("SUBJECT", "ann", "BIND", "ip", "192.0.2.1")
            let next = try eventually(every: .milliseconds(10), "rotation") {
                try client.fields(["TOKEN.VALIDATE", old] + home).sessionToken
            }
            _ = try client.fields(["TOKEN.VALIDATE", next] + home)
            // Within the overlap a token that is bound elsewhere has no page of its own either.
            if binding == "strict" {
                expectRefused("mismatch", try client.fields(["CSRF.ISSUE", old] + away))
            }
            letPass(.milliseconds(250))
            for _ in 0..<3 {
                let reply = try client.fields(["TOKEN.VISIT", old] + away)
                if binding == "strict" {
                    #expect(reply.status == "mismatch" && reply.sessionToken != next, "\(reply)")
                } else {
                    #expect(reply.status == "rotated" && reply.text("differs") == "ip", "\(reply)")
                }
            }
            #expect(try client.fields(["TOKEN.VISIT", old] + home).sessionToken == next)
        }
    }

    @Test("recover and on-replay: revoke do not go together")
    func contradiction() throws {
        let stage = try Stage()
        let settings = ["rotation.lost-successor": "recover", "rotation.on-replay": "revoke"]
        #expect(throws: HarnessFailure.self) {
            _ = try stage.addDaemon(.redis(stage.addRedis()), settings: settings)
        }
        let problems = stage.finish()
        #expect(problems.isEmpty, "\(problems)")
    }

    @Test("a token from before a LOGIN or ROTATE logs nobody out, those since do")
    func revoke() throws {
        try withWorld(settings: ["rotation.after": "50ms"]) { world in
            let client = try world.client()
            let planted = try client.issue()
            let guest = try client.guest()
            for token in [planted, guest] {
                let login = try client.fields("TOKEN.LOGIN", token, "ann").newToken()
                expectRefused("replayed", try client.fields("TOKEN.REVOKE", token))
                #expect(try client.validate(login).isAccepted, "whoever planted it has logged the victim out")
                let next = try client.rotateAndConfirm(login)
                // The tab that was left open.
                #expect(try client.fields("TOKEN.REVOKE", login).status == "revoked")
                expectRefused("revoked", reason: "logout", try client.validate(next))
            }
        }
    }

    @Test("SID … SUBJECT: a session that is not that subject's is unknown")
    func sidOfSubject() throws {
        try withWorld { world in
            let client = try world.client()
            let mine = try client.issue("SUBJECT", "ann", "DATA", "a", "1")
            let theirs = try client.issue("SUBJECT", "ben", "DATA", "a", "1")
            let sids = [mine, theirs].map(TokenText.sid)
            for (sid, isMine) in zip(sids, [true, false]) {
                for command in [
                    ["TOKEN.GET", "SID", sid, "SUBJECT", "ann"], ["TOKEN.INSPECT", "SID", sid, "SUBJECT", "ann"],
                    ["TOKEN.SET", "SID", sid, "SUBJECT", "ann", "DATA", "b", "2"],
                    ["TOKEN.REVOKE", "SID", sid, "SUBJECT", "ann"],
                ] {
                    let reply = try client.fields(command)
                    if isMine {
                        #expect(reply.status == "valid" || reply.status == "revoked", "\(command[0]): \(reply)")
                    } else {
                        expectRefused("unknown", reply)
                    }
                }
            }
            expectRefused("revoked", reason: "logout", try client.validate(mine))
            #expect(try client.fields("TOKEN.GET", theirs).data() == ["a": "1"])
            for words in [["SID"], ["SID", ""], ["SID", "DATA"], ["SID", "data", "a"], ["SID", "SUBJECT", "ann"]] {
                expectError("ERR", try client.call(["TOKEN.GET"] + words))
            }
            // "My devices" with the empty subject of a visit: nobody's sessions are not everybody's.
            let cart = String(try client.issue().prefix(32))
            for command in ["TOKEN.GET", "TOKEN.INSPECT", "TOKEN.REVOKE"] {
                expectError("ERR", try client.call(command, "SID", cart, "SUBJECT", ""))
            }
        }
    }

    @Test("REVOKEALL with somebody else's EXCEPT, or none that is accepted, ends nothing")
    func revokeAll() throws {
        try withWorld { world in
            let client = try world.client()
            let ann = try client.issue("SUBJECT", "ann")
            let ben = try client.issue("SUBJECT", "ben")
            let nobody = try client.issue()
            for (token, status) in [(ben, "mismatch"), (nobody, "mismatch"), (try client.guest(), "mismatch")] {
                expectRefused(status, try client.fields("TOKEN.REVOKEALL", "ann", "EXCEPT", token))
            }
            expectRefused("unknown", try client.fields("TOKEN.REVOKEALL", "ann", "EXCEPT", TokenText.random()))
            expectError("ERR", try client.call("TOKEN.REVOKEALL", "ann", "BIND", "ip", "192.0.2.1"))
            #expect(try client.validate(ann).isAccepted)
            let ended = try client.fields("TOKEN.REVOKEALL", "ann")
            #expect(ended.names == ["status", "accepted", "count"] && ended.integer("accepted") == 0)
        }
    }

    @Test("what was dropped in silence is said: options given twice, options behind DATA, fields asked for twice")
    func silence() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            for (command, text) in [
                (["TOKEN.ISSUE", "IDLE", "1h", "IDLE", "2h"], "IDLE is given twice"),
                (["TOKEN.VISIT", token, "CSRF", "a", "CSRF", "b"], "CSRF is given twice"),
                (["TOKEN.VISIT", token, "POST", "POST"], "POST is given twice"),
                (["TOKEN.VALIDATE", token, "BIND", "ip", "::1", "BIND", "ip", "::2"], "BIND ip is given twice"),
                (["TOKEN.VALIDATE", token, "BIND", "ua", "a", "BIND", "ua", "b"], "BIND ua is given twice"),
                (
                    ["TOKEN.VALIDATE", token, "REQUIRE", "subject", "REQUIRE", "subject"],
                    "REQUIRE subject is given twice"
                ),
                (["TOKEN.GET", token, "DATA", "a", "a"], "a field behind DATA is given twice"),
                (["TOKEN.VISIT", token, "DATA", "cart", "CSRF", "contact"], "put it before DATA"),
                (["TOKEN.ISSUE", "DATA", "a", "1", "IDLE", "1h"], "put it before DATA"),
                (["GUEST.ISSUE", "LIFETIME", "500ms"], "from 1s"),
                (["CAPTCHA.ISSUE", "LIFETIME", "10ms"], "from 1s"),
                (["TOKEN.VALIDATE", token, "BIND", "ip", ""], "leave BIND ip away"),
                (["TOKEN.VALIDATE", token, "BIND", "ip", "fe80::1%eth0"], "without a zone"),
                (["TOKEN.VALIDATE", token, "REQUIRE", "admin"], "REQUIRE takes subject, or login-within"),
            ] {
                let reply = try client.call(command)
                #expect(
                    reply.errorText?.hasPrefix("ERR ") == true && reply.errorText?.contains(text) == true, "\(reply)")
            }
            // A field may well be named like an option in small letters.
            #expect(try client.fields("TOKEN.SET", token, "DATA", "csrf", "1").isAccepted)
            // Blanks around a header's value hide nothing.
            let csrf = try client.csrf(token, "FORM", "f")
            #expect(try client.verify(token, csrf, "FORM", "f", "FETCH-SITE", " cross-site") == "failed")
        }
    }
}
