internal import Glibc
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// What a session has beyond its entry, in one block of memory: subject, salt of its CSRF tokens, bindings, the tokens
/// before the current one, data.
///
/// A block is made for one entry and freed with it, by the table. Layout: a header of 8 bytes, the subject, when it was
/// proved, salt, bindings, forced generation, remembered tokens (oldest first, each by what it differs from the one
/// before), previous token and data, as far as there are any; numbers in as few bytes as they need (LEB128). Seven
/// remembered tokens take about 90 bytes, as arrays of objects they took 400.
struct NearCacheDetails: BitwiseCopyable {
    private let block: UnsafeMutableRawPointer

    /// Bytes of data that a session may have to be served from here.
    static let maxData = 4_096

    private static let headerBytes = 8
    private static let lengthOffset = 0
    private static let subjectOffset = 4
    private static let flagsOffset = 6
    private static let countOffset = 7

    private static let hasHistoryFlag: UInt8 = 1
    private static let hasPreviousFlag: UInt8 = 2
    private static let keepsDataFlag: UInt8 = 4
    private static let hasSaltFlag: UInt8 = 8
    private static let isBoundToAddressFlag: UInt8 = 16
    private static let isBoundToAgentFlag: UInt8 = 32
    private static let isProvedFlag: UInt8 = 64

    /// Memory for a session's details was not to be had. The session is not kept: without its bindings it would be
    /// another one.
    struct OutOfMemory: Error {}

    /// Nil where there is nothing beyond the entry.
    ///
    /// A previous token whose overlap is over is put among the remembered ones: for decisions no different.
    /// - Parameter allocate: so many bytes that `free` takes back, or nil.
    init?(
        record: SessionRecord, data: [RecordField], policy: TokenPolicy, now: UnixMilliseconds,
        allocate: (Int) -> UnsafeMutableRawPointer? = { malloc($0) }
    ) throws(OutOfMemory) {
        let hasHistory = record.previous != nil || !record.remembered.isEmpty || record.forcedGeneration > 0
        guard
            !record.subject.isEmpty || !data.isEmpty || hasHistory || record.csrfSalt != nil || !record.bindings.isEmpty
                || record.authTime != nil
        else { return nil }
        var flags: UInt8 = hasHistory ? Self.hasHistoryFlag : 0
        var writer = CompactBytes()
        if let authTime = record.authTime {
            flags |= Self.isProvedFlag
            writer.signed(authTime - record.created, flag: false)
        }
        if let salt = record.csrfSalt {
            flags |= Self.hasSaltFlag
            salt.withUnsafeBytes { writer.append($0) }
        }
        if let binding = record.bindings.ip {
            flags |= Self.isBoundToAddressFlag
            writer.text(binding.bytes)
        }
        if let binding = record.bindings.userAgent {
            flags |= Self.isBoundToAgentFlag
            writer.text(binding.bytes)
        }
        var remembered = 0
        if hasHistory {
            let compacted = record.compacted(policy: policy, now: now)
            remembered = compacted.remembered.count
            writer.number(UInt64(bitPattern: compacted.forcedGeneration))
            var last = compacted.created
            for token in compacted.remembered.reversed() {
                let cut = token.overlapEnd - token.retiredAt
                writer.bytes(of: token.prefix)
                writer.signed(token.retiredAt - last, flag: cut != 0)
                if cut != 0 { writer.signed(cut, flag: false) }
                last = token.retiredAt
            }
            if let previous = compacted.previous {
                flags |= Self.hasPreviousFlag
                previous.digest.withUnsafeBytes { writer.append($0) }
                previous.sealedSuccessor.withUnsafeBytes { writer.append($0) }
                writer.signed(previous.rotatedAt - compacted.created, flag: false)
            }
        }
        if data.reduce(0, { $0 + $1.name.count + $1.value.count }) <= Self.maxData {
            flags |= Self.keepsDataFlag
            for field in data {
                writer.text(field.name)
                writer.text(field.value)
            }
        }
        let length = Self.headerBytes + record.subject.count + writer.content.count
        guard let block = allocate(length) else { throw OutOfMemory() }
        block.storeBytes(of: UInt32(clamping: length), toByteOffset: Self.lengthOffset, as: UInt32.self)
        block.storeBytes(of: UInt16(clamping: record.subject.count), toByteOffset: Self.subjectOffset, as: UInt16.self)
        block.storeBytes(of: flags, toByteOffset: Self.flagsOffset, as: UInt8.self)
        block.storeBytes(of: UInt8(clamping: remembered), toByteOffset: Self.countOffset, as: UInt8.self)
        let content = UnsafeMutableRawBufferPointer(start: block, count: length)
        content[Self.headerBytes...].copyBytes(from: record.subject)
        content[(Self.headerBytes + record.subject.count)...].copyBytes(from: writer.content)
        self.block = block
    }

    /// Ends the block's life; nothing of it may be used any more.
    func free() {
        explicit_bzero(block, length)
        Glibc.free(block)
    }

