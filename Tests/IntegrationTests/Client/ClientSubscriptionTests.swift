import TestSupport
import Testing
import TokenCacheClient

/// Either form of a subscription of the client library, as a test asks it.
private final class Ends {
    enum Form: String, CaseIterable, CustomTestStringConvertible {
        case sequence, blocking

        var testDescription: String { rawValue }
    }

    private let sequence: AsyncSubscription?
    private let blocking: BlockingSubscription?

    init(_ form: Form, _ daemon: Daemon) throws {
        sequence = form == .sequence ? try AsyncSubscription(socketPath: daemon.socket, timeout: .seconds(20)) : nil
        blocking = form == .blocking ? try BlockingSubscription(socketPath: daemon.socket, timeout: .seconds(20)) : nil
    }

    func add(_ sids: [SessionID]) throws {
        try blocking?.add(sids)
        if let sequence { try waiting { try await sequence.add(sids) } }
    }

    func remove(_ sids: [SessionID]) {
        blocking?.remove(sids)
        sequence?.remove(sids)
    }

    func next() throws -> SessionEnd? {
        if let blocking { return try blocking.next(timeout: .seconds(20)) }
        guard let sequence else { return nil }
        return try waiting {
            var iterator = sequence.makeAsyncIterator()
            return try await iterator.next()
        }
    }
}

@Suite("The client library's subscriptions", .parallel, .timeLimit(.minutes(30)), .needsNearCache)
struct ClientSubscriptionTests {
    private static func id(_ token: String) throws -> SessionID { try #require(SessionID(TokenText.sid(token))) }

    @Test(
        "every session is told of once, whatever daemon ended it, and is not subscribed to any more",
        arguments: Ends.Form.allCases)
    private func fates(_ form: Ends.Form) throws {
        try withSubscribers { world in
            let (near, far) = (try world.client(), try world.client(ofDaemon: 1))
            let tokens = try (0..<5).map { try near.issue("SUBJECT", "user-\($0)", "ABSOLUTE", $0 == 3 ? "2s" : "1h") }
            let sids = try tokens.map(Self.id)
            let ends = try Ends(form, world.daemon)
            try ends.add(sids)
            ends.remove([sids[4]])
            // It is told of by itself: a session that ends before the daemon heard of it is told of rightly.
            _ = try eventually("one is left") { try world.daemon.figure("subscriptions") == 4 ? true : nil }

            _ = try far.fields("TOKEN.REVOKE", tokens[4])
            _ = try far.fields("TOKEN.REVOKE", tokens[0])
            #expect(try ends.next() == SessionEnd(session: sids[0], fate: .revoked(.logout)))
            _ = try far.fields("TOKEN.REVOKEALL", "user-1")
            #expect(try ends.next() == SessionEnd(session: sids[1], fate: .revoked(.logoutAll)))
            let renewed = try near.fields("TOKEN.LOGIN", tokens[2], "user-2").newToken()
            #expect(try ends.next() == SessionEnd(session: sids[2], fate: .replaced(.login)))
            #expect(try ends.next() == SessionEnd(session: sids[3], fate: .expired))

            // What was left, or told of, takes no place among the daemon's subscriptions.
            _ = try eventually("nothing is subscribed to") {
                try world.daemon.figure("subscriptions") == 0 ? true : nil
            }
            try ends.add([sids[2], sids[0]])
            #expect(try ends.next() == SessionEnd(session: sids[0], fate: .revoked(.logout)))
            _ = try far.fields("TOKEN.REVOKE", renewed)
            #expect(try ends.next() == SessionEnd(session: sids[2], fate: .revoked(.logout)))
        }
    }

    @Test(
        "killed with kill -9: the caller is told, and asks the next daemon, which tells what ended meanwhile",
        arguments: Ends.Form.allCases)
    private func restarted(_ form: Ends.Form) throws {
        try withSubscribers { world in
            let far = try world.client(ofDaemon: 1)
            let tokens = try far.issue(count: 40)
            let sids = try tokens.map(Self.id)
            let ends = try Ends(form, world.daemon)
            try ends.add(sids)
            world.daemon.kill9()
            for token in tokens.prefix(20) { _ = try far.fields("TOKEN.REVOKE", token) }
            let lost = TokenCacheError.connection(reason: "closed by the daemon")
            #expect(throws: lost) { try ends.next() }
            #expect(throws: lost) { try ends.add(sids) }

            try world.daemon.start()
            try NearCacheFacts.awaitArmed(world.daemon)
            let again = try Ends(form, world.daemon)
            try again.add(sids)
            for token in tokens.dropFirst(20) { _ = try far.fields("TOKEN.REVOKE", token) }
            let told = try (0..<40).compactMap { _ in try again.next() }
            #expect(Set(told.map(\.session)) == Set(sids))
            #expect(told.allSatisfy { $0.fate == .revoked(.logout) })
        }
    }

    @Test("while Redis is away an add is refused, and the subscription goes on", arguments: Ends.Form.allCases)
    private func outage(_ form: Ends.Form) throws {
        try withSubscribers(daemons: 1) { world in
            let client = try world.client()
            let (first, second) = (try client.issue(), try client.issue())
            let server = try world.requireServer()
            let ends = try Ends(form, world.daemon)
            try ends.add([try Self.id(first)])
            server.kill9()
            _ = try eventually("an add is refused") { () throws -> Bool? in
                do {
                    try ends.add([try Self.id(second)])
                    return nil
                } catch TokenCacheError.unavailable { return true }
            }
            try server.start()
            try client.awaitService()
            try NearCacheFacts.awaitArmed(world.daemon)
            try ends.add([try Self.id(second)])
            for token in [first, second] {
                _ = try client.answered("TOKEN.REVOKE", token)
                #expect(try ends.next() == SessionEnd(session: try Self.id(token), fate: .revoked(.logout)))
            }
        }
    }

    @Test("without a near cache nobody can be told: an error, not silence", arguments: Ends.Form.allCases)
    private func off(_ form: Ends.Form) throws {
        try withWorld(settings: ["near-cache.max-memory": "0"]) { world in
            let ends = try Ends(form, world.daemon)
            let sid = try Self.id(try world.client().issue())
            do {
                try ends.add([sid])
                Issue.record("it was taken")
            } catch TokenCacheError.badArgument(let reason) { #expect(reason.contains("near-cache.max-memory")) }
        }
    }
}
