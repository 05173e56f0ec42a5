import Testing

@testable import TokenCacheClient

@Suite("Requests")
struct RequestTests {
    private let token = WireReply.token(7)

    /// The arguments of a request, read back by the reader: a request is an array of bulk strings.
    private func words<Answer>(_ command: TokenCommand<Answer>) throws -> [String] {
        let wire = command.request.withBytes { String(decoding: $0, as: UTF8.self) }
        let reply = ReplyValue(try #require(try Reply.reading(wire)))
        return try #require(reply.elements).map { try #require($0.string) }
    }

    @Test("commands go out as the protocol has them")
    func requests() throws {
        let text = token.revealedText
        let csrf = CSRFToken("c")
        #expect(try words(.visit(nil)) == ["TOKEN.VISIT", ""])
        let visit = try words(
            .visit(
                token, signals: Signals(ip: "::1", userAgent: "x y"), check: FormCheck(csrf, form: "f"),
                fetch: FetchMetadata(site: "none", mode: "navigate", isPost: true), csrf: "g", data: ["a"]))
        let expected = [
            "TOKEN.VISIT", text, "BIND", "ip", "::1", "BIND", "ua", "x y", "CHECK", "c", "f", "FETCH-SITE", "none",
            "FETCH-MODE", "navigate", "POST", "CSRF", "g", "DATA", "a",
        ]
        #expect(visit == expected)
        let sid = try #require(token.sid)
        #expect(try words(.inspect(sid: sid)) == ["TOKEN.INSPECT", "SID", sid.text])
        #expect(try words(.inspect(sid: sid, subject: "a")) == ["TOKEN.INSPECT", "SID", sid.text, "SUBJECT", "a"])
        let issue = try words(
            .issue(
                subject: "ann", limits: SessionLimits(idle: .seconds(90), absolute: .microseconds(1_500)),
                data: ["k": "v", "e": ""]))
        #expect(
            issue == [
                "TOKEN.ISSUE", "SUBJECT", "ann", "IDLE", "90000ms", "ABSOLUTE", "2ms", "DATA", "k", "v", "e", "",
            ])
        #expect(try words(.login(nil, subject: "ann")) == ["TOKEN.LOGIN", "", "ann"])
        let login = try words(
            .login(
                token, subject: "ann", limits: SessionLimits(cookie: .persistent), authTime: UnixTime(seconds: 7),
                signals: Signals(ip: "::1"), csrf: "f", data: ["k": "v"]))
        #expect(
            login == [
                "TOKEN.LOGIN", text, "ann", "COOKIE", "persistent", "AUTH-TIME", "7", "BIND", "ip", "::1", "CSRF", "f",
                "DATA", "k", "v",
            ])
        #expect(
            try words(.login(nil, subject: "ann", limits: SessionLimits(sessionsPerSubject: 3)))
                == ["TOKEN.LOGIN", "", "ann", "MAX", "3"])
        #expect(try words(.count(subject: "ann")) == ["TOKEN.COUNT", "ann"])
        #expect(
            try words(.page(subject: "ann", from: "1:x:0", limit: 3))
                == ["TOKEN.LIST", "ann", "LIMIT", "3", "CURSOR", "1:x:0"])
        #expect(try words(.everySession()) == ["TOKEN.SCAN", "0"])
        #expect(try words(.everySession(from: "7", count: 9)) == ["TOKEN.SCAN", "7", "COUNT", "9"])
        #expect(try words(.revokeEveryone()) == ["TOKEN.REVOKEEVERYONE"])
        #expect(try words(.rotate(token)) == ["TOKEN.ROTATE", text])
        #expect(try words(.rotate(token, csrf: "")) == ["TOKEN.ROTATE", text, "CSRF", ""])
        #expect(try words(.revoke(token)) == ["TOKEN.REVOKE", text])
        #expect(try words(.revoke(sid: sid)) == ["TOKEN.REVOKE", "SID", sid.text])
        #expect(
            try words(.revoke(sid: sid, subject: "ann")) == ["TOKEN.REVOKE", "SID", sid.text, "SUBJECT", "ann"])
        #expect(try words(.revokeAll(subject: "ann", except: token)) == ["TOKEN.REVOKEALL", "ann", "EXCEPT", text])
        #expect(
            try words(.revokeAll(subject: "ann", except: token, signals: Signals(ip: "::1")))
                == ["TOKEN.REVOKEALL", "ann", "EXCEPT", text, "BIND", "ip", "::1"])
        #expect(
            try words(.list(subject: "ann", limit: 3, data: .all)) == ["TOKEN.LIST", "ann", "LIMIT", "3", "DATA"])
        #expect(try words(.set(token, ["k": "v"])) == ["TOKEN.SET", text, "DATA", "k", "v"])
        #expect(try words(.set(sid: sid, ["k": "v"])) == ["TOKEN.SET", "SID", sid.text, "DATA", "k", "v"])
        let limited = try words(
            .set(token, ["k": "v"], if: ["n": "1", "m": ""], idle: .seconds(1), absolute: .seconds(2)))
        #expect(
            limited == [
                "TOKEN.SET", text, "IDLE", "1000ms", "ABSOLUTE", "2000ms", "IF", "n", "1", "IF", "m", "", "DATA", "k",
                "v",
            ])
        #expect(
            try words(.set(sid: sid, ["k": "v"], if: ["n": "1"]))
                == ["TOKEN.SET", "SID", sid.text, "IF", "n", "1", "DATA", "k", "v"])
        #expect(try words(.increment(token, "n")) == ["TOKEN.INCR", text, "DATA", "n", "1"])
        #expect(
            try words(.increment(sid: sid, subject: "a", "n", by: -2))
                == ["TOKEN.INCR", "SID", sid.text, "SUBJECT", "a", "DATA", "n", "-2"])
        #expect(try words(.take(token, ["k"])) == ["TOKEN.GETDEL", text, "DATA", "k"])
        #expect(try words(.take(sid: sid, ["k", "l"])) == ["TOKEN.GETDEL", "SID", sid.text, "DATA", "k", "l"])
        #expect(
            try words(.expire(token, idle: .seconds(1), signals: Signals(ip: "::1")))
                == ["TOKEN.EXPIRE", text, "IDLE", "1000ms", "BIND", "ip", "::1"])
        #expect(
            try words(.rotate(token, absolute: .seconds(2), csrf: ""))
                == ["TOKEN.ROTATE", text, "ABSOLUTE", "2000ms", "CSRF", ""])
        // What is sent twice takes twice, or meets its own success.
        #expect(!TokenCommand.increment(token, "n").isRepeatable && !TokenCommand.take(token, ["k"]).isRepeatable)
        #expect(!TokenCommand.set(token, ["k": "v"], if: ["k": ""]).isRepeatable)
        #expect(try words(.get(token)) == ["TOKEN.GET", text])
        #expect(try words(.get(sid: sid, ["k"])) == ["TOKEN.GET", "SID", sid.text, "DATA", "k"])
        #expect(try words(.get(sid: sid, subject: "a")) == ["TOKEN.GET", "SID", sid.text, "SUBJECT", "a"])
        #expect(try words(.issueGuest(lifetime: .seconds(5))) == ["GUEST.ISSUE", "LIFETIME", "5000ms"])
        #expect(try words(.issueCSRF(token, form: "f")) == ["CSRF.ISSUE", text, "FORM", "f"])
        #expect(
            try words(.verifyCSRF(csrf, of: token, form: "f", site: "none"))
                == ["CSRF.VERIFY", text, "c", "FORM", "f", "FETCH-SITE", "none"])
        #expect(
            try words(.verifyCSRF(csrf, of: token, form: "f", signals: Signals(ip: "192.0.2.1")))
                == ["CSRF.VERIFY", text, "c", "BIND", "ip", "192.0.2.1", "FORM", "f"])
        #expect(
            try words(.issueCaptcha(.random(length: 6), form: "f", for: token, lifetime: .seconds(1)))
                == ["CAPTCHA.ISSUE", "LENGTH", "6", "FORM", "f", "FOR", text, "LIFETIME", "1000ms"])
        #expect(try words(.issueCaptcha(.chosen("abc"))) == ["CAPTCHA.ISSUE", "SOLUTION", "abc"])
        #expect(try words(.openCaptcha(Captcha("x"))) == ["CAPTCHA.OPEN", "x"])
        #expect(
            try words(.verifyCaptcha(Captcha("x"), answer: "a b", form: "f"))
                == ["CAPTCHA.VERIFY", "x", "a b", "FORM", "f"])
    }

    @Test("who validates asks for a login, unless they say that anyone is good enough")
    func requirements() throws {
        let text = token.revealedText
        #expect(try words(.validate(token)) == ["TOKEN.VALIDATE", text, "REQUIRE", "subject"])
        #expect(try words(.validate(token, require: .anyone)) == ["TOKEN.VALIDATE", text])
        let whole = try words(
            .validate(
                token, require: .login(within: .seconds(600)), signals: Signals(ip: "::1"),
                check: FormCheck(CSRFToken("c"), form: "f"), fetch: FetchMetadata(site: "none", mode: "cors"),
                csrf: "g", data: .all))
        #expect(
            whole == [
                "TOKEN.VALIDATE", text, "BIND", "ip", "::1", "REQUIRE", "subject", "REQUIRE", "login-within",
                "600000ms", "CHECK", "c", "f", "FETCH-SITE", "none", "FETCH-MODE", "cors", "CSRF", "g", "DATA",
            ])
    }

    @Test("a command with too many parts is refused before it is sent")
    func tooLong() {
        var data = SessionData()
        for number in 0..<600 { data.append("f\(number)", []) }
        #expect(TokenCommand.set(token, data).request.refusal != nil)
        #expect(TokenCommand.set(token, ["a": "b"]).request.refusal == nil)
    }
}
