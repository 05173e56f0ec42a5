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

    private struct Budget {
        var elementsLeft: Int
        var createArray: (@convention(c) (UnsafePointer<redisReadTask>?, Int32) -> UnsafeMutableRawPointer?)?
    }

    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let budget: UnsafeMutablePointer<Budget>
    private let maxElements: Int
    private let maxBytes: Int
    /// Bytes that came since the last whole reply.
    private var partialBytes = 0
    private var isBroken = false

    /// Makes a parser; nil if memory is out.
    init?(maxElements: Int, maxBytes: Int) {
        guard let reader = redisReaderCreate() else { return nil }
        guard let standard = reader.pointee.fn else {
            redisReaderFree(reader)
            return nil
        }
        self.reader = reader
        self.maxElements = maxElements
        self.maxBytes = maxBytes
        budget = .allocate(capacity: 1)
        budget.initialize(to: Budget(elementsLeft: maxElements, createArray: standard.pointee.createArray))
        functions = .allocate(capacity: 1)
        functions.initialize(to: standard.pointee)
        functions.pointee.createArray = { task, count in
            guard let task, let context = task.pointee.privdata else { return nil }
            let budget = context.assumingMemoryBound(to: Budget.self)
            guard count >= 0, Int(count) <= budget.pointee.elementsLeft else { return nil }
            budget.pointee.elementsLeft -= Int(count)
            return budget.pointee.createArray?(task, count)
        }
        reader.pointee.fn = functions
        reader.pointee.privdata = UnsafeMutableRawPointer(budget)
    }

    deinit {
        // Frees a reply begun, by the functions: so they go last.
        redisReaderFree(reader)
        functions.deinitialize(count: 1).deallocate()
        budget.deinitialize(count: 1).deallocate()
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
        guard let object else {
            if isPastLimits { throw broken() }
            return nil
        }
        defer { freeReplyObject(object) }
        budget.pointee.elementsLeft = maxElements
        partialBytes = buffered.count
        return ReplyParser.convert(object.assumingMemoryBound(to: redisReply.self))
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

    /// Copies a reply out of C memory; nesting is bounded by the reader.
    private static func convert(_ object: UnsafeMutablePointer<redisReply>) -> RedisReply {
        let reply = object.pointee
        switch reply.type {
        case REDIS_REPLY_STRING: return .bulk(Array(text(reply)))
        case REDIS_REPLY_STATUS: return .status(String(decoding: text(reply), as: UTF8.self))
        case REDIS_REPLY_ERROR: return .error(String(decoding: text(reply), as: UTF8.self))
        case REDIS_REPLY_INTEGER: return .integer(reply.integer)
        case REDIS_REPLY_ARRAY:
            return .array(
                UnsafeBufferPointer(start: reply.element, count: reply.elements).map { element in
                    element.map(convert) ?? .null
                })
        default: return .null
        }
    }

    private static func text(_ reply: redisReply) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: reply.str, count: reply.str == nil ? 0 : Int(reply.len))
    }
}
