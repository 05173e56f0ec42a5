/// What a visitor holds: a session token or a guest token. **A secret**: whoever has it *is* the visitor.
///
/// It prints, interpolates, dumps and reflects as `<token>`, so that no log line, error text or crash report
/// can carry one by accident. The text leaves it through
/// ``revealedBytes`` and ``revealedText`` only.
public struct Token: Sendable {
    /// The longest text that can be a token (guest tokens are bounded by the daemon at 4 KiB).
    public static let maximumLength = 4096

    /// The text as it goes to the daemon. Handle it like a password: never into a log, an argument or a page.
    public let revealedBytes: [UInt8]

    /// The session's selector, 32 lower-case hex digits; not secret, fit for logs.
    ///
    /// It is read from the text alone, for every form in which a session token is accepted (128 hex digits in
    /// either case, with or without `0x`, or 86 characters of base64url). `nil` for anything else, guest tokens
    /// included: their selector stands in the reply. A caller compares it with the `sid` of the reply, so that
    /// a reply to somebody else's question is noticed.
    public let sid: String?

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
        sid = Self.selector(of: bytes)
    }

    /// The text itself, where a `String` is needed: into the response, and nowhere else.
    public var revealedText: String { String(decoding: revealedBytes, as: UTF8.self) }

    /// Whether the text is a selector: 32 lower-case hex digits.
    static func isSelector(_ digits: ArraySlice<UInt8>) -> Bool {
        guard digits.count == 2 * sidBytes else { return false }
        for digit in digits {
            switch digit {
            case 0x30...0x39, 0x61...0x66: continue
            default: return false
            }
        }
        return true
    }

    private static let sidBytes = 16
    private static let hexLength = 128
    private static let base64Length = 86

    private static func selector(of bytes: [UInt8]) -> String? {
        if bytes.count == base64Length {
            return selectorFromBase64URL(bytes)
        }
        let prefixed = bytes.starts(with: [0x30, 0x78]) || bytes.starts(with: [0x30, 0x58])
        let digits = prefixed ? bytes.dropFirst(2) : bytes[...]
        guard digits.count == hexLength, digits.allSatisfy(isHexDigit) else { return nil }
        let selector = digits.prefix(2 * sidBytes)
        return String(decoding: selector.map { (0x41...0x46).contains($0) ? $0 + 0x20 : $0 }, as: UTF8.self)
    }

    private static func selectorFromBase64URL(_ bytes: [UInt8]) -> String? {
        var octets: [UInt8] = []
        var pending: UInt32 = 0
        var bits = 0
        for byte in bytes {
            guard let value = base64Value(byte) else { return nil }
            pending = (pending << 6) | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                octets.append(UInt8(truncatingIfNeeded: pending >> UInt32(bits)))
                pending &= (1 << UInt32(bits)) - 1
            }
        }
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: octets.prefix(sidBytes).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
            as: UTF8.self)
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
        default: false
        }
    }

    private static func base64Value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x41...0x5a: byte - 0x41
        case 0x61...0x7a: byte - 0x61 + 26
        case 0x30...0x39: byte - 0x30 + 52
        case 0x2d: 62
        case 0x5f: 63
        default: nil
        }
    }
}

extension Token: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always `<token>`.
    public var description: String { "<token>" }
    /// Always `<token>`.
    public var debugDescription: String { "<token>" }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
