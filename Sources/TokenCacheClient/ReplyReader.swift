internal import CHiredis
internal import Glibc

/// hiredis's formatter and parser behind Swift values; its types end in this file.
struct ReplyReader: ~Copyable {
    /// Why no reply can be read from these bytes any more.
    enum Failure: Error {
        /// Not RESP2, or nested or long beyond what hiredis reads.
        case malformed
        /// More than ``maximumReplyBytes`` for one reply.
        case tooLong
        /// Out of memory.
        case memory
    }

    /// More than any reply of the daemon: a full list with full data.
    static let maximumReplyBytes = 64 * 1024 * 1024

    private let reader: UnsafeMutablePointer<redisReader>
    private var bytesOfReply = 0

    init() throws(Failure) {
        guard let reader = redisReaderCreate() else { throw .memory }
        self.reader = reader
    }

    deinit {
        redisReaderFree(reader)
    }

    /// Takes bytes as they come, in pieces of any size.
    mutating func feed(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        bytesOfReply += bytes.count
        guard bytesOfReply <= Self.maximumReplyBytes else { throw .tooLong }
        let text = bytes.bindMemory(to: CChar.self)
        guard redisReaderFeed(reader, text.baseAddress, text.count) == REDIS_OK else { throw .memory }
    }

    /// The next whole reply, `nil` if more bytes are needed.
    mutating func next() throws(Failure) -> ReplyValue? {
        var raw: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &raw) == REDIS_OK else {
            throw reader.pointee.err == REDIS_ERR_OOM ? .memory : .malformed
        }
        guard let raw else { return nil }
        defer { freeReplyObject(raw) }
        bytesOfReply = 0
        guard let value = ReplyValue(raw.assumingMemoryBound(to: redisReply.self).pointee) else { throw .malformed }
        return value
    }

    /// Whether every byte that was fed has been part of a reply.
    var isEmpty: Bool { reader.pointee.pos == reader.pointee.len }

    /// Writes a command as RESP and hands the bytes to `body`; they are wiped afterwards, they may hold a token.
    static func withFormatted<E: Error>(
        _ arguments: [[UInt8]], _ body: (UnsafeRawBufferPointer) throws(E) -> Void
    ) throws(E) -> Bool {
        var lengths = arguments.map(\.count)
        // One more byte, so that there is an address even if every argument is empty.
        var flat = Array(arguments.joined()) + [0]
        var target: UnsafeMutablePointer<CChar>?
        let length = flat.withUnsafeMutableBytes { bytes in
            var offset = 0
            var pointers: [UnsafePointer<CChar>?] = lengths.map { length in
                defer { offset += length }
                return bytes.baseAddress.map { base in
                    UnsafePointer((base + offset).assumingMemoryBound(to: CChar.self))
                }
            }
            defer { if let base = bytes.baseAddress { explicit_bzero(base, bytes.count) } }
            return redisFormatCommandArgv(&target, Int32(clamping: arguments.count), &pointers, &lengths)
        }
        guard length > 0, let target else { return false }
        defer {
            explicit_bzero(target, Int(length))
            redisFreeCommand(target)
        }
        try body(UnsafeRawBufferPointer(start: target, count: Int(length)))
        return true
    }
}

extension ReplyValue {
    /// hiredis nests at most seven levels deep, hence the recursion is bounded.
    fileprivate init?(_ reply: redisReply) {
        switch reply.type {
        case REDIS_REPLY_INTEGER:
            self = .integer(Int64(reply.integer))
        case REDIS_REPLY_NIL:
            self = .null
        case REDIS_REPLY_STRING, REDIS_REPLY_STATUS:
            self = .text(Array(Self.bytes(of: reply)))
        case REDIS_REPLY_ERROR:
            let line = Self.bytes(of: reply)
            let code = line.prefix { $0 != 0x20 }
            self = .error(code: ErrorText.clean(code), message: ErrorText.clean(line.dropFirst(code.count + 1)))
        case REDIS_REPLY_ARRAY:
            var values: [ReplyValue] = []
            for index in 0..<reply.elements {
                guard let element = reply.element?[index], let value = ReplyValue(element.pointee) else { return nil }
                values.append(value)
            }
            self = .array(values)
        default:
            return nil
        }
    }

    private static func bytes(of reply: redisReply) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: reply.str, count: reply.str == nil ? 0 : reply.len)
    }
}
