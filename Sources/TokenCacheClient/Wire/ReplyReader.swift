internal import ReplyScanner

/// Reads replies onto one tape that is used again for every reply.
///
/// hiredis's own reply objects cost two allocations for each element; here an element is a ``Reply/Node`` in one array, and
/// all text lies in another. Not thread-safe.
final class ReplyReader {
    /// Why no reply can be read from these bytes any more.
    typealias Failure = ReplyScanner.Failure

    /// More than any reply of the daemon: a full list with full data.
    static let maximumReplyBytes = 64 * 1024 * 1024
    /// Elements of one reply over all its arrays.
    static let maximumElements = 1 << 20
    /// What is kept of the tape's memory from one reply to the next.
    static let keptBytes = 256 * 1024

    private let scanner: ReplyScanner
    private let tape = Tape()

    init() throws(Failure) {
        guard let scanner = ReplyScanner(tape, maxBytes: Self.maximumReplyBytes) else { throw .memory }
        self.scanner = scanner
    }

    /// Takes bytes as they come, in pieces of any size; they are copied.
    func feed(_ bytes: UnsafeRawBufferPointer) throws(Failure) { try scanner.feed(bytes) }

    /// The next whole reply, `nil` if more bytes are needed. Its memory is used again if it is let go of before the next
    /// one is read.
    func next() throws(Failure) -> Reply? { try scanner.next() ? tape.take() : nil }

    /// Whether every byte that was fed has been part of a reply that was taken.
    var isEmpty: Bool { scanner.isEmpty }

    /// What the scanner finds, element by element, each array before its elements.
    private final class Tape: ReplySink {
        private var nodes: [Reply.Node] = []
        private var text: [UInt8] = []
        private var isTaken = false

        func take() -> Reply {
            isTaken = true
            return Reply(nodes: nodes, text: text)
        }

        private func append(_ node: Reply.Node) -> Bool {
            if isTaken { clear() }
            guard nodes.count < maximumElements else { return false }
            nodes.append(node)
            return true
        }

        override func add(_ bytes: UnsafeRawBufferPointer, _ kind: TextKind) -> Bool {
            if isTaken { clear() }
            let start = UInt32(clamping: text.count)
            text.append(contentsOf: bytes)
            let length = UInt32(clamping: bytes.count)
            return append(kind == .error ? .error(start, length) : .text(start, length))
        }

        override func add(_ number: Int64) -> Bool { append(.integer(number)) }
        override func addNull() -> Bool { append(.null) }
        override func begin(count: Int) -> Bool { append(.array(UInt32(clamping: count))) }

        private func clear() {
            isTaken = false
            let (elements, bytes) = (nodes.count, text.count)
            nodes.removeAll(keepingCapacity: elements * MemoryLayout<Reply.Node>.stride <= keptBytes)
            text.removeAll(keepingCapacity: bytes <= keptBytes)
            // Where the last reply is still held the memory is new: as much as was needed, in one piece.
            nodes.reserveCapacity(min(elements, keptBytes / MemoryLayout<Reply.Node>.stride))
            text.reserveCapacity(min(bytes, keptBytes))
        }
    }
}

extension TokenCacheError {
    /// What it is to a caller that no more replies can be read.
    init(_ failure: ReplyReader.Failure) {
        self = failure == .memory ? .connection(reason: "out of memory") : .protocolViolation
    }
}
