internal import Glibc

/// Reads RESP requests out of a buffer that somebody else fills: arrays of bulk strings, and inline commands.
///
/// It does no input or output and keeps no bytes: it answers with ranges of the buffer it was given, so a request is
/// parsed where it was read. It can stop anywhere and go on from there when more bytes are in; the outcome depends on
/// the bytes alone, never on how they were cut. Every length is checked against a limit before it is believed.
///
/// Source: the RESP specification (redis.io/docs/reference/protocol-spec); the behaviour of Redis 7 where that is
/// silent, except that lengths are read more strictly (no sign but in `*-1`, CR LF and nothing else behind them).
public struct RequestParser: Sendable {
    /// What `parse` found.
    public enum Outcome: Equatable, Sendable {
        /// A whole request of this many bytes stands at the start; its arguments are in `arguments`.
        case request(length: Int)
        /// The bytes are the beginning of a request. Call again with the same bytes and more behind them.
        case incomplete
        /// The bytes are no request and never will be. The connection is beyond repair.
        case failed(ProtocolError)
    }

    /// Where the parser stands in the request. `position` is what comes next in each case.
    private enum Phase {
        /// No byte of a request seen.
        case start
        /// In the line after `*`; `position` is its first byte.
        case count
        /// Before an element; `position` is where its `$` must be.
        case marker
        /// In the line after `$`; `position` is its first byte.
        case length
        /// In an argument of `bulk` bytes; `position` is its first byte.
        case payload
        /// In an inline request.
        case inline
    }

    /// A count or length line.
    private enum Header {
        case value(Int)
        /// `-1`
        case null
        case incomplete
        case invalid
        case tooLong
    }

    /// Argument storage of this many ranges is kept between requests; what one long request needed beyond that is
    /// given back, so that ten thousand idle connections stay small.
    private static var keptArguments: Int { 64 }

    /// The shortest element: `$0`, CR LF, CR LF.
    private static var shortestElement: Int { 6 }

    private let limits: ProtocolLimits
    private var phase = Phase.start
    private var position = 0
    /// Up to here the current line was searched for its end without success.
    private var scanned = 0
    /// Elements still to come, the current one included.
    private var remaining = 0
    /// Length of the current argument in bytes.
    private var bulk = 0
    /// How many elements of `arguments` belong to the current request; the others are left from the one before.
    /// Overwriting is cheaper than emptying and appending, and most requests have as many arguments as the last.
    private var filled = 0

    /// What the request last returned looks like before its last argument.
    private var shape = RequestShape()

    /// What the caller knows of every request that has the last one's words but for the last of them, by which it is not
    /// told apart: which command it names. 0 wherever the request returned has another shape than the one before.
    public var note: UInt16 = 0

    /// Where the arguments of the request last returned are, relative to the start of the bytes given to `parse`.
    /// Empty for an empty request (`*0`, `*-1`, a blank line), which a server skips. Of no use from the
    /// next call on until that returns `.request`.
    public private(set) var arguments: [Range<Int>] = []

    /// Shows the same without a copy; valid during `body`, which must not use the parser.
    @inlinable @inline(__always)
    public func withArguments<R>(_ body: (UnsafeBufferPointer<Range<Int>>) -> R) -> R {
        arguments.withUnsafeBufferPointer(body)
    }

    public init(limits: ProtocolLimits = .init()) {
        self.limits = limits.clamped
    }

    /// True from an `.incomplete` that had at least one byte until the next other outcome.
    public var isMidRequest: Bool { phase != .start }

    /// How many bytes the request will have at least, from its start, as far as is known; 0 between requests.
    /// At most a few bytes above `maxBulk` plus six times `maxElements` more than what is already in.
    public var minimumLength: Int {
        switch phase {
        case .start: 0
        case .inline: scanned + 1
        case .count: scanned + 2
        case .marker: position + remaining * Self.shortestElement
        case .length: scanned + 4 + (remaining - 1) * Self.shortestElement
        case .payload: position + bulk + 2 + (remaining - 1) * Self.shortestElement
        }
    }

    /// Forgets a request that was begun. The argument storage stays.
    public mutating func reset() {
        phase = .start
        position = 0
        scanned = 0
        forgetShape()
        arguments.removeAll(keepingCapacity: true)
    }

