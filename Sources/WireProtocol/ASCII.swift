/// The bytes the protocol is made of, by name.
@usableFromInline
enum ASCII {
    @inlinable static var lineFeed: UInt8 { 0x0A }
    @inlinable static var carriageReturn: UInt8 { 0x0D }
    @inlinable static var space: UInt8 { 0x20 }
    @inlinable static var doubleQuote: UInt8 { 0x22 }
    @inlinable static var dollar: UInt8 { 0x24 }
    @inlinable static var singleQuote: UInt8 { 0x27 }
    @inlinable static var asterisk: UInt8 { 0x2A }
    @inlinable static var minus: UInt8 { 0x2D }
    @inlinable static var dot: UInt8 { 0x2E }
    @inlinable static var zero: UInt8 { 0x30 }
    @inlinable static var backslash: UInt8 { 0x5C }

    /// CR LF as a word is loaded from memory.
    @inlinable static var lineEnd: UInt16 { UInt16(littleEndian: 0x0A0D) }

    /// White space as C's `isspace` has it in the C locale: space, tab, LF, VT, FF, CR.
    @inline(__always)
    static func isSpace(_ byte: UInt8) -> Bool { byte == space || (byte >= 0x09 && byte <= 0x0D) }

    /// Upper case of an ASCII letter, any other byte unchanged.
    @inlinable
    @inline(__always)
    static func upper(_ byte: UInt8) -> UInt8 { byte >= 0x61 && byte <= 0x7A ? byte &- 0x20 : byte }

    /// The value of a hexadecimal digit in either case, nil for anything else.
    static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte &- 0x30
        case 0x41...0x46: byte &- 0x41 &+ 10
        case 0x61...0x66: byte &- 0x61 &+ 10
        default: nil
        }
    }

    /// Eight bytes at once: those that are `a`…`z` become upper case, the others stay as they are. The additions
    /// cannot carry from byte to byte, because bit 7 is masked out before and no sum exceeds 0xFF.
    @inline(__always)
    static func upper(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let low = word & (ones &* 0x7F)
        let fromA = low &+ ones &* (0x80 - 0x61)
        let pastZ = low &+ ones &* (0x7F - 0x7A)
        let isLower = fromA & ~pastZ & ~word & (ones &* 0x80)
        return word &- (isLower &>> 2)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether the bytes are this keyword in any case.
    /// - Parameter keyword: ASCII, in upper case.
    @inlinable
    public func isKeyword(_ keyword: StaticString) -> Bool {
        guard count == keyword.utf8CodeUnitCount else { return false }
        return keyword.withUTF8Buffer { keyword in
            zip(self, keyword).allSatisfy { byte, expected in ASCII.upper(byte) == expected }
        }
    }
}
