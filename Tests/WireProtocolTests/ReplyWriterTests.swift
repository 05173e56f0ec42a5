import SeededRandom
import Testing
import WireProtocol

/// What `write` writes for a connection of this version.
private func reply(_ version: RESPVersion = .two, _ write: (inout ReplyWriter) -> Void) -> String {
    var writer = ReplyWriter(capacity: 1, version: version)
    write(&writer)
    return writer.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
}

@Suite("Reply writer")
struct ReplyWriterTests {
    @Test("replies that are the same in both versions", arguments: [RESPVersion.two, .three])
    func common(_ version: RESPVersion) {
        #expect(reply(version) { $0.ok() } == "+OK\r\n")
        #expect(reply(version) { $0.simple("PONG") } == "+PONG\r\n")
        #expect(reply(version) { $0.error("ERR", "no") } == "-ERR no\r\n")
        #expect(reply(version) { $0.bulk("status") } == "$6\r\nstatus\r\n")
        #expect(reply(version) { $0.bulk("") } == "$0\r\n\r\n")
        #expect(reply(version) { $0.bulk(String("grün")) } == "$5\r\ngrün\r\n")
        #expect(reply(version) { $0.bulk([1, 13, 10, 0]) } == "$4\r\n\u{1}\r\n\0\r\n")
        #expect(reply(version) { $0.bulk([UInt8]()) } == "$0\r\n\r\n")
        #expect(reply(version) { $0.array(0) } == "*0\r\n")
        #expect(reply(version) { $0.array(1024) } == "*1024\r\n")
        #expect(reply(version) { $0.append(Array("raw".utf8)) } == "raw")
    }

    @Test("replies that differ between the versions")
    func different() {
        let cases: [(two: String, three: String, write: (inout ReplyWriter) -> Void)] = [
            ("$-1\r\n", "_\r\n", { $0.null() }),
            ("*-1\r\n", "_\r\n", { $0.nullArray() }),
            ("*4\r\n", "%2\r\n", { $0.map(2) }),
            ("*2\r\n", "~2\r\n", { $0.set(2) }),
            (":1\r\n", "#t\r\n", { $0.boolean(true) }),
            (":0\r\n", "#f\r\n", { $0.boolean(false) }),
            ("$4\r\ninfo\r\n", "=8\r\ntxt:info\r\n", { $0.verbatim("info") }),
            ("$3\r\n1.5\r\n", ",1.5\r\n", { $0.double(1.5) }),
            ("$1\r\n3\r\n", ",3\r\n", { $0.double(3) }),
            ("$2\r\n-0\r\n", ",-0\r\n", { $0.double(-0.0) }),
            ("$5\r\n1e-07\r\n", ",1e-07\r\n", { $0.double(1e-7) }),
            ("$3\r\ninf\r\n", ",inf\r\n", { $0.double(.infinity) }),
            ("$4\r\n-inf\r\n", ",-inf\r\n", { $0.double(-.infinity) }),
            ("$3\r\nnan\r\n", ",nan\r\n", { $0.double(.nan) }),
        ]
        for each in cases {
            #expect(reply(.two, each.write) == each.two)
            #expect(reply(.three, each.write) == each.three)
        }
    }

    @Test("integers of every length")
    func integers() {
        var values: [Int64] = [0, .max, .min, .max - 1, .min + 1]
        var power: Int64 = 1
        for _ in 0..<18 {
            power *= 10
            values += [power - 1, power, power + 1, -power, 1 - power, power / 10 * 5 + 7]
        }
        var random = SeededRandom(seed: 1)
        for shift in 0..<63 { values.append(Int64.random(in: .min ... .max, using: &random) >> shift) }
        for value in values + Array(0...1100) {
            #expect(reply { $0.integer(value) } == ":\(value)\r\n")
        }
    }

    @Test("bytes of every length as hexadecimal digits")
    func hexadecimal() {
        let bytes = (0...255).map { UInt8($0) }
        let digits = Array("0123456789abcdef")
        for start in [0, 1, 100, 253] {
            for length in [0, 1, 2, 3, 4, 5, 15, 16, 48, 64] where start + length <= 256 {
                let part = bytes[start..<(start + length)]
                let text = String(part.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
                let written = reply { writer in part.withUnsafeBytes { writer.bulkHex($0) } }
                #expect(written == "$\(length * 2)\r\n\(text)\r\n")
            }
        }
    }

    @Test("the text of an error cannot begin another reply")
    func injection() {
        #expect(reply { $0.error("ERR", "a\r\n+OK\r\nb\0c\u{7F}\t\u{1B}d") } == "-ERR a  +OK  b c   d\r\n")
        #expect(reply { $0.error("UNAVAILABLE", "é ✓") } == "-UNAVAILABLE é ✓\r\n")
    }

    @Test("replies of any size and number go into one buffer, and it is used again")
    func growth() {
        var writer = ReplyWriter(capacity: 64)
        var expected: [UInt8] = []
        for length in 0..<300 {
            let bytes = [UInt8](repeating: UInt8(length % 256), count: length)
            writer.bulk(bytes)
            writer.integer(Int64(length))
            expected += Array("$\(length)\r\n".utf8) + bytes + Array("\r\n:\(length)\r\n".utf8)
        }
        #expect(writer.count == expected.count)
        #expect(writer.withUnsafeBytes { Array($0) } == expected)
        writer.shrink(toCapacity: 64)
        #expect(writer.withUnsafeBytes { Array($0) } == expected, "a buffer in use is not shrunk")
        writer.removeAll()
        #expect(writer.count == 0)
        writer.shrink(toCapacity: 64)
        let large = [UInt8](repeating: 7, count: 200_000)
        writer.append(large)
        #expect(writer.withUnsafeBytes { Array($0) } == large)
    }

    @Test("the version may change between replies")
    func switching() {
        var writer = ReplyWriter()
        writer.map(1)
        writer.version = .three
        writer.map(1)
        #expect(writer.withUnsafeBytes { String(decoding: $0, as: UTF8.self) } == "*2\r\n%1\r\n")
    }
}
