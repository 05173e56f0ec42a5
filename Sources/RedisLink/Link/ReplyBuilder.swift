internal import ReplyScanner

/// Makes replies out of what the scanner finds, as it finds it.
///
/// It tells an array before its elements, so a stack of the arrays under way says where each element goes. Elements of a
/// reply are counted over all its arrays before room is made for them.
final class ReplyBuilder: ReplySink {
    /// Elements that the reply may still have, over all its arrays.
    private(set) var elementsLeft: Int
    private let maxElements: Int
    private var open: [Frame] = []
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
        guard !open.isEmpty else { return finished = reply }
        open[open.count - 1].append(reply)
        closeFinished()
    }

    private func add(string: UnsafeRawBufferPointer) {
        guard let last = open.indices.last, open[last].strings != nil else { return add(.bulk(Array(string))) }
        open[last].strings?.append(string)
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
        let strings = RedisStrings(capacity: min(count, Self.believedElements))
        open.append(Frame(missing: count + 1, strings: strings))
        closeFinished()
        return true
    }

    /// One element of the innermost array is there, or its header.
    private func closeFinished() {
        while let last = open.indices.last {
            open[last].missing -= 1
            guard open[last].missing == 0 else { return }
            let reply = open.removeLast().reply
            guard let outer = open.indices.last else { return finished = reply }
            open[outer].append(reply)
        }
    }
}
