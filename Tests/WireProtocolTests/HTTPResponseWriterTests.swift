import Foundation
import SeededRandom
import Testing

@testable import WireProtocol

@Suite("HTTP responses")
struct HTTPResponseWriterTests {
    private let date = Array("Fri, 27 Nov 2026 18:00:00 GMT".utf8)

    private func text(_ body: (inout HTTPResponseWriter) -> Void) -> String {
        var writer = HTTPResponseWriter(capacity: 64)
        body(&writer)
        return writer.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    @Test("a whole response, byte for byte")
    func whole() {
        let response = text { writer in
            writer.begin(.ok, HTTPExchange(isPersistent: true), date: date)
            writer.field("X-Number", -7)
            writer.end("text/plain", "ok\n")
        }
        #expect(
            response
                == "HTTP/1.1 200 OK\r\nDate: Fri, 27 Nov 2026 18:00:00 GMT\r\nCache-Control: no-store\r\n"
                + "X-Number: -7\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n")
    }

    @Test("the answer to HEAD has the length and not the body; what closes or is kept says so")
    func forms() {
        let head = text { writer in
            writer.begin(.ok, HTTPExchange(isHead: true), date: date)
            writer.end("text/plain", "body")
        }
        #expect(head.contains("Connection: close\r\n") && head.hasSuffix("Content-Length: 4\r\n\r\n"))
        let old = text { writer in
            writer.begin(.ok, HTTPExchange(isPersistent: true, isOld: true), date: date)
            writer.end()
        }
        #expect(old.contains("Connection: keep-alive\r\n") && old.hasSuffix("Content-Length: 0\r\n\r\n"))
    }

    @Test("no value ends its line, whatever bytes it has")
    func injection() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<2_000 {
            let bytes = random.bytes(Int.random(in: 0..<40, using: &random))
            let response = text { writer in
                writer.begin(.unauthorized, HTTPExchange(), date: date)
                bytes.withUnsafeBytes { writer.field("X-A", encoding: $0) }
                writer.field("X-B", String(decoding: bytes, as: UTF8.self))
                bytes.withUnsafeBytes { writer.field(Array("X-C".utf8), encoding: $0) }
                writer.end()
            }
            let lines = response.components(separatedBy: "\r\n")
            #expect(lines.count == 10 && lines[4].hasPrefix("X-A: ") && lines[5].hasPrefix("X-B: "))
            #expect(response.utf8.allSatisfy { $0 == 13 || $0 == 10 || (0x20...0x7E).contains($0) })
            // What was encoded reads as the same bytes.
            var decoded: [UInt8] = []
            var rest = Array(lines[4].utf8.dropFirst(5))[...]
            while let byte = rest.popFirst() {
                guard byte == UInt8(ascii: "%") else { decoded.append(byte); continue }
                decoded.append(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) ?? 0)
                rest = rest.dropFirst(2)
            }
            #expect(decoded == bytes)
        }
    }

    @Test("every refusal of the reader has a status that is written")
    func refusals() {
        for refusal in HTTPRefusal.allCases {
            let response = text { $0.begin(refusal.status, HTTPExchange(), date: date) }
            #expect(response.hasPrefix("HTTP/1.1 \(refusal.status.rawValue) \(refusal.status.phrase)\r\n"))
        }
    }
}
