import Testing
import WireProtocol

@Suite("Heads of HTTP requests")
struct HTTPRequestReaderTests {
    /// What came of some bytes, however they were cut.
    private struct Head: Equatable {
        var outcome = HTTPRequestReader.Outcome.incomplete
        var method = ""
        var path = ""
        var query: String?
        var host: String?
        var fields: [String] = []
        var bodyLength = 0
        var expectsContinue = false
        var isPersistent = false
    }

    private func read(_ text: String) -> Head { read(Array(text.utf8)) }

    private func read(_ bytes: [UInt8]) -> Head {
        let whole = read(bytes, pieces: [bytes.count])
        for size in [1, 2, 3, 7, 64] {
            #expect(read(bytes, pieces: Array(repeating: size, count: bytes.count / size + 1)) == whole, "by \(size)")
        }
        return whole
    }

    private func read(_ bytes: [UInt8], pieces: [Int]) -> Head {
        var reader = HTTPRequestReader()
        var head = Head()
        var end = 0
        for piece in pieces where head.outcome == .incomplete {
            end = min(bytes.count, end + piece)
            Array(bytes[..<end]).withUnsafeBytes { bytes in
                head.outcome = reader.read(bytes)
                guard case .head = head.outcome else { return }
                func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
                head.method = text(reader.method)
                head.path = text(reader.path)
                head.query = reader.query.map(text)
                head.host = reader.host.map(text)
                head.fields = reader.fields.map { "\(text($0.name))=\(text($0.value))" }
                head.bodyLength = reader.bodyLength
                head.expectsContinue = reader.expectsContinue
                head.isPersistent = reader.isPersistent
            }
        }
        return head
    }

    @Test("method, path, query, host, fields")
    func whole() {
        let text =
            "GET /auth-user/x?a=b?c HTTP/1.1\r\nHost: site.example:8080\r\nCookie:\ta=b; c=d \r\nX-Empty:\r\n\r\n"
        let head = read(text + "GET / HTTP/1.1")
        #expect(head.outcome == .head(length: text.utf8.count))
        #expect(head.method == "GET" && head.path == "/auth-user/x" && head.query == "a=b?c")
        #expect(head.host == "site.example:8080" && head.isPersistent && head.bodyLength == 0)
        #expect(head.fields == ["Host=site.example:8080", "Cookie=a=b; c=d", "X-Empty="])
    }

    @Test("names of fields are of any case, and the first of a name counts")
    func names() {
        let bytes = Array("GET / HTTP/1.1\r\nhOST: a\r\nX-Session-Token: 1\r\nx-session-token: 2\r\n\r\n".utf8)
        var reader = HTTPRequestReader()
        bytes.withUnsafeBytes { bytes in
            _ = reader.read(bytes)
            let value = reader.value(of: "x-session-token", in: bytes)
            #expect(value.map { String(decoding: bytes[$0], as: UTF8.self) } == "1")
            #expect(reader.value(of: "x-session", in: bytes) == nil)
        }
    }

    @Test("one after the other from the same reader")
    func pipeline() {
        let one =
            "GET /a?q HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\nExpect: 100-Continue\r\n\r\n"
        let two = "HEAD /b HTTP/1.0\r\n\r\n"
        var reader = HTTPRequestReader()
        Array(one.utf8).withUnsafeBytes { bytes in
            #expect(reader.read(bytes) == .head(length: one.utf8.count))
            #expect(reader.bodyLength == 5 && !reader.isPersistent && reader.expectsContinue)
        }
        Array(two.utf8).withUnsafeBytes { bytes in
            #expect(reader.read(bytes) == .head(length: two.utf8.count))
            #expect(reader.bodyLength == 0 && reader.query == nil && reader.host == nil && reader.fields.isEmpty)
            #expect(!reader.expectsContinue && !reader.isMidHead)
        }
    }

    @Test(
        "whether another request may follow",
        arguments: [
            ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false), ("HTTP/1.0", "", false),
            ("HTTP/1.0", "Connection: Keep-Alive\r\n", true), ("HTTP/1.2", "Connection: foo , CLOSE\r\n", false),
            ("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false), ("HTTP/1.9", "", true),
        ])
    func persistence(_ version: String, _ field: String, _ isPersistent: Bool) {
        #expect(read("GET / \(version)\r\nHost: a\r\n\(field)\r\n").isPersistent == isPersistent)
    }

