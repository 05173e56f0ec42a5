extension TokenCommand where Answer == Visit {
    /// `TOKEN.VISIT`: one page view in one round trip. Is the token good, who is the holder, is the form genuine.
    ///
    /// An access: it renews, rotates and confirms. Once per request. Safe to repeat.
    ///
    /// - Parameters:
    ///   - token: What the browser sent, `nil` if nothing.
    ///   - signals: The request's signals.
    ///   - check: The form that was sent.
    ///   - fetch: What the browser says of the request.
    ///   - form: Gives the page a token for the form of this name, see ``PageAnswers/csrf``; empty for a form without a
    ///     name.
    ///   - data: Gives the page these fields of the session's data.
    public static func visit(
        _ token: SessionToken?, signals: Signals = Signals(), check: FormCheck? = nil,
        fetch: FetchMetadata = FetchMetadata(), csrf form: String? = nil, data: DataSelection? = nil
    ) -> Self {
        var writer = RequestWriter("TOKEN.VISIT")
        writer.append(token)
        writer.append(signals)
        writer.append(check, fetch)
        if fetch.isPost { writer.append("POST") }
        writer.append("CSRF", form)
        writer.append(data)
        return Self(writer, isRepeatable: true, about: token?.sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard !isAccepted else {
                let holder = try fields.holder()
                return Visit(holder, try fields.change(of: holder.sid), try fields.page())
            }
            let refusal = status == "none" ? nil : try fields.refusal(status: status)
            // A visitor without a token is never refused, and one with a token never counts as having none.
            guard (refusal == nil) == (token == nil) else { throw .protocolViolation }
            let isPageOnly = fields.position(of: "sessiontoken") == nil
            let holder = try fields.holder(isPageOnly: isPageOnly)
            let change = try fields.change(of: holder.sid)
            let page = try fields.page()
            guard let refusal else { return Visit(holder, change, page) }
            return .refused(refusal, instead: holder, change: change, page: page)
        }
    }
}

extension TokenCommand where Answer == Validation {
    /// `TOKEN.VALIDATE`: is the token good, and is somebody logged in? For an API; a page asks by
    /// ``visit(_:signals:check:fetch:csrf:data:)``.
    ///
    /// An access: it renews, rotates and confirms. Once per request. Safe to repeat.
    ///
    /// - Parameters:
    ///   - token: What the client sent.
    ///   - requirement: What must be so for the answer to be yes. ``Requirement/anyone`` accepts guests and anonymous
    ///     sessions, too.
    ///   - signals: The request's signals.
    ///   - check: The form that was sent.
    ///   - fetch: What the browser says of the request.
    ///   - form: Gives the answer a token for the form of this name.
    ///   - data: Gives the answer these fields of the session's data.
    public static func validate(
        _ token: SessionToken, require requirement: Requirement = .subject, signals: Signals = Signals(),
        check: FormCheck? = nil, fetch: FetchMetadata = FetchMetadata(), csrf form: String? = nil,
        data: DataSelection? = nil
    ) -> Self {
        var writer = RequestWriter("TOKEN.VALIDATE")
        writer.append(token)
        writer.append(signals)
        writer.append(requirement)
        writer.append(check, fetch)
        writer.append("CSRF", form)
        writer.append(data)
        return Self(writer, isRepeatable: true, about: token.sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return try fields.unaccepted(status) }
            let holder = try fields.holder()
            guard !requirement.needsSubject || holder.subject != nil else { throw .protocolViolation }
            let change = try fields.change(of: holder.sid)
            let page = try fields.page()
            switch holder.kind {
            case .session: return .session(holder, change: change, page: page)
            case .guest: return .guest(holder, change: change, page: page)
            }
        }
    }
}

extension TokenCommand where Answer == Inspection {
    /// `TOKEN.INSPECT` of a token: renews, rotates and reveals nothing.
    public static func inspect(_ token: SessionToken, signals: Signals = Signals()) -> Self {
        var writer = RequestWriter("TOKEN.INSPECT")
        writer.append(token)
        writer.append(signals)
        return inspection(writer, about: token.sid)
    }

    /// `TOKEN.INSPECT SID`: a session by its public name; with a `subject` only if it is theirs.
    public static func inspect(sid: SessionID, subject: String? = nil) -> Self {
        var writer = RequestWriter("TOKEN.INSPECT")
        writer.append(sid, subject)
        return inspection(writer, about: sid)
    }

    private static func inspection(_ writer: RequestWriter, about sid: SessionID?) -> Self {
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
    fileprivate init(_ holder: Holder, _ change: TokenChange, _ page: PageAnswers) {
        switch holder.kind {
        case .session: self = .session(holder, change: change, page: page)
        case .guest: self = .guest(holder, change: change, page: page)
        }
    }
}

extension FieldCursor {
    /// VALIDATE's `accepted 0`.
    fileprivate mutating func unaccepted(_ status: String) throws(TokenCacheError) -> Validation {
        switch status {
        case "anonymous":
            let bearer = try bearer()
            return .anonymous(bearer, change: try change(of: bearer.sid))
        case "reauthenticate":
            let bearer = try bearer()
            return .reauthenticate(bearer, change: try change(of: bearer.sid))
        default: return .refused(try refusal(status: status))
        }
    }
}

extension RequestWriter {
    /// `SID sid [SUBJECT subject]`.
    mutating func append(_ sid: SessionID, _ subject: String?) {
        append("SID", sid.text)
        append("SUBJECT", subject)
    }
}
