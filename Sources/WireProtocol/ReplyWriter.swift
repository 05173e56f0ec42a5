/// The RESP version a connection has chosen with `HELLO`; 2 until it does.
public enum RESPVersion: Int, Sendable { case two = 2, three = 3 }

/// A growable output buffer, and the encoder that writes replies into it.
///
/// One is made, passed `inout` to whoever answers, written to the socket and emptied: its memory is used again and
/// nothing is allocated for a reply. It holds any number of replies behind one another. What it writes depends on
/// `version`, which may change between replies (and does, in the reply to `HELLO`).
///
/// Source: the RESP2 and RESP3 specifications (redis.io/docs/reference/protocol-spec).
public struct ReplyWriter: ~Copyable {
    /// Room for a type byte, nineteen digits and a sign, and two line ends: the frame around any text.
    @inlinable static var frame: Int { 32 }

    @usableFromInline var storage: UnsafeMutableRawPointer
    @usableFromInline var capacity: Int
    @usableFromInline var used = 0

    /// The version in which the next reply is written.
    public var version: RESPVersion

    /// How many bytes wait to be taken.
    @inlinable public var count: Int { used }

    /// - Parameter capacity: bytes to reserve; the buffer doubles when they are not enough.
    public init(capacity: Int = 16_384, version: RESPVersion = .two) {
        self.capacity = max(capacity, 64)
        self.version = version
        storage = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit { storage.deallocate() }

    /// Empties the buffer and keeps its memory.
    public mutating func removeAll() { used = 0 }

    /// Gives memory above `capacity` bytes back if the buffer is empty; does nothing otherwise.
    public mutating func shrink(toCapacity wanted: Int) {
        guard used == 0, capacity > max(wanted, 64) else { return }
        capacity = max(wanted, 64)
        storage.deallocate()
        storage = .allocate(byteCount: capacity, alignment: 16)
    }

    /// Shows the bytes that wait; the view is valid during `body` only.
    @inlinable
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try body(UnsafeRawBufferPointer(start: storage, count: count))
    }

    /// Appends bytes that are already encoded.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count)
        put(bytes)
    }

    /// Appends bytes that are already encoded.
    public mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    // MARK: The pieces of which the encoder is made. Each writes into room that `reserve` has made before.

    /// Makes room for `size` more bytes.
    @inlinable @inline(__always)
    mutating func reserve(_ size: Int) {
        if capacity - used < size { grow(size) }
    }

    @usableFromInline @inline(never)
    mutating func grow(_ size: Int) {
        capacity = max(capacity * 2, used + size)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        larger.copyMemory(from: storage, byteCount: used)
        storage.deallocate()
        storage = larger
    }

    @inlinable @inline(__always)
    mutating func put(_ byte: UInt8) {
        storage.storeBytes(of: byte, toByteOffset: used, as: UInt8.self)
        used += 1
    }

    @inlinable @inline(__always)
    mutating func put(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        (storage + used).copyMemory(from: base, byteCount: bytes.count)
        used += bytes.count
    }

    /// Writes eight bytes of which only the first `length` count: at least eight must be reserved.
    @inlinable @inline(__always)
    mutating func put(_ word: UInt64, length: Int) {
        storage.storeBytes(of: word, toByteOffset: used, as: UInt64.self)
        used += length
    }

    @inlinable @inline(__always)
    mutating func putLineEnd() {
        storage.storeBytes(of: 0x0A0D, toByteOffset: used, as: UInt16.self)
        used += 2
    }

    /// Writes `value` in decimal: at most twenty bytes, and up to seven behind them that the next write overwrites.
    @inlinable @inline(__always)
    mutating func putDecimal(_ value: UInt64) {
        if value < 10 { return put(ASCII.zero &+ UInt8(truncatingIfNeeded: value)) }
        let group: UInt64 = 100_000_000
        if value < group {
            putLeading(value)
        } else if value < group &* group {
            putLeading(value / group)
            put(Self.eightDigits(value % group) | Self.zeros, length: 8)
        } else {
            putLeading(value / (group &* group))
            put(Self.eightDigits(value / group % group) | Self.zeros, length: 8)
            put(Self.eightDigits(value % group) | Self.zeros, length: 8)
        }
    }

    /// Writes a number of at most eight digits, above 0, without leading zeros.
    @inlinable @inline(__always)
    mutating func putLeading(_ value: UInt64) {
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

    /// Writes `type`, `value` in decimal and a line end: a length, a count or an integer.
    @inlinable @inline(__always)
    mutating func putHeader(_ type: UInt8, _ value: Int) {
        put(type)
        if value < 0 { put(ASCII.minus) }
        putDecimal(UInt64(value.magnitude))
        putLineEnd()
    }
}
