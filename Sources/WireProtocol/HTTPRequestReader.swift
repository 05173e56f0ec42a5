internal import Glibc

/// Reads the head of an HTTP/1.1 request, its request line and fields, out of a buffer that somebody else fills.
///
/// It does no input or output and keeps no bytes: it answers with ranges of the buffer it was given. It can stop anywhere
/// and go on from there when more bytes are in; the outcome depends on the bytes alone, never on how they were cut. What
/// proxies and servers read in different ways is refused, so that nobody smuggles a request past one of them.
///
/// Source: RFC 9112, RFC 9110; stricter where they leave a choice (bare LF, any Transfer-Encoding, a second
/// Content-Length).
public struct HTTPRequestReader: Sendable {
    /// What `read` found.
    public enum Outcome: Equatable, Sendable {
        /// A whole head of this many bytes stands at the start; what it says is in the reader's properties.
        case head(length: Int)
        /// The bytes are the beginning of a head. Call again with the same bytes and more behind them.
        case incomplete
        case refused(HTTPRefusal)
    }

    /// A field: where its name and its value are.
    public struct Field: Equatable, Sendable {
        public let name: Range<Int>
        /// Without white space around it.
        public let value: Range<Int>
    }

    /// The longest head, line ends included.
    public static let maxHead = 16_384
    public static let maxFields = 64

    // What a whole head says. Ranges are of the bytes given to `read`; of no use before it has returned `.head`.

    /// A token, as it was sent: methods are case-sensitive.
    public private(set) var method = 0..<0
    /// The path, from `/` on; `*` where OPTIONS asks about the server.
    public private(set) var path = 0..<0
    /// What stands behind the first `?`; nil where there is none.
    public private(set) var query: Range<Int>?
    /// The host and port that are asked for: of the target where that is a URL, else of Host; nil in an HTTP/1.0 request without.
    public private(set) var host: Range<Int>?
    public private(set) var fields: [Field] = []
    /// Bytes of the body that follows the head.
    public private(set) var bodyLength = 0
    /// The peer waits for `100 Continue` before it sends the body.
    public private(set) var expectsContinue = false
    /// Another request may follow.
    public private(set) var isPersistent = false

    private var lineStart = 0
    private var scanned = 0
    private var isRequestLineRead = false
    /// HTTP/1.1, not 1.0.
    public private(set) var isVersion11 = false
    private var hasLength = false
    private var hostField: Range<Int>?
    private var isClosing = false
    private var isKeptAlive = false

    public init() {}

    /// Whether a head was begun.
    public var isMidHead: Bool { scanned > 0 }

    /// Looks for one head at the start of `bytes`, which begin where the last request ended.
    public mutating func read(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        if scanned == 0 { self = Self(reusing: fields) }
        let window = min(bytes.count, Self.maxHead)
        while let end = Self.find(0x0A, in: bytes, from: scanned, to: window) {
            guard end > lineStart, bytes[end - 1] == 0x0D else { return refuse(.bareLineEnd) }
            let line = lineStart..<end - 1
            (lineStart, scanned) = (end + 1, end + 1)
            // A line end too many, behind the body before: RFC 9112, 2.2.
            if line.isEmpty, !isRequestLineRead { continue }
            if line.isEmpty {
                if let refusal = finish(bytes) { return refuse(refusal) }
                scanned = 0
                return .head(length: end + 1)
            }
            if let refusal = isRequestLineRead ? readField(line, bytes) : readRequestLine(line, bytes) {
                return refuse(refusal)
            }
            isRequestLineRead = true
        }
        scanned = max(scanned, window)
        guard bytes.count < Self.maxHead else {
            return refuse(isRequestLineRead ? .tooLongHead : .tooLongRequestLine)
        }
        return .incomplete
    }

    /// The value of the first field of this name.
    /// - Parameter name: in lower case.
    public func value(of name: StaticString, in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        fields.first { Self.isNamed(name, $0.name, bytes) }?.value
    }

    /// Whether a field has this name.
    /// - Parameter lowercase: in lower case.
    public static func isNamed(_ lowercase: StaticString, _ name: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard name.count == lowercase.utf8CodeUnitCount else { return false }
        return lowercase.withUTF8Buffer { expected in
            zip(bytes[name], expected).allSatisfy { byte, expected in lower(byte) == expected }
        }
    }

