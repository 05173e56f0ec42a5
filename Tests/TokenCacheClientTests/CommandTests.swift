import Testing

@testable import TokenCacheClient

@Suite("Commands")
struct CommandTests {
    private let token = WireReply.token(7)
    private let sid = WireReply.sid(7)

    private func answer<Answer>(_ command: TokenCommand<Answer>, _ wire: String) throws -> Answer {
        try command.answer(from: try #require(try Reply.reading(wire)))
    }

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
                token, bindings: Bindings(ip: "::1", userAgent: "x y"), check: (csrf, "f"), site: "none", csrf: "g",
                data: ["a"]))
        let expected = [
            "TOKEN.VISIT", text, "BIND", "ip", "::1", "BIND", "ua", "x y", "CHECK", "c", "f", "FETCH-SITE", "none",
            "CSRF",
            "g", "DATA", "a",
        ]
        #expect(visit == expected)
        #expect(try words(.validate(token)) == ["TOKEN.VALIDATE", text])
        #expect(try words(.inspect(sid: sid)) == ["TOKEN.INSPECT", "SID", sid])
        let issue = try words(
            .issue(
                subject: "ann", limits: SessionLimits(idle: .seconds(90), absolute: .microseconds(1_500)),
                data: ["k": "v", "e": ""]))
        #expect(
            issue == [
                "TOKEN.ISSUE", "SUBJECT", "ann", "IDLE", "90000ms", "ABSOLUTE", "2ms", "DATA", "k", "v", "e", "",
            ])
        #expect(try words(.login(nil, subject: "ann")) == ["TOKEN.LOGIN", "", "ann"])
        #expect(try words(.rotate(token)) == ["TOKEN.ROTATE", text])
        #expect(try words(.revoke(token)) == ["TOKEN.REVOKE", text])
        #expect(try words(.revoke(sid: sid)) == ["TOKEN.REVOKE", "SID", sid])
        #expect(try words(.revokeAll(subject: "ann", except: token)) == ["TOKEN.REVOKEALL", "ann", "EXCEPT", text])
        #expect(
            try words(.list(subject: "ann", limit: 3, data: .all)) == ["TOKEN.LIST", "ann", "LIMIT", "3", "DATA"])
        #expect(try words(.set(token, ["k": "v"])) == ["TOKEN.SET", text, "DATA", "k", "v"])
        #expect(try words(.set(sid: sid, ["k": "v"])) == ["TOKEN.SET", "SID", sid, "DATA", "k", "v"])
        #expect(try words(.get(token)) == ["TOKEN.GET", text])
        #expect(try words(.get(sid: sid, ["k"])) == ["TOKEN.GET", "SID", sid, "DATA", "k"])
        #expect(try words(.issueGuest(lifetime: .seconds(5))) == ["GUEST.ISSUE", "LIFETIME", "5000ms"])
        #expect(try words(.issueCSRF(token, form: "f")) == ["CSRF.ISSUE", text, "FORM", "f"])
        #expect(
            try words(.verifyCSRF(csrf, of: token, form: "f", site: "none"))
                == ["CSRF.VERIFY", text, "c", "FORM", "f", "FETCH-SITE", "none"])
        #expect(
            try words(.verifyCSRF(csrf, of: token, form: "f", bindings: Bindings(ip: "192.0.2.1")))
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

    @Test("a command with too many parts is refused before it is sent")
    func tooLong() {
        var data = SessionData()
        for number in 0..<600 { data.append("f\(number)", []) }
        #expect(TokenCommand.set(token, data).request.refusal != nil)
        #expect(TokenCommand.set(token, ["a": "b"]).request.refusal == nil)
    }

    @Test("a rotated token comes with its successor, a valid one without")
    func validation() throws {
        let successor = sid + String(repeating: "cd", count: 48)
        let rotated = WireReply.holder(
            "rotated", sid: sid, subject: "ann", more: [("sessiontoken", .text(successor)), ("differs", "ip ua")])
        guard case .session(let holder, .replace(let new)) = try answer(.validate(token), rotated) else {
            Issue.record("no successor")
            return
        }
        #expect(new.revealedText == successor)
        #expect(holder.subject == "ann" && holder.differing == ["ip", "ua"] && !holder.isStale)
        #expect(holder.expiresIn == .seconds(7_200) && holder.created == UnixTime(seconds: 1_795_267_126))
        let stale = WireReply.holder(sid: sid, more: [("stale", 1)])
        guard case .session(let same, .keep) = try answer(.validate(token), stale) else {
            Issue.record("a change")
            return
        }
        #expect(same.isStale && same.subject == nil)
        guard case .guest = try answer(.validate(token), WireReply.holder(kind: "guest", sid: sid)) else {
            Issue.record("no guest")
            return
        }
    }

    @Test(
        "each refusal has its case",
        arguments: [
            (WireReply.refused("expired"), Refusal.expired), (WireReply.refused("replayed"), .replayed),
            (WireReply.refused("mismatch"), .mismatch), (WireReply.refused("unknown"), .unknown),
            (WireReply.refused("revoked", reason: "logout-all"), .revoked(.logoutAll)),
            (WireReply.refused("revoked", reason: "something new"), .revoked(nil)),
        ])
    func refusals(wire: String, expected: Refusal) throws {
        guard case .refused(let refusal) = try answer(.validate(token), wire) else {
            Issue.record("accepted")
            return
        }
        #expect(refusal == expected)
        #expect(try answer(.revoke(token), wire) == expected)
        #expect(try answer(.inspect(token), wire) == .refused(expected))
        #expect(try answer(.get(token), wire) == .refused(expected))
        #expect(try answer(.revokeAll(subject: "ann", except: token), wire) == .refused(expected))
    }

    @Test("a visit tells the holder apart from a refusal, and always says what to do with the token")
    func visit() throws {
        let text = sid + String(repeating: "cd", count: 48)
        let new: [(String, WireReply.Value)] = [("sessiontoken", .text(text))]
        let first = WireReply.holder("none", accepted: 0, kind: "guest", sid: sid, more: new)
        guard case .guest(_, .replace, _) = try answer(.visit(nil), first) else {
            Issue.record("no guest")
            return
        }
        let late = WireReply.holder("replayed", accepted: 0, kind: "guest", sid: sid, more: new)
        guard case .refused(.replayed, let guest, .replace(let given), _) = try answer(.visit(WireReply.token(9)), late)
        else {
            Issue.record("not refused")
            return
        }
        #expect(guest.sid == sid && given.revealedText == text)
        let full = WireReply.holder(
            sid: sid, more: [("check", "passed"), ("csrf", "xyz"), ("data", .map([("cart", "apple"), ("n", "")]))])
        guard case .session(_, .keep, let page) = try answer(.visit(token, data: .all), full) else {
            Issue.record("no session")
            return
        }
        #expect(page.check == .passed && page.csrf?.revealedText == "xyz")
        #expect(page.data["cart"] == "apple" && page.data["n"] == "" && page.data["none"] == nil)
    }

    @Test("inspection, listing, data, forms and captchas are read")
    func others() throws {
        let inspected = WireReply.holder(sid: sid, more: [("successor", "pending"), ("data_fields", 3)])
        guard case .accepted(_, .pending, 3) = try answer(.inspect(sid: sid.uppercased()), inspected) else {
            Issue.record("no inspection")
            return
        }
        let entry = WireReply.map([
            ("sid", .text(sid)), ("created", 1), ("modified", 2), ("expires_in", 3), ("absolute_in", 4),
            ("generation", 5), ("data", .map([("a", "b")])),
        ])
        let list = try answer(.list(subject: "ann"), "*2\r\n" + entry + entry)
        #expect(list.count == 2 && list[1].sid == sid && list[1].data["a"] == "b" && list[1].generation == 5)
        let stored = WireReply.map([("status", "valid"), ("accepted", 1), ("changed", 2)])
        guard case .stored(2, .keep) = try answer(.set(token, ["a": "b"]), stored) else {
            Issue.record("not stored")
            return
        }
        #expect(
            try answer(.revokeAll(subject: "a"), WireReply.map([("status", "revoked"), ("count", 4)])) == .ended(4))
        let passed = WireReply.map([("status", "passed")])
        #expect(try answer(.verifyCSRF(CSRFToken("c"), of: token), passed) == .checked(.passed))
        let form = CSRFToken("c")
        #expect(
            try answer(.verifyCSRF(form, of: token), WireReply.map([("status", "expired")])) == .checked(.expired))
        #expect(try answer(.verifyCSRF(form, of: token), WireReply.refused("expired")) == .refused(.expired))
        #expect(try answer(.verifyCSRF(form, of: token), WireReply.refused("unknown")) == .refused(.unknown))
        let captcha = WireReply.map([
            ("status", "issued"), ("captcha", "e30"), ("solution", "k7m2p"), ("expires_in", 600),
        ])
        guard case .issued(let sealed, let solution, .seconds(600)) = try answer(.issueCaptcha(), captcha) else {
            Issue.record("no captcha")
            return
        }
        #expect(sealed.revealedText == "e30" && solution.revealedText == "k7m2p")
        for verdict in ["passed", "failed", "spent", "expired", "mismatch", "unknown"] {
            let wire = WireReply.map([("status", .text(verdict))])
            #expect(try answer(.verifyCaptcha(sealed, answer: "x"), wire).rawValue == verdict)
        }
    }

    @Test("an answer about another session is never believed")
    func another() throws {
        let other = WireReply.holder(sid: WireReply.sid(8))
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.validate(token), other) }
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.visit(token), other) }
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.inspect(sid: sid), other) }
        let rotated = WireReply.holder(
            "rotated", sid: sid, more: [("sessiontoken", .text(WireReply.token(8).revealedText))])
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.validate(token), rotated) }
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.rotate(token), rotated) }
        let login = WireReply.holder(
            "issued", sid: sid, subject: "bob", more: [("sessiontoken", .text(token.revealedText))])
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.login(nil, subject: "ann"), login) }
        #expect(try answer(.login(nil, subject: "bob"), login).holder.subject == "bob")
    }

    @Test(
        "what the protocol does not allow is a violation",
        arguments: [
            "+OK\r\n", ":1\r\n", "*0\r\n", "*1\r\n+status\r\n", WireReply.map([("status", "valid")]),
            WireReply.map([("status", "valid"), ("accepted", 2)]), WireReply.refused("none"),
            WireReply.refused("valid"), WireReply.map([("accepted", 1), ("status", 1)]),
            WireReply.map([("status", "valid"), ("accepted", 1), ("kind", "other")]),
            WireReply.holder(sid: "short"), WireReply.holder(sid: String(repeating: "A", count: 32)),
            WireReply.holder(sid: WireReply.sid(7), more: [("sessiontoken", "")]),
            "*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n", "$-1\r\n",
        ])
    func violations(wire: String) {
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.validate(token), wire) }
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.visit(token), wire) }
    }

    @Test("fields are found in any order, each reply read whole")
    func order() throws {
        var fields = try FieldCursor(
            try #require(
                try Reply.reading(WireReply.map([("c", 3), ("d", .map([("x", "y")])), ("a", 1), ("b", 2)]))))
        for _ in 0..<2 {
            #expect(try fields.number("a") == 1)
            #expect(try fields.number("c") == 3)
            #expect(try fields.number("b") == 2)
            #expect(try fields.optionalNumber("e") == nil)
        }
        #expect(throws: TokenCacheError.protocolViolation) { try fields.text("a") }
        #expect(throws: TokenCacheError.protocolViolation) { try fields.number("d") }
    }

    @Test("S7 nothing that holds a secret prints it")
    func secrets() throws {
        let text = token.revealedText
        let change = TokenChange.replace(token)
        let wire = WireReply.holder("issued", sid: sid, more: [("sessiontoken", .text(text))])
        let issued = try answer(.issue(), wire)
        let validation = try answer(.validate(token), WireReply.holder(sid: sid, more: [("sessiontoken", .text(text))]))
        var data = SessionData()
        data.append("k", Array(text.utf8))
        let values: [any Sendable] = [
            token, change, issued, validation, TokenCommand.validate(token), data, data.fields[0],
            TokenCommand.validate(token).request, CSRFToken(text), Captcha(text), CaptchaSolution(text),
        ]
        for value in values {
            var dumped = ""
            dump(value, to: &dumped)
            for shown in ["\(value)", String(reflecting: value), dumped] {
                #expect(!shown.contains("abababab") && !shown.contains("[48"), "\(type(of: value))")
            }
        }
    }
}

