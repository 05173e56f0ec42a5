import Testing

@testable import LoadTest

@Suite("Requests and answers as bytes")
struct RequestTests {
    private var tokens: TokenPool {
        var generator = SystemRandomNumberGenerator()
        return TokenPool.random(3, using: &generator)
    }

    @Test("a request for each token, and the token where the row says")
    func rows() {
        let tokens = tokens
        let rows = tokens.requests("TOKEN.VALIDATE")
        #expect(rows.count == 3)
        let token = String(decoding: tokens[1], as: UTF8.self)
        #expect(String(decoding: rows[1], as: UTF8.self) == "*2\r\n$14\r\nTOKEN.VALIDATE\r\n$128\r\n\(token)\r\n")
        let offset = rows.tokenOffset ?? 0
        #expect(Array(rows[1].dropFirst(offset).prefix(128)) == Array(tokens[1]))
    }

    @Test("the script is asked by its digest, with the session's key and 32 bytes to compare")
    func evalsha() {
        let tokens = tokens
        let lane = PeerRequests.evalsha(tokens, script: String(repeating: "a", count: 40))
        let sid = String(decoding: tokens[2].prefix(32), as: UTF8.self)
        let text = String(decoding: lane.rows[2], as: UTF8.self)
        #expect(text.hasPrefix("*5\r\n$7\r\nEVALSHA\r\n$40\r\n"))
        #expect(text.contains("\r\n$1\r\n1\r\n$34\r\nv:\(sid)\r\n$32\r\n"))
        let offset = lane.rows.tokenOffset ?? 0
        #expect(String(decoding: lane.rows[2].dropFirst(offset).prefix(32), as: UTF8.self) == sid)
    }

    @Test("memcached's request is one line a key")
    func memcached() {
        let tokens = tokens
        let lane = PeerRequests.memcachedGet(tokens)
        #expect(
            String(decoding: lane.rows[0], as: UTF8.self) == "get \(String(decoding: tokens[0], as: UTF8.self))\r\n")
    }

    @Test("threads share the requests without overlap")
    func shares() {
        let rows = RequestRows(bytes: Array("aabbccddee".utf8), stride: 2)
        #expect((0..<3).map { rows.share($0, of: 3) }.flatMap(\.bytes) == rows.bytes)
        #expect(rows.share(1, of: 9) == rows)
    }

    @Test("the mix holds each kind as often as its weight says, spread out")
    func schedule() {
        let schedule = LoadLoop.schedule([94, 5, 1])
        #expect(schedule.count == 100)
        #expect([0, 1, 2].map { lane in schedule.count { $0 == lane } } == [94, 5, 1])
        let misses = schedule.indices.filter { schedule[$0] == 1 }
        #expect(zip(misses, misses.dropFirst()).allSatisfy { $1 - $0 > 10 })
    }

    private static let session =
        "*8\r\n$6\r\nstatus\r\n$5\r\nvalid\r\n$8\r\naccepted\r\n:1\r\n$3\r\nsid\r\n$4\r\nabcd\r\n"
        + "$12\r\nsessiontoken\r\n$3\r\nxyz\r\n"

    private func parse(_ text: String, _ dialect: WireDialect = .resp, length: Int = .max) -> ReplyParser.Outcome {
        Array(text.utf8.prefix(length)).withUnsafeBytes { ReplyParser.parse($0, dialect: dialect) }
    }

    @Test("the fields that matter are found in a map")
    func fields() throws {
        guard case .reply(let reply) = parse(Self.session + "+next\r\n") else {
            Issue.record("not parsed")
            return
        }
        #expect(reply.length == Self.session.utf8.count)
        let bytes = Array(Self.session.utf8)
        func text(_ range: Range<Int>?) -> String? { range.map { String(decoding: bytes[$0], as: UTF8.self) } }
        #expect(text(reply.status) == "valid" && text(reply.sid) == "abcd" && text(reply.token) == "xyz")
    }

    @Test(
        "a part of a reply is incomplete, wherever it is cut",
        arguments: [session, "$3\r\nabc\r\n", "-ERR no\r\n", ":12\r\n", "*1\r\n*2\r\n:1\r\n$-1\r\n"])
    func cuts(text: String) {
        for length in 0..<text.utf8.count {
            #expect(parse(text, length: length) == .incomplete)
        }
        guard case .reply(let reply) = parse(text) else {
            Issue.record("not parsed")
            return
        }
        #expect(reply.length == text.utf8.count && (reply.error != nil) == text.hasPrefix("-"))
    }

    @Test("what no server sends is malformed", arguments: ["?\r\n", "$x\r\n", "*99999999999\r\n", "abc\n", "$-7\r\n"])
    func malformed(text: String) { #expect(parse(text) == .malformed) }

    @Test("memcached's answers")
    func memcachedReplies() {
        let value = "VALUE k 0 3\r\nabc\r\nEND\r\n"
        for length in 0..<value.utf8.count { #expect(parse(value, .memcached, length: length) == .incomplete) }
        #expect(parse(value, .memcached) == .reply(ParsedReply(length: value.utf8.count)))
        #expect(parse("END\r\n", .memcached) == .reply(ParsedReply(length: 5, holdsValue: false)))
        #expect(parse("hello\r\n", .memcached) == .malformed)
    }
}
