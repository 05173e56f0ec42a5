/// One value of RESP3, as far as a reader of pushes tells them apart.
public indirect enum RESPValue: Equatable, Sendable {
    /// A simple, bulk or verbatim string; a double or a big number as it was written.
    case text([UInt8])
    /// A simple or bulk error, in the server's words.
    case error([UInt8])
    /// A number; a boolean as 1 or 0.
    case integer(Int64)
    /// `_`, and RESP2's null bulk and null array.
    case null
    /// An array or a set; a map as its keys and values in turn.
    case list([RESPValue])
    /// Said without being asked, between replies.
    case push([RESPValue])
}

/// Turns bytes into values of RESP3: replies and pushes, in their order. No input and output of its own.
///
/// Strict, and resumable at every byte: what was read is not read again. Lengths and counts are bounded before they are
/// believed. Attributes and streamed values, which no Redis sends unasked, are malformed.
/// Source: github.com/redis/redis-specifications, protocol/RESP3.md.
public struct PushReader {
    /// The bytes are no value, or one past a limit. The reader is of no use afterwards.
    public struct Malformed: Error, Equatable {
        public init() {}
    }

    public struct Limits: Sendable {
        /// Elements of one value, those of lists in it included.
        public var elements = 262_144
        /// Bytes of one value on the wire.
        public var bytes = 16 << 20
        /// Lists in lists.
        public var depth = 8
        /// Bytes of a line: a length, a number, a simple string or an error.
        public var line = 65_536

        public init() {}
    }

    private struct Frame {
        let isPush: Bool
        var missing: Int
        var elements: [RESPValue]
    }

    private enum Body { case text, verbatim, error }

    private let limits: Limits
    private var buffer: [UInt8] = []
    /// Up to here the bytes were read.
    private var position = 0
    /// Up to here no end of the line was found.
    private var searched = 0
    /// A string whose length is known.
    private var body: (kind: Body, length: Int)?
    /// Lists whose end is missing, the innermost last.
    private var open: [Frame] = []
    /// Of the value under way.
    private var bytesRead = 0
    private var elementsAnnounced = 0
    private var isBroken = false

    public init(limits: Limits = Limits()) { self.limits = limits }

