import TestSupport
import Testing

@Suite("Bad input and overload at the socket", .parallel)
struct SocketLimitTests {
    @Test("malformed protocol is answered with an error and the connection closed")
    func protocolErrors() throws {
        try withWorld { world in
            let malformed = [
                "*1025\r\n", "*99999999999999999999\r\n", "*x\r\n", "*+1\r\n$4\r\nPING\r\n", "* 1\r\n$4\r\nPING\r\n",
                "*1 \r\n$4\r\nPING\r\n", "*1\r\n:4\r\nPING\r\n", "*1\r\nPING\r\n", "*1\r\n$-1\r\n", "*1\r\n$x\r\n\r\n",
                "*1\r\n$+4\r\nPING\r\n", "*1\r\n$ 4\r\nPING\r\n", "*1\r\n$131073\r\n", "*1\r\n$99999999999\r\n",
                "*1\r\n$4\r\nPINGxx", "*1\r\n$4\r\nPING\n\n", "*1\r\n$0x4\r\nPING\r\n", "*1\r\n$4294967300\r\nPING\r\n",
                String(repeating: "a", count: 5000), "*" + String(repeating: "1", count: 5000),
                "ECHO \"unbalanced\r\n", "ECHO \"a\"b\r\n",
            ]
            for bytes in malformed {
                let client = try world.client()
                try client.sendRaw(bytes)
                let answer = String(decoding: try client.readToEnd(limit: .seconds(5)), as: UTF8.self)
                #expect(answer.hasPrefix("-ERR Protocol error"), "\(bytes.prefix(30).debugDescription): \(answer)")
                #expect(answer.hasSuffix("\r\n") && answer.utf8.count < 200)
            }
            #expect(try world.client().call("PING") == .simple("PONG"))
        }
    }

    /// More than a turn's share, than is read at once, and both; then lines that have no answer.
    @Test(
        "who sends much at once and then no more gets every answer, and the end",
        arguments: [1, 64, 65, 100, 164, 4_681, 4_715, 20_000], ["", "\r\n", "*0\r\n*0\r\n"])
    func endBehindMuch(count: Int, tail: String) throws {
        try withWorld { world in
            let client = try world.client()
            let pings = Array(repeating: RESPClient.encode("PING"), count: count).flatMap { $0 }
            try client.sendRaw(pings + Array(tail.utf8))
            client.endSending()
            let answers = try client.readToEnd(limit: .seconds(10))
            #expect(answers == Array(String(repeating: "+PONG\r\n", count: count).utf8))
        }
    }

    @Test("however clients end, none of their connections stays")
    func endings() throws {
        try withWorld { world in
            let ping = RESPClient.encode("PING")
            let issue = RESPClient.encode("TOKEN.ISSUE")
            for round in 0..<400 {
                let client = try world.client()
                let count = [1, 2, 63, 64, 65, 130][round % 6]
                let pings = Array(repeating: ping, count: count).flatMap { $0 }
                switch round / 6 % 6 {
                case 0: break
                case 1: try client.sendRaw(pings)
                case 2: try client.sendRaw(pings + ping.prefix(7))
                case 3: try client.sendRaw(issue + pings + issue)
                case 4:
                    try client.sendRaw(pings)
                    client.endSending()
                default:
                    try client.sendRaw(issue + ping)
                    client.endSending()
                    #expect(try client.readToEnd(limit: .seconds(10)).suffix(7) == Array("+PONG\r\n".utf8))
                }
                // Here it is let go of, and so closed.
            }
            try world.client().awaitOnlyClient()
        }
    }

