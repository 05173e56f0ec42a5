/// What of a request decides the form of its answer.
public struct HTTPExchange: Equatable, Sendable {
    /// HEAD: the fields of the answer to GET, and no body.
    public var isHead: Bool
    /// The connection is kept.
    public var isPersistent: Bool
    /// HTTP/1.0: that it is kept has to be said.
    public var isOld: Bool

    public init(isHead: Bool = false, isPersistent: Bool = false, isOld: Bool = false) {
        self.isHead = isHead
        self.isPersistent = isPersistent
        self.isOld = isOld
    }
}

/// The statuses that are answered. Source: RFC 9110, 15; RFC 6585.
public enum HTTPStatus: Int, Sendable, CaseIterable {
    case ok = 200
    case found = 302
    case seeOther = 303
    case badRequest = 400
    case unauthorized = 401
    case forbidden = 403
    case notFound = 404
    case methodNotAllowed = 405
    case uriTooLong = 414
    case misdirected = 421
    case headTooLarge = 431
    case unavailable = 503
    case unsupportedVersion = 505

    public var phrase: StaticString {
        switch self {
        case .ok: "OK"
        case .found: "Found"
        case .seeOther: "See Other"
        case .badRequest: "Bad Request"
        case .unauthorized: "Unauthorized"
        case .forbidden: "Forbidden"
        case .notFound: "Not Found"
        case .methodNotAllowed: "Method Not Allowed"
        case .uriTooLong: "URI Too Long"
        case .misdirected: "Misdirected Request"
        case .headTooLarge: "Request Header Fields Too Large"
        case .unavailable: "Service Unavailable"
        case .unsupportedVersion: "HTTP Version Not Supported"
        }
    }
}

/// A growable output buffer, and what writes HTTP/1.1 responses into it: `begin`, fields, `end`.
///
/// Every response has `Date`, `Content-Length` and `Cache-Control: no-store`. No value that is written can end its line.
///
/// Source: RFC 9112, RFC 9110.
public struct HTTPResponseWriter: ~Copyable {
    private var bytes: ReplyWriter
    private var exchange = HTTPExchange()

    /// - Parameter capacity: bytes to reserve.
    public init(capacity: Int = 16_384) { bytes = ReplyWriter(capacity: capacity) }

    /// How many bytes wait to be taken.
    public var count: Int { bytes.count }

    /// Empties the buffer and keeps its memory, up to what it was made with.
    public mutating func removeAll() {
        bytes.removeAll()
        bytes.shrink(toCapacity: 65_536)
    }

    /// Shows the bytes that wait; the view is valid during `body` only.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try bytes.withUnsafeBytes(body)
    }

    /// Begins a response.
    /// - Parameter date: of now, as an HTTP date (RFC 9110, 5.6.7).
    public mutating func begin(_ status: HTTPStatus, _ exchange: HTTPExchange, date: [UInt8]) {
        self.exchange = exchange
        let phrase = status.phrase
        date.withUnsafeBytes { date in
            bytes.write(atMost: 128 + phrase.utf8CodeUnitCount + date.count) { cursor in
                cursor.put("HTTP/1.1 ")
                cursor.decimal(UInt64(status.rawValue))
                cursor.put(ASCII.space)
                cursor.put(phrase)
                cursor.put("\r\nDate: ")
                cursor.put(date)
                cursor.put("\r\nCache-Control: no-store\r\n")
                if !exchange.isPersistent {
                    cursor.put("Connection: close\r\n")
                } else if exchange.isOld {
                    cursor.put("Connection: keep-alive\r\n")
                }
            }
        }
    }

    /// Writes a field whose value is plain: a byte that could end the line, or is no visible ASCII or space, becomes `?`.
    public mutating func field(_ name: StaticString, _ value: String) {
        var value = value
        value.withUTF8 { plain(name, UnsafeRawBufferPointer($0)) }
    }

    private mutating func plain(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
        bytes.write(atMost: name.utf8CodeUnitCount + value.count + 4) { cursor in
            cursor.put(name)
            cursor.put(": ")
            for byte in value { cursor.put((0x20...0x7E).contains(byte) ? byte : UInt8(ascii: "?")) }
            cursor.lineEnd()
        }
    }

    /// Writes a field whose value is a number.
    public mutating func field(_ name: StaticString, _ value: Int64) {
        bytes.write(atMost: name.utf8CodeUnitCount + 32) { cursor in
            cursor.put(name)
            cursor.put(": ")
            if value < 0 { cursor.put(ASCII.minus) }
            cursor.decimal(value.magnitude)
            cursor.lineEnd()
        }
    }

    /// Writes a field with bytes as lower-case hexadecimal digits.
    public mutating func field(_ name: StaticString, hex value: UnsafeRawBufferPointer) {
        bytes.write(atMost: name.utf8CodeUnitCount + value.count * 2 + 4) { cursor in
            cursor.put(name)
            cursor.put(": ")
            cursor.hex(value)
            cursor.lineEnd()
        }
    }

    /// Writes a field whose value may hold any bytes: those outside 0x21…0x7E, and `%`, stand there percent-encoded.
    public mutating func field(_ name: StaticString, encoding value: UnsafeRawBufferPointer) {
        field(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), encoding: value)
    }

    /// The same under a name that the configuration gives, a token of RFC 9110.
    public mutating func field(_ name: [UInt8], encoding value: UnsafeRawBufferPointer) {
        name.withUnsafeBytes { field($0, encoding: value) }
    }

    private mutating func field(_ name: UnsafeRawBufferPointer, encoding value: UnsafeRawBufferPointer) {
        bytes.write(atMost: name.count + value.count * 3 + 4) { cursor in
            cursor.put(name)
            cursor.put(": ")
            for byte in value { cursor.percentEncoded(byte) { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "%") } }
            cursor.lineEnd()
        }
    }

    /// Ends the response without a body.
    public mutating func end() {
        bytes.write(atMost: 32) { $0.put("Content-Length: 0\r\n\r\n") }
    }

    /// Ends the response with a body, which is left out where it is to HEAD.
    /// - Parameter type: of its content.
    public mutating func end(_ type: StaticString, _ body: String) {
        var body = body
        body.withUTF8 { body in
            let shown = exchange.isHead ? 0 : body.count
            bytes.write(atMost: type.utf8CodeUnitCount + 64 + shown) { cursor in
                cursor.put("Content-Type: ")
                cursor.put(type)
                cursor.put("\r\nContent-Length: ")
                cursor.decimal(UInt64(body.count))
                cursor.put("\r\n\r\n")
                cursor.put(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(body)[..<shown]))
            }
        }
    }
}

extension ReplyCursor {
    /// Writes a byte, percent-encoded unless it may stand as it is.
    mutating func percentEncoded(_ byte: UInt8, unless isPlain: (UInt8) -> Bool) {
        guard !isPlain(byte) else { return put(byte) }
        put(UInt8(ascii: "%"))
        for digit in [byte >> 4, byte & 0x0F] { put(digit < 10 ? 0x30 &+ digit : 0x41 &+ digit &- 10) }
    }
}
