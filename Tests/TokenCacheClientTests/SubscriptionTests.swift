import Synchronization
import TestSupport
import Testing

@testable import TokenCacheClient

/// Both forms of a subscription, against a daemon that says and does what the test wants.
@Suite("Subscriptions: connections", .timeLimit(.minutes(10)))
struct SubscriptionTests {
    private static func id(_ number: Int) throws -> SessionID { try #require(WireReply.id(number)) }

    /// Confirms each SUBSCRIBE and UNSUBSCRIBE, and tells at once what became of the sessions.
    private static func serve(_ command: [String], _ fate: (Int) -> String? = { _ in nil }) -> ScriptedServer.Step {
        if command == ["PING"] { return .reply("*2\r\n$4\r\npong\r\n$0\r\n\r\n") }
        let kind = command[0].lowercased()
        var wire = ""
        for channel in command.dropFirst() {
            wire += "*3\r\n\(WireReply.bulk(kind))\(WireReply.bulk(channel)):1\r\n"
            let number = Int(channel.split(separator: ":").last ?? "", radix: 16) ?? -1
            if kind == "subscribe", let fate = fate(number) {
                wire += "*3\r\n\(WireReply.bulk("message"))\(WireReply.bulk(channel))\(WireReply.bulk(fate))"
            }
        }
        return .reply(wire)
    }

    @Test("the sequence gives every end, whoever waits, and the blocking form the same")
    func ends() async throws {
        let server = try ScriptedServer { Self.serve($0) { $0 % 2 == 0 ? "revoked logout" : nil } }
        let sids = try (0..<100).map(Self.id)
        let even = Set(sids.enumerated().filter { $0.offset % 2 == 0 }.map(\.element))

        let subscription = try AsyncSubscription(socketPath: server.path, timeout: .seconds(30))
        let waiting = Task {
            var told: [SessionEnd] = []
            for try await end in subscription {
                told.append(end)
                if told.count == 50 { break }
            }
            return told
        }
        for start in stride(from: 0, to: 100, by: 10) { try await subscription.add(Array(sids[start..<(start + 10)])) }
        let told = try await waiting.value
        #expect(Set(told.map(\.session)) == even && told.allSatisfy { $0.fate == .revoked(.logout) })
        #expect(server.connectionCount == 1)

        let blocking = try BlockingSubscription(socketPath: server.path, timeout: .seconds(30))
        try blocking.add(sids)
        var again: Set<SessionID> = []
        while let end = try blocking.next(timeout: .milliseconds(1)) { again.insert(end.session) }
        #expect(again == even)
    }

    @Test("removed: what was told and not taken is not given")
    func removed() async throws {
        let server = try ScriptedServer { Self.serve($0) { _ in "expired" } }
        let sids = try (0..<3).map(Self.id)
        let subscription = try AsyncSubscription(socketPath: server.path, timeout: .seconds(30))
        try await subscription.add(sids)
        // Confirmed behind the ends of these three.
        try await subscription.add([try Self.id(9)])
        subscription.remove([sids[0], sids[2]])
        var iterator = subscription.makeAsyncIterator()
        #expect(try await iterator.next()?.session == sids[1])
        #expect(try await iterator.next()?.session == Self.id(9))

        let blocking = try BlockingSubscription(socketPath: server.path, timeout: .seconds(30))
        try blocking.add(sids)
        blocking.remove([sids[0], sids[2]])
        #expect(try blocking.next(timeout: .milliseconds(50))?.session == sids[1])
        #expect(try blocking.next(timeout: .milliseconds(50)) == nil)
    }

    @Test("a connection that is lost is told to everybody, behind what was told before, and ever after")
    func lost() async throws {
        let server = try ScriptedServer { Self.serve($0) { $0 == 1 ? "expired" : nil } }
        let (first, other) = (try Self.id(1), try Self.id(2))
        let subscription = try AsyncSubscription(socketPath: server.path, timeout: .seconds(30))
        try await subscription.add([first, other])
        let blocking = try BlockingSubscription(socketPath: server.path, timeout: .seconds(30))
        try blocking.add([first, other])
        while server.commands.filter({ $0[0] == "UNSUBSCRIBE" }).count < 2 { await Task.yield() }
        server.dropConnections()
        let closed = TokenCacheError.connection(reason: "closed by the daemon")
        var iterator = subscription.makeAsyncIterator()
        #expect(try await iterator.next() == SessionEnd(session: first, fate: .expired))
        for _ in 0..<2 {
            await #expect(throws: closed) { try await iterator.next() }
            await #expect(throws: closed) { try await subscription.add([other]) }
        }
        subscription.remove([other])
        #expect(try blocking.next(timeout: .seconds(30)) == SessionEnd(session: first, fate: .expired))
        for _ in 0..<2 {
            #expect(throws: closed) { try blocking.next(timeout: .seconds(30)) }
            #expect(throws: closed) { try blocking.add([other]) }
        }
    }

    @Test("a daemon that stands still is noticed, by a PING after silence and by an answer that does not come")
    func silent() async throws {
        let server = try ScriptedServer { Self.serve($0) }
        let channel = try SubscriptionChannel(path: server.path, timeout: .seconds(30), silence: .milliseconds(20))
        _ = try channel.subscribe(to: [try Self.id(1)])
        while server.commands.filter({ $0 == ["PING"] }).count < 3 { _ = try channel.wait(until: nil) }

        let still = try ScriptedServer { _ in .silence }
        let lost = try SubscriptionChannel(path: still.path, timeout: .milliseconds(50), silence: .milliseconds(20))
        #expect(throws: TokenCacheError.connection(reason: "no answer in time")) {
            for _ in 0..<1_000 { _ = try lost.wait(until: nil) }
        }
        #expect(still.commands == [["PING"]])
        let subscription = try AsyncSubscription(socketPath: still.path, timeout: .milliseconds(20))
        await #expect(throws: TokenCacheError.connection(reason: "no answer in time")) {
            try await subscription.add([try Self.id(1)])
        }
    }

    @Test("refused: the caller is told why, and what was added before stands")
    func refused() async throws {
        let server = try ScriptedServer { command in
            command.count > 2 ? .reply("-OVERLOADED enough\r\n") : Self.serve(command)
        }
        let subscription = try AsyncSubscription(socketPath: server.path, timeout: .seconds(30))
        let blocking = try BlockingSubscription(socketPath: server.path, timeout: .seconds(30))
        let (one, two) = (try [Self.id(1)], try [Self.id(2), Self.id(3)])
        for _ in 0..<2 {
            try await subscription.add(one)
            await #expect(throws: TokenCacheError.overloaded(reason: "enough")) { try await subscription.add(two) }
            try blocking.add(one)
            #expect(throws: TokenCacheError.overloaded(reason: "enough")) { try blocking.add(two) }
        }
        let many = Array(repeating: one[0], count: AsyncSubscription.maximumSessions + 1)
        let tooMany = TokenCacheError.badArgument(reason: "at most 1000 sessions are added at once")
        await #expect(throws: tooMany) { try await subscription.add(many) }
        #expect(throws: tooMany) { try blocking.add(many) }
        try await subscription.add([])
        try blocking.add([])
        #expect(server.commands.count { $0[0] == "SUBSCRIBE" } == 8)
    }

    @Test("nobody there, and a daemon that turns the connection away, are said")
    func nobody() async throws {
        let nobody = TokenCacheError.connection(reason: "no such file")
        let subscription = try AsyncSubscription(socketPath: "/proc/none/s")
        await #expect(throws: nobody) { try await subscription.add([try Self.id(1)]) }
        var iterator = subscription.makeAsyncIterator()
        await #expect(throws: nobody) { try await iterator.next() }
        #expect(throws: nobody) { try BlockingSubscription(socketPath: "/proc/none/s") }

        let full = try ScriptedServer(farewell: "-OVERLOADED too many clients\r\n") { _ in .silence }
        let away = try AsyncSubscription(socketPath: full.path)
        var ends = away.makeAsyncIterator()
        await #expect(throws: TokenCacheError.overloaded(reason: "too many clients")) { try await ends.next() }
    }

    @Test("a cancelled task gets the end of the sequence, another goes on; close ends it for all, without an error")
    func cancelled() async throws {
        let isTold = Atomic(false)
        let server = try ScriptedServer {
            Self.serve($0) { _ in isTold.load(ordering: .relaxed) ? "expired" : nil }
        }
        let subscription = try AsyncSubscription(socketPath: server.path, timeout: .seconds(30))
        @Sendable func next() async throws -> SessionEnd? {
            var iterator = subscription.makeAsyncIterator()
            return try await iterator.next()
        }
        let first = Task { try await next() }
        let second = Task { try await next() }
        first.cancel()
        #expect(try await first.value == nil)
        isTold.store(true, ordering: .relaxed)
        try await subscription.add([try Self.id(1)])
        #expect(try await second.value?.session == Self.id(1))

        let third = Task { try await next() }
        subscription.close()
        #expect(try await third.value == nil)
        #expect(try await next() == nil)
        await #expect(throws: TokenCacheError.connection(reason: "the subscription was closed")) {
            try await subscription.add([try Self.id(1)])
        }
        while server.openConnections > 0 { await Task.yield() }
    }

    @Test("the last reference closes the subscription")
    func released() async throws {
        let server = try ScriptedServer { Self.serve($0) }
        weak var gone: AsyncSubscription?
        do {
            let subscription = try AsyncSubscription(socketPath: server.path, timeout: .seconds(30))
            gone = subscription
            try await subscription.add([try Self.id(1)])
        }
        #expect(gone == nil)
        while server.openConnections > 0 { await Task.yield() }
    }
}
