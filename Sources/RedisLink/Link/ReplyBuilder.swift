internal import ReplyScanner

/// Makes replies out of what the scanner finds, as it finds it.
///
/// It tells an array before its elements, so a stack of the arrays under way says where each element goes. Elements of a
/// reply are counted over all its arrays before room is made for them.
final class ReplyBuilder: ReplySink {
    /// Elements that the reply may still have, over all its arrays.
    private(set) var elementsLeft: Int
    private let maxElements: Int
    /// The array that is being filled; nil where there is none.
    private var innermost: Frame?
    /// Those it stands in, from the outermost on.
    private var outer: [Frame] = []
    private var finished: RedisReply?

    private struct Frame {
        var missing: Int
        /// As long as every element is a string.
        var strings: RedisStrings?
        var replies: [RedisReply] = []

        var reply: RedisReply { strings.map { .array(RedisArray($0)) } ?? .array(RedisArray(replies)) }

        mutating func append(_ reply: RedisReply) {
            if let strings {
                self.strings = nil
                replies = Array(RedisArray(strings))
            }
            replies.append(reply)
            missing -= 1
        }

        /// - Returns: false where it has other elements already, and the string is to be a reply of its own.
        @inline(__always)
        mutating func append(string: UnsafeRawBufferPointer) -> Bool {
            guard strings != nil else { return false }
            strings?.append(string)
            missing -= 1
            return true
        }
    }

    /// Room that an announced count is given before its elements are there.
    private static let believedElements = 256

    init(maxElements: Int) {
        self.maxElements = maxElements
        elementsLeft = maxElements
        super.init()
    }

    /// The reply that the reader has found the end of.
    func takeReply() -> RedisReply? {
        elementsLeft = maxElements
        defer { finished = nil }
        return finished
    }

    private func add(_ reply: RedisReply) {
        guard innermost != nil else { return finished = reply }
        innermost?.append(reply)
        closeFinished()
    }

    private func add(string: UnsafeRawBufferPointer) {
        guard innermost?.append(string: string) == true else { return add(.bulk(Array(string))) }
        closeFinished()
    }

    // MARK: What the scanner finds

    override func add(_ text: UnsafeRawBufferPointer, _ kind: TextKind) -> Bool {
        switch kind {
        case .bulk: add(string: text)
        case .status: add(.status(String(decoding: text, as: UTF8.self)))
        case .error: add(.error(String(decoding: text, as: UTF8.self)))
        }
        return true
    }

    override func add(_ number: Int64) -> Bool {
        add(.integer(number))
        return true
    }

    override func addNull() -> Bool {
        add(.null)
        return true
    }

    override func begin(count: Int) -> Bool {
        guard count >= 0, count <= elementsLeft else { return false }
        elementsLeft -= count
        if let innermost { outer.append(innermost) }
        innermost = Frame(
            missing: count, strings: RedisStrings(capacity: min(count, Self.believedElements)))
        closeFinished()
        return true
    }

    /// An element of the innermost array is there, or its header.
    @inline(__always)
    private func closeFinished() {
        if innermost?.missing == 0 { close() }
    }

    private func close() {
        while let full = innermost, full.missing == 0 {
            innermost = outer.popLast()
            guard innermost != nil else { return finished = full.reply }
            innermost?.append(full.reply)
        }
    }
}
