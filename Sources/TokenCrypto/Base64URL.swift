/// Base64 with the URL-safe alphabet, without padding (RFC 4648 §5), canonical only: one text for one value.
///
/// Eight characters at a time in one word, as `Hex` does it: no table, no branch on the value of a secret.
public enum Base64URL {
    /// Bytes that `length` characters hold; nil where no text has that length.
    public static func decodedCount(_ length: Int) -> Int? {
        length % 4 == 1 ? nil : length / 4 * 3 + max(length % 4 - 1, 0)
    }

    /// Characters that `count` bytes need.
    public static func encodedCount(_ count: Int) -> Int { count / 3 * 4 + (count % 3 == 0 ? 0 : count % 3 + 1) }

    /// Decodes `text` into `output`, whose length must be exactly what the text holds.
    /// - Returns: false for a foreign character, a wrong length, or trailing bits that are not zero; `output` is then
    ///   unspecified.
    public static func decode(_ text: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard decodedCount(text.count) == output.count else { return false }
        guard let source = text.baseAddress, let target = output.baseAddress else { return text.isEmpty }
        var isValid = true
        var read = 0
        var written = 0
        while text.count &- read >= 8 {
            let word = source.loadUnaligned(fromByteOffset: read, as: UInt64.self)
            let (bits, isText) = values(UInt64(bigEndian: word))
            isValid = isValid && isText
            target.storeBytes(
                of: UInt32(truncatingIfNeeded: bits &>> 16).bigEndian, toByteOffset: written, as: UInt32.self)
            target.storeBytes(
                of: UInt16(truncatingIfNeeded: bits).bigEndian, toByteOffset: written &+ 4, as: UInt16.self)
            read &+= 8
            written &+= 6
        }
        // What is left is filled up with "A", which is zero: whatever stands past the last byte must then be zero, too.
        var last = UInt64(0x4141_4141_4141_4141)
        withUnsafeMutableBytes(of: &last) { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: text[read...])) }
        let (bits, isText) = values(UInt64(bigEndian: last))
        var rest = bits &<< 16
        while written < output.count {
            output[written] = UInt8(truncatingIfNeeded: rest &>> 56)
            rest &<<= 8
            written &+= 1
        }
        return isValid && isText && rest == 0
    }

    /// The bytes of `text`; nil where `decode(_:into:)` is false.
    public static func decode(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
        guard let count = decodedCount(text.count) else { return nil }
        var isValid = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { output, initialized in
            isValid = decode(
                text, into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: output[..<count])))
            initialized = isValid ? count : 0
        }
        return isValid ? bytes : nil
    }

    /// The text of `bytes`.
    public static func encode(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: encodedCount(bytes.count)) { output, length in
            length = encodedCount(bytes.count)
            guard let source = bytes.baseAddress, let target = output.baseAddress.map(UnsafeMutableRawPointer.init)
            else { return }
            var read = 0
            var written = 0
            // Words of eight bytes of which six count, as long as there are so many.
            while bytes.count &- read >= 8 {
                let word = UInt64(bigEndian: source.loadUnaligned(fromByteOffset: read, as: UInt64.self)) &>> 16
                target.storeBytes(of: characters(word).bigEndian, toByteOffset: written, as: UInt64.self)
                read &+= 6
                written &+= 8
            }
            while read < bytes.count {
                var word: UInt64 = 0
                withUnsafeMutableBytes(of: &word) { word in
                    word.copyMemory(
                        from: UnsafeRawBufferPointer(start: source + read, count: min(6, bytes.count &- read)))
                }
                let rest = UnsafeMutableRawBufferPointer(start: target + written, count: min(8, length &- written))
                withUnsafeBytes(of: characters(UInt64(bigEndian: word) &>> 16).bigEndian) {
                    rest.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<rest.count]))
                }
                read &+= 6
                written &+= 8
            }
        }
    }

    public static func encode(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { encode($0) } }

    /// A one in each byte: times a number, that number in each byte.
    private static var ones: UInt64 { 0x0101_0101_0101_0101 }

    /// A one in each byte of `word` that is at least `bound`; no byte may have its high bit set.
    @inline(__always)
    private static func atLeast(_ bound: UInt8, _ word: UInt64) -> UInt64 {
        ((word | ones &* 0x80) &- ones &* UInt64(bound)) &>> 7 & ones
    }

    /// The 48 bits that eight characters hold, the first one highest; false if one is not of the alphabet.
    @inline(__always)
    private static func values(_ word: UInt64) -> (bits: UInt64, isText: Bool) {
        let low = word & (ones &* 0x7f)
        let upper = atLeast(0x41, low) & ~atLeast(0x5b, low)
        let lower = atLeast(0x61, low) & ~atLeast(0x7b, low)
        let digit = atLeast(0x30, low) & ~atLeast(0x3a, low)
        let dash = atLeast(0x2d, low) & ~atLeast(0x2e, low)
        let line = atLeast(0x5f, low) & ~atLeast(0x60, low)
        let isText = upper | lower | digit | dash | line == ones && low == word
        // Each byte ends between 0 and 63, so what the sum borrows on its way comes back.
        let values =
            low &- upper &* 65 &- lower &* 71 &+ digit &* 4 &+ dash &* 17 &- line &* 32
        // Pairs of 6 bits to 12, to 24, to 48.
        let pairs = (values & 0x3f00_3f00_3f00_3f00) &>> 2 | values & 0x003f_003f_003f_003f
        let quads = (pairs & 0x0fff_0000_0fff_0000) &>> 4 | pairs & 0x0000_0fff_0000_0fff
        return ((quads & 0x00ff_ffff_0000_0000) &>> 8 | quads & 0x00ff_ffff, isText)
    }

    /// The eight characters of 48 bits, the first one highest.
    private static func characters(_ bits: UInt64) -> UInt64 {
        let quads = (bits &<< 8) & 0x00ff_ffff_0000_0000 | bits & 0x00ff_ffff
        let pairs = (quads &<< 4) & 0x0fff_0000_0fff_0000 | quads & 0x0000_0fff_0000_0fff
        let values = (pairs &<< 2) & 0x3f00_3f00_3f00_3f00 | pairs & 0x003f_003f_003f_003f
        return values &+ ones &* 65 &+ atLeast(26, values) &* 6 &- atLeast(52, values) &* 75
            &- atLeast(62, values) &* 13 &+ atLeast(63, values) &* 49
    }
}
