public import TokenCrypto

/// The public half of a session token: the selector under which its session is stored, 16 bytes. Fit for logs.
public struct SessionID: FixedBytes, Hashable, CustomStringConvertible {
    public static var byteCount: Int { 16 }
    public var storage = InlineArray<16, UInt8>(repeating: 0)
    public init() {}

    /// 32 lower-case hex digits, as ASCII.
    public var hex: [UInt8] { withUnsafeBytes { Hex.encode($0) } }
    public var description: String { String(decoding: hex, as: UTF8.self) }

    /// Reads 32 hex digits in either case, with or without `0x`; nil for anything else.
    public init?(text: UnsafeRawBufferPointer) {
        self.init()
        let digits = Hexadecimal.digits(of: text)
        guard digits.count == 32, withUnsafeMutableBytes({ Hex.decode(digits, into: $0) }) else { return nil }
    }

    public init?(text: some Sequence<UInt8>) {
        guard let parsed = Array(text).withUnsafeBytes({ SessionID(text: $0) }) else { return nil }
        self = parsed
    }

    /// Not a secret, so compared as plain words.
    public static func == (left: SessionID, right: SessionID) -> Bool { left.words == right.words }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }

    private var words: (UInt64, UInt64) {
        withUnsafeBytes { ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) }
    }
}

/// What a client holds for a stored session: 64 random bytes, `sid` and verifier.
///
/// On the wire 128 lower-case hex digits. Accepted on input: hex in either case, with or without `0x`, and
/// base64url (86 characters). A secret: it prints as its `sid` alone.
public struct SessionToken: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
    /// Digits of a token on the wire.
    public static var textLength: Int { 128 }

    public var sid: SessionID
    public var verifier: Verifier

    public init(sid: SessionID, verifier: Verifier) {
        self.sid = sid
        self.verifier = verifier
    }

    /// Reads a token as clients send it; nil for anything that cannot be one. Allocates nothing.
    public init?(text: UnsafeRawBufferPointer) {
        var sid = SessionID()
        var verifier = Verifier()
        let digits = Hexadecimal.digits(of: text)
        switch digits.count {
        case Self.textLength:
            // Both halves in any case: how long it takes tells nothing of the verifier.
            let selector = UnsafeRawBufferPointer(rebasing: digits[..<32])
            let secret = UnsafeRawBufferPointer(rebasing: digits[32...])
            let isSID = sid.withUnsafeMutableBytes { Hex.decode(selector, into: $0) }
            let isVerifier = verifier.withUnsafeMutableBytes { Hex.decode(secret, into: $0) }
            guard isSID, isVerifier else { return nil }
        case 86:
            var bytes = InlineArray<64, UInt8>(repeating: 0)
            guard withUnsafeMutableBytes(of: &bytes, { Base64URL.decode(text, into: $0) }) else { return nil }
            withUnsafeBytes(of: bytes) { all in
                sid.withUnsafeMutableBytes { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[..<16])) }
                verifier.withUnsafeMutableBytes { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[16...])) }
            }
        default: return nil
        }
        self.init(sid: sid, verifier: verifier)
    }

    public init?(text: some Sequence<UInt8>) {
        guard let parsed = Array(text).withUnsafeBytes({ SessionToken(text: $0) }) else { return nil }
        self = parsed
    }

    /// 128 lower-case hex digits, as ASCII: the secret itself, for the reply to its holder only.
    public var secretText: [UInt8] { sid.hex + verifier.withUnsafeBytes { Hex.encode($0) } }

    public var description: String { "<token of \(sid)>" }
    public var customMirror: Mirror { Mirror(self, children: ["sid": sid.description]) }
}

enum Hexadecimal {
    /// The text without a leading `0x`, where what is left has the length of a token or a `sid`.
    static func digits(of text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard text.count == 130 || text.count == 34, text[0] == UInt8(ascii: "0"), text[1] | 32 == UInt8(ascii: "x")
        else { return text }
        return UnsafeRawBufferPointer(rebasing: text[2...])
    }
}
