import Foundation
import Synchronization

/// A blocking HTTP/1.1 client that sends what a test says, byte for byte, and reads answers strictly. Written for the
/// tests alone. Session tokens in answers go into the secret book.
public final class HTTPClient: Sendable {
    public struct Response: Sendable {
        public let status: Int
        public let fields: [(name: String, value: String)]
        public let body: String

        /// The values of all fields of a name, in any case.
        public func values(_ name: String) -> [String] {
            fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
        }

        /// The value of the only field of a name; nil where there is none, or more than one.
        public subscript(name: String) -> String? {
            let values = values(name)
            return values.count == 1 ? values[0] : nil
        }

        /// The value of the cookie that it sets.
        public func cookie(_ name: String = "__Host-tc") -> String? {
            self["Set-Cookie"].flatMap { line in
                line.hasPrefix(name + "=")
                    ? String(line.dropFirst(name.utf8.count + 1).prefix { $0 != ";" }) : nil
            }
        }
    }

    private let wire: Mutex<Wire>
    private let book: SecretBook?
    private let limit: Duration

    public init(path: String, book: SecretBook? = nil, limit: Duration = .seconds(20)) throws {
        wire = Mutex(try Wire(path: path))
        self.book = book
        self.limit = limit
    }

    public init(port: Int, book: SecretBook? = nil, limit: Duration = .seconds(20)) throws {
        wire = Mutex(try Wire(port: port))
        self.book = book
        self.limit = limit
    }

    deinit { wire.withLock { $0.end() } }

    /// Asks, and reads the answer.
    /// - Parameter fields: besides Host.
    public func get(_ target: String, _ fields: [String] = [], method: String = "GET") throws -> Response {
        try send(Self.head(method, target, fields))
        return try read(isHead: method == "HEAD")
    }

    /// A request without a body.
    public static func head(_ method: String, _ target: String, _ fields: [String] = []) -> String {
        (["\(method) \(target) HTTP/1.1", "Host: localhost"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    }

    public func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// - Parameters:
    ///   - readingMeanwhile: whether answers that come are taken from the kernel while it sends.
    ///   - limit: of the whole; nil: that of the client.
    public func send(_ bytes: [UInt8], readingMeanwhile: Bool = true, limit: Duration? = nil) throws {
        let deadline = Deadline(in: limit ?? self.limit)
        try wire.withLock { try $0.send(bytes, deadline, readingMeanwhile: readingMeanwhile) }
    }

    public func shrinkReceiveBuffer() { wire.withLock { $0.shrinkReceiveBuffer() } }

    public func endSending() { wire.withLock { $0.endSending() } }

    /// The next answer.
    public func read(isHead: Bool = false) throws -> Response {
        let deadline = Deadline(in: limit)
        let response = try wire.withLock { wire in
            let line = try wire.readLine(deadline)
            let words = line.split(separator: " ", maxSplits: 2)
            guard words.count == 3, words[0] == "HTTP/1.1", let status = Int(words[1]) else {
                throw HarnessFailure("no status line: \(line)")
            }
            var fields: [(name: String, value: String)] = []
            while true {
                let line = try wire.readLine(deadline)
                if line.isEmpty { break }
                guard let colon = line.range(of: ": ") else { throw HarnessFailure("no field: \(line)") }
                fields.append((String(line[..<colon.lowerBound]), String(line[colon.upperBound...])))
            }
            let lengths = fields.filter { $0.name == "Content-Length" }
            guard lengths.count == 1, let length = Int(lengths[0].value) else {
                throw HarnessFailure("no single Content-Length: \(fields)")
            }
            let body = isHead ? [] : try wire.readExactly(length, deadline)
            return Response(status: status, fields: fields, body: String(decoding: body, as: UTF8.self))
        }
        for name in ["Set-Cookie", "X-Session-Token"] {
            for value in response.values(name) {
                for part in value.split(whereSeparator: { "=; ".contains($0) }) { book?.note(Array(part.utf8)) }
            }
        }
        return response
    }

    /// The rest of the stream, whose end must come within the limit.
    public func readToEnd() throws -> String {
        String(decoding: try wire.withLock { try $0.readToEnd(Deadline(in: limit)) }, as: UTF8.self)
    }

    /// Whether anything arrives within `limit`.
    public func hasInput(within limit: Duration) throws -> Bool { try wire.withLock { try $0.hasInput(limit) } }
}
