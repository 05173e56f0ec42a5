import SeededRandom
import Testing
import WireProtocol

/// What a stream of RESP3 turned out to hold. Every piece is fed from memory of its exact size.
private func read(
    _ stream: [UInt8], pieces: [Int] = [], limits: PushReader.Limits = .init()
) -> (values: [RESPValue], isMalformed: Bool) {
    var reader = PushReader(limits: limits)
    var values: [RESPValue] = []
    var sizes = pieces.makeIterator()
    var offset = 0
    while offset < stream.count {
        let end = min(offset + max(sizes.next() ?? stream.count, 1), stream.count)
        let piece = Array(stream[offset..<end])
        offset = end
        piece.withUnsafeBytes { reader.feed($0) }
        do throws(PushReader.Malformed) {
            while let value = try reader.next() { values.append(value) }
        } catch {
            return (values, true)
        }
    }
    return (values, false)
}

private func text(_ string: String) -> RESPValue { .text(Array(string.utf8)) }

@Suite("The reader of pushes")
struct PushReaderTests {
    @Test(
        "each type of RESP3 that Redis sends",
        arguments: [
            ("+OK\r\n", text("OK")), ("-ERR no\r\n", .error(Array("ERR no".utf8))), (":-12\r\n", .integer(-12)),
            ("$5\r\na\r\nbc\r\n", text("a\r\nbc")), ("$0\r\n\r\n", text("")), ("$-1\r\n", .null), ("*-1\r\n", .null),
            ("_\r\n", .null), ("#t\r\n", .integer(1)), ("#f\r\n", .integer(0)), (",1.5e3\r\n", text("1.5e3")),
            ("(123456789012345678901\r\n", text("123456789012345678901")), ("=8\r\ntxt:role\r\n", text("role")),
            ("!5\r\nERR x\r\n", .error(Array("ERR x".utf8))), ("*0\r\n", .list([])),
            ("~1\r\n:1\r\n", .list([.integer(1)])),
            ("%1\r\n+a\r\n*1\r\n:1\r\n", .list([text("a"), .list([.integer(1)])])),
            (">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", .push([text("invalidate"), .list([text("k")])])),
            (">2\r\n+invalidate\r\n_\r\n", .push([text("invalidate"), .null])),
            (":9223372036854775807\r\n", .integer(.max)), (":-9223372036854775808\r\n", .integer(.min)),
        ])
    func types(_ stream: String, _ value: RESPValue) {
        #expect(read(Array(stream.utf8)) == ([value], false))
    }

    @Test(
        "what no Redis sends is malformed",
        arguments: [
            "hello\r\n", "\r\n", "+a\nb\r\n", "+a\rb\r\n", ":1x\r\n", ":\r\n", ":-\r\n", ":01\r\n", ":+1\r\n",
            ":9223372036854775808\r\n", ":99999999999999999999\r\n", "$-2\r\n", "$01\r\nab\r\n", "$1\r\nab\r\n",
            "$99999999999\r\n", "*-2\r\n", "*99999999\r\n", "%300000\r\n", "_x\r\n", "#x\r\n", "#\r\n", "=3\r\nabc\r\n",
            "=5\r\ntxt-a\r\n", "=-1\r\n", "|1\r\n+a\r\n+b\r\n+c\r\n", "$?\r\n", "*?\r\n", ">0\r\n",
            "*1\r\n>1\r\n+a\r\n",
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", ".\r\n",
        ])
    func malformed(_ stream: String) {
        #expect(read(Array(stream.utf8)).isMalformed, "whole")
        #expect(read(Array(stream.utf8), pieces: Array(repeating: 1, count: 100)).isMalformed, "byte by byte")
    }

