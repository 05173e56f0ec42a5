import Glibc
import TestSupport
import Testing

@testable import TokenCacheClient

@Suite("Connection", .timeLimit(.minutes(10)))
struct ConnectionTests {
    private func connect(_ server: ScriptedServer, timeout: Duration = .seconds(5)) throws -> BlockingConnection {
        try BlockingConnection(socketPath: server.path, timeout: timeout)
    }

    @Test("every kind of reply arrives, whole or byte by byte")
    func replies() throws {
        let wire =
            "*7\r\n:-42\r\n$5\r\na\r\nb\u{0}\r\n+OK\r\n$-1\r\n*-1\r\n*2\r\n$1\r\nk\r\n$0\r\n\r\n-ERR inner\r\n"
        let server = try ScriptedServer { $0 == ["DRIP"] ? .drip(wire) : .reply(wire) }
        let connection = try connect(server)
        let expected: [ReplyValue] = [
            .integer(-42), .text(Array("a\r\nb\u{0}".utf8)), .text(Array("OK".utf8)), .null, .null,
            .array([.text(Array("k".utf8)), .text([])]), .error(code: "ERR", message: "inner"),
        ]
        #expect(try connection.call([Array("WHOLE".utf8)]) == .array(expected))
        #expect(try connection.call([Array("DRIP".utf8)]) == .array(expected))
    }

    @Test("arguments go out byte for byte, empty ones too")
    func arguments() throws {
        let server = try ScriptedServer { _ in .reply("+OK\r\n") }
        _ = try connect(server).call([Array("ECHO".utf8), [], Array("a\r\n$3\r\nb".utf8), []])
        #expect(server.commands == [["ECHO", "", "a\r\n$3\r\nb", ""]])
    }

    @Test("a pipeline keeps its order, error replies are values, the connection stays open")
    func pipeline() throws {
        let server = try ScriptedServer { $0[0] == "1" ? .reply("-UNAVAILABLE no\r\n") : .reply("+\($0[0])\r\n") }
        let connection = try connect(server)
        let replies = try connection.exchange((0..<500).map { [Array("\($0)".utf8)] })
        #expect(replies.count == 500)
        #expect(replies[1] == .error(code: "UNAVAILABLE", message: "no"))
        #expect(replies[499].string == "499")
        #expect(try connection.call([Array("x".utf8)]).string == "x")
    }

