import Dispatch
import SeededRandom
import Synchronization
import TestSupport
import Testing

@testable import TokenCacheClient

@Suite("Async client", .timeLimit(.minutes(10)))
struct AsyncClientTests {
    /// Whose session the answer is about; every scripted answer names its session's number as the subject.
    private static func subject(_ validation: Validation) -> String? {
        if case .session(let holder, _, _) = validation { holder.subject } else { nil }
    }

    @Test("many callers share a connection and get their own answers", arguments: [1, 3])
    func callers(connections: Int) async throws {
        let server = try ScriptedServer { .reply(WireReply.validation($0)) }
        let client = try AsyncClient(socketPath: server.path, connections: connections, timeout: .seconds(30))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 1...40 {
                group.addTask {
                    for turn in 0..<25 {
                        let number = caller * 1_000 + turn
                        let answer = try await client.call(.validate(WireReply.token(number)))
                        #expect(Self.subject(answer) == "\(number)")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(server.connectionCount <= connections)
        await client.close()
    }

    @Test("cancelled and expired at random moments, replies never cross", arguments: [1, 2, 3, 4] as [UInt64])
    func randomCancellation(seed: UInt64) async throws {
        let script = Guarded(SeededRandom(seed: seed))
        let server = try ScriptedServer { command in
            let wire = WireReply.validation(command)
            return script.withLock { Int.random(in: 0..<8, using: &$0) } == 0 ? .drip(wire) : .reply(wire)
        }
        let client = try AsyncClient(socketPath: server.path, timeout: .seconds(30))
        var random = SeededRandom(seed: seed)
        let counts = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 1...600 {
                let (yields, isExpiring) = (
                    Int.random(in: 0..<40, using: &random), Int.random(in: 0..<4, using: &random) == 0
                )
                let isCancelled = Bool.random(using: &random)
                group.addTask {
                    let task = Task {
                        try await client.call(
                            .validate(WireReply.token(number)), timeout: isExpiring ? .milliseconds(1) : nil)
                    }
                    if isCancelled {
                        for _ in 0..<yields { await Task.yield() }
                        task.cancel()
                    }
                    do {
                        let answer = try await task.value
                        #expect(Self.subject(answer) == "\(number)")
                        return true
                    } catch is CancellationError {
                        #expect(isCancelled)
                    } catch TokenCacheError.connection(reason: "no answer in time") {
                        #expect(isExpiring)
                    }
                    return false
                }
                if number % 50 == 0 { await Task.yield() }
            }
            return try await group.reduce(into: (answered: 0, dropped: 0)) { counts, isAnswered in
                if isAnswered { counts.answered += 1 } else { counts.dropped += 1 }
            }
        }
        #expect(counts.answered > 0 && counts.dropped > 0)
        // The connection was in step all the time: it still is the first one.
        #expect(try await Self.subject(client.call(.validate(WireReply.token(7)))) == "7")
        #expect(server.connectionCount == 1)
        await client.close()
    }

    @Test("a late reply is dropped in its position")
    func late() async throws {
        let gate = DispatchSemaphore(value: 0)
        let server = try ScriptedServer { command in
            if command[1].hasPrefix(WireReply.sid(1)) { gate.wait() }
            return .reply(WireReply.validation(command))
        }
        let client = try AsyncClient(socketPath: server.path, timeout: .seconds(30))
        let start = ContinuousClock.now
        await #expect(throws: TokenCacheError.connection(reason: "no answer in time")) {
            try await client.call(.validate(WireReply.token(1)), timeout: .milliseconds(20))
        }
        async let next = client.call(.validate(WireReply.token(2)))
        gate.signal()
        #expect(try await Self.subject(next) == "2")
        // A reply that is late by a second closes the connection: on a busy machine that may have passed.
        if ContinuousClock.now - start < .milliseconds(500) { #expect(server.connectionCount == 1) }
        await client.close()
    }

    @Test("a cancelled task ends at once, one that was cancelled before asks nothing")
    func cancellation() async throws {
        let server = try ScriptedServer { _ in .silence }
        let client = try AsyncClient(socketPath: server.path, timeout: .seconds(30))
        let task = Task { try await client.call(.validate(WireReply.token(1))) }
        while server.commands.isEmpty { await Task.yield() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        let early = Task {
            while !Task.isCancelled { await Task.yield() }
            _ = try await client.call(.validate(WireReply.token(2)))
        }
        early.cancel()
        await #expect(throws: CancellationError.self) { try await early.value }
        #expect(server.commands.count == 1)
        await client.close()
    }

    @Test("garbage, an answer about another and a short reply end the connection and every call on it, once")
    func garbage() async throws {
        for wire in ["HTTP/1.1 400\r\n", WireReply.holder(sid: WireReply.sid(99)), "+OK\r\n"] {
            let isFirst = Atomic(true)
            let server = try ScriptedServer { command in
                isFirst.exchange(false, ordering: .relaxed) ? .reply(wire) : .reply(WireReply.validation(command))
            }
            let client = try AsyncClient(socketPath: server.path, timeout: .seconds(30))
            await #expect(throws: TokenCacheError.protocolViolation, "\(wire)") {
                try await client.call(.validate(WireReply.token(1)))
            }
            #expect(try await Self.subject(client.call(.validate(WireReply.token(2)))) == "2")
            await client.close()
        }
    }

    @Test("a connection that dies takes nobody with it who can be asked again")
    func deadSocket() async throws {
        let count = Atomic(0)
        let server = try ScriptedServer { command in
            count.wrappingAdd(1, ordering: .relaxed).newValue % 50 == 7
                ? .replyAndClose("") : .reply(WireReply.validation(command))
        }
        let client = try AsyncClient(socketPath: server.path, timeout: .seconds(30))
        for number in 1...200 {
            #expect(try await Self.subject(client.call(.validate(WireReply.token(number)))) == "\(number)")
        }
        #expect(server.connectionCount > 1)
        server.dropConnections()
        #expect(try await Self.subject(client.call(.validate(WireReply.token(1)))) == "1")
        await client.close()

        let broken = try ScriptedServer { _ in .replyAndClose("*4\r\n$6\r\nsta") }
        let other = try AsyncClient(socketPath: broken.path, timeout: .seconds(30))
        await #expect(throws: TokenCacheError.connection(reason: "closed by the daemon")) {
            try await other.call(.validate(WireReply.token(1)))
        }
        #expect(broken.commands.count == 1)
        await other.close()
    }

    @Test("a peer that is silent is given up, and the calls behind it get an error in time")
    func halfOpen() async throws {
        let server = try ScriptedServer {
            $0[1].hasPrefix(WireReply.sid(1)) ? .silence : .reply(WireReply.validation($0))
        }
        let client = try AsyncClient(socketPath: server.path, timeout: .milliseconds(40))
        await #expect(throws: TokenCacheError.connection(reason: "no answer in time")) {
            try await client.call(.validate(WireReply.token(1)))
        }
        // Its reply never comes: the connection is replaced, and those behind it are answered again.
        var answered: String?
        for _ in 0..<100 where answered == nil {
            do { answered = try await Self.subject(client.call(.validate(WireReply.token(2)))) } catch {
                #expect("\(error)".contains("connection"), "\(error)")
            }
        }
        #expect(answered == "2" && server.connectionCount >= 2)
        await client.close()
    }

