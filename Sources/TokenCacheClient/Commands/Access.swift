extension TokenCommand where Answer == Visit {
    /// `TOKEN.VISIT`: one page view in one round trip. Is the token good, who is the holder, is the form genuine.
    ///
    /// An access: it renews, rotates and confirms. Safe to repeat.
    ///
    /// - Parameters:
    ///   - token: What the browser sent, `nil` if nothing.
    ///   - bindings: The request's signals.
    ///   - check: The token of a form that was sent, and the form's name, empty for none.
    ///   - site: The browser's `Sec-Fetch-Site` header.
    ///   - form: Gives the page a token for the form of this name, see ``Page/csrf``; empty for a form without a name.
    ///   - data: Gives the page these fields of the session's data.
    public static func visit(
        _ token: Token?, bindings: Bindings = Bindings(), check: (csrf: CSRFToken, form: String)? = nil,
        site: String? = nil, csrf form: String? = nil, data: DataSelection? = nil
    ) -> Self {
        var writer = RequestWriter("TOKEN.VISIT")
        writer.append(token)
        writer.append(bindings)
        if let check {
            writer.append("CHECK")
            writer.append(check.csrf.revealedText)
            writer.append(check.form)
        }
        writer.append("FETCH-SITE", site)
        writer.append("CSRF", form)
        writer.append(data)
        return Self(writer, isRepeatable: true, about: token?.sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard !isAccepted else {
                let holder = try fields.holder()
                return Visit(holder, try fields.change(for: holder), try fields.page())
            }
            let refusal = status == "none" ? nil : try fields.refusal(status: status)
            // One who had no token is not refused; one who had one is not without.
            guard (refusal == nil) == (token == nil) else { throw .protocolViolation }
            let issued = try fields.issued()
            let page = try fields.page()
            guard let refusal else { return Visit(issued.holder, issued.change, page) }
            return .refused(refusal, instead: issued.holder, token: issued.change, page: page)
        }
    }
}

extension TokenCommand where Answer == Validation {
    /// `TOKEN.VALIDATE`: is the token good? For an API; a page asks by ``visit(_:bindings:check:site:csrf:data:)``.
    ///
    /// An access: it renews, rotates and confirms. Safe to repeat.
    public static func validate(_ token: Token, bindings: Bindings = Bindings()) -> Self {
        var writer = RequestWriter("TOKEN.VALIDATE")
        writer.append(token)
        writer.append(bindings)
        return Self(writer, isRepeatable: true, about: token.sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            let holder = try fields.holder()
            let change = try fields.change(for: holder)
            return holder.kind == .session ? .session(holder, token: change) : .guest(holder, token: change)
        }
    }
}

extension TokenCommand where Answer == Inspection {
    /// `TOKEN.INSPECT` of a token: renews, rotates and reveals nothing.
    public static func inspect(_ token: Token, bindings: Bindings = Bindings()) -> Self {
        var writer = RequestWriter("TOKEN.INSPECT")
        writer.append(token)
        writer.append(bindings)
        return inspection(writer, about: token.sid)
    }

    /// `TOKEN.INSPECT SID`: a session by its public name.
    public static func inspect(sid: String) -> Self {
        var writer = RequestWriter("TOKEN.INSPECT")
        writer.append("SID", sid)
        return inspection(writer, about: sid.lowercased())
    }

    private static func inspection(_ writer: RequestWriter, about sid: String?) -> Self {
        Self(writer, isRepeatable: true, about: sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            let holder = try fields.holder()
            guard let successor = Inspection.Successor(rawValue: try fields.text("successor")) else {
                throw .protocolViolation
            }
            return .accepted(holder, successor: successor, dataFields: try fields.number("data_fields"))
        }
    }
}

extension Visit {
    fileprivate init(_ holder: Holder, _ change: TokenChange, _ page: Page) {
        switch holder.kind {
        case .session: self = .session(holder, token: change, page: page)
        case .guest: self = .guest(holder, token: change, page: page)
        }
    }
}

extension FieldCursor {
    fileprivate mutating func page() throws(TokenCacheError) -> Page {
        var check: CSRFCheck?
        if let word = try optionalText("check") {
            check = CSRFCheck(rawValue: word)
            guard check != nil else { throw .protocolViolation }
        }
        return Page(check: check, csrf: try optionalText("csrf").map(CSRFToken.init), data: try data())
    }
}
