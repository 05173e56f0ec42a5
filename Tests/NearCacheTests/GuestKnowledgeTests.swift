import SeededRandom
import Testing
import Tokens
import UnixTime

@testable import TokenCache

@Suite("S5 for guests: which of them Redis has to be asked about")
struct GuestKnowledgeTests {
    private static let begun = UnixSeconds(1_000)

    private static func guest(_ number: UInt64, issued: UnixSeconds) -> Guest {
        Guest(
            sid: SessionID(first: number, second: number), issued: issued, expires: issued + 86_400,
            end: issued + 86_400)
    }

    private static func armed() -> GuestKnowledge {
        var knowledge = GuestKnowledge()
        knowledge.begin(at: begun)
        return knowledge
    }

    @Test("nobody is known before changes are told")
    func before() {
        let knowledge = GuestKnowledge()
        for issued in [UnixSeconds(0), Self.begun, .latest - 86_400] {
            #expect(knowledge.standing(of: Self.guest(1, issued: issued), isTold: true) == .unknown)
        }
    }

    @Test("a guest from after that needs no question, one from before does, with a margin for clocks that differ")
    func age() {
        let knowledge = Self.armed()
        let expected: [(Seconds, GuestStanding)] = [
            (-500, .unknown), (0, .unknown), (2, .unknown), (3, .guest), (900, .guest),
        ]
        for (age, standing) in expected {
            let guest = Self.guest(1, issued: Self.begun + age)
            #expect(knowledge.standing(of: guest, isTold: true) == standing, "\(age) s after")
            #expect(knowledge.standing(of: guest, isTold: false) == .unknown, "changes are not told at the moment")
        }
    }

    @Test("a change is remembered, whether changes are told at the moment or not")
    func change() {
        var knowledge = Self.armed()
        let (old, new) = (Self.guest(1, issued: UnixSeconds(10)), Self.guest(2, issued: Self.begun + 100))
        for guest in [old, new] {
            knowledge.noteChange(of: guest.sid, now: Self.begun + 200)
            #expect(knowledge.standing(of: guest, isTold: true) == .changed)
            #expect(knowledge.standing(of: guest, isTold: false) == .changed)
        }
        knowledge.begin(at: Self.begun + 300)
        #expect(knowledge.standing(of: new, isTold: true) == .changed)
    }

    @Test("whom Redis did not know is not asked about again, until something changes or may have")
    func cleared() {
        var knowledge = Self.armed()
        let old = Self.guest(1, issued: UnixSeconds(10))
        knowledge.clear(old.sid)
        #expect(knowledge.standing(of: old, isTold: true) == .guest)
        #expect(knowledge.standing(of: old, isTold: false) == .unknown)
        knowledge.noteChange(of: old.sid, now: Self.begun + 1)
        #expect(knowledge.standing(of: old, isTold: true) == .changed)
        // The memory of changes was wrong, or the session is gone again.
        knowledge.clear(old.sid)
        #expect(knowledge.standing(of: old, isTold: true) == .guest)
        knowledge.begin(at: Self.begun + 2)
        #expect(knowledge.standing(of: old, isTold: true) == .changed)
        let other = Self.guest(2, issued: UnixSeconds(10))
        knowledge.clear(other.sid)
        knowledge.begin(at: Self.begun + 3)
        #expect(knowledge.standing(of: other, isTold: true) == .unknown)
    }

    @Test("an ended guest is never taken for a guest again, however many other sessions change")
    func forgotten() {
        var knowledge = GuestKnowledge(changes: ChangeFilter(capacity: 256))
        knowledge.begin(at: Self.begun)
        var random = SeededRandom(seed: 7)
        let known = Self.guest(1, issued: UnixSeconds(10))
        let ended = Self.guest(2, issued: Self.begun + 50)
        knowledge.clear(known.sid)
        knowledge.noteChange(of: ended.sid, now: Self.begun + 60)
        for second in 0..<5_000 {
            knowledge.noteChange(of: random.fixed(), now: Self.begun + 61 + Int64(second))
            #expect(knowledge.standing(of: ended, isTold: true) != .guest, "after \(second)")
        }
        // Who was asked about needs no second question for that.
        #expect(knowledge.standing(of: known, isTold: true) == .guest)
        // Nor do guests of the last few minutes.
        #expect(knowledge.standing(of: Self.guest(3, issued: Self.begun + 5_000), isTold: true) == .guest)
        #expect(knowledge.standing(of: Self.guest(4, issued: Self.begun + 1_000), isTold: true) == .unknown)
    }

    @Test("the latest are kept exactly, and one that was taken out is out")
    func recent() {
        var recent = RecentSessions()
        var random = SeededRandom(seed: 8)
        let sids = (0..<3 * RecentSessions.capacity / 2).map { _ in random.fixed(SessionID.self) }
        for sid in sids { recent.insert(sid) }
        #expect(sids.map(recent.contains) == sids.indices.map { $0 >= RecentSessions.capacity / 2 })
        for sid in sids.suffix(100) { recent.remove(sid) }
        #expect(sids.suffix(101).map(recent.contains) == [true] + Array(repeating: false, count: 100))
        for sid in sids.suffix(100) { recent.insert(sid) }
        #expect(sids.suffix(100).allSatisfy(recent.contains))
        recent.removeAll()
        #expect(!sids.contains(where: recent.contains))
    }
}