@Suite("Session cookie")
struct SessionCookieTests {
    private let cookie = SessionCookie()

    @Test(
        "the token is found among other cookies",
        arguments: [
            ("__Host-tc=abc", "abc"), ("a=b; __Host-tc=abc; c=d", "abc"), ("x__Host-tc=no;__Host-tc=abc", "abc"),
            ("__Host-tc=abc; __Host-tc=def", "abc"),
        ])
    func found(header: String, expected: String) {
        #expect(cookie.token(inHeader: header)?.revealedText == expected)
    }

    @Test("no token where there is none", arguments: [nil, "", "a=b", "__Host-tc", "__Host-tc=", "__Host-tc=a b"])
    func absent(header: String?) {
        #expect(cookie.token(inHeader: header) == nil)
    }

    @Test("a change becomes a header, no change none")
    func header() throws {
        let token = WireReply.token(7)
        let reply = try #require(try Reply.reading(WireReply.holder(sid: WireReply.sid(7))))
        guard case .session(let holder, let change) = try TokenCommand.validate(token).answer(from: reply) else {
            Issue.record("refused")
            return
        }
        #expect(cookie.header(change, for: holder) == nil)
        #expect(
            cookie.header(.replace(token), for: holder)
                == "__Host-tc=\(token.revealedText); Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=Lax")
        #expect(cookie.removal.hasPrefix("__Host-tc=; Max-Age=0;"))
    }
}
