extension TokenCommand where Answer == CSRFIssue {
    /// `CSRF.ISSUE`: a token for a form of this visitor; different bytes every time. Safe to repeat.
    ///
    /// - Parameters:
    ///   - token: The visitor's, a guest's or a session's.
    ///   - form: The form's name; `nil` for a form without a name.
    ///   - signals: The request's signals.
    public static func issueCSRF(
        _ token: SessionToken, form: String? = nil, signals: Signals = Signals()
    ) -> Self {
        var writer = RequestWriter("CSRF.ISSUE")
        writer.append(token)
        writer.append(signals)
        writer.append("FORM", form)
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let status = try fields.text("status")
            guard status == "issued" else { return .refused(try fields.refusal(status: status)) }
            let sid = try fields.sid()
            return .issued(
                CSRFToken(try fields.text("csrf")), holder: sid, expiresIn: try fields.duration("expires_in"))
        }
    }
}

extension TokenCommand where Answer == CSRFVerification {
    /// `CSRF.VERIFY`: was this form given to this visitor? Safe to repeat.
    ///
    /// - Parameters:
    ///   - csrf: What came with the form.
    ///   - token: The visitor's, a guest's or a session's.
    ///   - form: The form's name, as it was issued.
    ///   - site: The browser's `Sec-Fetch-Site` header.
    ///   - signals: The request's signals.
    public static func verifyCSRF(
        _ csrf: CSRFToken, of token: SessionToken, form: String? = nil, site: String? = nil,
        signals: Signals = Signals()
    ) -> Self {
        var writer = RequestWriter("CSRF.VERIFY")
        writer.append(token)
        writer.append(csrf.revealedText)
        writer.append(signals)
        writer.append("FORM", form)
        writer.append("FETCH-SITE", site)
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let status = try fields.text("status")
            // A holder that is not accepted answers with its own status, `expired` among them, and `accepted 0`.
            if try fields.optionalNumber("accepted") == 0, let refusal = try? fields.refusal(status: status) {
                return .refused(refusal)
            }
            if let check = FormVerdict(rawValue: status) { return .checked(check) }
            return .refused(try fields.refusal(status: status))
        }
    }
}

extension TokenCommand where Answer == CaptchaIssue {
    /// `CAPTCHA.ISSUE`: a sealed captcha. Nothing is written. Safe to repeat.
    ///
    /// - Parameters:
    ///   - text: What its picture shows.
    ///   - form: Only for the form of this name.
    ///   - token: Only for this visitor.
    ///   - lifetime: How long it is good; `nil` for `captcha.lifetime`.
    ///   - signals: The signals it is bound to.
    public static func issueCaptcha(
        _ text: CaptchaText = .random(), form: String? = nil, for token: SessionToken? = nil, lifetime: Duration? = nil,
        signals: Signals = Signals()
    ) -> Self {
        var writer = RequestWriter("CAPTCHA.ISSUE")
        switch text {
        case .chosen(let solution): writer.append("SOLUTION", solution)
        case .random(let length): writer.append("LENGTH", length.map(String.init))
        }
        writer.append(form: form, token: token)
        writer.append("LIFETIME", lifetime)
        writer.append(signals)
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let status = try fields.text("status")
            guard status == "issued" else { return .refused(try fields.refusal(status: status)) }
            return .issued(
                Captcha(try fields.text("captcha")), solution: CaptchaSolution(try fields.text("solution")),
                expiresIn: try fields.duration("expires_in"))
        }
    }
}

extension TokenCommand where Answer == CaptchaOpening {
    /// `CAPTCHA.OPEN`: what the picture must show, for the request that draws it. Spends nothing. Safe to repeat.
    public static func openCaptcha(_ captcha: Captcha) -> Self {
        var writer = RequestWriter("CAPTCHA.OPEN")
        writer.append(captcha.revealedText)
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            switch try fields.text("status") {
            case "issued": return .solution(CaptchaSolution(try fields.text("solution")))
            case "expired": return .expired
            case "unknown": return .unknown
            default: throw .protocolViolation
            }
        }
    }
}

extension TokenCommand where Answer == CaptchaVerdict {
    /// `CAPTCHA.VERIFY`: is the answer right? The first attempt spends the captcha, right or wrong, therefore this is
    /// never repeated by itself.
    ///
    /// - Parameters:
    ///   - captcha: What came back from the page.
    ///   - answer: What the visitor typed.
    ///   - form: The form's name, as it was issued.
    ///   - token: The visitor, if it was issued for one.
    ///   - signals: The request's signals.
    public static func verifyCaptcha(
        _ captcha: Captcha, answer: String, form: String? = nil, for token: SessionToken? = nil,
        signals: Signals = Signals()
    ) -> Self {
        var writer = RequestWriter("CAPTCHA.VERIFY")
        writer.append(captcha.revealedText)
        writer.append(answer)
        writer.append(form: form, token: token)
        writer.append(signals)
        return Self(writer, isRepeatable: false) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            guard let verdict = CaptchaVerdict(rawValue: try fields.text("status")) else { throw .protocolViolation }
            return verdict
        }
    }
}

extension RequestWriter {
    fileprivate mutating func append(form: String?, token: SessionToken?) {
        append("FORM", form)
        guard let token else { return }
        append("FOR")
        append(token)
    }
}
