import Testing

@testable import TokenCacheClient

@Suite("What a subscribed connection is told")
struct SubscriptionMachineTests {
    /// A machine and what was told so far.
    private struct Driver {
        var machine = SubscriptionMachine()
        var ends: [SessionEnd] = []
        /// SUBSCRIBEs that were confirmed, and refused.
        var confirmed: [UInt64] = []
        var refused: [UInt64] = []
        /// Sessions that were left because they were told of.
        var left = 0

        mutating func take(_ wire: String) throws {
            switch try machine.received(#require(try Reply.reading(wire))) {
            case .none: break
            case .confirmed(let number): confirmed.append(number)
            case .refused(let number, _): refused.append(number)
            case .ended(let end, let leave):
                ends.append(end)
                if leave != nil { left += 1 }
            }
        }
    }

    private static let a = id(1)
    private static let b = id(2)

    private static func id(_ number: Int) -> SessionID {
        guard let id = WireReply.id(number) else { preconditionFailure("no sid") }
        return id
    }

    private static func message(_ sid: SessionID, _ text: String) -> String {
        "*3\r\n" + ["message", "session:\(sid)", text].map(WireReply.bulk).joined()
    }

    private static func confirmation(_ sid: SessionID, _ kind: String = "subscribe") -> String {
        "*3\r\n" + [kind, "session:\(sid)"].map(WireReply.bulk).joined() + ":1\r\n"
    }

    @Test(
        "what became of a session, in all words that there are, and in those of a later daemon",
        arguments: [
            ("revoked logout", .revoked(.logout)), ("revoked logout-all", .revoked(.logoutAll)),
            ("revoked limit", .revoked(.limit)), ("revoked boredom", .revoked(nil)), ("expired", .expired),
            ("unknown", .unknown), ("replaced login", .replaced(.login)), ("replaced rotate", .replaced(.rotate)),
            ("replaced otherwise", .replaced(nil)), ("changed", nil), ("", nil),
        ] as [(String, SessionFate?)])
    func words(text: String, fate: SessionFate?) {
        #expect(SessionFate(text) == fate)
    }

    @Test("each session is told of once, and then left; the SUBSCRIBE is confirmed with the last of its sessions")
    func once() throws {
        var driver = Driver()
        let (request, number) = driver.machine.subscribe(to: [Self.a, Self.b])
        #expect(
            request.withBytes { String(decoding: $0, as: UTF8.self) }.hasPrefix(
                "*3\r\n$9\r\nSUBSCRIBE\r\n$40\r\nsession:\(Self.a)\r\n"))
        try driver.take(Self.confirmation(Self.a))
        // What is over already is told before the rest is confirmed.
        try driver.take(Self.message(Self.a, "expired"))
        #expect(driver.confirmed.isEmpty && driver.machine.isWaiting)
        try driver.take(Self.confirmation(Self.b))
        #expect(driver.confirmed == [number] && driver.ends == [SessionEnd(session: Self.a, fate: .expired)])
        try driver.take(Self.confirmation(Self.a, "unsubscribe"))
        try driver.take(Self.message(Self.a, "expired"))
        #expect(driver.ends.count == 1 && driver.left == 1 && !driver.machine.isWaiting)
    }

    @Test("what was left is told of no more, not even what was under way; added again, it is")
    func left() throws {
        var driver = Driver()
        _ = driver.machine.subscribe(to: [Self.a])
        #expect(driver.machine.unsubscribe(from: [Self.a, Self.b]) != nil)
        #expect(driver.machine.unsubscribe(from: [Self.a]) == nil)
        let second = driver.machine.subscribe(to: [Self.a]).number
        try driver.take(Self.confirmation(Self.a))
        try driver.take(Self.message(Self.a, "replaced login"))
        try driver.take(Self.confirmation(Self.a, "unsubscribe"))
        #expect(driver.ends.isEmpty)
        try driver.take(Self.confirmation(Self.a))
        #expect(driver.confirmed.last == second)
        try driver.take(Self.message(Self.a, "revoked logout"))
        #expect(driver.ends == [SessionEnd(session: Self.a, fate: .revoked(.logout))])
    }

    @Test("added anew while it is watched: told for the first, and for the second, which is not left with the first")
    func again() throws {
        var driver = Driver()
        _ = driver.machine.subscribe(to: [Self.a])
        try driver.take(Self.confirmation(Self.a))
        _ = driver.machine.subscribe(to: [Self.a])
        try driver.take(Self.message(Self.a, "replaced rotate"))
        #expect(driver.left == 0)
        try driver.take(Self.confirmation(Self.a))
        try driver.take(Self.message(Self.a, "expired"))
        #expect(driver.ends.map(\.fate) == [.replaced(.rotate), .expired] && driver.left == 1)
    }

    @Test("a SUBSCRIBE that is refused changes nothing: what was added before is still told of")
    func refused() throws {
        var driver = Driver()
        _ = driver.machine.subscribe(to: [Self.a])
        try driver.take(Self.confirmation(Self.a))
        let second = driver.machine.subscribe(to: [Self.a, Self.b]).number
        try driver.take("-OVERLOADED there may be 1 subscriptions\r\n")
        #expect(driver.refused == [second] && !driver.machine.isWaiting)
        #expect(driver.machine.unsubscribe(from: [Self.b]) == nil)
        try driver.take(Self.message(Self.a, "expired"))
        #expect(driver.ends.map(\.session) == [Self.a] && driver.left == 1)
    }

    @Test("PING is answered in either form")
    func ping() throws {
        var driver = Driver()
        for pong in ["+PONG\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n"] {
            _ = driver.machine.ping()
            #expect(driver.machine.isWaiting)
            try driver.take(pong)
            #expect(!driver.machine.isWaiting)
        }
    }

    @Test(
        "whatever does not follow from what was asked ends the connection",
        arguments: [
            "+OK\r\n", ":1\r\n", "+PONG\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n", "*0\r\n", "$-1\r\n",
            confirmation(b), confirmation(a, "unsubscribe"), confirmation(a, "psubscribe"), message(a, "changed"),
            "*3\r\n$7\r\nmessage\r\n$3\r\nnew\r\n$7\r\nexpired\r\n", "*3\r\n$7\r\nmessage\r\n:1\r\n$7\r\nexpired\r\n",
        ])
    func violations(wire: String) throws {
        var driver = Driver()
        _ = driver.machine.subscribe(to: [Self.a])
        #expect(throws: TokenCacheError.protocolViolation) { try driver.take(wire) }
    }

    @Test("an error that answers no SUBSCRIBE is the reason of the end")
    func farewell() throws {
        var driver = Driver()
        #expect(throws: TokenCacheError.overloaded(reason: "too many clients")) {
            try driver.take("-OVERLOADED too many clients\r\n")
        }
        var other = Driver()
        _ = other.machine.ping()
        #expect(throws: TokenCacheError.notPermitted(reason: "not you")) { try other.take("-NOPERM not you\r\n") }
    }
}