    /// Takes in bytes; they are copied.
    public mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        if position == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 16)
            (position, searched) = (0, 0)
        } else if position > 1 << 16 {
            buffer.removeSubrange(..<position)
            searched -= position
            position = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole value; nil if more bytes are needed.
    public mutating func next() throws(Malformed) -> RESPValue? {
        guard !isBroken else { throw Malformed() }
        do throws(Malformed) {
            while let item = try nextItem() {
                if let value = close(item) {
                    (bytesRead, elementsAnnounced) = (0, 0)
                    return value
                }
            }
            return nil
        } catch {
            isBroken = true
            buffer = []
            throw error
        }
    }

    /// Puts an item into the list that it belongs to, and that list into its own where it is full.
    /// - Returns: the outermost value, once it is whole.
    private mutating func close(_ item: Item) -> RESPValue? {
        var value: RESPValue
        switch item {
        case .value(let whole): value = whole
        case .opened(let frame):
            guard frame.missing == 0 else {
                open.append(frame)
                return nil
            }
            value = Self.list(frame)
        }
        while var frame = open.popLast() {
            frame.elements.append(value)
            frame.missing -= 1
            guard frame.missing == 0 else {
                open.append(frame)
                return nil
            }
            value = Self.list(frame)
        }
        return value
    }

    private static func list(_ frame: Frame) -> RESPValue {
        frame.isPush ? .push(frame.elements) : .list(frame.elements)
    }

    // MARK: Items

    private enum Item {
        case value(RESPValue)
        case opened(Frame)
    }

    private mutating func nextItem() throws(Malformed) -> Item? {
        if let body { return try string(body.kind, length: body.length) }
        guard let line = try nextLine() else { return nil }
        guard let type = line.first else { throw Malformed() }
        let rest = line.dropFirst()
        switch type {
        case UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: "("): return .value(.text(Array(rest)))
        case UInt8(ascii: "-"): return .value(.error(Array(rest)))
        case UInt8(ascii: ":"): return .value(.integer(try Self.number(rest)))
        case UInt8(ascii: "_"):
            guard rest.isEmpty else { throw Malformed() }
            return .value(.null)
        case UInt8(ascii: "#"):
            guard rest.count == 1, let letter = rest.first, letter == UInt8(ascii: "t") || letter == UInt8(ascii: "f")
            else { throw Malformed() }
            return .value(.integer(letter == UInt8(ascii: "t") ? 1 : 0))
        case UInt8(ascii: "$"): return try begin(.text, rest, mayBeNull: true)
        case UInt8(ascii: "="): return try begin(.verbatim, rest, mayBeNull: false)
        case UInt8(ascii: "!"): return try begin(.error, rest, mayBeNull: false)
        case UInt8(ascii: "*"):
            guard rest.elementsEqual("-1".utf8) else { return try openList(rest, perElement: 1, isPush: false) }
            return .value(.null)
        case UInt8(ascii: "~"): return try openList(rest, perElement: 1, isPush: false)
        case UInt8(ascii: "%"): return try openList(rest, perElement: 2, isPush: false)
        case UInt8(ascii: ">"):
            // A push stands between values, never in one, and has a kind.
            guard open.isEmpty, !rest.elementsEqual("0".utf8) else { throw Malformed() }
            return try openList(rest, perElement: 1, isPush: true)
        default: throw Malformed()
        }
    }

    private mutating func begin(
        _ kind: Body, _ digits: ArraySlice<UInt8>, mayBeNull: Bool
    ) throws(Malformed) -> Item? {
        if mayBeNull, digits.elementsEqual("-1".utf8) { return .value(.null) }
        let length = try Self.number(digits)
        guard (0...Int64(limits.bytes - bytesRead)).contains(length) else { throw Malformed() }
        body = (kind, Int(length))
        return try string(kind, length: Int(length))
    }

    private mutating func string(_ kind: Body, length: Int) throws(Malformed) -> Item? {
        guard buffer.count - position >= length + 2 else { return nil }
        let end = position + length
        guard buffer[end] == 13, buffer[end + 1] == 10 else { throw Malformed() }
        var bytes = buffer[position..<end]
        try advance(to: end + 2)
        body = nil
        if kind == .verbatim {
            guard bytes.count >= 4, bytes[bytes.startIndex + 3] == UInt8(ascii: ":") else { throw Malformed() }
            bytes = bytes.dropFirst(4)
        }
        return .value(kind == .error ? .error(Array(bytes)) : .text(Array(bytes)))
    }

    private mutating func openList(
        _ digits: ArraySlice<UInt8>, perElement: Int, isPush: Bool
    ) throws(Malformed) -> Item {
        let count = try Self.number(digits)
        guard open.count < limits.depth, (0...Int64(limits.elements)).contains(count) else { throw Malformed() }
        let elements = Int(count) * perElement
        elementsAnnounced += elements
        guard elementsAnnounced <= limits.elements else { throw Malformed() }
        var frame = Frame(isPush: isPush, missing: elements, elements: [])
        // An announced count is no reason to take memory before its elements are there.
        frame.elements.reserveCapacity(min(elements, 256))
        return .opened(frame)
    }

    /// The next line without its end, which is CR LF and nothing else; nil if it is not there yet.
    private mutating func nextLine() throws(Malformed) -> ArraySlice<UInt8>? {
        var at = max(searched, position)
        while at < buffer.count, buffer[at] != 13 {
            guard buffer[at] != 10 else { throw Malformed() }
            at += 1
        }
        guard at - position <= limits.line else { throw Malformed() }
        searched = at
        guard at + 1 < buffer.count else { return nil }
        guard buffer[at + 1] == 10 else { throw Malformed() }
        let line = buffer[position..<at]
        try advance(to: at + 2)
        return line
    }

    private mutating func advance(to end: Int) throws(Malformed) {
        bytesRead += end - position
        position = end
        searched = end
        guard bytesRead <= limits.bytes else { throw Malformed() }
    }

    /// A whole number as Redis writes it: digits, perhaps a minus before them, no zero in front.
    private static func number(_ text: ArraySlice<UInt8>) throws(Malformed) -> Int64 {
        let isNegative = text.first == UInt8(ascii: "-")
        let digits = isNegative ? text.dropFirst() : text
        guard let first = digits.first, digits.count <= 19, first != UInt8(ascii: "0") || text.count == 1 else {
            throw Malformed()
        }
        var value: Int64 = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { throw Malformed() }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let step = Int64(digit) - 0x30
            // The smallest number has no positive counterpart.
            let (sum, carry) =
                isNegative ? product.subtractingReportingOverflow(step) : product.addingReportingOverflow(step)
            guard !overflow, !carry else { throw Malformed() }
            value = sum
        }
        return value
    }
}
