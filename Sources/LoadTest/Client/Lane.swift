internal import Glibc

/// Requests of one kind as bytes, all of one length, one after the other.
public struct RequestRows: Sendable, Equatable {
    public var bytes: [UInt8]
    /// Bytes of one request.
    public let stride: Int
    /// Where in a request its token begins; nil where there is none.
    public let tokenOffset: Int?

    public var count: Int { stride == 0 ? 0 : bytes.count / stride }

    public init(bytes: [UInt8], stride: Int, tokenOffset: Int? = nil) {
        self.bytes = bytes
        self.stride = stride
        self.tokenOffset = tokenOffset
    }

    public subscript(row: Int) -> ArraySlice<UInt8> { bytes[(row * stride)..<((row + 1) * stride)] }

    /// The `part`th of `parts` equal shares, so that threads do not meet on one session.
    func share(_ part: Int, of parts: Int) -> RequestRows {
        guard count >= parts else { return self }
        let rows = (count * part / parts * stride)..<(count * (part + 1) / parts * stride)
        return RequestRows(bytes: Array(bytes[rows]), stride: stride, tokenOffset: tokenOffset)
    }
}

/// In which order a lane's requests are sent.
public enum RowOrder: Sendable {
    /// Round and round.
    case cyclic
    /// Each once; then there are no more.
    case once
    /// Each again only after its answer, which replaces its token.
    case leased
}

/// Which answers are good.
public struct ReplyForm: Sendable {
    public var dialect = WireDialect.resp
    /// The field `status` must say one of these; empty: any value that is not null is good.
    public var statuses: [String] = []
    /// The field `sid` must be that of the token asked about.
    public var repeatsSid = false

    public init(dialect: WireDialect = .resp, statuses: [String] = [], repeatsSid: Bool = false) {
        self.dialect = dialect
        self.statuses = statuses
        self.repeatsSid = repeatsSid
    }
}

/// One kind of request within a load.
public struct LaneSpec: Sendable {
    public var rows: RequestRows
    public var order: RowOrder
    public var form: ReplyForm
    /// Its share of all requests, relative to those of the other lanes.
    public var weight: Int

    public init(rows: RequestRows, order: RowOrder = .cyclic, form: ReplyForm, weight: Int = 1) {
        self.rows = rows
        self.order = order
        self.form = form
        self.weight = weight
    }
}

/// A lane in use: its requests in memory of its own, and what the last good answer looked like.
struct Lane: ~Copyable {
    enum Verdict {
        case incomplete
        case malformed
        /// So many bytes were one answer, as good as `failure` is nil.
        case answered(Int, failure: String?)
    }

    static let sidLength = 32
    static let tokenLength = 128

    let rows: UnsafeMutablePointer<UInt8>
    let stride: Int
    let count: Int
    let tokenOffset: Int
    let form: ReplyForm
    let order: RowOrder
    private var cursor = 0
    /// Rows sent, over all laps.
    private(set) var taken = 0
    /// `leased`: rows that wait for nothing, a ring.
    private var free: [UInt32] = []
    private var freeCount = 0

    // The last good answer: its length, its bytes up to the sid, where sid and new token stand in it.
    private var knownLength = Int.max
    private let prefix: UnsafeMutablePointer<UInt8>
    private var prefixLength = 0
    private var checksSid = false
    private var tokenAt = -1
    private static let longestPrefix = 256

