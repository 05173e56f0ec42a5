extension TokenCommand where Answer == Storing {
    /// `TOKEN.SET`: sets fields of the session's data; an empty value removes its field. A guest becomes a session. Use the
    /// newest token that the request knows.
    ///
    /// - Parameters:
    ///   - token: The current, the pending or the previous token.
    ///   - data: At least one field.
    ///   - signals: The request's signals.
    public static func set(_ token: SessionToken, _ data: SessionData, signals: Signals = Signals()) -> Self {
        var writer = RequestWriter("TOKEN.SET")
        writer.append(token)
        writer.append(signals)
        return storing(writer, data, about: token.sid)
    }

    /// `TOKEN.SET SID`: for a worker that validated the token minutes ago; with a `subject` only if the session is theirs.
    public static func set(sid: SessionID, subject: String? = nil, _ data: SessionData) -> Self {
        var writer = RequestWriter("TOKEN.SET")
        writer.append(sid, subject)
        return storing(writer, data, about: sid)
    }

    private static func storing(_ writer: RequestWriter, _ data: SessionData, about sid: SessionID?) -> Self {
        var writer = writer
        writer.append(data)
        // Not repeated: between the two, another's newer value may have been stored.
        return Self(writer, isRepeatable: false, about: sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            let sid = try fields.sid()
            let changed = try fields.number("changed")
            return .stored(changed: changed, change: try fields.change(of: sid))
        }
    }
}

extension TokenCommand where Answer == StoredData {
    /// `TOKEN.GET`: fields of the session's data. No access: it renews and rotates nothing.
    ///
    /// - Parameters:
    ///   - token: The current, the pending or the previous token.
    ///   - data: Which fields.
    ///   - signals: The request's signals.
    public static func get(_ token: SessionToken, _ data: DataSelection = .all, signals: Signals = Signals()) -> Self {
        var writer = RequestWriter("TOKEN.GET")
        writer.append(token)
        writer.append(signals)
        return reading(writer, data, about: token.sid)
    }

    /// `TOKEN.GET SID`: for a worker that validated the token minutes ago; with a `subject` only if the session is theirs.
    public static func get(sid: SessionID, subject: String? = nil, _ data: DataSelection = .all) -> Self {
        var writer = RequestWriter("TOKEN.GET")
        writer.append(sid, subject)
        return reading(writer, data, about: sid)
    }

    private static func reading(_ writer: RequestWriter, _ data: DataSelection, about sid: SessionID?) -> Self {
        var writer = writer
        if !data.names.isEmpty { writer.append(data) }
        return Self(writer, isRepeatable: true, about: sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            return .data(try fields.data())
        }
    }
}
