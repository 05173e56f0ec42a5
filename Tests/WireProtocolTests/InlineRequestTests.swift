import Testing
import WireProtocol

@Suite("Inline requests")
struct InlineRequestTests {
    @Test(
        "a line is split as Redis splits it",
        arguments: [
            ("PING\r\n", ["PING"]), ("PING\n", ["PING"]), ("  a\t b  \r\n", ["a", "b"]),
            ("\u{0B}\u{0C}a\r\n", ["a"]), ("a\u{0B}b\r\n", ["a\u{0B}b"]), ("a\rb\r\n", ["a", "b"]),
            (#"e "a b" c"# + "\n", ["e", "a b", "c"]), (#"e """# + "\n", ["e", ""]), ("e ''\n", ["e", ""]),
            (#"e "\x41\x4a\x4A""# + "\n", ["e", "AJJ"]), (#"e "\x4g""# + "\n", ["e", "x4g"]),
            (#"e "\x4""# + "\n", ["e", "x4"]), (#"e "\n\r\t\b\a""# + "\n", ["e", "\n\r\t\u{08}\u{07}"]),
            (#"e "\q\\\"""# + "\n", ["e", #"q\""#]), (#"e 'it\'s'"# + "\n", ["e", "it's"]),
            (#"e 'a\n\x41"'"# + "\n", ["e", #"a\n\x41""#]), (#"a"b c""# + "\n", ["ab c"]), ("a'b c'\n", ["ab c"]),
            (#"e "a"\#tb"# + "\n", ["e", "a", "b"]), (#"a\x41"# + "\n", [#"a\x41"#]),
            ("a b\0c d\r\n", ["a", "b"]), ("\0\n", []), ("$4\r\n", ["$4"]), ("+OK\r\n", ["+OK"]),
        ])
    func splitting(_ line: String, _ expected: [String]) {
        #expect(words(line) == [expected])
    }

    @Test(
        "unbalanced quotes are refused",
        arguments: [
            #"""#, "'", #"a "b"#, #"a "b'"#, #"a 'b""#, #""a"b"#, "'a'b", #""a\""#, #"'a\'"#, #""\"#, #""a"'b'"#,
            "\"a\0\"",
        ])
    func unbalanced(_ line: String) {
        #expect(read(line + "\n").error == .unbalancedQuotes)
    }

    @Test("unescaping writes only within the line")
    func inPlace() {
        var bytes = Array(#"e "\x41\x42" 'c'"#.utf8) + Array("\nNEXT".utf8)
        var parser = RequestParser()
        let outcome = bytes.withUnsafeMutableBytes { parser.parse($0) }
        #expect(outcome == .request(length: bytes.count - 4))
        #expect(parser.arguments.map { String(decoding: bytes[$0], as: UTF8.self) } == ["e", "AB", "c"])
        #expect(bytes.suffix(5) == Array("\nNEXT".utf8)[...])
    }

    @Test(
        "HTTP is recognised, whatever its path holds",
        arguments: [
            "GET / HTTP/1.1", "GET / HTTP/1.0", "PRI * HTTP/2.0", "POST / HTTP/1.1", "OPTIONS * HTTP/1.1",
            "GET /?q=\"a HTTP/1.1", "GET /it's HTTP/1.1", "  GET / HTTP/1.1  ", "POST", "post x", "Post /", "Host: a",
            "HOST: a", "host: a", "HTTP/1.1",
        ])
    func http(_ line: String) {
        #expect(read(line + "\r\n").error == .httpRequest)
        #expect(read(line + "\n").error == .httpRequest)
    }

    @Test(
        "what only resembles HTTP is not refused",
        arguments: ["HTTP/1.1 a", "POSTS a", "GET a", "a POST", "a Host:", "Host a", "ECHO HTTP"])
    func notHTTP(_ line: String) {
        #expect(read(line + "\r\n").requests == [line.split(separator: " ").map { Array($0.utf8) }])
    }

    @Test("an argument of an array may look like HTTP")
    func httpInArray() {
        #expect(words("*2\r\n$4\r\nPOST\r\n$8\r\nHTTP/1.1\r\n") == [["POST", "HTTP/1.1"]])
    }
}