    @inline(__always)
    private mutating func forgetShape() {
        shape = RequestShape()
        note = 0
    }

    /// Looks for one request at the start of `bytes`.
    ///
    /// `bytes` begins at the first byte that no complete request has consumed. After `.incomplete` the next call must
    /// pass the same bytes again, at whatever address, with more behind them; what was seen is not read again, a
    /// length line of less than nine bytes aside. Mutable because quoted inline arguments are unescaped in place,
    /// which happens only in the call that returns `.request`.
    public mutating func parse(_ bytes: UnsafeMutableRawBufferPointer) -> Outcome {
        guard bytes.count > 0 else { return .incomplete }
        if phase == .start {
            // Most requests are as the one before, but for their token: then `arguments` are where they were.
            if shape.isRepeated(at: UnsafeRawBufferPointer(bytes)) { return .request(length: shape.length) }
            forgetShape()
            if arguments.capacity > Self.keptArguments { arguments = [] }
            filled = 0
            let isArray = bytes[0] == ASCII.asterisk
            phase = isArray ? .count : .inline
            position = isArray ? 1 : 0
            scanned = position
        }
        return phase == .inline ? parseInline(bytes) : parseArray(UnsafeRawBufferPointer(bytes))
    }

    private mutating func parseArray(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        if phase == .count {
            switch readHeader(bytes) {
            case .value(let count):
                guard count <= limits.maxElements else { return fail(.tooManyElements) }
                remaining = count
            case .null: remaining = 0
            case .incomplete: return .incomplete
            case .invalid: return fail(.invalidMultibulkLength)
            case .tooLong: return fail(.tooBigMultibulkCount)
            }
            phase = .marker
        }
        while remaining > 0 {
            if phase == .marker {
                readWholeElements(bytes)
                guard remaining > 0 else { break }
                guard position < bytes.count else { return .incomplete }
                guard bytes[position] == ASCII.dollar else { return fail(.expectedBulk) }
                position += 1
                scanned = position
                phase = .length
            }
            if phase == .length {
                switch readHeader(bytes) {
                case .value(let length):
                    guard length <= limits.maxBulk else { return fail(.tooLongBulk) }
                    bulk = length
                case .incomplete: return .incomplete
                case .null, .invalid: return fail(.invalidBulkLength)
                case .tooLong: return fail(.tooBigBulkCount)
                }
                phase = .payload
            }
            let end = position + bulk
            guard bytes.count - end >= 2 else { return .incomplete }
            guard bytes[end] == ASCII.carriageReturn, bytes[end + 1] == ASCII.lineFeed else {
                return fail(.missingBulkEnd)
            }
            finishElement(at: end)
        }
        if filled < arguments.count { arguments.removeLast(arguments.count - filled) }
        phase = .start
        if let last = arguments.last {
            shape = RequestShape(UnsafeRawBufferPointer(rebasing: bytes[..<position]), before: last.lowerBound)
        }
        return .request(length: position)
    }

    /// Takes the elements from `position` on that are all there and good, as nearly every one is, with nothing written
    /// down on the way. Where it ends the next element is read step by step.
    private mutating func readWholeElements(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        let count = bytes.count
        let maxBulk = limits.maxBulk
        var (start, left, taken) = (position, remaining, filled)
        arguments.withUnsafeMutableBufferPointer { arguments in
            while left > 0, taken < arguments.count, count &- start >= Self.shortestElement {
                let first = base.load(fromByteOffset: start &+ 1, as: UInt8.self) &- ASCII.zero
                guard base.load(fromByteOffset: start, as: UInt8.self) == ASCII.dollar, first <= 9 else { return }
                var length = Int(first)
                var index = start &+ 2
                // Up to four digits, which cannot overflow; none may follow a leading zero.
                let window = min(first == 0 ? index : index &+ 3, count)
                while index < window {
                    let digit = base.load(fromByteOffset: index, as: UInt8.self) &- ASCII.zero
                    guard digit <= 9 else { break }
                    length = length &* 10 &+ Int(digit)
                    index &+= 1
                }
                let payload = index &+ 2
                let end = payload &+ length
                guard length <= maxBulk, count &- end >= 2,
                    base.loadUnaligned(fromByteOffset: index, as: UInt16.self) == ASCII.lineEnd,
                    base.loadUnaligned(fromByteOffset: end, as: UInt16.self) == ASCII.lineEnd
                else { return }
                arguments[taken] = Range(uncheckedBounds: (payload, end))
                taken &+= 1
                left &-= 1
                start = end &+ 2
            }
        }
        position = start
        remaining = left
        filled = taken
    }

