/// The public name of a session, or of a guest and the session it may become: `sid`, 32 hex digits. Not secret, fit for
/// logs.
public struct SessionID: Sendable, Hashable {
    /// Hex digits of its text.
    static let length = 32

    private let high: UInt64
    private let low: UInt64

    /// Reads 32 hex digits in either case.
    ///
    /// - Returns: `nil` for anything else.
    public init?(_ text: some StringProtocol) {
        self.init(digits: text.utf8)
    }

    /// - Parameter isStrict: Whether upper-case digits are refused, which the daemon never writes.
    init?(digits: some Collection<UInt8>, isStrict: Bool = false) {
        guard digits.count == Self.length else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for digit in digits {
            let value: UInt64
            switch digit {
            case 0x30...0x39: value = UInt64(digit - 0x30)
            case 0x61...0x66: value = UInt64(digit - 0x61 + 10)
            case 0x41...0x46 where !isStrict: value = UInt64(digit - 0x41 + 10)
            default: return nil
            }
            high = high << 4 | low >> 60
            low = low << 4 | value
        }
        self.high = high
        self.low = low
    }

    /// 16 bytes.
    init?(octets: some Collection<UInt8>) {
        guard octets.count == Self.length / 2 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for octet in octets {
            high = high << 8 | low >> 56
            low = low << 8 | UInt64(octet)
        }
        self.high = high
        self.low = low
    }

    /// 32 lower-case hex digits.
    public var text: String {
        let digits = [high, low].map { half in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: Self.length / 2 - digits.count) + digits
        }
        return digits.joined()
    }
}

extension SessionID: CustomStringConvertible {
    /// ``text``.
    public var description: String { text }
}
