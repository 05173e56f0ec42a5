import SeededRandom
import Testing
import Tokens
import UnixTime

@testable import TokenCache

@Suite("What is remembered of changed sessions: all of the latest, and little that is not so")
struct ChangeFilterTests {
    private static let capacity = 4_096

    private static func sids(_ count: Int, seed: UInt64) -> [SessionID] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { _ in random.fixed(SessionID.self) }
    }

    /// Of the n-th change.
    private static func time(_ number: Int) -> UnixSeconds { UnixSeconds(100 + Int64(number)) }

    @Test("at every moment the latest of them are found, as many as a filter takes, whatever came before")
    func reach() {
        var filter = ChangeFilter(capacity: Self.capacity)
        let sids = Self.sids(5 * Self.capacity, seed: 1)
        for (number, sid) in sids.enumerated() {
            filter.insert(sid, now: UnixSeconds(0))
            #expect(filter.contains(sid))
            guard number % 97 == 0 else { continue }
            let forgotten = sids[max(0, number + 1 - Self.capacity)...number].filter { !filter.contains($0) }
            #expect(forgotten == [], "after \(number + 1)")
        }
    }

    @Test("it forgets: twice as many as a filter takes at most, so that it never fills up")
    func bound() {
        var filter = ChangeFilter(capacity: Self.capacity)
        let sids = Self.sids(50 * Self.capacity, seed: 2)
        for sid in sids { filter.insert(sid, now: UnixSeconds(0)) }
        let found = sids.count { filter.contains($0) }
        #expect((Self.capacity...2 * Self.capacity + 50).contains(found), "\(found)")
    }

    @Test("others are found once in ten thousand times at most, with both filters full")
    func falsePositives() {
        var filter = ChangeFilter(capacity: Self.capacity)
        for sid in Self.sids(2 * Self.capacity, seed: 3) { filter.insert(sid, now: UnixSeconds(0)) }
        // About one in a hundred thousand is expected.
        let others = Self.sids(200_000, seed: 4)
        #expect(others.count { filter.contains($0) } <= 20)
    }

    @Test("sessions that differ in a few bits only are told apart")
    func patterns() {
        for shift in [UInt64(0), 24, 47] {
            var filter = ChangeFilter(capacity: Self.capacity)
            let count = UInt64(Self.capacity)
            for number in 0..<count { filter.insert(SessionID(first: 0, second: number << shift), now: UnixSeconds(0)) }
            let found = (count..<20 * count).filter { number in
                filter.contains(SessionID(first: number << shift, second: 0))
            }
            #expect(found.count <= 20, "shifted by \(shift)")
        }
    }

    @Test("one session that changes all the time takes one place")
    func repeated() {
        var filter = ChangeFilter(capacity: Self.capacity)
        let sids = Self.sids(Self.capacity / 2, seed: 5)
        filter.begin(at: UnixSeconds(10))
        for round in 0..<20 { for sid in sids { filter.insert(sid, now: UnixSeconds(100 + Int64(round))) } }
        #expect(filter.since == UnixSeconds(10))
        #expect(sids.allSatisfy(filter.contains))
    }

    @Test("every change since the moment it names is remembered; it knows nothing before it began")
    func since() {
        var filter = ChangeFilter(capacity: Self.capacity)
        #expect(filter.since == .latest)
        let sids = Self.sids(10 * Self.capacity, seed: 6)
        // Changes before it began are remembered, and promise nothing.
        filter.insert(sids[0], now: UnixSeconds(5))
        #expect(filter.since == .latest && filter.contains(sids[0]))
        filter.begin(at: UnixSeconds(10))
        #expect(filter.since == UnixSeconds(10) && filter.contains(sids[0]))
        var last = filter.since
        for (number, sid) in sids.enumerated() {
            filter.insert(sid, now: Self.time(number))
            #expect(filter.since >= last && filter.since < Self.time(number), "it goes on, and not into the future")
            last = filter.since
            guard number % 101 == 0, last >= Self.time(0) else { continue }
            #expect(sids[Int(last - Self.time(0))...number].allSatisfy(filter.contains), "after \(number)")
        }
        #expect(last >= Self.time(8 * Self.capacity - 50), "what is forgotten is not promised for ever")
        filter.begin(at: UnixSeconds(1_000_000))
        #expect(filter.since == UnixSeconds(1_000_000) && sids.suffix(Self.capacity).allSatisfy(filter.contains))
    }

    @Test("its memory is what it says")
    func memory() { #expect(ChangeFilter.maxBytes == 4 << 20) }
}
