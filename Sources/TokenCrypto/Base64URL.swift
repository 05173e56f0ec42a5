/// Base64 with the URL-safe alphabet, without padding (RFC 4648 §5), canonical only: one text for one value.
public enum Base64URL {
    /// Decodes `text` into `output`, whose length must be exactly what the text holds.
    /// - Returns: false for a foreign character, a wrong length, or trailing bits that are not zero.
    public static func decode(_ text: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard text.count % 4 != 1, text.count / 4 * 3 + max(text.count % 4 - 1, 0) == output.count else { return false }
        var accumulator: UInt32 = 0
        var bits = 0
        var written = 0
        for character in text {
            guard let value = value(of: character) else { return false }
            accumulator = accumulator << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                output[written] = UInt8(truncatingIfNeeded: accumulator >> UInt32(bits))
                written += 1
                accumulator &= (1 << UInt32(bits)) - 1
            }
        }
        return accumulator == 0
    }

    @inline(__always)
    private static func value(of character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - 65
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - 71
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character + 4
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
