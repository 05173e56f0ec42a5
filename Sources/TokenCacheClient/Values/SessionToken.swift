/// What a visitor holds, `sessiontoken` in replies: the token of a session or of a guest. **A secret**: whoever has it *is*
/// the visitor.
///
/// It prints, interpolates, dumps and reflects as `<token>`, so that no log line, error text or crash report
/// can carry one by accident. The text leaves it through ``revealedBytes`` and ``revealedText`` only.
public struct SessionToken: Sendable {
    /// The longest text that can be a token (guest tokens are bounded by the daemon at 4 KiB).
    public static let maximumLength = 4096

    /// The text as it goes to the daemon. Handle it like a password: never into a log, an argument or a page.
    public let revealedBytes: [UInt8]

    /// The session's public name, which stands in the text; not secret, fit for logs.
    ///
    /// It is read from every form in which a session token is accepted (128 hex digits in either case, with or without
    /// `0x`, or 86 characters of base64url) and from a guest's token, which has it as `jti`. `nil` for anything else. The
    /// library compares it with the `sid` of the reply, so that a reply to somebody else's question is noticed.
    public let sid: SessionID?

    /// Takes the text a client sent.
    ///
    /// - Returns: `nil` if this cannot be a token of any kind: empty, longer than ``maximumLength``, or with
    ///   a character that no token has (white space, control characters, anything outside ASCII). Whether it
    ///   *is* one, only the daemon knows.
    public init?(_ text: some StringProtocol) {
        self.init(bytes: Array(text.utf8))
    }

    /// As ``init(_:)``, from bytes.
    public init?(bytes: [UInt8]) {
        guard !bytes.isEmpty, bytes.count <= Self.maximumLength else { return nil }
        guard bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
        revealedBytes = bytes
        sid = SessionID.ofToken(bytes)
    }

    /// The text itself, where a `String` is needed: into the response, and nowhere else.
    public var revealedText: String { String(decoding: revealedBytes, as: UTF8.self) }
}

extension SessionToken: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always `<token>`.
    public var description: String { "<token>" }
    /// Always `<token>`.
    public var debugDescription: String { "<token>" }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
