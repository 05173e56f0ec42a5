extension TokenCommand where Answer == Admission {
    /// `TOKEN.ISSUE`: a new session.
    ///
    /// - Parameters:
    ///   - subject: Whose it is, at most 256 bytes; `nil` for an anonymous one.
    ///   - limits: How long it and its cookie may live.
    ///   - time: When the subject proved who they are; `nil` for now.
    ///   - signals: The signals it is bound to.
    ///   - data: Its first data.
    public static func issue(
        subject: String? = nil, limits: SessionLimits = SessionLimits(), authTime time: UnixTime? = nil,
        signals: Signals = Signals(), data: SessionData = SessionData()
    ) -> Self {
        var writer = RequestWriter("TOKEN.ISSUE")
        writer.append("SUBJECT", subject)
        writer.append(limits, time, signals)
        writer.append(data)
        return Self(writer, isRepeatable: false) { (reply) throws(TokenCacheError) in try read(reply) }
    }

    /// `TOKEN.LOGIN`: call it after the credentials were checked, with whatever token the client sent, or the newest that
    /// the request knows.
    ///
    /// The old token is dead when this returns. After a ``TokenCacheError/connection(reason:)`` the same login may be
    /// called again with the same token: within `rotation.overlap` it leads to the same session.
    ///
    /// - Parameters:
    ///   - token: What the client sent, `nil` if nothing.
    ///   - subject: Who has logged in, 1 to 256 bytes.
    ///   - limits: How long the session and its cookie may live from now on.
    ///   - time: When the subject proved who they are, if that was not now: at a central login, for example.
    ///   - signals: The signals it is bound to.
    ///   - form: Gives the answer a token for the form of this name: those from before the login are `outdated`.
    ///   - data: Data to add.
    public static func login(
        _ token: SessionToken?, subject: String, limits: SessionLimits = SessionLimits(),
        authTime time: UnixTime? = nil, signals: Signals = Signals(), csrf form: String? = nil,
        data: SessionData = SessionData()
    ) -> Self {
        var writer = RequestWriter("TOKEN.LOGIN")
        writer.append(token)
        writer.append(subject)
        writer.append(limits, time, signals)
        writer.append("CSRF", form)
        writer.append(data)
        return Self(writer, isRepeatable: false) { (reply) throws(TokenCacheError) in
            let admission = try read(reply)
            guard admission.issued.map({ $0.holder.subject == subject }) ?? true else { throw .protocolViolation }
            return admission
        }
    }

    private static func read(_ reply: Reply) throws(TokenCacheError) -> Admission {
        var fields = try FieldCursor(reply)
        let (status, isAccepted) = try fields.standing()
        switch (status, isAccepted) {
        case ("issued", true): return .issued(try fields.issued())
        case ("refused", false): return .refused(count: try fields.number("count"))
        default: throw .protocolViolation
        }
    }
}

extension TokenCommand where Answer == Issued {

    /// `GUEST.ISSUE`: a guest's token, which costs the store nothing. A page gets one from
    /// ``visit(_:signals:check:fetch:csrf:data:)`` by itself.
    ///
    /// - Parameters:
    ///   - lifetime: How long it lives; `nil` for `guest.lifetime`.
    ///   - signals: The signals it is bound to.
    public static func issueGuest(lifetime: Duration? = nil, signals: Signals = Signals()) -> Self {
        var writer = RequestWriter("GUEST.ISSUE")
        writer.append("LIFETIME", lifetime)
        writer.append(signals)
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            guard try fields.standing() == ("issued", true) else { throw .protocolViolation }
            return try fields.issued()
        }
    }
}

extension TokenCommand where Answer == LimitChange {
    /// `TOKEN.EXPIRE`: new limits for a session that lives; counts as an access. A guest becomes a session. It does not lengthen
    /// the life of a cookie: ``rotate(_:idle:absolute:signals:csrf:)`` does.
    ///
    /// - Parameters:
    ///   - token: The current, the pending or the previous token.
    ///   - idle: How long it may live without an access; `nil` as it is. One of the two is given.
    ///   - absolute: How long it may live from now on in any case; `nil` as it is.
    ///   - signals: The request's signals.
    public static func expire(
        _ token: SessionToken, idle: Duration? = nil, absolute: Duration? = nil, signals: Signals = Signals()
    ) -> Self {
        var writer = RequestWriter("TOKEN.EXPIRE")
        writer.append(token)
        writer.append("IDLE", idle)
        writer.append("ABSOLUTE", absolute)
        writer.append(signals)
        // Twice is the same as once, by as much as the two lie apart.
        return Self(writer, isRepeatable: true, about: token.sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            let holder = try fields.holder()
            return .changed(holder, change: try fields.change(of: holder.sid))
        }
    }
}

