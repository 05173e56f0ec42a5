internal import CHiredis

/// Takes what a scanner finds in a reply, in the order of the bytes: each array before its elements.
///
/// A function that returns false refuses the reply: nothing more is found.
open class ReplySink {
    /// What kind of text was found.
    public enum TextKind { case bulk, status, error }

    public init() {}

    /// The text is valid during the call.
    open func add(_ text: UnsafeRawBufferPointer, _ kind: TextKind) -> Bool { false }
    open func add(_ number: Int64) -> Bool { false }
    /// The null bulk or the null array.
    open func addNull() -> Bool { false }
    /// An array of so many elements, none of which is there yet: a peer may announce more than memory holds.
    open func begin(count: Int) -> Bool { false }
}

/// Finds replies, RESP2, in bytes with hiredis's reader, and tells them to a sink element by element: without hiredis's own
/// objects, of which a session's record would need twenty.
///
/// hiredis 0.14 parses strictly, resumes anywhere and stops at seven nested arrays, but believes any element count
/// (`*2000000000` would be 16 GB) and waits for any length of string. Counts are the sink's to bound; a string or reply past
/// the limit of bytes is refused when it is announced. Not thread-safe.
public final class ReplyScanner {
    /// Why no reply can be found in these bytes any more. The scanner is of no use afterwards.
    public enum Failure: Error {
        /// Not RESP2, nested beyond what hiredis reads, or refused by the sink.
        case malformed
        /// More bytes for one reply than the limit.
        case tooLong
        /// Out of memory.
        case memory
    }

    /// The longest status, error, number or count line that is waited for, bytes.
    public static let longestLine = 65_536

    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let target: Target
    private let maxBytes: Int
    /// Bytes that came since the last whole reply.
    private var partialBytes = 0
    private var failure: Failure?

    /// Whom the reader's functions tell.
    private final class Target {
        let sink: ReplySink
        var hasRefused = false

        init(_ sink: ReplySink) { self.sink = sink }
    }

    /// Makes a scanner that holds the sink; nil if memory is out.
    /// - Parameter maxBytes: of one reply, at most.
    public init?(_ sink: ReplySink, maxBytes: Int) {
        functions = .allocate(capacity: 1)
        functions.initialize(to: Self.tellingSink)
        guard let reader = redisReaderCreateWithFunctions(functions) else {
            functions.deinitialize(count: 1).deallocate()
            return nil
        }
        self.reader = reader
        self.maxBytes = maxBytes
        target = Target(sink)
        reader.pointee.privdata = Unmanaged.passUnretained(target).toOpaque()
    }

    deinit {
        // Frees a reply begun, by the functions: so they go last.
        redisReaderFree(reader)
        functions.deinitialize(count: 1).deallocate()
    }

    /// Takes in bytes, in pieces of any size; they are copied.
    public func feed(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        if let failure { throw failure }
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
        partialBytes += bytes.count
        let pointer = start.assumingMemoryBound(to: CChar.self)
        guard redisReaderFeed(reader, pointer, bytes.count) == REDIS_OK else { throw failed(.memory) }
    }

    /// Tells the sink what there is of the next reply.
    /// - Returns: whether it was told to its end; false if more bytes are needed.
    public func next() throws(Failure) -> Bool {
        if let failure { throw failure }
        var object: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &object) == REDIS_OK else {
            throw failed(reader.pointee.err == REDIS_ERR_OOM && !target.hasRefused ? .memory : .malformed)
        }
        guard object != nil else {
            if isPastLimits { throw failed(.tooLong) }
            return false
        }
        partialBytes = buffered.count
        return true
    }

    /// Whether every byte that was fed was part of a whole reply.
    public var isEmpty: Bool {
        // The reader begins a reply when it is asked for one, before there is a byte of it.
        buffered.isEmpty && (reader.pointee.ridx < 0 || reader.pointee.ridx == 0 && currentType < 0)
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
        return rest.count > Self.longestLine
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

    private func failed(_ failure: Failure) -> Failure {
        self.failure = failure
        return failure
    }

    // MARK: What the reader calls

    /// Every function returns its context: the reader keeps what it is given, and asks nothing of it but not to be null.
    private typealias Context = UnsafeMutableRawPointer

    @inline(__always)
    private static func tell(
        _ task: UnsafePointer<redisReadTask>?, _ body: (ReplySink, Int32) -> Bool
    ) -> Context? {
        guard let task, let context = task.pointee.privdata else { return nil }
        let isTaken = Unmanaged<Target>.fromOpaque(context)._withUnsafeGuaranteedRef { target in
            let isTaken = body(target.sink, task.pointee.type)
            if !isTaken { target.hasRefused = true }
            return isTaken
        }
        return isTaken ? context : nil
    }

    private static var tellingSink: redisReplyObjectFunctions {
        redisReplyObjectFunctions(
            createString: { task, start, length in
                ReplyScanner.tell(task) { sink, type in
                    let text = UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : length)
                    let kind: ReplySink.TextKind =
                        switch type {
                        case REDIS_REPLY_STATUS: .status
                        case REDIS_REPLY_ERROR: .error
                        default: .bulk
                        }
                    return sink.add(text, kind)
                }
            },
            createArray: { task, count in ReplyScanner.tell(task) { sink, _ in sink.begin(count: Int(count)) } },
            createInteger: { task, value in ReplyScanner.tell(task) { sink, _ in sink.add(Int64(value)) } },
            createNil: { task in ReplyScanner.tell(task) { sink, _ in sink.addNull() } },
            freeObject: { _ in })
    }
}
