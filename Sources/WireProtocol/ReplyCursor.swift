/// Where the next bytes of a reply go, while there is known to be room for them: what encodes them.
///
/// A value of its own, so that a whole reply is written with the position in a register: the writer's own fields would
/// be read and stored again with each piece. Length and bytes of a literal are constants: a few stores are left of it.
public struct ReplyCursor: ~Copyable {
    @usableFromInline var position: UnsafeMutableRawPointer

    @inlinable @inline(__always)
    init(position: UnsafeMutableRawPointer) { self.position = position }

    /// A bulk string.
    @inlinable @inline(__always)
    public mutating func bulk(_ text: StaticString) {
        header(ASCII.dollar, text.utf8CodeUnitCount)
        put(text)
        lineEnd()
    }

    /// A bulk string of any bytes.
    @inlinable @inline(__always)
    public mutating func bulk(_ bytes: UnsafeRawBufferPointer) {
        header(ASCII.dollar, bytes.count)
        put(bytes)
        lineEnd()
    }

    /// A bulk string that shows `bytes` as lower-case hexadecimal digits, twice as many.
    @inlinable @inline(__always)
    public mutating func bulkHex(_ bytes: UnsafeRawBufferPointer) {
        header(ASCII.dollar, bytes.count &* 2)
        hex(bytes)
        lineEnd()
    }

    /// `:n`
    @inlinable @inline(__always)
    public mutating func integer(_ value: Int64) { header(UInt8(ascii: ":"), Int(value)) }

    /// Begins a map of the next `pairs` pairs of replies: RESP3 `%n`, RESP2 a flat array.
    @inlinable @inline(__always)
    public mutating func map(_ pairs: Int, version: RESPVersion) {
        let isMap = version == .three
        header(isMap ? UInt8(ascii: "%") : ASCII.asterisk, isMap ? pairs : pairs &* 2)
    }

    // MARK: The pieces

    @inlinable @inline(__always)
    mutating func put(_ byte: UInt8) {
        position.storeBytes(of: byte, as: UInt8.self)
        position += 1
    }

    @inlinable @inline(__always)
    mutating func put(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        position.copyMemory(from: base, byteCount: bytes.count)
        position += bytes.count
    }

    @inlinable @inline(__always)
    mutating func put(_ text: StaticString) {
        position.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        position += text.utf8CodeUnitCount
    }

    /// Writes bytes as lower-case hexadecimal digits, twice as many.
    @inlinable @inline(__always)
    mutating func hex(_ bytes: UnsafeRawBufferPointer) {
        var index = 0
        while bytes.count &- index >= 8 {
            position.storeBytes(
                of: Self.hexDigits(bytes.loadUnaligned(fromByteOffset: index, as: SIMD8<UInt8>.self)),
                as: SIMD8<UInt16>.self)
            position += 16
            index &+= 8
        }
        while index < bytes.count {
            put(UInt64(Self.hexDigits(SIMD8(repeating: bytes[index]))[0]), length: 2)
            index &+= 1
        }
    }

    /// Writes eight bytes of which only the first `length` count.
    @inlinable @inline(__always)
    mutating func put(_ word: UInt64, length: Int) {
        position.storeBytes(of: word, as: UInt64.self)
        position += length
    }

    @inlinable @inline(__always)
    mutating func lineEnd() {
        position.storeBytes(of: ASCII.lineEnd, as: UInt16.self)
        position += 2
    }

    /// Writes `type`, `value` in decimal and a line end: a length, a count or an integer.
    @inlinable @inline(__always)
    mutating func header(_ type: UInt8, _ value: Int) {
        put(type)
        if value < 0 { put(ASCII.minus) }
        decimal(UInt64(value.magnitude))
        lineEnd()
    }

    /// Writes `value` in decimal: at most twenty bytes, and up to seven behind them that the next write overwrites.
    @inlinable @inline(__always)
    mutating func decimal(_ value: UInt64) {
        if value < 10 { return put(ASCII.zero &+ UInt8(truncatingIfNeeded: value)) }
        if value < 100 {
            let digits = value / 10 | (value % 10) &<< 8
            return put(digits | Self.zeros, length: 2)
        }
        manyDigits(value)
    }

    @inlinable
    mutating func manyDigits(_ value: UInt64) {
        let group: UInt64 = 100_000_000
        if value < group {
            leading(value)
        } else if value < group &* group {
            let top = value / group
            // A moment in seconds has two digits before the last eight.
            if top < 100 { decimal(top) } else { leading(top) }
            put(Self.eightDigits(value &- top &* group) | Self.zeros, length: 8)
        } else {
            leading(value / (group &* group))
            put(Self.eightDigits(value / group % group) | Self.zeros, length: 8)
            put(Self.eightDigits(value % group) | Self.zeros, length: 8)
        }
    }

    /// Writes a number of at most eight digits, above 0, without leading zeros.
    @inlinable @inline(__always)
    mutating func leading(_ value: UInt64) {
        let digits = Self.eightDigits(value)
        let skipped = digits.trailingZeroBitCount & ~7
        put((digits | Self.zeros) &>> UInt64(skipped), length: 8 &- skipped / 8)
    }

    /// Eight times "0".
    @inlinable static var zeros: UInt64 { 0x3030_3030_3030_3030 }

    /// The eight decimal digits of a number below 10⁸, as numbers, a byte each, the first one lowest: split in halves
    /// three times, all parts of a step in one multiplication.
    @inlinable @inline(__always)
    static func eightDigits(_ value: UInt64) -> UInt64 {
        let top = value / 10_000
        let fours = top | (value &- top &* 10_000) &<< 32
        let hundreds = (fours &* 10_486) &>> 20 & 0x0000_007f_0000_007f
        let pairs = hundreds | (fours &- hundreds &* 100) &<< 16
        let tens = (pairs &* 103) &>> 10 & 0x000f_000f_000f_000f
        return tens | (pairs &- tens &* 10) &<< 8
    }

    /// The hexadecimal digits of eight bytes, two to a word, a byte's high digit lower: all are worked out side by side.
    @inlinable @inline(__always)
    static func hexDigits(_ bytes: SIMD8<UInt8>) -> SIMD8<UInt16> {
        let words = SIMD8<UInt16>(truncatingIfNeeded: bytes)
        let digits = (words &>> 4 | words &<< 8) & 0x0F0F
        let isLetter = (digits &+ 0x0606) &>> 4 & 0x0101
        return digits &+ 0x3030 &+ isLetter &* 39
    }
}
