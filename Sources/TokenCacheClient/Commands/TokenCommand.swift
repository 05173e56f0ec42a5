/// A command and how to read its reply: what ``BlockingClient/call(_:timeout:)`` and ``AsyncClient/call(_:timeout:)``
/// take. Both clients know the same commands.
///
/// ```swift
/// switch try client.call(.validate(token)) {
/// case .session(let holder, let change, _): …
/// ```
///
/// Commands are values: they can be made ahead, kept and called more than once. One that holds a token is as secret as
/// the token, and prints as `<command>`.
public struct TokenCommand<Answer: Sendable>: Sendable {
    let request: Request
    /// Whether the same command sent twice does what it does once, whatever became of the first.
    let isRepeatable: Bool
    let expectation: Expectation
    private let read: @Sendable (Reply) throws(TokenCacheError) -> Answer

    init(
        _ writer: consuming RequestWriter, isRepeatable: Bool, about sid: SessionID? = nil, isNumber: Bool = false,
        read: @escaping @Sendable (Reply) throws(TokenCacheError) -> Answer
    ) {
        request = writer.finished()
        self.isRepeatable = isRepeatable
        expectation = Expectation(sid: sid, isNumber: isNumber)
        self.read = read
    }

    /// What a whole reply says.
    ///
    /// - Throws: What an error reply stands for, or ``TokenCacheError/protocolViolation``.
    func answer(from reply: Reply) throws(TokenCacheError) -> Answer {
        if let error = reply.error { throw error }
        guard expectation.isMet(by: reply) else { throw .protocolViolation }
        return try read(reply)
    }
}

/// What tells the reply to a command from the reply to another one.
struct Expectation: Sendable {
    /// The session that was asked about: a reply that accepts its token names it in `sid`. `nil` where a reply may be
    /// about another session, or names none.
    let sid: SessionID?
    /// The reply is a number; else it is a map or a list.
    let isNumber: Bool

    /// Whether this may be the reply. If not, the connection gives answers to other questions.
    func isMet(by reply: Reply) -> Bool {
        if case .error = reply[0] { return true }
        if case .integer = reply[0] { return isNumber }
        guard case .array = reply[0], !isNumber else { return false }
        guard let sid else { return true }
        guard var fields = try? FieldCursor(reply) else { return false }
        guard let accepted = fields.position(of: "accepted"), reply[accepted] == .integer(1) else { return true }
        guard let position = fields.position(of: "sid") else { return false }
        return SessionID(digits: reply.bytes(at: position), isStrict: true) == sid
    }
}

extension TokenCommand: CustomStringConvertible, CustomReflectable {
    /// Always `<command>`.
    public var description: String { "<command>" }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension FieldCursor {
    /// The new holder of a reply that always has a token.
    mutating func issued() throws(TokenCacheError) -> Issued {
        let holder = try holder()
        guard case .replace(let token, let maxAge) = try change(of: holder.sid) else { throw .protocolViolation }
        return Issued(
            holder: holder, token: token, maxAge: maxAge, csrf: try optionalText("csrf").map(CSRFToken.init),
            ended: try optionalNumber("ended"))
    }
}
