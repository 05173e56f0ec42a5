internal import Glibc

/// What servers under test speak.
public enum WireDialect: Sendable {
    case resp
    /// memcached's text protocol, one key a request.
    case memcached
}

/// One reply, taken apart as far as a load test needs it. Offsets count from its first byte.
struct ParsedReply: Equatable {
    var length: Int
    /// The first word of an error; nil for every other reply.
    var error: String?
    /// False for "there is none": a null, or memcached's bare `END`.
    var holdsValue = true
    var status: Range<Int>?
    var sid: Range<Int>?
    var token: Range<Int>?
}

/// Finds the end of a reply and the few fields that matter. This is the slow path: replies that look like the one
/// before are recognised without it.
struct ReplyParser {
    enum Outcome: Equatable {
        case incomplete
        case malformed
        case reply(ParsedReply)
    }

    static let deepest = 8
    static let longestLine = 64 << 10

    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    static func parse(_ bytes: UnsafeRawBufferPointer, dialect: WireDialect) -> Outcome {
        var parser = ReplyParser(bytes)
        do throws(Stop) {
            let reply = dialect == .resp ? try parser.reply() : try parser.memcached()
            return .reply(reply)
        } catch {
            return error == .incomplete ? .incomplete : .malformed
        }
    }

    private enum Stop: Error { case incomplete, malformed }

    private mutating func reply() throws(Stop) -> ParsedReply {
        var reply = ParsedReply(length: 0)
        let first = try peek()
        if first == UInt8(ascii: "-") {
            let line = try self.line()
            let text = String(decoding: bytes[line.dropFirst()], as: UTF8.self)
            reply.error = String(text.prefix(80))
        } else if first == UInt8(ascii: "*") {
            let count = try number(in: line())
            reply.holdsValue = count >= 0
            for index in 0..<max(0, count) {
                guard index % 2 == 0, try peek() == UInt8(ascii: "$") else {
                    _ = try value(depth: 1)
                    continue
                }
                let name = try value(depth: 1)
                guard index + 1 < count, let name, let field = wanted(name), try peek() == UInt8(ascii: "$") else {
                    continue
                }
                // The value is met again by the loop's next turn: go back for it.
                let before = at
                let payload = try value(depth: 1)
                at = before
                reply[keyPath: field] = payload
            }
        } else {
            reply.holdsValue = try value(depth: 0) != nil
        }
        reply.length = at
        return reply
    }

    private func wanted(_ name: Range<Int>) -> WritableKeyPath<ParsedReply, Range<Int>?>? {
        switch String(decoding: bytes[name], as: UTF8.self) {
        case "status": \.status
        case "sid": \.sid
        case "sessiontoken": \.token
        default: nil
        }
    }

    /// Skips a value; answers where its payload stands, nil for a null.
    private mutating func value(depth: Int) throws(Stop) -> Range<Int>? {
        guard depth < Self.deepest else { throw .malformed }
        let type = try peek()
        let line = try self.line()
        switch type {
        case UInt8(ascii: "+"), UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: ","), UInt8(ascii: "#"):
            return line.dropFirst()
        case UInt8(ascii: "_"):
            return nil
        case UInt8(ascii: "$"):
            let count = try number(in: line)
            guard count >= 0 else { return nil }
            let payload = at..<(at + count)
            guard payload.upperBound + 2 <= bytes.count else { throw .incomplete }
            at = payload.upperBound + 2
            return payload
        case UInt8(ascii: "*"), UInt8(ascii: "%"), UInt8(ascii: "~"):
            let count = try number(in: line)
            guard count >= 0 else { return nil }
            let start = at
            for _ in 0..<(type == UInt8(ascii: "%") ? 2 * count : count) { _ = try value(depth: depth + 1) }
            return start..<at
        default:
            throw .malformed
        }
    }

    private mutating func memcached() throws(Stop) -> ParsedReply {
        let first = try line()
        let words = String(decoding: bytes[first], as: UTF8.self).split(separator: " ")
        switch words.first {
        case "VALUE":
            guard words.count >= 4, let count = Int(words[3]), count >= 0, count <= 1 << 20 else { throw .malformed }
            at += count + 2
            guard at <= bytes.count else { throw .incomplete }
            guard try String(decoding: bytes[line()], as: UTF8.self) == "END" else { throw .malformed }
            return ParsedReply(length: at)
        case "END":
            return ParsedReply(length: at, holdsValue: false)
        case "STORED":
            return ParsedReply(length: at)
        case "ERROR", "CLIENT_ERROR", "SERVER_ERROR", "NOT_STORED":
            return ParsedReply(length: at, error: words.prefix(6).joined(separator: " "))
        default:
            throw .malformed
        }
    }

    private func peek() throws(Stop) -> UInt8 {
        guard at < bytes.count else { throw .incomplete }
        return bytes[at]
    }

    /// Takes a line; answers where it stands without its end.
    private mutating func line() throws(Stop) -> Range<Int> {
        guard at < bytes.count, let base = bytes.baseAddress,
            let end = memchr(base + at, 0x0a, bytes.count - at)
        else {
            if bytes.count - at > Self.longestLine { throw .malformed }
            throw .incomplete
        }
        let newline = base.distance(to: UnsafeRawPointer(end))
        guard newline > at, bytes[newline - 1] == 0x0d else { throw .malformed }
        let line = at..<(newline - 1)
        at = newline + 1
        return line
    }

    /// The number behind a line's type byte.
    private func number(in line: Range<Int>) throws(Stop) -> Int {
        let digits = bytes[line.dropFirst()]
        guard digits.count <= 8, let number = Int(String(decoding: digits, as: UTF8.self)), number >= -1 else {
            throw .malformed
        }
        return number
    }
}