extension TokenCommand where Answer == Rotation {
    /// `TOKEN.ROTATE`: a new token at once, for a change of privilege other than a login. Data stays, and limits that are not
    /// given.
    ///
    /// - Parameters:
    ///   - token: The newest that the request knows.
    ///   - idle: How long the session may live without an access; `nil` as it is.
    ///   - absolute: How long it, and its cookie, may live from now on in any case; `nil` as it is.
    ///   - signals: The request's signals.
    ///   - form: Gives the answer a token for the form of this name: those from before are `outdated`.
    public static func rotate(
        _ token: SessionToken, idle: Duration? = nil, absolute: Duration? = nil, signals: Signals = Signals(),
        csrf form: String? = nil
    ) -> Self {
        var writer = RequestWriter("TOKEN.ROTATE")
        writer.append(token)
        writer.append("IDLE", idle)
        writer.append("ABSOLUTE", absolute)
        writer.append(signals)
        writer.append("CSRF", form)
        return Self(writer, isRepeatable: false, about: token.sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            return .rotated(try fields.issued())
        }
    }
}

extension TokenCommand where Answer == Refusal {
    /// `TOKEN.REVOKE`: logout. Any token that the session still remembers ends it, so logout works in an old tab, too;
    /// only those from before a login or a change of privilege do not.
    ///
    /// The answer is what the token is from now on: ``Refusal/revoked(_:)``, and then the cookie may go;
    /// ``Refusal/replayed``, and the session lives on, under a newer token; or ``Refusal/unknown``. Safe to repeat.
    public static func revoke(_ token: SessionToken, signals: Signals = Signals()) -> Self {
        var writer = RequestWriter("TOKEN.REVOKE")
        writer.append(token)
        writer.append(signals)
        return revocation(writer)
    }

    /// `TOKEN.REVOKE SID`: ends a session by its public name. Safe to repeat.
    ///
    /// - Parameters:
    ///   - sid: Which.
    ///   - subject: Ends it only if it is theirs, else it is ``Refusal/unknown``: for a `sid` that came with a form ("my
    ///     devices").
    public static func revoke(sid: SessionID, subject: String? = nil) -> Self {
        var writer = RequestWriter("TOKEN.REVOKE")
        writer.append(sid, subject)
        return revocation(writer)
    }

    private static func revocation(_ writer: RequestWriter) -> Self {
        Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard !isAccepted else { throw .protocolViolation }
            return try fields.refusal(status: status)
        }
    }
}

extension TokenCommand where Answer == MassRevocation {
    /// `TOKEN.REVOKEALL`: ends all sessions of a subject, except that of `token`. Everything that was acknowledged before
    /// it began is dead when it returns. Safe to repeat; the count is then of the last call.
    ///
    /// - Parameters:
    ///   - subject: Whose, 1 to 256 bytes.
    ///   - token: The session to spare, for "log out everywhere else"; `nil` spares none. One of another subject is
    ///     ``Refusal/mismatch``, and nothing is ended.
    ///   - signals: The signals of the request, for that token.
    public static func revokeAll(
        subject: String, except token: SessionToken? = nil, signals: Signals = Signals()
    ) -> Self {
        var writer = RequestWriter("TOKEN.REVOKEALL")
        writer.append(subject)
        if token != nil {
            writer.append("EXCEPT")
            writer.append(token)
            writer.append(signals)
        }
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let status = try fields.text("status")
            if status == "revoked", let count = try fields.optionalNumber("count") { return .ended(count) }
            return .refused(try fields.refusal(status: status))
        }
    }

    /// `TOKEN.REVOKEEVERYONE`, for administrators: ends every session and every guest that was made until now.
    ///
    /// In force at once; the answer comes when what stands in Redis has been turned into tombstones, which takes a while
    /// for very many: call it with a long time limit. If it fails in the middle, everyone is logged out all the same, and to
    /// call it again ends what was made since, too.
    public static func revokeEveryone() -> Self {
        let writer = RequestWriter("TOKEN.REVOKEEVERYONE")
        return Self(writer, isRepeatable: false) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            guard try fields.text("status") == "revoked" else { throw .protocolViolation }
            return .ended(try fields.number("count"))
        }
    }
}

extension TokenCommand where Answer == Int64 {
    /// `TOKEN.COUNT`: how many living sessions a subject has.
    public static func count(subject: String) -> Self {
        var writer = RequestWriter("TOKEN.COUNT")
        writer.append(subject)
        return Self(writer, isRepeatable: true, isNumber: true) { (reply) throws(TokenCacheError) in
            guard case .integer(let count) = reply[0] else { throw .protocolViolation }
            return count
        }
    }
}

extension RequestWriter {
    /// What ISSUE and LOGIN say of a session.
    fileprivate mutating func append(_ limits: SessionLimits, _ authTime: UnixTime?, _ signals: Signals) {
        append("IDLE", limits.idle)
        append("ABSOLUTE", limits.absolute)
        append("COOKIE", limits.cookie?.rawValue)
        append("AUTH-TIME", authTime.map { String($0.seconds) })
        append("MAX", limits.sessionsPerSubject.map(String.init))
        append(signals)
    }
}
