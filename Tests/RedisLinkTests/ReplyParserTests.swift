import ReplyScanner
import SeededRandom
import Testing

@testable import RedisLink

@Suite("Replies of Redis")
struct ReplyParserTests {
    private func parse(_ pieces: [[UInt8]], maxElements: Int = 1000, maxBytes: Int = 100_000) throws -> [RedisReply] {
        let parser = try #require(ReplyParser(maxElements: maxElements, maxBytes: maxBytes))
        var replies: [RedisReply] = []
        for piece in pieces {
            try piece.withUnsafeBytes { try parser.feed($0) }
            while let reply = try parser.next() { replies.append(reply) }
        }
        return replies
    }

    @Test("any chunking gives the same replies")
    func anyChunking() throws {
        let text =
            "+OK\r\n-ERR no\r\n:-42\r\n$5\r\nhe\r\no\r\n$-1\r\n*-1\r\n*0\r\n*3\r\n:1\r\n*2\r\n$0\r\n\r\n-E x\r\n$-1\r\n"
        let bytes = Array(text.utf8)
        let expected: [RedisReply] = [
            .status("OK"), .error("ERR no"), .integer(-42), .bulk(Array("he\r\no".utf8)), .null, .null, .array([]),
            .array([.integer(1), .array([.bulk([]), .error("E x")]), .null]),
        ]
        #expect(try parse([bytes]) == expected)
        #expect(try parse(bytes.map { [$0] }) == expected)
        for cut in bytes.indices { #expect(try parse([Array(bytes[..<cut]), Array(bytes[cut...])]) == expected) }
    }

    @Test(
        "absurd replies are refused",
        arguments: [
            "hello\r\n", "*2000000000\r\n", "*1001\r\n", "*99999999999999999999\r\n", "*-2\r\n", "$-2\r\n",
            "$99999999999\r\n", "$9223372036854775807\r\n", "$99999999999999999999999", ":12x\r\n", "$3x\r\nabc\r\n",
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "\0\0\0\0", "*2\r\n*900\r\n",
        ])
    func absurdReplies(text: String) {
        var text = text
        // Elements are counted over all arrays of a reply.
        if text.hasPrefix("*2\r\n*900") {
            text = "*2\r\n*900\r\n" + String(repeating: ":1\r\n", count: 900) + "*900\r\n"
        }
        #expect(throws: ReplyScanner.Failure.self) { try parse([Array(text.utf8)]) }
        #expect(throws: ReplyScanner.Failure.self) { try parse(text.utf8.map { [$0] }) }
    }

    @Test("a reply past the limit of bytes is refused")
    func tooLong() throws {
        let item = Array("$1000\r\n".utf8) + [UInt8](repeating: 7, count: 1000) + [13, 10]
        #expect(throws: ReplyScanner.Failure.self) {
            try parse([Array("*200\r\n".utf8)] + Array(repeating: item, count: 200))
        }
        #expect(try parse(Array(repeating: item, count: 200)).count == 200)
    }

    @Test("an endless line is refused")
    func endlessLine() {
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1000)
        #expect(throws: ReplyScanner.Failure.self) {
            try parse([[UInt8(ascii: "+")]] + Array(repeating: piece, count: 67))
        }
    }

    @Test("the rest of a truncated reply is waited for")
    func truncated() throws {
        let begun = Array("*2\r\n:1\r\n$5\r\nhel".utf8)
        #expect(try parse([begun]).isEmpty)
        #expect(try parse([begun, Array("lo\r\n".utf8)]) == [.array([.integer(1), .bulk(Array("hello".utf8))])])
    }

    @Test("random bytes never crash, and in whatever pieces they come, they are the same replies or refused")
    func randomBytes() {
        var random = SeededRandom(seed: 7)
        let alphabet = Array("*$+-:0123456789\r\n\r\n\r\nab\0".utf8)
        var accepted = 0
        for _ in 0..<20_000 {
            let bytes = (0..<Int(random.next() % 40)).map { _ in alphabet[Int(random.next() % UInt64(alphabet.count))] }
            let whole = try? parse([bytes])
            #expect(whole == (try? parse(bytes.map { [$0] })), "\(bytes)")
            if whole?.isEmpty == false { accepted += 1 }
        }
        #expect(accepted > 50, "the bytes reach the replies")
    }
}