    init(_ spec: LaneSpec) {
        stride = spec.rows.stride
        count = spec.rows.count
        tokenOffset = spec.rows.tokenOffset ?? -1
        form = spec.form
        order = spec.order
        prefix = .allocate(capacity: Self.longestPrefix)
        let rows = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, spec.rows.bytes.count))
        self.rows = rows
        spec.rows.bytes.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { rows.update(from: base, count: source.count) }
        }
        if order == .leased {
            free = (0..<UInt32(clamping: count)).map { $0 }
            freeCount = count
        }
    }

    deinit {
        rows.deallocate()
        prefix.deallocate()
    }

    /// The next request to send; nil if there is none (now).
    @inline(__always)
    mutating func nextRow() -> Int? {
        let row = cursor
        switch order {
        case .cyclic:
            cursor = row &+ 1 == count ? 0 : row &+ 1
        case .once:
            guard row < count else { return nil }
            cursor = row &+ 1
        case .leased:
            guard freeCount > 0 else { return nil }
            freeCount &-= 1
            taken &+= 1
            let leased = Int(free[row])
            cursor = row &+ 1 == count ? 0 : row &+ 1
            return leased
        }
        taken &+= 1
        return row
    }

    /// Whether `nextRow` has no more.
    var isExhausted: Bool { order == .once && cursor >= count }

    /// How often the same request was sent again.
    var repeats: Int { max(0, taken - count) }

    /// Judges the answer at `bytes` to the request in `row`.
    @inline(__always)
    mutating func judge(_ bytes: UnsafePointer<UInt8>, _ available: Int, row: Int) -> Verdict {
        let length = knownLength
        guard available >= length, bytes[length &- 1] == 0x0a, bytes[length &- 2] == 0x0d,
            memcmp(bytes, prefix, prefixLength) == 0,
            !checksSid || memcmp(bytes + prefixLength, rows + (row &* stride &+ tokenOffset), Self.sidLength) == 0
        else { return judgeThoroughly(bytes, available, row: row) }
        if tokenAt >= 0 {
            if bytes[tokenAt &- 1] != 0x0a || bytes[tokenAt &+ Self.tokenLength] != 0x0d {
                return judgeThoroughly(bytes, available, row: row)
            }
            keepToken(bytes + tokenAt, row: row)
        }
        if order == .leased { giveBack(row) }
        return .answered(length, failure: nil)
    }

    /// Where the new token of the answer just judged stands, if it brought one.
    var newTokenOffset: Int? { tokenAt >= 0 ? tokenAt : nil }

    @inline(never)
    private mutating func judgeThoroughly(_ bytes: UnsafePointer<UInt8>, _ available: Int, row: Int) -> Verdict {
        let buffer = UnsafeRawBufferPointer(start: bytes, count: available)
        let reply: ParsedReply
        switch ReplyParser.parse(buffer, dialect: form.dialect) {
        case .incomplete: return .incomplete
        case .malformed: return .malformed
        case .reply(let parsed): reply = parsed
        }
        tokenAt = -1
        if let failure = failure(of: reply, in: buffer, row: row) {
            if order == .leased { giveBack(row) }
            knownLength = .max
            return .answered(reply.length, failure: failure)
        }
        knownLength = reply.length
        checksSid = form.repeatsSid
        let head = checksSid ? reply.sid?.lowerBound ?? 0 : min(reply.status?.upperBound ?? 6, reply.length)
        prefixLength = min(head, Self.longestPrefix)
        if prefixLength < head { checksSid = false }
        prefix.update(from: bytes, count: prefixLength)
        if let token = reply.token, token.count == Self.tokenLength {
            tokenAt = token.lowerBound
            keepToken(bytes + tokenAt, row: row)
        }
        if order == .leased { giveBack(row) }
        return .answered(reply.length, failure: nil)
    }

    private func failure(of reply: ParsedReply, in bytes: UnsafeRawBufferPointer, row: Int) -> String? {
        if let error = reply.error { return error }
        guard !form.statuses.isEmpty else { return reply.holdsValue ? nil : "no value" }
        guard let status = reply.status else { return "a reply without a status" }
        let text = String(decoding: bytes[status], as: UTF8.self)
        guard form.statuses.contains(text) else { return "status \(text.prefix(32))" }
        guard form.repeatsSid else { return nil }
        guard let sid = reply.sid, sid.count == Self.sidLength, let base = bytes.baseAddress,
            memcmp(base + sid.lowerBound, rows + (row * stride + tokenOffset), Self.sidLength) == 0
        else { return "the sid of another session" }
        return nil
    }

    /// From now on this row presents the token that its answer brought.
    @inline(__always)
    private func keepToken(_ token: UnsafePointer<UInt8>, row: Int) {
        guard tokenOffset >= 0 else { return }
        (rows + (row &* stride &+ tokenOffset)).update(from: token, count: Self.tokenLength)
    }

    /// Makes a leased row ready to be sent again.
    mutating func giveBack(_ row: Int) {
        var end = cursor &+ freeCount
        if end >= count { end &-= count }
        free[end] = UInt32(truncatingIfNeeded: row)
        freeCount &+= 1
    }
}