    private var length: Int { Int(block.load(fromByteOffset: Self.lengthOffset, as: UInt32.self)) }
    private var flags: UInt8 { block.load(fromByteOffset: Self.flagsOffset, as: UInt8.self) }

    /// Bytes on the heap: the allocator adds 8 and rounds up to 16.
    var bytes: Int { max(32, (length + 8 + 15) & ~15) }

    /// Valid while the entry lives.
    var subject: UnsafeRawBufferPointer {
        let count = Int(block.load(fromByteOffset: Self.subjectOffset, as: UInt16.self))
        return UnsafeRawBufferPointer(start: block + Self.headerBytes, count: count)
    }

    /// Whether there were tokens before the current one.
    var hasHistory: Bool { flags & Self.hasHistoryFlag != 0 }

    /// Whether the session is bound to anything.
    var isBound: Bool { flags & (Self.isBoundToAddressFlag | Self.isBoundToAgentFlag) != 0 }

    /// When the subject proved who they are; nil if nobody did.
    /// - Parameter created: of the session.
    @inline(__always)
    func authTime(created: UnixMilliseconds) -> UnixMilliseconds? {
        guard flags & Self.isProvedFlag != 0 else { return nil }
        var reader = CompactReader(afterSubject)
        // Numbers of 48 and of 61 bits: there is room for the sum.
        return UnixMilliseconds(created.sinceEpoch &+ reader.signed().value)
    }

    var csrfSalt: Digest? {
        var reader = contentReader
        return readSalt(&reader)
    }

    var bindings: Bindings {
        guard isBound else { return Bindings() }
        var reader = contentReader
        _ = readSalt(&reader)
        return readBindings(&reader)
    }

    /// Whether the data is here, all of it.
    var keepsData: Bool { flags & Self.keepsDataFlag != 0 }

    /// Nil where there is more than is kept here.
    var data: [RecordField]? {
        guard keepsData else { return nil }
        var reader = contentReader
        _ = readSalt(&reader)
        _ = readBindings(&reader)
        _ = readHistory(&reader, created: UnixMilliseconds(0))
        var fields: [RecordField] = []
        while !reader.isAtEnd { fields.append(RecordField(name: reader.text(), value: reader.text())) }
        return fields
    }

    /// Puts salt, bindings and history into a record whose time of creation is known.
    func complete(_ record: inout SessionRecord) {
        record.authTime = authTime(created: record.created)
        var reader = contentReader
        record.csrfSalt = readSalt(&reader)
        record.bindings = readBindings(&reader)
        let history = readHistory(&reader, created: record.created)
        record.forcedGeneration = history.forcedGeneration
        record.remembered = history.remembered
        record.previous = history.previous
    }

    // MARK: Reading, in the order of writing

    private struct History {
        var forcedGeneration: Int64 = 0
        var remembered: [RememberedToken] = []
        var previous: PreviousToken?
    }

    private var afterSubject: UnsafeRawBufferPointer {
        let content = UnsafeRawBufferPointer(start: block, count: length)
        return UnsafeRawBufferPointer(rebasing: content[(Self.headerBytes + subject.count)...])
    }

    /// At what stands behind the time of the proof.
    private var contentReader: CompactReader {
        var reader = CompactReader(afterSubject)
        if flags & Self.isProvedFlag != 0 { _ = reader.signed() }
        return reader
    }

    private func readSalt(_ reader: inout CompactReader) -> Digest? {
        flags & Self.hasSaltFlag == 0 ? nil : Digest(bytes: reader.take(Digest.byteCount))
    }

    private func readBindings(_ reader: inout CompactReader) -> Bindings {
        var bindings = Bindings()
        if flags & Self.isBoundToAddressFlag != 0 { bindings.ip = Binding(bytes: reader.text()) }
        if flags & Self.isBoundToAgentFlag != 0 { bindings.userAgent = Binding(bytes: reader.text()) }
        return bindings
    }

    private func readHistory(_ reader: inout CompactReader, created: UnixMilliseconds) -> History {
        guard hasHistory else { return History() }
        var history = History(forcedGeneration: Int64(bitPattern: reader.number()))
        var last = created
        for _ in 0..<block.load(fromByteOffset: Self.countOffset, as: UInt8.self) {
            let prefix = reader.word()
            let (step, isCut) = reader.signed()
            let retiredAt = last + step
            let cut = isCut ? reader.signed().value : 0
            history.remembered.append(
                RememberedToken(prefix: prefix, retiredAt: retiredAt, overlapEnd: retiredAt + cut))
            last = retiredAt
        }
        history.remembered.reverse()
        if flags & Self.hasPreviousFlag != 0 {
            let digest = Digest(bytes: reader.take(Digest.byteCount)) ?? Digest()
            let sealed = SealedVerifier(bytes: reader.take(SealedVerifier.byteCount)) ?? SealedVerifier()
            history.previous = PreviousToken(
                digest: digest, sealedSuccessor: sealed, rotatedAt: created + reader.signed().value)
        }
        return history
    }
}
