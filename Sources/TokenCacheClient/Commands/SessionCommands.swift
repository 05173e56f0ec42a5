extension TokenCommand where Answer == Issued {
    /// `TOKEN.ISSUE`: a new session.
    ///
    /// - Parameters:
    ///   - subject: Whose it is, at most 256 bytes; `nil` for an anonymous one.
    ///   - limits: How long it may live.
    ///   - bindings: The signals it is bound to.
    ///   - data: Its first data.
    public static func issue(
        subject: String? = nil, limits: SessionLimits = SessionLimits(), bindings: Bindings = Bindings(),
        data: SessionData = SessionData()
    ) -> Self {
        var writer = RequestWriter("TOKEN.ISSUE")
        writer.append("SUBJECT", subject)
        writer.append(limits, bindings, data)
        return issued(writer, isRepeatable: false)
    }

    /// `TOKEN.LOGIN`: call it after the credentials were checked, with whatever token the client sent.
    ///
    /// The old token is dead when this returns. After a ``TokenCacheError/connection(reason:)`` the same login may be
    /// called again with the same token: within `rotation.overlap` it leads to the same session.
    ///
    /// - Parameters:
    ///   - token: What the client sent, `nil` if nothing.
    ///   - subject: Who has logged in, 1 to 256 bytes.
    ///   - limits: How long the session may live from now on.
    ///   - bindings: The signals it is bound to.
    ///   - data: Data to add.
    public static func login(
        _ token: Token?, subject: String, limits: SessionLimits = SessionLimits(), bindings: Bindings = Bindings(),
        data: SessionData = SessionData()
    ) -> Self {
        var writer = RequestWriter("TOKEN.LOGIN")
        writer.append(token)
        writer.append(subject)
        writer.append(limits, bindings, data)
        return Self(writer, isRepeatable: false) { (reply) throws(TokenCacheError) in
            let issued = try Self.read(reply)
            guard issued.holder.subject == subject else { throw .protocolViolation }
            return issued
        }
    }

    /// `GUEST.ISSUE`: a guest's token, which costs the store nothing. A page gets one from
    /// ``visit(_:bindings:check:site:csrf:data:)`` by itself.
    ///
    /// - Parameters:
    ///   - lifetime: How long it lives; `nil` for `guest.lifetime`.
    ///   - bindings: The signals it is bound to.
    public static func issueGuest(lifetime: Duration? = nil, bindings: Bindings = Bindings()) -> Self {
        var writer = RequestWriter("GUEST.ISSUE")
        writer.append("LIFETIME", lifetime)
        writer.append(bindings)
        return issued(writer, isRepeatable: true)
    }

    private static func issued(_ writer: RequestWriter, isRepeatable: Bool) -> Self {
        Self(writer, isRepeatable: isRepeatable) { (reply) throws(TokenCacheError) in try read(reply) }
    }

    private static func read(_ reply: Reply) throws(TokenCacheError) -> Issued {
        var fields = try FieldCursor(reply)
        guard try fields.standing() == ("issued", true) else { throw .protocolViolation }
        return try fields.issued()
    }
}

extension TokenCommand where Answer == Rotation {
    /// `TOKEN.ROTATE`: a new token at once, for a change of privilege other than a login. Limits and data stay.
    public static func rotate(_ token: Token, bindings: Bindings = Bindings()) -> Self {
        var writer = RequestWriter("TOKEN.ROTATE")
        writer.append(token)
        writer.append(bindings)
        return Self(writer, isRepeatable: false, about: token.sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            let holder = try fields.holder()
            guard case .replace(let successor) = try fields.change(for: holder) else { throw .protocolViolation }
            return .rotated(holder, token: successor)
        }
    }
}

extension TokenCommand where Answer == Refusal {
    /// `TOKEN.REVOKE`: logout. Any token that the session still remembers ends it, so logout works in an old tab, too.
    ///
    /// The answer is what the token is from now on: ``Refusal/revoked(_:)``, or ``Refusal/unknown``. Safe to repeat.
    public static func revoke(_ token: Token, bindings: Bindings = Bindings()) -> Self {
        var writer = RequestWriter("TOKEN.REVOKE")
        writer.append(token)
        writer.append(bindings)
        return revocation(writer)
    }

    /// `TOKEN.REVOKE SID`: ends a session by its public name. Safe to repeat.
    public static func revoke(sid: String) -> Self {
        var writer = RequestWriter("TOKEN.REVOKE")
        writer.append("SID", sid)
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
    /// `TOKEN.REVOKEALL`: ends all sessions of a subject, but that of `token`. Everything that was acknowledged before
    /// it began is dead when it returns. Safe to repeat; the count is then of the last call.
    ///
    /// - Parameters:
    ///   - subject: Whose, 1 to 256 bytes.
    ///   - token: The session to spare, for "log out everywhere else"; `nil` spares none.
    public static func revokeAll(subject: String, except token: Token? = nil) -> Self {
        var writer = RequestWriter("TOKEN.REVOKEALL")
        writer.append(subject)
        if token != nil {
            writer.append("EXCEPT")
            writer.append(token)
        }
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let status = try fields.text("status")
            if status == "revoked", let count = try fields.optionalNumber("count") { return .ended(count) }
            return .refused(try fields.refusal(status: status))
        }
    }
}

extension TokenCommand where Answer == [ListedSession] {
    /// `TOKEN.LIST`: the living sessions of a subject, newest first.
    ///
    /// - Parameters:
    ///   - subject: Whose.
    ///   - limit: At most so many, 1 to 1000; `nil` for 100.
    ///   - data: Fields of their data to show.
    public static func list(subject: String, limit: Int? = nil, data: DataSelection? = nil) -> Self {
        var writer = RequestWriter("TOKEN.LIST")
        writer.append(subject)
        writer.append("LIMIT", limit.map(String.init))
        writer.append(data)
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            guard case .array(let count) = reply[0] else { throw .protocolViolation }
            var sessions: [ListedSession] = []
            var position = 1
            for _ in 0..<count {
                var fields = try FieldCursor(reply, at: position)
                sessions.append(try fields.listedSession())
                position = reply.after(position)
            }
            return sessions
        }
    }
}

extension FieldCursor {
    fileprivate mutating func listedSession() throws(TokenCacheError) -> ListedSession {
        ListedSession(
            sid: try text("sid"), created: try time("created"), modified: try time("modified"),
            expiresIn: try duration("expires_in"), absoluteIn: try duration("absolute_in"),
            generation: try number("generation"), data: try data())
    }
}

extension RequestWriter {
    fileprivate mutating func append(_ limits: SessionLimits, _ bindings: Bindings, _ data: SessionData) {
        append("IDLE", limits.idle)
        append("ABSOLUTE", limits.absolute)
        append(bindings)
        append(data)
    }
}