    @Test("limits hold before memory is taken")
    func limits() {
        var limits = PushReader.Limits()
        (limits.bytes, limits.elements, limits.line) = (64, 5, 20)
        #expect(read(Array("$100\r\n".utf8), limits: limits).isMalformed)
        #expect(read(Array("*6\r\n".utf8), limits: limits).isMalformed)
        #expect(read(Array("%3\r\n".utf8), limits: limits).isMalformed)
        #expect(read(Array("*3\r\n*3\r\n".utf8), limits: limits).isMalformed, "over all lists")
        #expect(read(Array("+aaaaaaaaaaaaaaaaaaaaaaaaaaaaa".utf8), limits: limits).isMalformed, "a line without end")
        #expect(
            read(Array("*2\r\n$30\r\n\(String(repeating: "a", count: 30))\r\n$30\r\n".utf8), limits: limits).isMalformed
        )
        // Of one value, not of a stream.
        let many = Array(String(repeating: "*3\r\n:1\r\n:2\r\n:3\r\n", count: 100).utf8)
        #expect(read(many, limits: limits).values.count == 100)
    }

    @Test("after what is malformed nothing more is read")
    func broken() {
        var reader = PushReader()
        Array("?\r\n+OK\r\n".utf8).withUnsafeBytes { reader.feed($0) }
        for _ in 0..<2 { #expect(throws: PushReader.Malformed.self) { try reader.next() } }
    }

    @Test("any stream reads the same whole, byte by byte, and in random pieces", arguments: 0..<8)
    func chunking(_ seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var limits = PushReader.Limits()
        (limits.bytes, limits.elements, limits.line, limits.depth) = (200, 12, 30, 3)
        for round in 0..<500 {
            var stream: [UInt8] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) { Self.append(to: &stream, depth: 0, &random) }
            if Bool.random(using: &random) {
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    let at = Int.random(in: 0..<stream.count, using: &random)
                    stream[at] = "0123456789-+:$*~%>_#\r\nab".utf8.randomElement(using: &random) ?? 0
                }
            }
            let whole = read(stream, limits: limits)
            let single = read(stream, pieces: Array(repeating: 1, count: stream.count), limits: limits)
            #expect(single == whole, "seed \(seed), round \(round): \(String(decoding: stream, as: UTF8.self))")
            for _ in 0..<3 {
                let pieces = (0..<stream.count).map { _ in Int.random(in: 1...20, using: &random) }
                #expect(read(stream, pieces: pieces, limits: limits) == whole, "seed \(seed), round \(round)")
            }
        }
    }

    @Test("a long message in small pieces is not read again from its start")
    func noRescan() {
        let key = "$37\r\n" + String(repeating: "k", count: 37) + "\r\n"
        let message = Array((">2\r\n$10\r\ninvalidate\r\n*20000\r\n" + String(repeating: key, count: 20_000)).utf8)
        let (values, isMalformed) = read(message, pieces: Array(repeating: 7, count: message.count / 7 + 1))
        guard case .push(let parts)? = values.first, case .list(let keys)? = parts.last else {
            Issue.record("\(values.count) values, malformed: \(isMalformed)")
            return
        }
        #expect(keys.count == 20_000)
    }

    private static func append(to stream: inout [UInt8], depth: Int, _ random: inout SeededRandom) {
        let count = Int.random(in: 0...3, using: &random)
        switch Int.random(in: 0..<(depth < 3 ? 9 : 6), using: &random) {
        case 0: stream += Array("+abc\r\n".utf8)
        case 1: stream += Array(":\(Int.random(in: -9...99, using: &random))\r\n".utf8)
        case 2: stream += Array("$\(count)\r\n\(String(repeating: "x", count: count))\r\n".utf8)
        case 3: stream += Array("_\r\n".utf8)
        case 4: stream += Array("=7\r\ntxt:abc\r\n".utf8)
        case 5: stream += Array("-ERR\r\n".utf8)
        case 6:
            stream += Array("*\(count)\r\n".utf8)
            for _ in 0..<count { append(to: &stream, depth: depth + 1, &random) }
        case 7:
            stream += Array("%\(count)\r\n".utf8)
            for _ in 0..<2 * count { append(to: &stream, depth: depth + 1, &random) }
        default:
            stream += Array("\(depth == 0 ? ">" : "~")\(count + 1)\r\n".utf8)
            for _ in 0...count { append(to: &stream, depth: depth + 1, &random) }
        }
    }
}
