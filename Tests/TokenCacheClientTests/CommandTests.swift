import Testing

@testable import TokenCacheClient

@Suite("Commands")
struct CommandTests {
    private let token = WireReply.token(7)
    private let sid = WireReply.sid(7)

    private func answer<Answer>(_ command: TokenCommand<Answer>, _ wire: String) throws -> Answer {
        try command.answer(from: try #require(try Reply.reading(wire)))
    }

    @Test("a rotated token comes with its successor, a valid one without")
    func validation() throws {
        let successor = sid + String(repeating: "cd", count: 48)
        let rotated = WireReply.holder(
            "rotated", sid: sid, subject: "ann", authTime: 9,
            more: [("sessiontoken", .text(successor)), ("differs", "ip ua new")])
        guard case .session(let holder, .replace(let new, maxAge: nil), _) = try answer(.validate(token), rotated)
        else {
            Issue.record("no successor")
            return
        }
        #expect(new.revealedText == successor)
        #expect(holder.subject == "ann" && holder.differing == [.ip, .userAgent] && !holder.isStale)
        #expect(holder.authTime == UnixTime(seconds: 9) && holder.sid == WireReply.id(7))
        #expect(holder.expiresIn == .seconds(7_200) && holder.created == UnixTime(seconds: 1_795_267_126))
        let stale = WireReply.holder(sid: sid, more: [("stale", 1)])
        guard case .session(let same, .keep, _) = try answer(.validate(token, require: .anyone), stale) else {
            Issue.record("a change")
            return
        }
        #expect(same.isStale && same.subject == nil && same.authTime == nil && !same.isPageOnly)
        let guest = WireReply.holder(kind: "guest", sid: sid)
        guard case .guest = try answer(.validate(token, require: .anyone), guest) else {
            Issue.record("no guest")
            return
        }
        // What was asked for was a login.
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.validate(token), guest) }
    }

    @Test("good and not good enough: whom to ask, and the successor that was due")
    func unmet() throws {
        let successor = sid + String(repeating: "cd", count: 48)
        let fields: [(String, WireReply.Value)] = [
            ("accepted", 0), ("sid", .text(sid)), ("subject", ""), ("auth_time", 0),
        ]
        let anonymous = WireReply.map([("status", "anonymous")] + fields)
        guard case .anonymous(let nobody, .keep) = try answer(.validate(token), anonymous) else {
            Issue.record("not anonymous")
            return
        }
        #expect(nobody == Bearer(sid: try #require(WireReply.id(7)), subject: nil, authTime: nil))
        let late = WireReply.map([
            ("status", "reauthenticate"), ("accepted", 0), ("sid", .text(sid)), ("subject", "ann"), ("auth_time", 5),
            ("sessiontoken", .text(successor)), ("max_age", 60),
        ])
        let step = try answer(.validate(token, require: .login(within: .seconds(60))), late)
        guard case .reauthenticate(let bearer, .replace(_, maxAge: .seconds(60))) = step else {
            Issue.record("not asked for the password again")
            return
        }
        #expect(bearer.subject == "ann" && bearer.authTime == UnixTime(seconds: 5))
        #expect(step.setCookie(SessionCookie())?.contains("; Max-Age=60;") == true)
    }

    @Test("VALIDATE answers what a page asks besides")
    func validatedPage() throws {
        let wire = WireReply.holder(
            sid: sid, subject: "ann",
            more: [("check", "outdated"), ("csrf", "xyz"), ("data", .map([("cart", "apple")]))])
        guard case .session(_, .keep, let page) = try answer(.validate(token, data: .all), wire) else {
            Issue.record("refused")
            return
        }
        #expect(page.check == .outdated && page.csrf?.revealedText == "xyz" && page.data["cart"] == "apple")
    }

    @Test(
        "each refusal has its case",
        arguments: [
            (WireReply.refused("expired"), Refusal.expired), (WireReply.refused("replayed"), .replayed),
            (WireReply.refused("mismatch"), .mismatch), (WireReply.refused("unknown"), .unknown),
            (WireReply.refused("revoked", reason: "logout-all"), .revoked(.logoutAll)),
            (WireReply.refused("revoked", reason: "limit"), .revoked(.limit)),
            (WireReply.refused("revoked", reason: "something new"), .revoked(nil)),
        ])
    func refusals(wire: String, expected: Refusal) throws {
        guard case .refused(let refusal) = try answer(.validate(token), wire) else {
            Issue.record("accepted")
            return
        }
        #expect(refusal == expected)
        #expect(try answer(.revoke(token), wire) == expected)
        #expect(try answer(.rotate(token), wire).refusal == expected)
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
        guard
            case .refused(.replayed, let guest, .replace(let given, maxAge: nil), _) = try answer(
                .visit(WireReply.token(9)), late)
        else {
            Issue.record("not refused")
            return
        }
        #expect(guest.sid == WireReply.id(7) && !guest.isPageOnly && given.revealedText == text)
        let full = WireReply.holder(
            sid: sid, more: [("check", "passed"), ("csrf", "xyz"), ("data", .map([("cart", "apple"), ("n", "")]))])
        let visit = try answer(.visit(token, data: .all), full)
        guard case .session(_, .keep, let page) = visit else {
            Issue.record("no session")
            return
        }
        #expect(page.check == .passed && page.csrf?.revealedText == "xyz")
        #expect(page.data["cart"] == "apple" && page.data["n"] == "" && page.data["none"] == nil)
        #expect(visit.subject == nil && visit.refusal == nil && visit.setCookie(SessionCookie()) == nil)
        #expect(visit.change.newest(after: token)?.sid == token.sid)
    }

    @Test("a guest for this page only: the cookie stays, whatever was refused", arguments: ["none", "replayed"])
    func pageOnly(status: String) throws {
        let wire = WireReply.holder(status, accepted: 0, kind: "guest", sid: sid, more: [("csrf", "xyz")])
        let presented = status == "none" ? nil : WireReply.token(9)
        let visit = try answer(.visit(presented), wire)
        #expect(visit.holder.isPageOnly && visit.holder.kind == .guest && visit.subject == nil)
        #expect(visit.setCookie(SessionCookie()) == nil && visit.page.csrf != nil)
        #expect(visit.change.newest(after: presented)?.revealedText == presented?.revealedText)
        #expect((visit.refusal == .replayed) == (status == "replayed"))
    }

    @Test("a handler that treats all visitors alike needs no switch")
    func withoutSwitch() throws {
        let successor = sid + String(repeating: "cd", count: 48)
        let wire = WireReply.holder(
            "rotated", sid: sid, subject: "ann", more: [("sessiontoken", .text(successor)), ("max_age", 86_400)])
        let visit = try answer(.visit(token), wire)
        #expect(visit.holder.sid == WireReply.id(7) && visit.subject == "ann" && !visit.holder.isPageOnly)
        #expect(visit.setCookie(SessionCookie())?.hasPrefix("__Host-tc=\(successor); Max-Age=86400;") == true)
        #expect(visit.change.newest(after: token)?.revealedText == successor)
    }

    @Test("inspection, listing, data, forms and captchas are read")
    func others() throws {
        let inspected = WireReply.holder(sid: sid, more: [("successor", "pending"), ("data_fields", 3)])
        let upper = try #require(SessionID(sid.uppercased()))
        guard case .accepted(_, .pending, 3) = try answer(.inspect(sid: upper), inspected) else {
            Issue.record("no inspection")
            return
        }
        let entry = WireReply.map([
            ("sid", .text(sid)), ("created", 1), ("modified", 2), ("auth_time", 6), ("expires_in", 3),
            ("absolute_in", 4),
            ("generation", 5), ("data", .map([("a", "b")])),
        ])
        let list = try answer(.list(subject: "ann"), "*2\r\n" + entry + entry)
        #expect(
            list.count == 2 && list[1].sid == WireReply.id(7) && list[1].authTime == UnixTime(seconds: 6)
                && list[1].data["a"] == "b" && list[1].generation == 5)
        let stored = WireReply.map([("status", "valid"), ("accepted", 1), ("sid", .text(sid)), ("changed", 2)])
        guard case .stored(2, .keep) = try answer(.set(token, ["a": "b"]), stored) else {
            Issue.record("not stored")
            return
        }
        let conflict = WireReply.map([
            ("status", "conflict"), ("accepted", 1), ("sid", .text(sid)), ("changed", 0), ("data", .map([("n", "5")])),
        ])
        guard case .conflict(["n": "5"], .keep) = try answer(.set(token, ["n": "4"], if: ["n": "3"]), conflict) else {
            Issue.record("no conflict")
            return
        }
        let successor = sid + String(repeating: "cd", count: 48)
        let counted = WireReply.map([
            ("status", "valid"), ("accepted", 1), ("sid", .text(sid)), ("value", 7), ("sessiontoken", .text(successor)),
            ("max_age", 60),
        ])
        guard case .value(7, .replace(_, .seconds(60))) = try answer(.increment(token, "n"), counted) else {
            Issue.record("not counted")
            return
        }
        guard
            case .changed(let holder, .keep) = try answer(.expire(token, idle: .seconds(9)), WireReply.holder(sid: sid))
        else {
            Issue.record("no new limits")
            return
        }
        #expect(holder.sid == WireReply.id(7))
        let got = WireReply.map([
            ("status", "valid"), ("accepted", 1), ("sid", .text(sid)), ("data", .map([("a", "b")])),
        ])
        #expect(try answer(.get(token), got) == .data(["a": "b"]))
        #expect(try answer(.take(token, ["a"]), got) == .data(["a": "b"]))
        let issued = WireReply.map([
            ("status", "issued"), ("accepted", 1), ("sid", .text(sid)), ("csrf", "c"), ("expires_in", 60),
        ])
        guard case .issued(_, let holder, .seconds(60)) = try answer(.issueCSRF(WireReply.token(9)), issued) else {
            Issue.record("no token for a form")
            return
        }
        #expect(holder == WireReply.id(7))
        #expect(
            try answer(.revokeAll(subject: "a"), WireReply.map([("status", "revoked"), ("accepted", 0), ("count", 4)]))
                == .ended(4))
        let passed = WireReply.map([("status", "passed")])
        #expect(try answer(.verifyCSRF(CSRFToken("c"), of: token), passed) == .checked(.passed))
        let form = CSRFToken("c")
        #expect(
            try answer(.verifyCSRF(form, of: token), WireReply.map([("status", "expired")])) == .checked(.expired))
        #expect(
            try answer(.verifyCSRF(form, of: token), WireReply.map([("status", "outdated")])) == .checked(.outdated))
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
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.inspect(token), other) }
        let told: [(String, WireReply.Value)] = [
            ("status", "valid"), ("accepted", 1), ("sid", .text(WireReply.sid(8))), ("changed", 1), ("data", .map([])),
        ]
        let id = try #require(token.sid)
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.set(token, ["a": "b"]), WireReply.map(told)) }
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.get(token), WireReply.map(told)) }
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.get(sid: id), WireReply.map(told)) }
        let rotated = WireReply.holder(
            "rotated", sid: sid, more: [("sessiontoken", .text(WireReply.token(8).revealedText))])
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.validate(token), rotated) }
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.rotate(token), rotated) }
        let login = WireReply.holder(
            "issued", sid: sid, subject: "bob", more: [("sessiontoken", .text(token.revealedText))])
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.login(nil, subject: "ann"), login) }
        #expect(try answer(.login(nil, subject: "bob"), login).issued?.holder.subject == "bob")
    }

    @Test("a login and a rotation come with the cookie's life and the token of the next form")
    func newToken() throws {
        let more: [(String, WireReply.Value)] = [
            ("sessiontoken", .text(token.revealedText)), ("max_age", 60), ("csrf", "xyz"),
        ]
        let login = WireReply.holder("issued", sid: sid, subject: "bob", more: more)
        let issued = try #require(try answer(.login(nil, subject: "bob", csrf: "f"), login).issued)
        #expect(issued.maxAge == .seconds(60) && issued.csrf?.revealedText == "xyz")
        let rotation = WireReply.holder("rotated", sid: sid, subject: "bob", more: more)
        guard case .rotated(let rotated) = try answer(.rotate(token, csrf: "f"), rotation) else {
            Issue.record("not rotated")
            return
        }
        #expect(rotated.maxAge == .seconds(60) && rotated.csrf?.revealedText == "xyz")
        #expect(rotated.setCookie(SessionCookie())?.contains("; Max-Age=60;") == true)
    }

    @Test("a login under a limit says how many gave way to it, or that it is refused")
    func limits() throws {
        let more: [(String, WireReply.Value)] = [("sessiontoken", .text(token.revealedText)), ("ended", 2)]
        let login = WireReply.holder("issued", sid: sid, subject: "bob", more: more)
        #expect(try answer(.login(nil, subject: "bob"), login).issued?.ended == 2)
        let refused = WireReply.map([("status", "refused"), ("accepted", 0), ("reason", "limit"), ("count", 3)])
        guard case .refused(3) = try answer(.login(nil, subject: "bob"), refused) else {
            Issue.record("not refused")
            return
        }
        guard case .keep = try answer(.issue(subject: "bob"), refused).change else {
            Issue.record("the cookie stays")
            return
        }
    }

    @Test("sessions are counted, and shown page by page")
    func pages() throws {
        #expect(try answer(.count(subject: "ann"), ":7\r\n") == 7)
        let page = try answer(.page(subject: "ann"), "*2\r\n$5\r\n1:a:0\r\n*0\r\n")
        #expect(page.sessions.isEmpty && page.next == "1:a:0")
        #expect(try answer(.page(subject: "ann"), "*2\r\n$1\r\n0\r\n*0\r\n").next == nil)
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.page(subject: "ann"), "*0\r\n") }
        #expect(try answer(.everySession(), "*2\r\n$2\r\n17\r\n*0\r\n").next == "17")
        // LIST's sessions are of the subject that was asked about; those of SCAN say whose they are.
        let fields: [(String, WireReply.Value)] = [
            ("sid", .text(WireReply.sid(1))), ("generation", 1), ("created", 1), ("modified", 1), ("auth_time", 0),
            ("expires_in", 1), ("absolute_in", 1),
        ]
        let unnamed = "*2\r\n$1\r\n0\r\n*1\r\n" + WireReply.map(fields)
        #expect(try answer(.page(subject: "ann"), unnamed).sessions.map(\.subject) == ["ann"])
        #expect(throws: TokenCacheError.protocolViolation) { try answer(.everySession(), unnamed) }
        let named = "*2\r\n$1\r\n0\r\n*1\r\n" + WireReply.map(fields + [("subject", "bob")])
        #expect(try answer(.everySession(), named).sessions.map(\.subject) == ["bob"])
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
        let change = TokenChange.replace(token, maxAge: nil)
        let wire = WireReply.holder("issued", sid: sid, more: [("sessiontoken", .text(text))])
        let issued = try answer(.issue(), wire)
        let validation = try answer(
            .validate(token, require: .anyone), WireReply.holder(sid: sid, more: [("sessiontoken", .text(text))]))
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

extension Rotation {
    fileprivate var refusal: Refusal? {
        if case .refused(let refusal) = self { refusal } else { nil }
    }
}