    @Test(
        "each error code has its case, and ends the connection",
        arguments: [
            ("UNAVAILABLE redis: refused", TokenCacheError.unavailable(reason: "redis: refused")),
            ("OVERLOADED max clients", .overloaded(reason: "max clients")),
            ("NOPERM worker needed", .notPermitted(reason: "worker needed")),
            ("NOKEYS no ring", .noKeys),
            ("ERR wrong", .badArgument(reason: "wrong")),
            ("LOADING wait", .badArgument(reason: "LOADING wait")),
            ("ERR", .badArgument(reason: "")),
        ])
    func errors(line: String, expected: TokenCacheError) throws {
        let server = try ScriptedServer { _ in .reply("-\(line)\r\n") }
        let connection = try connect(server)
        #expect(throws: expected) { try connection.call([Array("X".utf8)]) }
        #expect(throws: TokenCacheError.connection(reason: "already closed")) {
            try connection.call([Array("X".utf8)])
        }
    }

    @Test(
        "what is not RESP2 is a violation",
        arguments: [
            "HTTP/1.1 400\r\n", ":1x\r\n", "*1000000000000\r\n", "$99999999999999999999\r\n", "%1\r\n+a\r\n+b\r\n",
            String(repeating: "*1\r\n", count: 50), "+one\r\n+two\r\n", "+one\r\n+t",
        ])
    func garbage(wire: String) throws {
        let server = try ScriptedServer { _ in .reply(wire) }
        #expect(throws: TokenCacheError.protocolViolation) { try connect(server).call([Array("X".utf8)]) }
    }

    @Test(
        "a daemon that hangs up in mid-reply, or at once, does not end the caller", arguments: ["", "*2\r\n$5\r\nab"])
    func hangup(wire: String) throws {
        let server = try ScriptedServer { _ in .replyAndClose(wire) }
        let connection = try connect(server)
        #expect(throws: TokenCacheError.connection(reason: "closed by the daemon")) {
            try connection.call([Array("X".utf8)])
        }
        #expect(throws: TokenCacheError.self) { try connection.call([Array("X".utf8)]) }
    }

    @Test("a daemon that turns a connection away says why, however the hanging up is noticed", arguments: [1, 3])
    func farewell(count: Int) throws {
        let server = try ScriptedServer(farewell: "-OVERLOADED too many clients\r\n") { _ in .silence }
        for _ in 0..<20 {
            let connection = try connect(server)
            #expect(throws: TokenCacheError.overloaded(reason: "too many clients")) {
                let commands = [[UInt8]](repeating: Array("PING".utf8), count: count).map { [$0] }
                if count == 1 { _ = try connection.call(commands[0]) } else { _ = try connection.exchange(commands) }
            }
        }
        let silent = try ScriptedServer(farewell: "") { _ in .silence }
        let connection = try connect(silent)
        #expect(throws: TokenCacheError.connection(reason: "closed by the daemon")) {
            try connection.call([Array("PING".utf8)])
        }
    }

    @Test("a late reply never reaches the next command: after a time-out the connection is closed")
    func timeout() throws {
        let server = try ScriptedServer { _ in .silence }
        let connection = try connect(server, timeout: .milliseconds(50))
        let start = ContinuousClock.now
        #expect(throws: TokenCacheError.connection(reason: "no answer in time")) {
            try connection.call([Array("X".utf8)])
        }
        #expect(start.duration(to: .now) >= .milliseconds(45))
        #expect(throws: TokenCacheError.connection(reason: "already closed")) {
            try connection.call([Array("Y".utf8)])
        }
    }

    @Test("the time-out bounds the whole reply, not each piece of it")
    func slowReply() throws {
        let server = try ScriptedServer { _ in .reply("*3\r\n+one\r\n") }
        #expect(throws: TokenCacheError.connection(reason: "no answer in time")) {
            try connect(server, timeout: .milliseconds(50)).call([Array("X".utf8)])
        }
    }

    @Test("a full listen queue is waited for, but not for ever")
    func fullQueue() throws {
        let server = try ScriptedServer(backlog: 0, isAccepting: false) { _ in .silence }
        var open: [BlockingConnection] = []
        #expect(throws: TokenCacheError.connection(reason: "no answer in time")) {
            for _ in 0..<8 { open.append(try connect(server, timeout: .milliseconds(30))) }
        }
        #expect(open.count == 1, "Linux holds one more than the queue is long")
    }

    @Test(
        "a path that leads nowhere has a plain reason",
        arguments: [
            ("/proc/none/s", "no such file"), ("", "no such file"),
            ("/tmp", "connection refused: nobody listens there"),
            (
                "/" + String(repeating: "x", count: 200),
                "the socket's path is longer than the 107 bytes that the system allows"
            ),
        ])
    func nowhere(path: String, reason: String) {
        #expect(throws: TokenCacheError.connection(reason: reason)) {
            _ = try BlockingConnection(socketPath: path, timeout: .seconds(1))
        }
    }

    @Test(
        "what cannot be sent is refused before anything is", arguments: [0, BlockingConnection.maximumArguments + 1])
    func bounds(count: Int) throws {
        let server = try ScriptedServer { _ in .reply("+OK\r\n") }
        #expect(throws: TokenCacheError.self) {
            try connect(server).call([[UInt8]](repeating: [0x78], count: count))
        }
        #expect(server.commands.isEmpty)
    }

    @Test("S7 no token in an error, even if the peer echoes it as Redis does")
    func echo() throws {
        let token = TokenTests.hex
        let server = try ScriptedServer {
            .reply("-ERR unknown command '\($0[0])', with args beginning with: '\($0[1].prefix(100))' \u{1b}[2J\r\n")
        }
        do {
            _ = try connect(server).call([Array("TOKEN.VALIDATE".utf8), Array(token.utf8)])
            Issue.record("an error was expected")
        } catch let error as TokenCacheError {
            #expect(
                error
                    == .badArgument(
                        reason: "unknown command 'TOKEN.VALIDATE', with args beginning with: '<removed>'  [2J"))
        }
    }
}
