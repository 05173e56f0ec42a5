internal import CHiredis

/// hiredis's parser, which writes what it reads onto one tape that is used again for every reply.
///
/// hiredis parses strictly, resumes anywhere and stops at seven nested arrays. Its own reply objects cost two
/// allocations for each element; here an element is a ``Reply/Node`` in one array, and all text lies in another.
/// Not thread-safe. hiredis's types end in this file.
final class ReplyReader {
    /// Why no reply can be read from these bytes any more.
    enum Failure: Error {
        /// Not RESP2, nested beyond what hiredis reads, or more than ``maximumElements``.
        case malformed
        /// More than ``maximumReplyBytes`` for one reply.
        case tooLong
        /// Out of memory.
        case memory
    }

    /// More than any reply of the daemon: a full list with full data.
    static let maximumReplyBytes = 64 * 1024 * 1024
    /// Elements of one reply over all its arrays.
    static let maximumElements = 1 << 20
    /// What is kept of the tape's memory from one reply to the next.
    static let keptBytes = 256 * 1024

    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let tape: UnsafeMutablePointer<Tape>
    private var bytesOfReply = 0

    init() throws(Failure) {
        functions = .allocate(capacity: 1)
        functions.initialize(to: Tape.functions)
        guard let reader = redisReaderCreateWithFunctions(functions) else {
            functions.deallocate()
            throw .memory
        }
        self.reader = reader
        tape = .allocate(capacity: 1)
        tape.initialize(to: Tape())
        reader.pointee.privdata = UnsafeMutableRawPointer(tape)
    }

    deinit {
        // First: it frees a reply that was begun by the functions.
        redisReaderFree(reader)
        functions.deallocate()
        tape.deinitialize(count: 1).deallocate()
    }

    /// Takes bytes as they come, in pieces of any size; they are copied.
    func feed(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        guard !bytes.isEmpty else { return }
        bytesOfReply += bytes.count
        guard bytesOfReply <= Self.maximumReplyBytes else { throw .tooLong }
        let text = bytes.bindMemory(to: CChar.self)
        guard redisReaderFeed(reader, text.baseAddress, text.count) == REDIS_OK else { throw .memory }
    }

    /// The next whole reply, `nil` if more bytes are needed. Its memory is used again if it is let go of before the next
    /// one is read.
    func next() throws(Failure) -> Reply? {
        var end: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &end) == REDIS_OK else {
            throw reader.pointee.err == REDIS_ERR_OOM && !tape.pointee.isFull ? .memory : .malformed
        }
        guard end != nil else { return nil }
        bytesOfReply = reader.pointee.len - reader.pointee.pos
        return tape.pointee.take()
    }

    /// Whether every byte that was fed has been part of a reply that was taken.
    var isEmpty: Bool { reader.pointee.pos == reader.pointee.len && tape.pointee.isEmpty }

    /// What hiredis writes to, element by element, each array before its elements. Behind a pointer of its own, because
    /// C calls back into it, many times for each reply.
    private struct Tape {
        private var nodes: [Reply.Node] = []
        private var text: [UInt8] = []
        private var isTaken = false
        private(set) var isFull = false

        var isEmpty: Bool { isTaken || nodes.isEmpty }

        mutating func take() -> Reply {
            isTaken = true
            return Reply(nodes: nodes, text: text)
        }

        mutating func append(_ node: Reply.Node) -> UnsafeMutableRawPointer? {
            if isTaken { clear() }
            guard nodes.count < maximumElements else {
                isFull = true
                return nil
            }
            nodes.append(node)
            // Any address but nil; nobody looks at it.
            return UnsafeMutableRawPointer(bitPattern: nodes.count)
        }

        mutating func append(
            _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int, isError: Bool
        ) -> UnsafeMutableRawPointer? {
            if isTaken { clear() }
            let start = UInt32(clamping: text.count)
            text.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count))
            let length = UInt32(clamping: count)
            return append(isError ? .error(start, length) : .text(start, length))
        }

        private mutating func clear() {
            isTaken = false
            let (elements, bytes) = (nodes.count, text.count)
            nodes.removeAll(keepingCapacity: elements * MemoryLayout<Reply.Node>.stride <= keptBytes)
            text.removeAll(keepingCapacity: bytes <= keptBytes)
            // Where the last reply is still held the memory is new: as much as was needed, in one piece.
            nodes.reserveCapacity(min(elements, keptBytes / MemoryLayout<Reply.Node>.stride))
            text.reserveCapacity(min(bytes, keptBytes))
        }

        static func of(_ task: UnsafePointer<redisReadTask>?) -> UnsafeMutablePointer<Tape>? {
            task?.pointee.privdata?.assumingMemoryBound(to: Tape.self)
        }

        static let functions = redisReplyObjectFunctions(
            createString: { task, bytes, count in
                let isError = task?.pointee.type == REDIS_REPLY_ERROR
                return Tape.of(task)?.pointee.append(bytes, count, isError: isError)
            },
            createArray: { task, count in Tape.of(task)?.pointee.append(.array(UInt32(clamping: count))) },
            createInteger: { task, value in Tape.of(task)?.pointee.append(.integer(Int64(value))) },
            createNil: { task in Tape.of(task)?.pointee.append(.null) },
            freeObject: { _ in })
    }
}
