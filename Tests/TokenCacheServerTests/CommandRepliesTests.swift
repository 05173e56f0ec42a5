import Testing

@testable import TokenCacheServer
@testable import WireProtocol

private func describe(_ words: [String], _ version: RESPVersion = .two) -> String {
    var ends: [Int] = [0]
    for word in words { ends.append(ends[ends.count - 1] + word.utf8.count) }
    var writer = ReplyWriter(version: version)
    Array(words.joined().utf8).withUnsafeBytes { bytes in
        let words = zip(ends, ends.dropFirst()).map { UnsafeRawBufferPointer(rebasing: bytes[$0..<$1]) }
        CommandReplies.describe(words, to: &writer)
    }
    return writer.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
}

/// Takes one reply off the front of `lines`; false if it is not well-formed.
private func skip(_ lines: inout ArraySlice<Substring>) -> Bool {
    guard let line = lines.popFirst(), let type = line.first else { return false }
    let number = Int(line.dropFirst())
    switch type {
    case "+", "-", ":", "_": return true
    case "$": return lines.popFirst()?.utf8.count == number
    case "*", "~", "%":
        guard let number else { return false }
        for _ in 0..<(type == "%" ? number * 2 : number) {
            guard skip(&lines) else { return false }
        }
        return true
    default: return false
    }
}

@Suite("COMMAND")
struct CommandRepliesTests {
    private let listed = Command.allCases.filter { !$0.row.flags.contains(.unlisted) }

    @Test("COMMAND INFO has the ten elements of Redis 7.0")
    func info() {
        let two =
            "*2\r\n*10\r\n$4\r\necho\r\n:2\r\n*3\r\n+loading\r\n+stale\r\n+fast\r\n:0\r\n:0\r\n:0\r\n"
            + "*2\r\n+@connection\r\n+@fast\r\n*0\r\n*0\r\n*0\r\n*-1\r\n"
        #expect(describe(["info", "echo", "nosuch"]) == two)
        let three =
            "*1\r\n*10\r\n$4\r\necho\r\n:2\r\n~3\r\n+loading\r\n+stale\r\n+fast\r\n:0\r\n:0\r\n:0\r\n"
            + "~2\r\n+@connection\r\n+@fast\r\n~0\r\n~0\r\n~0\r\n"
        #expect(describe(["INFO", "Echo"], .three) == three)
        #expect(describe(["INFO", "nosuch"], .three) == "*1\r\n_\r\n")
    }

    @Test("COMMAND DOCS is a map of maps; unknown names are left out")
    func docs() {
        let ping =
            "$4\r\nping\r\n%5\r\n$7\r\nsummary\r\n$28\r\nAnswers PONG, or the message\r\n$5\r\nsince\r\n$5\r\n0.1.0\r\n"
            + "$5\r\ngroup\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*1\r\n"
            + "%3\r\n$4\r\nname\r\n$7\r\nmessage\r\n$4\r\ntype\r\n$6\r\nstring\r\n$5\r\nflags\r\n~1\r\n+optional\r\n"
        #expect(describe(["DOCS", "PING", "nosuch"], .three) == "%1\r\n" + ping)
        #expect(describe(["DOCS", "nosuch"]) == "*0\r\n")
        #expect(describe(["DOCS", "multi"]) == "*0\r\n")
    }

    @Test("every reply is one well-formed reply in both versions", arguments: [RESPVersion.two, .three])
    func wellFormed(_ version: RESPVersion) {
        let requests: [[String]] = [
            [], ["INFO"], ["DOCS"], ["LIST"], ["COUNT"], ["HELP"], ["GETKEYS"], ["GETKEYS", "PING"], ["nonsense"],
            ["COUNT", "x"], ["LIST", "FILTERBY", "MODULE", "x"], ["GETKEYSANDFLAGS", "PING"], [""],
        ]
        for request in requests {
            let reply = describe(request, version)
            #expect(reply.hasSuffix("\r\n"))
            var lines = reply.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
            #expect(skip(&lines), "\(request)")
            #expect(lines == [""], "\(request)")
        }
    }

