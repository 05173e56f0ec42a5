extension TokenCommand where Answer == SessionPage {
    /// `TOKEN.LIST … CURSOR`: a page of all living sessions of a subject, for one who has very many.
    ///
    /// - Parameters:
    ///   - subject: Whose.
    ///   - cursor: `nil` for the first page; then ``SessionPage/next`` of the one before.
    ///   - limit: At most so many, 1 to 1000; `nil` for 100.
    ///   - data: Fields of their data to show.
    public static func page(
        subject: String, from cursor: String? = nil, limit: Int? = nil, data: DataSelection? = nil
    ) -> Self {
        var writer = RequestWriter("TOKEN.LIST")
        writer.append(subject)
        writer.append("LIMIT", limit.map(String.init))
        writer.append("CURSOR", cursor ?? "0")
        writer.append(data)
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            try page(reply, of: subject)
        }
    }

    /// `TOKEN.SCAN`, for administrators: a page of all sessions of all subjects. One that lives throughout is shown at
    /// least once, in a cluster unless slots move.
    ///
    /// - Parameters:
    ///   - cursor: `nil` for the first page; then ``SessionPage/next`` of the one before.
    ///   - count: How many keys of Redis the daemon looks at for it, 1 to 1000; `nil` for 100.
    public static func everySession(from cursor: String? = nil, count: Int? = nil) -> Self {
        var writer = RequestWriter("TOKEN.SCAN")
        writer.append(cursor ?? "0")
        writer.append("COUNT", count.map(String.init))
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in try page(reply, of: nil) }
    }

    private static func page(_ reply: Reply, of subject: String?) throws(TokenCacheError) -> SessionPage {
        guard case .array(2) = reply[0], let next = reply.string(at: 1) else { throw .protocolViolation }
        let sessions = try FieldCursor.listedSessions(reply, at: reply.after(1), of: subject)
        return SessionPage(sessions: sessions, next: next == "0" ? nil : next)
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
            try FieldCursor.listedSessions(reply, at: 0, of: subject)
        }
    }
}

extension FieldCursor {
    fileprivate static func listedSessions(
        _ reply: Reply, at start: Int, of subject: String?
    ) throws(TokenCacheError) -> [ListedSession] {
        guard case .array(let count) = reply[start] else { throw .protocolViolation }
        var sessions: [ListedSession] = []
        var position = start + 1
        for _ in 0..<count {
            var fields = try FieldCursor(reply, at: position)
            sessions.append(try fields.listedSession(of: subject))
            position = reply.after(position)
        }
        return sessions
    }

    /// - Parameter subject: Whose it is where that was asked for; `nil`: the reply says it.
    private mutating func listedSession(of subject: String?) throws(TokenCacheError) -> ListedSession {
        let sid = try sid()
        let named = subject == nil ? try text("subject") : nil
        return ListedSession(
            sid: sid, subject: subject ?? named.flatMap { $0.isEmpty ? nil : $0 }, created: try time("created"),
            modified: try time("modified"), authTime: try authTime(),
            expiresIn: try duration("expires_in"), absoluteIn: try duration("absolute_in"),
            generation: try number("generation"), data: try data())
    }
}