    /// The argument from `position` to `end` is whole.
    @inline(__always)
    private mutating func finishElement(at end: Int) {
        let argument = Range(uncheckedBounds: (position, end))
        if filled < arguments.count { arguments[filled] = argument } else { arguments.append(argument) }
        filled += 1
        position = end + 2
        remaining -= 1
        phase = .marker
    }

    /// Reads the count or length line at `position` and, if it is whole and good, moves behind it.
    @inline(__always)
    private mutating func readHeader(_ bytes: UnsafeRawBufferPointer) -> Header {
        // Nearly every line is a few digits, CR, LF, and all there. Eight digits cannot overflow.
        let window = min(bytes.count, position + 8)
        var index = position
        var value = 0
        while index < window {
            let digit = bytes[index] &- ASCII.zero
            guard digit <= 9 else { break }
            value = value &* 10 &+ Int(digit)
            index += 1
        }
        guard index > position, bytes.count - index >= 2,
            bytes[index] == ASCII.carriageReturn, bytes[index + 1] == ASCII.lineFeed,
            bytes[position] != ASCII.zero || index == position + 1
        else { return readUnusualHeader(bytes) }
        position = index + 2
        return .value(value)
    }

    /// The rest of the cases: the line is not all there, too long, longer than eight digits, or wrong.
    @inline(never)
    private mutating func readUnusualHeader(_ bytes: UnsafeRawBufferPointer) -> Header {
        let window = min(bytes.count, position + limits.maxLine + 1)
        guard let end = Self.find(ASCII.carriageReturn, in: bytes, from: scanned, to: window) else {
            scanned = max(scanned, window)
            return window - position > limits.maxLine ? .tooLong : .incomplete
        }
        scanned = end
        guard end + 1 < bytes.count else { return .incomplete }
        guard bytes[end + 1] == ASCII.lineFeed else { return .invalid }
        let digits = position..<end
        if digits.count == 2, bytes[position] == ASCII.minus, bytes[position + 1] == ASCII.zero + 1 {
            position = end + 2
            return .null
        }
        // Eighteen digits cannot overflow, and no limit is that large.
        guard (1...18).contains(digits.count), bytes[position] != ASCII.zero || digits.count == 1 else {
            return .invalid
        }
        var value = 0
        for index in digits {
            let digit = bytes[index] &- ASCII.zero
            guard digit <= 9 else { return .invalid }
            value = value &* 10 &+ Int(digit)
        }
        position = end + 2
        return .value(value)
    }

    private mutating func parseInline(_ bytes: UnsafeMutableRawBufferPointer) -> Outcome {
        // Room for the longest line and either line end.
        let window = min(bytes.count, limits.maxLine + 2)
        guard let end = Self.find(ASCII.lineFeed, in: UnsafeRawBufferPointer(bytes), from: scanned, to: window) else {
            scanned = max(scanned, window)
            return window == limits.maxLine + 2 ? fail(.tooBigInline) : .incomplete
        }
        let length = end > 0 && bytes[end - 1] == ASCII.carriageReturn ? end - 1 : end
        guard length <= limits.maxLine else { return fail(.tooBigInline) }
        arguments.removeAll(keepingCapacity: true)
        let line = UnsafeMutableRawBufferPointer(rebasing: bytes[0..<length])
        if let error = InlineRequest.split(line, maxWords: limits.maxElements, into: &arguments) { return fail(error) }
        phase = .start
        return .request(length: end + 1)
    }

    private mutating func fail(_ error: ProtocolError) -> Outcome {
        reset()
        return .failed(error)
    }

    /// The offset of the first `byte` within `start..<end`, nil if there is none or the range is empty.
    private static func find(
        _ byte: UInt8, in bytes: UnsafeRawBufferPointer, from start: Int, to end: Int
    ) -> Int? {
        guard let base = bytes.baseAddress, start < end,
            let found = memchr(base + start, Int32(byte), end - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
