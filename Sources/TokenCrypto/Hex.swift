/// Hexadecimal text, eight digits at a time in one word: no table, no branch on the value of a secret.
public enum Hex {
    /// Decodes `text` (either case) into `output`, which must be half as long.
    /// - Returns: false if a character is not a hex digit or the lengths do not fit; `output` is then unspecified.
    public static func decode(_ text: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard text.count == output.count &* 2, text.count & 7 == 0, let source = text.baseAddress,
            let target = output.baseAddress
        else { return false }
        var difference: UInt64 = 0
        var offset = 0
        while offset < text.count {
            let word = UInt64(littleEndian: source.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            // What is no digit gives some value, too: told by writing the value as a digit again.
            let isLetter = word &>> 6 & ones
            let values = (word & (ones &* 0x0f)) &+ isLetter &* 9
            let overTen = (values &+ ones &* 6) &>> 4 & ones
            let canonical = values &+ ones &* 0x30 &+ overTen &* 0x27
            difference |= canonical ^ (word | isLetter &<< 5) | values & (ones &* 0xf0)
            // Two digits to a byte, then the bytes together.
            let pairs = (values &<< 4 | values &>> 8) & 0x00ff_00ff_00ff_00ff
            let quads = (pairs | pairs &>> 8) & 0x0000_ffff_0000_ffff
            let bytes = UInt32(truncatingIfNeeded: quads | quads &>> 16)
            target.storeBytes(of: bytes.littleEndian, toByteOffset: offset / 2, as: UInt32.self)
            offset &+= 8
        }
        return difference == 0
    }

    /// A one in each byte: times a number, that number in each byte.
    private static var ones: UInt64 { 0x0101_0101_0101_0101 }

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