    // MARK: Lines

    private init(reusing fields: [Field]) {
        self.fields = fields
        self.fields.removeAll(keepingCapacity: true)
    }

    private mutating func refuse(_ refusal: HTTPRefusal) -> Outcome {
        scanned = 0
        return .refused(refusal)
    }

    private mutating func readRequestLine(_ line: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> HTTPRefusal? {
        guard bytes[line].allSatisfy({ (0x20...0x7E).contains($0) }) else { return .forbiddenByte }
        guard let first = bytes[line].firstIndex(of: 0x20), let last = bytes[line].lastIndex(of: 0x20), first < last
        else { return .malformedRequestLine }
        method = line.lowerBound..<first
        let target = first + 1..<last
        guard !method.isEmpty, bytes[method].allSatisfy(Self.isTokenByte), !target.isEmpty,
            !bytes[target].contains(0x20)
        else { return .malformedRequestLine }
        let version = bytes[last + 1..<line.upperBound]
        guard version.count == 8, version.starts(with: Array("HTTP/".utf8)), bytes[last + 7] == 0x2E,
            Self.isDigit(bytes[last + 6]), Self.isDigit(bytes[last + 8])
        else { return .malformedRequestLine }
        guard bytes[last + 6] == 0x31 else { return .unsupportedVersion }
        // A later minor version is understood as this one: RFC 9110, 2.5.
        isVersion11 = bytes[last + 8] != 0x30
        return readTarget(target, bytes)
    }

    private mutating func readTarget(_ target: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> HTTPRefusal? {
        // A fragment is not sent.
        guard !bytes[target].contains(UInt8(ascii: "#")) else { return .malformedTarget }
        var rest = target
        if bytes[target.lowerBound] != UInt8(ascii: "/") {
            if target.count == 1, bytes[target.lowerBound] == UInt8(ascii: "*"),
                bytes[method].elementsEqual("OPTIONS".utf8)
            {
                path = target
                return nil
            }
            let scheme = Array("http://".utf8)
            guard target.count > scheme.count, bytes[target].prefix(scheme.count).map(Self.lower) == scheme else {
                return .malformedTarget
            }
            let authority = target.lowerBound + scheme.count
            let end = bytes[authority..<target.upperBound].firstIndex {
                $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?")
            }
            guard let end, bytes[end] == UInt8(ascii: "/") else { return .malformedTarget }
            host = authority..<end
            guard Self.isHost(bytes, authority..<end) else { return .malformedTarget }
            rest = end..<target.upperBound
        }
        let mark = bytes[rest].firstIndex(of: UInt8(ascii: "?"))
        path = rest.lowerBound..<(mark ?? rest.upperBound)
        query = mark.map { $0 + 1..<rest.upperBound }
        return nil
    }

    private mutating func readField(_ line: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> HTTPRefusal? {
        guard !Self.isBlank(bytes[line.lowerBound]) else { return .foldedField }
        guard !Self.hasForbiddenByte(bytes, line) else { return .forbiddenByte }
        guard Self.find(0x0D, in: bytes, from: line.lowerBound, to: line.upperBound) == nil else { return .bareLineEnd }
        guard fields.count < Self.maxFields else { return .tooManyFields }
        guard let colon = Self.find(UInt8(ascii: ":"), in: bytes, from: line.lowerBound, to: line.upperBound) else {
            return .malformedField
        }
        let name = line.lowerBound..<colon
        guard !name.isEmpty, bytes[name].allSatisfy(Self.isTokenByte) else { return .malformedField }
        let value = Self.trimmed(bytes, colon + 1..<line.upperBound)
        fields.append(Field(name: name, value: value))
        return note(name, value, bytes)
    }

    /// What the reader itself needs of the fields.
    private mutating func note(
        _ name: Range<Int>, _ value: Range<Int>, _ bytes: UnsafeRawBufferPointer
    ) -> HTTPRefusal? {
        switch name.count {
        case 4 where Self.isNamed("host", name, bytes):
            guard hostField == nil else { return .secondHost }
            guard value.isEmpty || Self.isHost(bytes, value) else { return .malformedHost }
            hostField = value
        case 14 where Self.isNamed("content-length", name, bytes):
            // Eighteen digits cannot overflow.
            guard !hasLength, (1...18).contains(value.count), bytes[value].allSatisfy(Self.isDigit) else {
                return .malformedLength
            }
            hasLength = true
            bodyLength = bytes[value].reduce(0) { $0 * 10 + Int($1 &- 0x30) }
        case 17 where Self.isNamed("transfer-encoding", name, bytes): return .transferEncoding
        case 6 where Self.isNamed("expect", name, bytes):
            if Self.isNamed("100-continue", value, bytes) { expectsContinue = true }
        case 10 where Self.isNamed("connection", name, bytes):
            for option in bytes[value].split(separator: UInt8(ascii: ",")) {
                let option = Self.trimmed(bytes, option.startIndex..<option.endIndex)
                if Self.isNamed("close", option, bytes) { isClosing = true }
                if Self.isNamed("keep-alive", option, bytes) { isKeptAlive = true }
            }
        default: break
        }
        return nil
    }

    private mutating func finish(_ bytes: UnsafeRawBufferPointer) -> HTTPRefusal? {
        if isVersion11, hostField == nil { return .missingHost }
        host = host ?? hostField
        isPersistent = !isClosing && (isVersion11 || isKeptAlive)
        return nil
    }

    // MARK: Bytes

    /// Controls but HTAB, CR and LF.
    private static func hasForbiddenByte(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        var start = range.lowerBound
        // Eight at a time, as long as none is below 0x20 or 0x7F: each sum's top bit tells of its byte.
        let ones: UInt64 = 0x0101_0101_0101_0101
        while range.upperBound - start >= 8 {
            let word = bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)
            let deleted = word ^ (ones &* 0x7F)
            let suspects = ((word &- ones &* 0x20) & ~word) | ((deleted &- ones) & ~deleted)
            if suspects & (ones &* 0x80) != 0, bytes[start..<start + 8].contains(where: isForbidden) { return true }
            start += 8
        }
        return bytes[start..<range.upperBound].contains(where: isForbidden)
    }

    private static func isForbidden(_ byte: UInt8) -> Bool {
        (byte < 0x20 && byte != 0x09 && byte != 0x0D && byte != 0x0A) || byte == 0x7F
    }

    /// RFC 9110, 5.6.2.
    public static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// A name, an IPv4 or an IPv6 address in brackets, perhaps with a port. No more is asked of it here.
    private static func isHost(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        var rest = range
        if bytes.indices.contains(range.lowerBound), bytes[range.lowerBound] == UInt8(ascii: "[") {
            guard let end = bytes[range].firstIndex(of: UInt8(ascii: "]")), end > range.lowerBound + 2 else {
                return false
            }
            let isAddress = bytes[range.lowerBound + 1..<end].allSatisfy { byte in
                ASCII.hexValue(byte) != nil || byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
            }
            guard isAddress else { return false }
            rest = end + 1..<range.upperBound
            if rest.isEmpty { return true }
            guard bytes[rest.lowerBound] == UInt8(ascii: ":") else { return false }
        }
        let colon = bytes[rest].firstIndex(of: UInt8(ascii: ":")) ?? rest.upperBound
        let name = bytes[rest.lowerBound..<colon]
        guard !name.isEmpty || rest.lowerBound > range.lowerBound else { return false }
        let isName = name.allSatisfy { byte in
            isDigit(byte) || (0x61...0x7A).contains(lower(byte)) || "-._~".utf8.contains(byte)
        }
        guard isName, colon < rest.upperBound else { return isName }
        let port = bytes[colon + 1..<rest.upperBound]
        return port.count <= 5 && port.allSatisfy(isDigit)
    }

    /// Without white space around it.
    public static func trimmed(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, isBlank(bytes[start]) { start += 1 }
        while start < end, isBlank(bytes[end - 1]) { end -= 1 }
        return start..<end
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    public static func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }

    /// The offset of the first `byte` within `start..<end`, nil if there is none or the range is empty.
    public static func find(
        _ byte: UInt8, in bytes: UnsafeRawBufferPointer, from start: Int, to end: Int
    ) -> Int? {
        guard let base = bytes.baseAddress, start < end, let found = memchr(base + start, Int32(byte), end - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
