import Dispatch
import TestSupport
import Testing

@testable import TokenCacheClient

@Suite("Blocking client", .timeLimit(.minutes(10)))
struct BlockingClientTests {
    private static func sid(_ validation: Validation) -> String? {
        if case .session(let holder, _, _) = validation { holder.sid.text } else { nil }
    }

    @Test("one connection serves call after call, and is made when it is needed")
    func persistent() throws {
        let server = try ScriptedServer { .reply(WireReply.validation($0)) }
        let client = BlockingClient(socketPath: server.path)
        #expect(server.connectionCount == 0)
        for number in 1...50 {
            #expect(Self.sid(try client.call(.validate(WireReply.token(number)))) == WireReply.sid(number))
        }
        #expect(server.connectionCount == 1)
    }

    @Test("a connection that died while idle is made again, even for what must not be repeated")
    func deadWhileIdle() throws {
        let token = WireReply.token(1)
        let server = try ScriptedServer { command in
            command[0] == "TOKEN.ROTATE"
                ? .reply(
                    WireReply.holder(
                        "rotated", sid: WireReply.sid(1), more: [("sessiontoken", .text(token.revealedText))]))
                : .reply(WireReply.validation(command))
        }
        let client = BlockingClient(socketPath: server.path)
        _ = try client.call(.validate(token))
        server.dropConnections()
        guard case .rotated = try client.call(.rotate(token)) else {
            Issue.record("not rotated")
            return
        }
        #expect(server.connectionCount == 2)
        #expect(server.commands.count == 2)
    }

    @Test("a connection that dies after the request was sent: only what is safe is repeated, and only once")
    func deadWhileAsked() throws {
        let count = Guarded(0)
        let server = try ScriptedServer { command in
            count.withLock { $0 += 1 }
            return count.withLock { $0 } % 2 == 1 ? .replyAndClose("") : .reply(WireReply.validation(command))
        }
        let client = BlockingClient(socketPath: server.path)
        #expect(Self.sid(try client.call(.validate(WireReply.token(3)))) == WireReply.sid(3))
        #expect(server.commands.count == 2)
        #expect(throws: TokenCacheError.connection(reason: "closed by the daemon")) {
            try client.call(.rotate(WireReply.token(3)))
        }
        #expect(server.commands.count == 3)

        let broken = try ScriptedServer { _ in .replyAndClose("") }
        #expect(throws: TokenCacheError.connection(reason: "closed by the daemon")) {
            try BlockingClient(socketPath: broken.path).call(.validate(WireReply.token(3)))
        }
        #expect(broken.commands.count == 2)
    }

    @Test("nothing is repeated once a byte of the reply has come")
    func deadInReply() throws {
        let server = try ScriptedServer { _ in .replyAndClose("*4\r\n$6\r\nsta") }
        #expect(throws: TokenCacheError.connection(reason: "closed by the daemon")) {
            try BlockingClient(socketPath: server.path).call(.validate(WireReply.token(3)))
        }
        #expect(server.commands.count == 1)
    }

    @Test("a late reply is never taken for the next answer")
    func late() throws {
        let gate = DispatchSemaphore(value: 0)
        let server = try ScriptedServer { command in
            if command[1].hasPrefix(WireReply.sid(1)) { gate.wait() }
            return .reply(WireReply.validation(command))
        }
        let client = BlockingClient(socketPath: server.path)
        #expect(throws: TokenCacheError.connection(reason: "no answer in time")) {
            try client.call(.validate(WireReply.token(1)), timeout: .milliseconds(30))
        }
        gate.signal()
        #expect(Self.sid(try client.call(.validate(WireReply.token(2)))) == WireReply.sid(2))
        #expect(server.connectionCount == 2)
    }

    @Test("each call keeps its own deadline, shorter or longer than the client's")
    func deadlines() throws {
        let server = try ScriptedServer {
            $0[1].hasPrefix(WireReply.sid(1)) ? .silence : .drip(WireReply.validation($0))
        }
        let client = BlockingClient(socketPath: server.path, timeout: .milliseconds(60))
        _ = try client.call(.validate(WireReply.token(2)), timeout: .seconds(20))
        for (own, least) in [(Duration.milliseconds(20), 20), (nil, 60), (.milliseconds(150), 150)] {
            let start = ContinuousClock.now
            #expect(throws: TokenCacheError.connection(reason: "no answer in time")) {
                try client.call(.validate(WireReply.token(1)), timeout: own)
            }
            #expect(start.duration(to: .now) >= .milliseconds(least - 2))
            _ = try client.call(.validate(WireReply.token(2)), timeout: .seconds(20))
        }
    }

    @Test("what is not an answer to the question ends the connection; the next call has a new one")
    func wrongAnswer() throws {
        let count = Guarded(0)
        let server = try ScriptedServer { command in
            switch count.withLock({ count in
                count += 1
                return count
            }) {
            case 1: .reply(WireReply.holder(sid: WireReply.sid(99)))
            case 2: .reply("HTTP/1.1 200\r\n")
            case 3: .reply("-UNAVAILABLE no\r\n")
            case 4: .reply(WireReply.validation(command) + "+more\r\n")
            default: .reply(WireReply.validation(command))
            }
        }
        let client = BlockingClient(socketPath: server.path)
        let token = WireReply.token(4)
        #expect(throws: TokenCacheError.protocolViolation) { try client.call(.validate(token)) }
        #expect(throws: TokenCacheError.protocolViolation) { try client.call(.validate(token)) }
        #expect(throws: TokenCacheError.unavailable(reason: "no")) { try client.call(.validate(token)) }
        #expect(throws: TokenCacheError.protocolViolation) { try client.call(.validate(token)) }
        #expect(Self.sid(try client.call(.validate(token))) == WireReply.sid(4))
        #expect(server.connectionCount == 5)
    }

    @Test("a daemon that turns the connection away says why, and is not asked again")
    func turnedAway() throws {
        let server = try ScriptedServer(farewell: "-OVERLOADED too many clients\r\n") { _ in .silence }
        let client = BlockingClient(socketPath: server.path)
        for _ in 0..<20 {
            #expect(throws: TokenCacheError.overloaded(reason: "too many clients")) {
                try client.call(.validate(WireReply.token(1)))
            }
        }
    }

    @Test("nobody there is an error at once, and none any more when somebody is")
    func nobody() throws {
        let client = BlockingClient(socketPath: "/proc/none/s")
        #expect(throws: TokenCacheError.connection(reason: "no such file")) {
            try client.call(.validate(WireReply.token(1)))
        }
    }
}
