import Testing
import WireProtocol

@Suite("Request arrays")
struct RequestParserTests {
    @Test("arguments are ranges of the caller's bytes")
    func ranges() {
        var bytes = Array("*2\r\n$4\r\nPING\r\n$0\r\n\r\nrest".utf8)
        var parser = RequestParser()
        let outcome = bytes.withUnsafeMutableBytes { parser.parse($0) }
        #expect(outcome == .request(length: 20))
        #expect(parser.arguments == [8..<12, 18..<18])
        #expect(!parser.isMidRequest)
        #expect(parser.minimumLength == 0)
    }

    @Test("arguments carry any byte")
    func binary() {
        let all = (0...255).map { UInt8($0) }
        #expect(read(Array("*1\r\n$256\r\n".utf8) + all + [13, 10]).requests == [[all]])
    }

    @Test("requests may follow one another, arrays and inline mixed, with more or fewer arguments than the last")
    func pipeline() {
        #expect(
            words("*1\r\n$1\r\na\r\nb c d\r\n*3\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n\n*1\r\n$1\r\nh\r\n")
                == [["a"], ["b", "c", "d"], ["e", "f", "g"], [], ["h"]])
    }

    @Test("an empty request has no arguments", arguments: ["*0\r\n", "*-1\r\n", "\r\n", "\n", "  \t\r\n"])
    func empty(_ stream: String) {
        #expect(words("*1\r\n$1\r\na\r\n" + stream) == [["a"], []])
    }

    @Test("no bytes are no beginning")
    func nothing() {
        var parser = RequestParser()
        #expect(parser.parse(UnsafeMutableRawBufferPointer(start: nil, count: 0)) == .incomplete)
        #expect(!parser.isMidRequest)
    }

    @Test("a request that was begun can be forgotten")
    func reset() {
        var parser = RequestParser()
        var begun = Array("*2\r\n$1".utf8)
        #expect(begun.withUnsafeMutableBytes { parser.parse($0) } == .incomplete)
        #expect(parser.isMidRequest)
        parser.reset()
        #expect(!parser.isMidRequest)
        var whole = Array("PING\n".utf8)
        #expect(whole.withUnsafeMutableBytes { parser.parse($0) } == .request(length: 5))
        #expect(parser.arguments == [0..<4])
    }

    @Test("the least length of a request is known as soon as its parts announce it")
    func minimumLength() {
        var parser = RequestParser()
        var bytes = Array("*2\r\n$100\r\n".utf8)
        #expect(bytes.withUnsafeMutableBytes { parser.parse($0) } == .incomplete)
        #expect(parser.minimumLength == 10 + 102 + 6)
    }

    @Test("fewer bytes than before, against the contract, are merely incomplete")
    func shrunk() {
        var parser = RequestParser()
        var bytes = Array("*2\r\n$100\r\nabc".utf8)
        #expect(bytes.withUnsafeMutableBytes { parser.parse($0) } == .incomplete)
        bytes = [42]
        #expect(bytes.withUnsafeMutableBytes { parser.parse($0) } == .incomplete)
    }

    @Test(
        "malformed requests are refused in Redis's words",
        arguments: [
            ("*a\r\n", "invalid multibulk length"), ("*\r\n", "invalid multibulk length"),
            ("*+1\r\n", "invalid multibulk length"), ("* 1\r\n", "invalid multibulk length"),
            ("*1 \r\n", "invalid multibulk length"), ("*01\r\n", "invalid multibulk length"),
            ("*00\r\n", "invalid multibulk length"), ("*-0\r\n", "invalid multibulk length"),
            ("*-2\r\n", "invalid multibulk length"), ("*-01\r\n", "invalid multibulk length"),
            ("*1\rx", "invalid multibulk length"), ("*1\n$4\r\n", "invalid multibulk length"),
            ("*1025\r\n", "invalid multibulk length"), ("*2147483648\r\n", "invalid multibulk length"),
            ("*9223372036854775808\r\n", "invalid multibulk length"),
            ("*18446744073709551617\r\n", "invalid multibulk length"),
            ("*1\r\n$a\r\n", "invalid bulk length"), ("*1\r\n$\r\n", "invalid bulk length"),
            ("*1\r\n$-1\r\n", "invalid bulk length"), ("*1\r\n$+4\r\n", "invalid bulk length"),
            ("*1\r\n$04\r\nPING\r\n", "invalid bulk length"), ("*1\r\n$ 4\r\n", "invalid bulk length"),
            ("*1\r\n$131073\r\n", "invalid bulk length"), ("*1\r\n$4294967297\r\n", "invalid bulk length"),
            ("*1\r\n$9223372036854775807\r\n", "invalid bulk length"), ("*1\r\n$4\nPING\r\n", "invalid bulk length"),
            ("*1\r\n+PING\r\n", "expected '$', got something else"),
            ("*1\r\nPING", "expected '$', got something else"),
            ("*1\r\n*1\r\n", "expected '$', got something else"),
            ("*1\r\n$4\r\nPINGxx", "missing CRLF after bulk"), ("*1\r\n$4\r\nPING\n\n", "missing CRLF after bulk"),
            ("*1\r\n$4\r\nPING\rx", "missing CRLF after bulk"), ("*1\r\n$3\r\nPING\r\n", "missing CRLF after bulk"),
            ("a 'b\r\n", "unbalanced quotes in request"), ("a \"b\"c\r\n", "unbalanced quotes in request"),
        ])
    func malformed(_ stream: String, _ message: String) {
        let reading = read(stream)
        #expect(reading.error?.message.description == message)
        #expect(reading.requests.isEmpty)
    }

    @Test("every length up to its limit is accepted, and not one more")
    func limits() {
        let limits = ProtocolLimits(maxLine: 20, maxElements: 3, maxBulk: 5)
        #expect(read("*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", limits: limits).requests.count == 1)
        #expect(read("*4\r\n", limits: limits).error == .tooManyElements)
        #expect(read("*1\r\n$5\r\nabcde\r\n", limits: limits).requests.count == 1)
        #expect(read("*1\r\n$6\r\n", limits: limits).error == .tooLongBulk)
        let line = String(repeating: "x", count: 20)
        #expect(read(line + "\n", limits: limits).requests.count == 1)
        #expect(read(line + "\r\n", limits: limits).requests.count == 1)
        #expect(read(line + "x\n", limits: limits).error == .tooBigInline)
        #expect(read(line + "x\r\n", limits: limits).error == .tooBigInline)
        #expect(read("a b c\n", limits: limits).requests.count == 1)
        #expect(read("a b c d\n", limits: limits).error == .tooBigInline)
    }

    @Test("the default limits are those of the design")
    func defaults() {
        #expect(ProtocolLimits() == ProtocolLimits(maxLine: 4096, maxElements: 1024, maxBulk: 131_072))
        let most = "*1024\r\n" + String(repeating: "$1\r\na\r\n", count: 1024)
        #expect(read(most).requests.first?.count == 1024)
        let longest = "*1\r\n$131072\r\n" + String(repeating: "a", count: 131_072) + "\r\n"
        #expect(read(longest).requests.first?.first?.count == 131_072)
        #expect(read(String(repeating: "a", count: 4096) + "\r\n").requests.count == 1)
    }

    @Test("a line without an end is refused once it exceeds the limit, and not before")
    func endlessLines() {
        let digits = String(repeating: "1", count: 4096)
        #expect(read("*" + digits) == Reading(left: 4097))
        #expect(read("*" + digits + "1").error == .tooBigMultibulkCount)
        #expect(read("*1\r\n$" + digits).left == 4096 + 5)
        #expect(read("*1\r\n$" + digits + "1").error == .tooBigBulkCount)
        #expect(read(digits + "1").left == 4097)
        #expect(read(digits + "11").error == .tooBigInline)
    }

    @Test("absurd limits do not overflow")
    func absurdLimits() {
        let limits = ProtocolLimits(maxLine: .max, maxElements: .max, maxBulk: .max)
        #expect(read("*1\r\n$999999999999999999\r\n", limits: limits).error == .tooLongBulk)
        #expect(read("*1073741824\r\n$1073741824\r\n", limits: limits).left == 26)
        #expect(read("*1\r\n", limits: ProtocolLimits(maxLine: -1, maxElements: -1, maxBulk: -1)).left == 4)
    }

    @Test("error texts are one line")
    func messages() {
        for error in ProtocolError.allCases {
            #expect(error.message.description.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
        }
    }
}
