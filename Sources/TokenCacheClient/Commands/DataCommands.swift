extension TokenCommand where Answer == Storing {
    /// `TOKEN.SET`: sets fields of the session's data; an empty value removes its field. A guest becomes a session.
    ///
    /// - Parameters:
    ///   - token: The current, the pending or the previous token.
    ///   - data: At least one field.
    ///   - bindings: The request's signals.
    public static func set(_ token: Token, _ data: SessionData, bindings: Bindings = Bindings()) -> Self {
        var writer = RequestWriter("TOKEN.SET")
        writer.append(token)
        writer.append(bindings)
        return storing(writer, data, token: token)
    }

    /// `TOKEN.SET SID`: for a worker that validated the token minutes ago.
    public static func set(sid: String, _ data: SessionData) -> Self {
        var writer = RequestWriter("TOKEN.SET")
        writer.append("SID", sid)
        return storing(writer, data, token: nil)
    }

    private static func storing(_ writer: RequestWriter, _ data: SessionData, token: Token?) -> Self {
        var writer = writer
        writer.append(data)
        // Not repeated: between the two, another's newer value may have been stored.
        return Self(writer, isRepeatable: false) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            let changed = try fields.number("changed")
            let successor = try fields.optionalToken("sessiontoken")
            // This reply has no `sid`: its token must speak for it.
            if let asked = token?.sid, let answered = successor?.sid, asked != answered { throw .protocolViolation }
            return .stored(changed: changed, token: TokenChange(successor))
        }
    }
}

extension TokenCommand where Answer == StoredData {
    /// `TOKEN.GET`: fields of the session's data. No access: it renews and rotates nothing.
    ///
    /// - Parameters:
    ///   - token: The current, the pending or the previous token.
    ///   - data: Which fields.
    ///   - bindings: The request's signals.
    public static func get(_ token: Token, _ data: DataSelection = .all, bindings: Bindings = Bindings()) -> Self {
        var writer = RequestWriter("TOKEN.GET")
        writer.append(token)
        writer.append(bindings)
        return reading(writer, data)
    }

    /// `TOKEN.GET SID`: for a worker that validated the token minutes ago.
    public static func get(sid: String, _ data: DataSelection = .all) -> Self {
        var writer = RequestWriter("TOKEN.GET")
        writer.append("SID", sid)
        return reading(writer, data)
    }

    private static func reading(_ writer: RequestWriter, _ data: DataSelection) -> Self {
        var writer = writer
        if !data.names.isEmpty { writer.append(data) }
        return Self(writer, isRepeatable: true) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            return .data(try fields.data())
        }
    }
}
