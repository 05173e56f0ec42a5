import Testing
import Tokens

@testable import TokenCache

@Suite("Waiting for changes under way")
struct ForcedChangesTests {
    private typealias Waiter = (ServiceFault?) -> Void

    private let sid = SessionID()

    @Test("nobody waits where nothing is under way")
    func nobodyWaits() {
        var changes = ForcedChanges<Waiter>()
        #expect(!changes.contains(sid) && !changes.wait(for: sid) { _ in })
        let number = changes.begin(sid)
        #expect(changes.contains(sid))
        #expect(changes.end(number, of: sid).isEmpty && !changes.contains(sid))
        #expect(!changes.wait(for: sid) { _ in })
    }

    @Test("who came waits for all that was under way then, in whatever order it ends, and for nothing later")
    func waitsForWhatWasUnderWay() {
        var changes = ForcedChanges<Waiter>()
        var released: [String] = []
        func note(_ waiters: [Waiter]) { for waiter in waiters { waiter(nil) } }
        let first = changes.begin(sid)
        let wait: (String) -> Bool = { name in changes.wait(for: self.sid) { _ in released.append(name) } }
        #expect(wait("a"))
        let second = changes.begin(sid)
        #expect(wait("b"))
        let third = changes.begin(sid)
        note(changes.end(second, of: sid))
        #expect(released.isEmpty)
        note(changes.end(first, of: sid))
        #expect(released == ["a", "b"])
        #expect(changes.contains(sid))
        note(changes.end(third, of: sid))
        #expect(released == ["a", "b"] && !changes.contains(sid))
    }

    @Test("sessions do not wait for each other")
    func sessionsApart() throws {
        var changes = ForcedChanges<Waiter>()
        let other = try #require(SessionID(text: Array(repeating: UInt8(ascii: "1"), count: 32)[...]))
        let number = changes.begin(sid)
        #expect(!changes.wait(for: other) { _ in })
        #expect(changes.wait(for: sid) { _ in })
        #expect(changes.end(number, of: other).isEmpty)
        #expect(changes.end(number, of: sid).count == 1)
    }
}
