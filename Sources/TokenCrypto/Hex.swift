/// Hexadecimal text, 16 digits at a time in a SIMD register: no table, no branch on the value of a secret.
public enum Hex {
    /// Decodes `text` (either case) into `output`, which must be half as long.
    /// - Returns: false if a character is not a hex digit or the lengths do not fit; `output` is then unspecified.
    @inlinable
    public static func decode(_ text: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard text.count == output.count * 2, text.count % 16 == 0 else { return false }
        var valid = true
        var offset = 0
        while offset < text.count {
            let characters = text.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
            let digit = characters &- 48
            let letter = (characters | 32) &- 97
            let isLetter = letter .< 6
            valid = all(isLetter .| (digit .< 10)) && valid
            let values = digit.replacing(with: letter &+ 10, where: isLetter)
            output.storeBytes(
                of: values.evenHalf &<< 4 | values.oddHalf, toByteOffset: offset / 2, as: SIMD8<UInt8>.self)
            offset += 16
        }
        return valid
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
