import SeededRandom
import Testing
import WireProtocol

/// Every decoder passes the split and coalesce check: the outcome depends on the bytes, not on how they arrive.
@Suite("Chunking")
struct ChunkingTests {
    @Test("any stream reads the same whole, byte by byte, and in random pieces", arguments: 0..<8)
    func anyChunking(_ seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        for round in 0..<500 {
            // Small limits, so that the streams meet them.
            let limits =
                round % 2 == 0 ? ProtocolLimits() : ProtocolLimits(maxLine: 40, maxElements: 6, maxBulk: 50)
            let stream = StreamGenerator.stream(using: &random)
            let whole = read(stream, limits: limits)
            let single = read(stream, pieces: Array(repeating: 1, count: stream.count), limits: limits)
            #expect(single == whole, "seed \(seed), round \(round), byte by byte: \(stream)")
            for _ in 0..<3 {
                let pieces = (0..<stream.count).map { _ in Int.random(in: 1...20, using: &random) }
                #expect(
                    read(stream, pieces: pieces, limits: limits) == whole, "seed \(seed), round \(round): \(stream)")
            }
        }
    }

    @Test("a long request does not cost more the smaller its pieces are")
    func noRescan() {
        // 1,024 arguments byte by byte: were each call to begin at the start, this would take minutes.
        let element = "$40\r\n" + String(repeating: "a", count: 40) + "\r\n"
        let request = Array(("*1024\r\n" + String(repeating: element, count: 1024)).utf8)
        var bytes = request
        var parser = RequestParser()
        bytes.withUnsafeMutableBytes { buffer in
            for length in 1..<buffer.count {
                let outcome = parser.parse(UnsafeMutableRawBufferPointer(rebasing: buffer[..<length]))
                if outcome != .incomplete { Issue.record("\(outcome) after \(length) bytes") }
            }
            #expect(parser.parse(buffer) == .request(length: request.count))
        }
        #expect(parser.arguments.count == 1024)
    }
}

/// Makes streams of requests, good ones and damaged ones.
enum StreamGenerator {
    static func stream(using random: inout SeededRandom) -> [UInt8] {
        var stream: [UInt8] = []
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            stream += Bool.random(using: &random) ? array(using: &random) : inline(using: &random)
        }
        // Half of the streams are damaged in up to three places, or cut short.
        if Bool.random(using: &random) {
            for _ in 0..<Int.random(in: 1...3, using: &random) where !stream.isEmpty {
                let index = Int.random(in: 0..<stream.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: stream[index] = byte(using: &random)
                case 1: stream.remove(at: index)
                case 2: stream.insert(byte(using: &random), at: index)
                default: stream.removeLast(Int.random(in: 0...min(stream.count, 8), using: &random))
                }
            }
        }
        return stream
    }

    private static func array(using random: inout SeededRandom) -> [UInt8] {
        let count = Int.random(in: -1...7, using: &random)
        var request = Array("*\(count)\r\n".utf8)
        for _ in 0..<max(count, 0) {
            let length = Int.random(in: 0...(Int.random(in: 0..<10, using: &random) == 0 ? 60 : 9), using: &random)
            request += Array("$\(length)\r\n".utf8)
            for _ in 0..<length { request.append(byte(using: &random)) }
            request += [13, 10]
        }
        return request
    }

    private static func inline(using random: inout SeededRandom) -> [UInt8] {
        let parts = [
            "PING", "a", "\"b c\"", "'d\\'e'", "\"\\x41\\n\"", "f\"g\"", "HTTP/1.1", "POST", "Host:", "\"", "'", "\\",
            "\t",
        ]
        let line = (0..<Int.random(in: 0...12, using: &random)).map { _ in
            parts[min(Int.random(in: 0..<40, using: &random) % 16, parts.count - 1)]
        }
        return Array(line.joined(separator: " ").utf8) + (Bool.random(using: &random) ? [10] : [13, 10])
    }

    /// Mostly bytes that mean something to the parser.
    private static func byte(using random: inout SeededRandom) -> UInt8 {
        let telling: [UInt8] = [13, 10, 42, 36, 48, 49, 57, 45, 43, 32, 34, 39, 92, 0, 255, 97]
        return Bool.random(using: &random)
            ? telling[Int.random(in: 0..<telling.count, using: &random)] : UInt8.random(in: 0...255, using: &random)
    }
}