    @Test("one call more than the client holds is refused, and there is room again afterwards")
    func overloaded() async throws {
        let gate = DispatchSemaphore(value: 0)
        let server = try ScriptedServer { command in
            gate.wait()
            return .reply(WireReply.validation(command))
        }
        let client = try AsyncClient(socketPath: server.path, timeout: .seconds(30), maximumCalls: 3)
        try await withThrowingTaskGroup(of: String?.self) { group in
            for number in 1...3 {
                group.addTask { Self.subject(try await client.call(.validate(WireReply.token(number)))) }
            }
            while client.waitingCalls < 3 { await Task.yield() }
            do {
                _ = try await client.call(.validate(WireReply.token(4)))
                Issue.record("it was taken")
            } catch TokenCacheError.overloaded {}
            for _ in 0..<8 { gate.signal() }
            let subjects = try await group.reduce(into: Set<String?>()) { $0.insert($1) }
            #expect(subjects == ["1", "2", "3"])
        }
        #expect(try await Self.subject(client.call(.validate(WireReply.token(5)))) == "5")
        await client.close()
    }

    @Test("a daemon that turns the connection away says why to everybody who waits")
    func turnedAway() async throws {
        let server = try ScriptedServer(farewell: "-OVERLOADED too many clients\r\n") { _ in .silence }
        let client = try AsyncClient(
            socketPath: server.path, timeout: .seconds(30), reconnectPauses: .milliseconds(1) ... .milliseconds(5))
        for number in 1...10 {
            await #expect(throws: TokenCacheError.overloaded(reason: "too many clients")) {
                try await client.call(.validate(WireReply.token(number)))
            }
        }
        await client.close()
    }

    @Test("nobody there is an error for all who wait, and the client finds a daemon that comes later")
    func nobody() async throws {
        let client = try AsyncClient(socketPath: "/proc/none/s", reconnectPauses: .milliseconds(1) ... .milliseconds(5))
        for _ in 0..<3 {
            await #expect(throws: TokenCacheError.connection(reason: "no such file")) {
                try await client.call(.validate(WireReply.token(1)))
            }
        }
        await client.close()
    }

    @Test("close ends every call, leaves no thread and no descriptor, and later calls fail")
    func close() async throws {
        let server = try ScriptedServer { _ in .silence }
        let client = try AsyncClient(socketPath: server.path, timeout: .seconds(30))
        let calls = (1...20).map { number in Task { try await client.call(.validate(WireReply.token(number))) } }
        while server.commands.count < 20 { await Task.yield() }
        await client.close()
        for call in calls {
            await #expect(throws: TokenCacheError.connection(reason: "the client was closed")) { try await call.value }
        }
        await #expect(throws: TokenCacheError.connection(reason: "the client was closed")) {
            try await client.call(.validate(WireReply.token(1)))
        }
        await client.close()
        #expect(client.waitingCalls == 0)
    }

    @Test("the last reference closes the client")
    func released() async throws {
        let server = try ScriptedServer { .reply(WireReply.validation($0)) }
        weak var gone: AsyncClient?
        do {
            let client = try AsyncClient(socketPath: server.path, timeout: .seconds(30))
            gone = client
            _ = try await client.call(.validate(WireReply.token(1)))
        }
        #expect(gone == nil)
        while server.openConnections > 0 { await Task.yield() }
    }
}
