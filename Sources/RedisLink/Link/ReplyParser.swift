internal import CHiredis

/// Turns bytes into replies with hiredis's reader, which is told to allocate only what has been bounded before.
///
/// hiredis 0.14 parses strictly and stops at seven nested arrays, but believes any element count (`*2000000000` would
/// be 16 GB) and waits for any length of string. Here elements of a reply are counted over all its arrays before
/// they are allocated, and a string or reply past the limit is refused when it is announced.
final class ReplyParser {
    /// The bytes are no reply, or one past a limit. The parser is of no use afterwards.
    struct Malformed: Error {}

    /// The longest status, error, number or count line that is waited for.
    static let longestLine = 65_536

    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let builder: ReplyBuilder
    private let maxBytes: Int
    /// Bytes that came since the last whole reply.
    private var partialBytes = 0
    private var isBroken = false

    /// Makes a parser; nil if memory is out.
    init?(maxElements: Int, maxBytes: Int) {
        functions = .allocate(capacity: 1)
        functions.initialize(to: ReplyBuilder.functions)
        builder = ReplyBuilder(maxElements: maxElements)
        guard let reader = redisReaderCreateWithFunctions(functions) else {
            functions.deinitialize(count: 1).deallocate()
            return nil
        }
        self.reader = reader
        self.maxBytes = maxBytes
        reader.pointee.privdata = Unmanaged.passUnretained(builder).toOpaque()
    }

    deinit {
        // Frees a reply begun, by the functions: so they go last.
        redisReaderFree(reader)
        functions.deinitialize(count: 1).deallocate()
    }

    /// Takes in bytes; they are copied.
    func feed(_ bytes: UnsafeRawBufferPointer) throws(Malformed) {
        guard !isBroken else { throw Malformed() }
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
        partialBytes += bytes.count
        let pointer = start.assumingMemoryBound(to: CChar.self)
        guard redisReaderFeed(reader, pointer, bytes.count) == REDIS_OK else { throw broken() }
    }

    /// The next whole reply; nil if more bytes are needed. A top-level error is `.error`.
    func next() throws(Malformed) -> RedisReply? {
        guard !isBroken else { throw Malformed() }
        var object: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &object) == REDIS_OK else { throw broken() }
        guard object != nil, let reply = builder.takeReply() else {
            if isPastLimits { throw broken() }
            return nil
        }
        partialBytes = buffered.count
        return reply
    }

    /// What the reader holds and has not consumed.
    private var buffered: UnsafeRawBufferPointer {
        guard let start = reader.pointee.buf, reader.pointee.len > reader.pointee.pos else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return UnsafeRawBufferPointer(start: start + reader.pointee.pos, count: reader.pointee.len - reader.pointee.pos)
    }

    /// Whether the reply that is waited for can only end past a limit.
    private var isPastLimits: Bool {
        if partialBytes > maxBytes { return true }
        let rest = buffered
        if rest.isEmpty { return false }
        if currentType == REDIS_REPLY_STRING {
            var announced = 0
            for byte in rest.prefix(20) {
                guard (0x30...0x39).contains(byte) else { return announced > maxBytes }
                let (product, overflow) = announced.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(Int(byte) - 0x30)
                if overflow || carry { return true }
                announced = sum
            }
            return rest.count >= 20
        }
        return rest.count > ReplyParser.longestLine
    }

    /// The type of the item being read; negative before its first byte.
    private var currentType: Int32 {
        let index = Int(reader.pointee.ridx)
        return withUnsafePointer(to: &reader.pointee.rstack) { stack in
            stack.withMemoryRebound(to: redisReadTask.self, capacity: 9) { tasks in
                (0..<9).contains(index) ? tasks[index].type : -1
            }
        }
    }

    private func broken() -> Malformed {
        isBroken = true
        return Malformed()
    }
}
