import EventLoop
import SeededRandom
import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

/// The ledger against a reference that remembers everything and looks through all of it.
@Suite("The ledger against a reference")
struct LedgerModelTests {
    private struct Reference {
        struct Change {
            let sid: Int
            var isOpen = true
        }
        struct Waiter {
            let name: Int
            let sid: Int
            /// Every change that it waits for.
            var changes: [Int]
        }

        var changes: [Change] = []
        var waiters: [Waiter] = []
        var denials: [(sid: Int, end: Int)] = []
        var sessions: Set<Int> = []

        func isUnderWay(_ sid: Int) -> Bool { changes.contains { $0.isOpen && $0.sid == sid } }
        func isDenied(_ sid: Int, at now: Int) -> Bool { denials.contains { $0.sid == sid && $0.end > now } }

        mutating func wait(_ name: Int, _ sid: Int) -> Bool {
            guard isUnderWay(sid) else { return false }
            let open = changes.indices.filter { changes[$0].isOpen && changes[$0].sid == sid }
            waiters.append(Waiter(name: name, sid: sid, changes: open))
            return true
        }

        mutating func end(_ change: Int) -> [Int] {
            changes[change].isOpen = false
            let free = waiters.filter { $0.sid == changes[change].sid && $0.changes.allSatisfy { !changes[$0].isOpen } }
            waiters.removeAll { waiter in free.contains { $0.name == waiter.name } }
            return free.map(\.name)
        }
    }

    private static func moment(_ second: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(second) * 1_000_000_000)
    }

    private static func guest(_ sid: SessionID) -> Guest {
        Guest(sid: sid, issued: UnixSeconds(100), expires: UnixSeconds(90_000), end: UnixSeconds(90_000))
    }

    @Test("S5: the ledger says what a simple reference says, whatever comes", arguments: 0..<40 as Range<UInt64>)
    func againstReference(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
        let filter = ChangeFilter(key: ChangeFilter.Key(first: seed, second: 7), capacity: 64)
        var ledger = Ledger<Int>(GuestKnowledge(changes: filter))
        ledger.beginTelling(at: UnixSeconds(1))
        var reference = Reference()
        var numbers: [UInt64] = []
        var names: [SessionID] = []
        for _ in 0..<5 { names.append(try random.bytes()) }
        var now = 0
        for step in 0..<2_000 {
            now += number(0..<2)
            let sid = number(0..<names.count)
            let name = names[sid]
            switch number(0..<8) {
            case 0:
                numbers.append(ledger.begin(name))
                reference.changes.append(Reference.Change(sid: sid))
            case 1, 2:
                let open = reference.changes.indices.filter { reference.changes[$0].isOpen }
                guard let change = open.randomElement(using: &random) else { continue }
                let released = ledger.end(numbers[change], of: names[reference.changes[change].sid])
                #expect(released == reference.end(change), "who is released (seed \(seed), step \(step))")
            case 3: #expect(ledger.wait(for: name, step) == reference.wait(step, sid))
            case 4:
                let span = number(1..<30)
                ledger.deny(name, at: Self.moment(now), for: .seconds(span))
                reference.denials.append((sid, now + span))
            case 5:
                ledger.settled(name)
                reference.denials.removeAll { $0.sid == sid }
            case 6 where number(0..<40) == 0:
                ledger.noteSession(name)
                reference.sessions.insert(sid)
            default: break
            }
            for (sid, name) in names.enumerated() {
                let isDenied = reference.isDenied(sid, at: now)
                let isUnderWay = reference.isUnderWay(sid)
                #expect(ledger.isUnderWay(name) == isUnderWay)
                #expect(ledger.mayAnswer(name, at: Self.moment(now)) != isDenied)
                let isSession = isDenied || isUnderWay || reference.sessions.contains(sid)
                let standing = ledger.standing(of: Self.guest(name), isTold: true, at: Self.moment(now))
                #expect(standing == (isSession ? .session : .guest), "(seed \(seed), step \(step))")
            }
        }
    }

    @Test("a full table of denials gives up the one that ends first, the oldest of those that end together")
    func fullTable()
        throws
    {
        var random = SeededRandom(seed: 1)
        var denials = Denials()
        var names: [SessionID] = []
        for _ in 0...Denials.capacity { names.append(try random.bytes()) }
        for name in names { denials.deny(name, at: Self.moment(0), for: .seconds(9)) }
        let denied = names.map { denials.isDenied($0, at: Self.moment(1)) }
        #expect(denied == [false] + Array(repeating: true, count: Denials.capacity))
    }
}
