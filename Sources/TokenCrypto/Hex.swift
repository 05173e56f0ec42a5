/// Hexadecimal text, sixteen digits at a time: no table, no branch on the value of a secret.
public enum Hex {
    /// Decodes `text` (either case) into `output`, which must be half as long; `text` is of whole groups of 16 digits.
    /// - Returns: false if a character is not a hex digit or the lengths do not fit; `output` is then unspecified.
    public static func decode(_ text: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard text.count == output.count &* 2, text.count & 15 == 0, let source = text.baseAddress,
            let target = output.baseAddress
        else { return false }
        // The highest bit of a byte: it is no digit.
        var faults = SIMD16<UInt8>()
        var offset = 0
        while offset < text.count {
            let characters = source.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
            // Distances from "0", at most 9, and from "a" in either case, at most 5: the sum passes 127 behind that.
            let decimals = characters &+ 0xd0
            let letters = (characters | 0x20) &+ 0x9f
            let notDecimal = decimals | (decimals &+ 118)
            faults |= notDecimal & (letters | (letters &+ 122))
            let areLetters = unsafeBitCast(
                unsafeBitCast(notDecimal, to: SIMD16<Int8>.self) &>> 7, to: SIMD16<UInt8>.self)
            let values = (characters & 0x0f) &+ (areLetters & 9)
            // Two digits to a byte, then the bytes together.
            let pairs = unsafeBitCast(values, to: SIMD8<UInt16>.self)
            let bytes = SIMD8<UInt8>(truncatingIfNeeded: pairs &<< 4 | pairs &>> 8)
            target.storeBytes(of: unsafeBitCast(bytes, to: UInt64.self), toByteOffset: offset / 2, as: UInt64.self)
            offset &+= 16
        }
        let halves = unsafeBitCast(faults, to: SIMD2<UInt64>.self)
        return (halves[0] | halves[1]) & 0x8080_8080_8080_8080 == 0
    }

    /// Whether `text` is `count` bytes in lower-case digits, twice as many; no branch depends on either. `count` is a
    /// multiple of 8.
    @inlinable @inline(__always)
    public static func isText(_ text: UnsafeRawPointer, of bytes: UnsafeRawPointer, count: Int) -> Bool {
        var difference = SIMD8<UInt16>()
        var offset = 0
        while offset < count {
            let words = SIMD8<UInt16>(
                truncatingIfNeeded: bytes.loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt8>.self))
            let digits = (words &>> 4 | words &<< 8) & 0x0F0F
            let isLetter = (digits &+ 0x0606) &>> 4 & 0x0101
            let characters = digits &+ 0x3030 &+ isLetter &* 39
            difference |= characters ^ text.loadUnaligned(fromByteOffset: offset &* 2, as: SIMD8<UInt16>.self)
            offset &+= 8
        }
        let halves = unsafeBitCast(difference, to: SIMD2<UInt64>.self)
        return halves[0] | halves[1] == 0
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
