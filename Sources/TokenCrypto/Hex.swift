/// Hexadecimal text, eight digits at a time in one word: no table, no branch on the value of a secret.
public enum Hex {
    /// Decodes `text` (either case) into `output`, which must be half as long.
    /// - Returns: false if a character is not a hex digit or the lengths do not fit; `output` is then unspecified.
    public static func decode(_ text: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard text.count == output.count * 2, text.count % 8 == 0 else { return false }
        var valid: UInt64 = ~0
        var offset = 0
        while offset < text.count {
            let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            valid &= digits(in: word)
            output.storeBytes(of: bytes(of: word).littleEndian, toByteOffset: offset / 2, as: UInt32.self)
            offset += 8
        }
        return valid & highBits == highBits
    }

    private static var ones: UInt64 { 0x0101_0101_0101_0101 }
    private static var highBits: UInt64 { 0x8080_8080_8080_8080 }

    /// The highest bit of each byte says whether the byte is a hex digit.
    @inline(__always)
    private static func digits(in word: UInt64) -> UInt64 {
        // Seven bits a byte, so that no sum carries into the next one; a byte above 127 is no digit.
        let low = word & ~highBits
        let lower = low | ones &* 0x20
        let decimal = atLeast(low, 0x30) & ~atLeast(low, 0x3a)
        let letter = atLeast(lower, 0x61) & ~atLeast(lower, 0x67)
        return (decimal | letter) & ~word
    }

    /// The highest bit of each byte says whether the byte, below 128, is at least `bound`.
    @inline(__always)
    private static func atLeast(_ word: UInt64, _ bound: UInt64) -> UInt64 { word &+ ones &* (0x80 &- bound) }

    /// The four bytes that eight hex digits stand for, in the order of the text.
    @inline(__always)
    private static func bytes(of word: UInt64) -> UInt32 {
        // A letter's low four bits are 9 less than its value, and its bit 6 is set.
        let nibbles = (word & 0x0f0f_0f0f_0f0f_0f0f) &+ (word &>> 6 & ones) &* 9
        let pairs = (nibbles &<< 4 | nibbles &>> 8) & 0x00ff_00ff_00ff_00ff
        let quads = (pairs | pairs &>> 8) & 0x0000_ffff_0000_ffff
        return UInt32(truncatingIfNeeded: quads | quads &>> 16)
    }

    /// Lower-case hex of `bytes`.
    public static func encode(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: bytes.count * 2) { output, count in
            for byte in bytes {
                output[count] = digit(byte >> 4)
                output[count + 1] = digit(byte & 15)
                count += 2
            }
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 87 + value }
}