    @Test("what came before the malformed bytes is answered first")
    func errorComesLast() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            let good = RESPClient.encode("TOKEN.VALIDATE", token) + RESPClient.encode("ECHO", "last")
            try client.sendRaw(good + Array("*1\r\n$x\r\n".utf8) + RESPClient.encode("PING"))
            #expect(try Fields(client.readReply()).status == "valid")
            #expect(try client.readReply() == .bulk(Array("last".utf8)))
            #expect(try client.readReply().errorText?.hasPrefix("ERR Protocol error") == true)
            #expect(try client.readToEnd(limit: .seconds(5)).isEmpty)
        }
    }

    @Test("what a client was answered before it was cut off goes to nobody else")
    func cutOffBehindAnswers() throws {
        try withWorld { world in
            let other = try world.client()
            for _ in 0..<20 {
                let attacker = try world.client()
                try attacker.sendRaw(Array("ECHO chosen\r\nPOST / HTTP/1.1\r\n".utf8))
                #expect(try other.call("PING") == .simple("PONG"))
            }
        }
    }

    @Test("HTTP on the RESP socket is closed, and its body is never read as commands")
    func http() throws {
        try withWorld { world in
            let requests = [
                "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nTOKEN.ISSUE SUBJECT smuggled\r\nPING\r\n",
                "OPTIONS * HTTP/1.0\r\n\r\nTOKEN.ISSUE SUBJECT smuggled\r\n",
                "PUT /x HTTP/1.1\r\nHost: x\r\n\r\nTOKEN.ISSUE SUBJECT smuggled\r\n",
            ]
            for request in requests {
                let client = try world.client()
                try client.sendRaw(request)
                let answer = String(decoding: try client.readToEnd(limit: .seconds(5)), as: UTF8.self)
                #expect(!answer.contains("PONG") && !answer.contains("issued"), "\(answer)")
            }
            #expect(try world.client().call("TOKEN.LIST", "smuggled") == .array([]))
        }
    }

    @Test("an incomplete command is closed in time, however slowly it trickles; idle connections are kept")
    func incomplete() throws {
        try withWorld(settings: ["limits.request-timeout": "1s"]) { world in
            let idle = try world.client()
            let started = try world.client()
            let trickling = try world.client()
            let start = ContinuousClock.now
            try started.sendRaw("*2\r\n$4\r\nECHO\r\n")
            let trickle = Background {
                try trickling.sendRaw("a")
                letPass(.milliseconds(50))
            }
            _ = try started.readToEnd(limit: .seconds(5))
            #expect(ContinuousClock.now - start > .milliseconds(800))
            // Ends with the error of writing into a closed connection.
            _ = try eventually(within: .seconds(5), "the trickling connection's end") {
                (try? trickling.sendRaw("a")) == nil ? true : nil
            }
            try? trickle.stop()
            #expect(try idle.call("PING") == .simple("PONG"))
        }
    }

    @Test("more than limits.max-clients are OVERLOADED and closed; a place that is left is given again")
    func maxClients() throws {
        try withWorld(settings: ["limits.max-clients": "10"]) { world in
            // The tests' own user is an admin, for whom 16 more places are kept.
            var clients = try (0..<26).map { _ in try world.client() }
            for client in clients { #expect(try client.call("PING") == .simple("PONG")) }
            for _ in 0..<5 {
                let extra = try world.client()
                let answer = String(decoding: try extra.readToEnd(limit: .seconds(5)), as: UTF8.self)
                #expect(answer.hasPrefix("-OVERLOADED"), "\(answer)")
            }
            let info = try clients[0].call("INFO", "clients").text ?? ""
            #expect(info.contains("connected_clients:26\r\n") && info.contains("rejected_connections:5"))
            clients.removeLast(5)
            _ = try eventually("a free place") { () -> Bool? in
                (try? world.client().call("PING")) == .simple("PONG") ? true : nil
            }
        }
    }

    @Test("10,000 commands in one write: every reply, in order")
    func pipeline() throws {
        try withWorld { world in
            let client = try world.client()
            let tokens = try (0..<4).map { _ in try client.issue() }
            let commands = (0..<10_000).map { index in
                // Answered at once, answered by Redis, refused: the order is that of the commands.
                switch index % 5 {
                case 0: ["TOKEN.VALIDATE", tokens[index % 4]]
                case 1: ["TOKEN.NONSENSE"]
                default: ["ECHO", "\(index)"]
                }
            }
            for (index, reply) in try client.pipeline(commands).enumerated() {
                switch index % 5 {
                case 0: #expect(try Fields(reply).sid == TokenText.sid(tokens[index % 4]))
                case 1: #expect(reply.errorCode == "ERR")
                default: #expect(reply == .bulk(Array("\(index)".utf8)))
                }
            }
        }
    }

    @Test("byte by byte, and in any pieces, means the same")
    func pieces() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            let bytes =
                RESPClient.encode("TOKEN.VALIDATE", token) + Array("PING\r\n".utf8)
                + RESPClient.encode("ECHO", "x\r\ny")
            for size in [1, 2, 3, 7, 64, 1000] {
                for start in stride(from: 0, to: bytes.count, by: size) {
                    try client.sendRaw(Array(bytes[start..<min(bytes.count, start + size)]))
                }
                #expect(try Fields(client.readReply()).status == "valid")
                #expect(try client.readReply() == .simple("PONG"))
                #expect(try client.readReply() == .bulk(Array("x\r\ny".utf8)))
            }
        }
    }

    @Test("limits are limits, not less: 1,024 arguments and 128 KiB are taken")
    func atTheLimit() throws {
        try withWorld { world in
            let client = try world.client()
            let large = [UInt8](repeating: 120, count: 128 * 1024)
            #expect(try client.call(bytes: [Array("ECHO".utf8), large]) == .bulk(large))
            let token = try client.issue()
            let pairs = (0..<510).flatMap { ["f\($0)", "v"] }
            #expect(try client.fields(["TOKEN.SET", token, "DATA"] + pairs).integer("changed") == 510)
            expectError("ERR", try client.call(["PING"] + (0..<1023).map { "\($0)" }))
        }
    }
}