    @Test("the host of a URL counts, not that of Host")
    func absolute() {
        let head = read("GET HTTP://b.example:1/p?q HTTP/1.1\r\nHost: a.example\r\n\r\n")
        #expect(head.host == "b.example:1" && head.path == "/p" && head.query == "q")
        #expect(read("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path == "*")
        #expect(read("\r\n\r\nGET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").host == "[::1]:80")
    }

    @Test(
        "what is refused, and why",
        arguments: [
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", HTTPRefusal.bareLineEnd), ("\n", .bareLineEnd),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", .bareLineEnd), ("GET / HTTP/1.1\r\nHost: a\r\n\n", .bareLineEnd),
            ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", .bareLineEnd),
            ("GET / HTTP/1.1\r\nA: b\u{0}\r\n\r\n", .forbiddenByte),
            ("GET /\u{7f} HTTP/1.1\r\n\r\n", .forbiddenByte), ("GET /ä HTTP/1.1\r\n\r\n", .forbiddenByte),
            ("GET /\tHTTP/1.1\r\n\r\n", .forbiddenByte),
            ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", .foldedField),
            ("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", .foldedField),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", .malformedField),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", .malformedField),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", .malformedField), ("GET / HTTP/1.1\r\nA(b): a\r\n\r\n", .malformedField),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", .secondHost), ("GET / HTTP/1.1\r\n\r\n", .missingHost),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .malformedHost),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", .malformedHost),
            ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", .malformedHost),
            ("GET / HTTP/1.1\r\nHost: [a\r\n\r\n", .malformedHost),
            ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", .malformedHost),
            ("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", .malformedLength),
            ("GET / HTTP/1.1\r\nContent-Length:\r\n\r\n", .malformedLength),
            ("GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", .malformedLength),
            ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", .malformedLength),
            ("GET / HTTP/1.1\r\nContent-Length: 1000000000000000000\r\n\r\n", .malformedLength),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncoding),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", .transferEncoding),
            ("GET  / HTTP/1.1\r\n\r\n", .malformedRequestLine), ("GET / HTTP/1.1 \r\n\r\n", .malformedRequestLine),
            (" GET / HTTP/1.1\r\n\r\n", .malformedRequestLine), ("GET /\r\n\r\n", .malformedRequestLine),
            ("GET\r\n\r\n", .malformedRequestLine), ("G@T / HTTP/1.1\r\n\r\n", .malformedRequestLine),
            ("GET / http/1.1\r\n\r\n", .malformedRequestLine), ("GET / HTTP/11\r\n\r\n", .malformedRequestLine),
            ("GET / HTTP/2.0\r\n\r\n", .unsupportedVersion), ("PRI * HTTP/2.0\r\n\r\n", .unsupportedVersion),
            ("GET x HTTP/1.1\r\n\r\n", .malformedTarget), ("GET * HTTP/1.1\r\n\r\n", .malformedTarget),
            ("CONNECT a:80 HTTP/1.1\r\n\r\n", .malformedTarget), ("GET http://a HTTP/1.1\r\n\r\n", .malformedTarget),
            ("GET http:///x HTTP/1.1\r\n\r\n", .malformedTarget),
            ("GET http://u@a/ HTTP/1.1\r\n\r\n", .malformedTarget),
            ("GET /a#b HTTP/1.1\r\n\r\n", .malformedTarget),
        ])
    func refusals(_ text: String, _ refusal: HTTPRefusal) {
        #expect(read(text).outcome == .refused(refusal))
        #expect((400...505).contains(refusal.status.rawValue))
    }

    @Test("no head is longer than 16 KiB, and none has more than 64 fields")
    func limits() {
        func head(_ filler: Int) -> String {
            "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: filler) + "\r\n\r\n"
        }
        let room = HTTPRequestReader.maxHead - head(0).utf8.count
        #expect(read(head(room)).outcome == .head(length: HTTPRequestReader.maxHead))
        #expect(read(head(room + 1)).outcome == .refused(.tooLongHead))
        #expect(read("GET /" + String(repeating: "x", count: 20_000)).outcome == .refused(.tooLongRequestLine))
        let fields = { (count: Int) in
            "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "A: b\r\n", count: count - 1) + "\r\n"
        }
        #expect(read(fields(64)).fields.count == 64)
        #expect(read(fields(65)).outcome == .refused(.tooManyFields))
    }
}
