/// A command and how to read its reply: what ``BlockingClient/call(_:timeout:)`` and ``AsyncClient/call(_:timeout:)``
/// take. Both clients know the same commands.
///
/// ```swift
/// switch try client.call(.validate(token)) {
/// case .session(let holder, let change): …
/// ```
///
/// Commands are values: they can be made ahead, kept and called more than once. One that holds a token is as secret as
/// the token, and prints as `<command>`.
public struct TokenCommand<Answer: Sendable>: Sendable {
    let request: Request
    /// Whether the same command sent twice does what it does once, whatever became of the first.
    let isRepeatable: Bool
    private let read: @Sendable (Reply) throws(TokenCacheError) -> Answer

    init(
        _ writer: consuming RequestWriter, isRepeatable: Bool,
        read: @escaping @Sendable (Reply) throws(TokenCacheError) -> Answer
    ) {
        request = writer.finished()
        self.isRepeatable = isRepeatable
        self.read = read
    }

    /// What a whole reply says.
    ///
    /// - Throws: What an error reply stands for, or ``TokenCacheError/protocolViolation``; then the connection it came
    ///   over is not to be trusted any more.
    func answer(from reply: Reply) throws(TokenCacheError) -> Answer {
        if let error = reply.error { throw error }
        return try read(reply)
    }
}

extension TokenCommand: CustomStringConvertible, CustomReflectable {
    /// Always `<command>`.
    public var description: String { "<command>" }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension FieldCursor {
    /// The holder of an accepted token, which must be the one that was asked about: its `sid` equals the first 32
    /// digits of a session token. Anything else is the answer to somebody else's question.
    mutating func holder(of token: Token?) throws(TokenCacheError) -> Holder {
        let holder = try holder()
        if let asked = token?.sid, asked != holder.sid { throw .protocolViolation }
        return holder
    }

    /// The change that `sessiontoken` asks for. The new token stands for the same holder.
    mutating func change(for holder: Holder) throws(TokenCacheError) -> TokenChange {
        guard let token = try optionalToken("sessiontoken") else { return .keep }
        if let sid = token.sid, sid != holder.sid { throw .protocolViolation }
        return .replace(token)
    }

    /// The new holder of a reply that always has a token.
    mutating func issued() throws(TokenCacheError) -> Issued {
        let holder = try holder()
        guard case .replace(let token) = try change(for: holder) else { throw .protocolViolation }
        return Issued(holder: holder, token: token)
    }
}
