import Foundation

/// Looks for pieces of secrets in bytes of any origin.
///
/// Any run of 16 bytes of a verifier holds one of its six aligned blocks of 8 bytes, so it is enough to look for those:
/// as raw bytes, as hexadecimal in either case, in Redis's escaping (`\x..`), in base64 and base64url at each of the
/// three positions that a block can take in a group. Blocks of too few different bytes are left out: they occur by
/// chance, and no random verifier has one.
public struct LeakScan: Sendable {
    private var blocks = Filter()
    private var base64 = Filter()

    public struct Leak: Sendable, CustomStringConvertible {
        public let source: String
        public let encoding: String
        public let offset: Int
        public let context: String
        public var description: String { "\(source) at \(offset), \(encoding): …\(context)…" }
    }

    public init(_ secrets: [[UInt8]]) {
        for secret in secrets {
            for start in stride(from: 0, through: secret.count - 8, by: 8) {
                let block = secret[start..<start + 8]
                guard Set(block).count >= 4 else { continue }
                let value = block.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                blocks.insert(value)
                // Ten whole base64 characters lie within the block, wherever in a group of three bytes it begins.
                base64.insert(value >> 4)
                base64.insert((value << 4) >> 4)
                base64.insert((value << 2) >> 4)
            }
        }
    }

    /// The first leak in each encoding, if any.
    public func leaks(in bytes: [UInt8], source: String) -> [Leak] {
        var found = scanRaw(bytes, source, "raw bytes")
        if bytes.contains(UInt8(ascii: "\\")) {
            found += scanRaw(Self.unescaped(bytes), source, "escaped")
        }
        return found + scanHexadecimal(bytes, source) + scanBase64(bytes, source)
    }

    private func scanRaw(_ bytes: [UInt8], _ source: String, _ encoding: String) -> [Leak] {
        var window: UInt64 = 0
        for (index, byte) in bytes.enumerated() {
            window = window << 8 | UInt64(byte)
            if blocks.contains(window) { return [leak(bytes, index, source, encoding)] }
        }
        return []
    }

    private func scanHexadecimal(_ bytes: [UInt8], _ source: String) -> [Leak] {
        var window: UInt64 = 0
        var run = 0
        for (index, byte) in bytes.enumerated() {
            guard let nibble = TokenParts.nibble(byte) else {
                run = 0
                continue
            }
            window = window << 4 | UInt64(nibble)
            run += 1
            if run >= 16 && blocks.contains(window) { return [leak(bytes, index, source, "hexadecimal")] }
        }
        return []
    }

    private func scanBase64(_ bytes: [UInt8], _ source: String) -> [Leak] {
        var window: UInt64 = 0
        var run = 0
        for (index, byte) in bytes.enumerated() {
            guard let sextet = Self.sextet(byte) else {
                run = 0
                continue
            }
            window = (window << 6 | UInt64(sextet)) & 0x0fff_ffff_ffff_ffff
            run += 1
            if run >= 10 && base64.contains(window) { return [leak(bytes, index, source, "base64")] }
        }
        return []
    }

    private func leak(_ bytes: [UInt8], _ index: Int, _ source: String, _ encoding: String) -> Leak {
        let context = bytes[max(0, index - 200)..<min(bytes.count, index + 40)]
        let readable = context.map { (32..<127).contains($0) ? $0 : UInt8(ascii: ".") }
        return Leak(
            source: source, encoding: encoding, offset: index, context: String(decoding: readable, as: UTF8.self))
    }

    private static func sextet(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: nil
        }
    }

    /// Undoes what MONITOR does to bytes: `\xHH`, `\n`, `\r`, `\t`, `\a`, `\b`, and a backslash before anything else.
    static func unescaped(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count else {
                result.append(bytes[index])
                index += 1
                continue
            }
            if bytes[index + 1] == UInt8(ascii: "x"), index + 3 < bytes.count,
                let high = TokenParts.nibble(bytes[index + 2]), let low = TokenParts.nibble(bytes[index + 3])
            {
                result.append(high << 4 | low)
                index += 4
                continue
            }
            let letters: [UInt8: UInt8] = [
                UInt8(ascii: "n"): 10, UInt8(ascii: "r"): 13, UInt8(ascii: "t"): 9, UInt8(ascii: "a"): 7,
                UInt8(ascii: "b"): 8,
            ]
            result.append(letters[bytes[index + 1]] ?? bytes[index + 1])
            index += 2
        }
        return result
    }

    /// A set with a bitmap before it, since nearly every question is answered no.
    private struct Filter: Sendable {
        private var values: Set<UInt64> = []
        private var bitmap = [UInt64](repeating: 0, count: 1 << 16)

        private static func slot(_ value: UInt64) -> (word: Int, bit: UInt64) {
            let mixed = (value ^ (value >> 29)) &* 0x9e37_79b9_7f4a_7c15
            return (Int(mixed >> 48), 1 << ((mixed >> 40) & 63))
        }

        mutating func insert(_ value: UInt64) {
            values.insert(value)
            let (word, bit) = Self.slot(value)
            bitmap[word] |= bit
        }

        func contains(_ value: UInt64) -> Bool {
            let (word, bit) = Self.slot(value)
            return bitmap[word] & bit != 0 && values.contains(value)
        }
    }
}
