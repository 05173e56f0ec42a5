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
        write(atMost: bytes.count) { $0.put(bytes) }
    }

    /// Appends bytes that are already encoded.
    public mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Makes room for `size` more bytes and lets `body` write them, at most so many.
    @inlinable @inline(__always)
    public mutating func write(atMost size: Int, _ body: (inout ReplyCursor) -> Void) {
        // What a cursor writes may reach up to seven bytes beyond its end: see `ReplyCursor.put(_:length:)`.
        if capacity &- used < size &+ 8 { grow(size &+ 8) }
        var cursor = ReplyCursor(position: storage + used)
        body(&cursor)
        used = cursor.position - storage
        assert(used <= capacity)
    }

    @usableFromInline @inline(never)
    mutating func grow(_ size: Int) {
        capacity = max(capacity * 2, used + size)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        larger.copyMemory(from: storage, byteCount: used)
        storage.deallocate()
        storage = larger
    }
}