    @Test("all commands are listed but those that are refused")
    func listing() {
        #expect(describe(["COUNT"]) == ":\(listed.count)\r\n")
        let names = listed.map { $0.row.name.description.lowercased() }
        #expect(
            describe(["LIST"]) == "*\(names.count)\r\n" + names.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined())
        #expect(describe([]).hasPrefix("*\(names.count)\r\n*10\r\n"))
        #expect(describe([]) == describe(["INFO"]))
        #expect(describe(["DOCS"], .three).hasPrefix("%\(names.count)\r\n"))
    }

    @Test("the list is filtered as in Redis")
    func filters() {
        #expect(
            describe(["LIST", "FILTERBY", "PATTERN", "CSRF.*"])
                == "*2\r\n$11\r\ncsrf.verify\r\n$10\r\ncsrf.issue\r\n")
        #expect(
            describe(["list", "filterby", "aclcat", "admin"])
                == "*5\r\n$10\r\ntoken.scan\r\n$20\r\ntoken.revokeeveryone\r\n$5\r\nprobe\r\n$6\r\nreload\r\n$8\r\nshutdown\r\n"
        )
        for nothing in [["MODULE", "x"], ["ACLCAT", "nosuch"], ["PATTERN", "nosuch"]] {
            #expect(describe(["LIST", "FILTERBY"] + nothing) == "*0\r\n")
        }
        for wrong in [
            ["FILTERBY"], ["FILTERBY", "PATTERN"], ["FILTERBY", "NAME", "x"], ["FILTERBY", "PATTERN", "a", "b"],
        ] {
            #expect(describe(["LIST"] + wrong) == "-ERR syntax error\r\n")
        }
    }

    @Test("what cannot be answered is refused, and nothing of it repeated")
    func refusals() {
        #expect(describe(["GETKEYS", "PING"]) == "-ERR The command has no key arguments\r\n")
        #expect(describe(["secret"]) == "-ERR unknown subcommand. Try COMMAND HELP.\r\n")
        #expect(describe(["LIST", "secret"]) == "-ERR syntax error\r\n")
        #expect(describe(["COUNT", "secret"]) == "-ERR wrong number of arguments for 'command|count' command\r\n")
    }

    @Test("a syntax text becomes Redis's description of arguments")
    func syntax() {
        func string(_ name: String, token: String? = nil) -> CommandArgument {
            CommandArgument(name: name, kind: .string, token: token)
        }
        #expect(CommandArgument.parse("") == [])
        #expect(CommandArgument.parse("a b") == [string("a"), string("b")])
        var limit = CommandArgument(name: "count", kind: .integer, token: "LIMIT")
        limit.isOptional = true
        #expect(CommandArgument.parse("[LIMIT count]") == [limit])
        var bind = CommandArgument(
            name: "bind", kind: .block, token: "BIND", parts: [string("signal"), string("value")])
        bind.isOptional = true
        bind.isMultiple = true
        bind.repeatsToken = true
        #expect(CommandArgument.parse("token [BIND signal value]…") == [string("token"), bind])
        var data = CommandArgument(
            name: "data", kind: .block, token: "DATA", parts: [string("field"), string("value")])
        data.isMultiple = true
        let holder = CommandArgument(
            name: "choice", kind: .oneof, parts: [string("token"), string("sid", token: "SID")])
        #expect(CommandArgument.parse("<token | SID sid> DATA field value …") == [holder, data])
        let pure = CommandArgument(name: "len", kind: .pureToken, token: "LEN")
        #expect(
            CommandArgument.parse("LEN | a b")
                == [
                    CommandArgument(
                        name: "choice", kind: .oneof,
                        parts: [pure, CommandArgument(name: "a", kind: .block, parts: [string("a"), string("b")])])
                ])
    }
}
