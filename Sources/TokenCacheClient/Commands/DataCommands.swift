extension TokenCommand where Answer == Storing {
    /// `TOKEN.SET`: sets fields of the session's data; an empty value removes its field. A guest becomes a session. Use the
    /// newest token that the request knows.
    ///
    /// - Parameters:
    ///   - token: The current, the pending or the previous token.
    ///   - data: At least one field.
    ///   - conditions: Sets them only where each of these fields has that value; an empty one: where there is no such field.
    ///   - idle: Of the session that a guest becomes: how long it lives without an access; `nil` for the guest's.
    ///   - absolute: The same in any case.
    ///   - signals: The request's signals.
    public static func set(
        _ token: SessionToken, _ data: SessionData, if conditions: SessionData = SessionData(), idle: Duration? = nil,
        absolute: Duration? = nil, signals: Signals = Signals()
    ) -> Self {
        var writer = RequestWriter("TOKEN.SET")
        writer.append(token)
        writer.append(signals)
        writer.append("IDLE", idle)
        writer.append("ABSOLUTE", absolute)
        return storing(writer, data, conditions, about: token.sid)
    }

    /// `TOKEN.SET SID`: for a worker that validated the token minutes ago; with a `subject` only if the session is theirs.
    public static func set(
        sid: SessionID, subject: String? = nil, _ data: SessionData, if conditions: SessionData = SessionData()
    ) -> Self {
        var writer = RequestWriter("TOKEN.SET")
        writer.append(sid, subject)
        return storing(writer, data, conditions, about: sid)
    }

    private static func storing(
        _ writer: RequestWriter, _ data: SessionData, _ conditions: SessionData, about sid: SessionID?
    ) -> Self {
        var writer = writer
        for field in conditions.fields {
            writer.append("IF")
            writer.append(field.name)
            writer.append(field.value)
        }
        writer.append(data)
        // Not repeated: between the two, another's newer value may have been stored.
        return Self(writer, isRepeatable: false, about: sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            let sid = try fields.sid()
            let changed = try fields.number("changed")
            guard status == "conflict" else { return .stored(changed: changed, change: try fields.change(of: sid)) }
            let data = try fields.data()
            return .conflict(data, change: try fields.change(of: sid))
        }
    }
}

extension TokenCommand where Answer == Counting {
    /// `TOKEN.INCR`: adds to a number in the session's data, exactly and atomically over all hosts. A guest becomes a session.
    ///
    /// Sent at most once: after a ``TokenCacheError/unavailable(reason:)`` or a lost connection it was counted once or not at
    /// all. A rate limit counts that as reached.
    ///
    /// - Parameters:
    ///   - token: The current, the pending or the previous token.
    ///   - field: Which; one that is not there counts as 0. One that is no integer of 64 bits is
    ///     ``TokenCacheError/badArgument(reason:)``.
    ///   - number: What is added; 0 asks.
    ///   - signals: The request's signals.
    public static func increment(
        _ token: SessionToken, _ field: String, by number: Int64 = 1, signals: Signals = Signals()
    ) -> Self {
        var writer = RequestWriter("TOKEN.INCR")
        writer.append(token)
        writer.append(signals)
        return counting(writer, field, number, about: token.sid)
    }

    /// `TOKEN.INCR SID`: for a worker that validated the token minutes ago; with a `subject` only if the session is theirs.
    public static func increment(
        sid: SessionID, subject: String? = nil, _ field: String, by number: Int64 = 1
    ) -> Self {
        var writer = RequestWriter("TOKEN.INCR")
        writer.append(sid, subject)
        return counting(writer, field, number, about: sid)
    }

    private static func counting(
        _ writer: RequestWriter, _ field: String, _ number: Int64, about sid: SessionID?
    ) -> Self {
        var writer = writer
        writer.append("DATA")
        writer.append(field)
        writer.append(String(number))
        return Self(writer, isRepeatable: false, about: sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            let sid = try fields.sid()
            let value = try fields.number("value")
            return .value(value, change: try fields.change(of: sid))
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
        return reading(writer, data, isRepeatable: true, about: token.sid)
    }

    /// `TOKEN.GET SID`: for a worker that validated the token minutes ago; with a `subject` only if the session is theirs.
    public static func get(sid: SessionID, subject: String? = nil, _ data: DataSelection = .all) -> Self {
        var writer = RequestWriter("TOKEN.GET")
        writer.append(sid, subject)
        return reading(writer, data, isRepeatable: true, about: sid)
    }

    /// `TOKEN.GETDEL`: fields of the session's data, which are gone then: of any number of takers at most one gets them.
    ///
    /// Sent at most once: where its reply was lost, it has taken or not.
    ///
    /// - Parameters:
    ///   - token: The current, the pending or the previous token.
    ///   - data: Which fields, at least one.
    ///   - signals: The request's signals.
    public static func take(_ token: SessionToken, _ data: DataSelection, signals: Signals = Signals()) -> Self {
        var writer = RequestWriter("TOKEN.GETDEL")
        writer.append(token)
        writer.append(signals)
        return reading(writer, data, isRepeatable: false, about: token.sid)
    }

    /// `TOKEN.GETDEL SID`: for a worker that validated the token minutes ago; with a `subject` only if the session is theirs.
    public static func take(sid: SessionID, subject: String? = nil, _ data: DataSelection) -> Self {
        var writer = RequestWriter("TOKEN.GETDEL")
        writer.append(sid, subject)
        return reading(writer, data, isRepeatable: false, about: sid)
    }

    private static func reading(
        _ writer: RequestWriter, _ data: DataSelection, isRepeatable: Bool, about sid: SessionID?
    ) -> Self {
        var writer = writer
        if !data.names.isEmpty { writer.append(data) }
        return Self(writer, isRepeatable: isRepeatable, about: sid) { (reply) throws(TokenCacheError) in
            var fields = try FieldCursor(reply)
            let (status, isAccepted) = try fields.standing()
            guard isAccepted else { return .refused(try fields.refusal(status: status)) }
            return .data(try fields.data())
        }
    }
}
