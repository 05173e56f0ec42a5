import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

/// A watch without Redis: what it wants to read is kept, and answered by hand.
private struct Bench {
    var watched = WatchedSessions()
    var now = UnixMilliseconds(1_800_000_000_000)
    var reads: [(sid: SessionID, number: UInt64)] = []
    var told: [String] = []

    static func sid(_ number: UInt8) -> SessionID {
        var sid = SessionID()
        sid.withUnsafeMutableBytes { $0[15] = number }
        return sid
    }

    mutating func take(_ actions: [WatchedSessions.Action]) {
        for action in actions {
            switch action {
            case .read(let sid, let number): reads.append((sid, number))
            case .tell(let subscriber, let sid, let fate):
                told.append("\(subscriber) \(sid.description.suffix(2)) \(fate.text)")
            }
        }
    }

    mutating func watch(_ number: UInt8, _ subscriber: UInt64) {
        take(watched.watch(Self.sid(number), for: subscriber))
    }
    mutating func changed(_ number: UInt8) { take(watched.changed(Self.sid(number))) }

    mutating func answer(_ sight: SessionSight) throws {
        try #require(!reads.isEmpty)
        let read = reads.removeFirst()
        take(watched.found(sight, of: read.sid, number: read.number, now: now))
    }

    mutating func answerAll(_ sight: SessionSight) throws { while !reads.isEmpty { try answer(sight) } }

    /// A second for a second, each with its tick.
    mutating func pass(seconds: Int) {
        for _ in 0..<seconds {
            now += 1_000
            take(watched.tick(now: now).actions)
        }
    }

    func living(for milliseconds: Milliseconds, forced: Int64 = 0, login: UnixMilliseconds? = nil) -> SessionSight {
        .living(.init(end: now + milliseconds, forcedGeneration: forced, renewedByLogin: login))
    }
}

@Suite("Watched sessions")
struct WatchedSessionsTests {
    @Test(
        "a session is read when it is watched, and one that is over or never was is told",
        arguments: [
            (SessionSight.ended(.logoutAll), "1 07 revoked logout-all"), (.absent, "1 07 unknown"),
        ])
    func first(_ sight: SessionSight, _ message: String) throws {
        var bench = Bench()
        bench.watch(7, 1)
        try bench.answer(sight)
        #expect(bench.told == [message] && bench.reads.isEmpty)
        #expect(bench.watched.isEmpty, "who was told watches no more")
    }

    @Test("a living one is read for each change, and told once")
    func changes() throws {
        var bench = Bench()
        bench.watch(7, 1)
        bench.watch(7, 1)
        try bench.answer(bench.living(for: 60_000))
        for _ in 0..<3 {
            bench.changed(7)
            try bench.answer(bench.living(for: 60_000))
        }
        #expect(bench.told.isEmpty && bench.reads.isEmpty)
        bench.changed(7)
        bench.changed(8)
        try bench.answer(.ended(.logout))
        bench.changed(7)
        bench.take(bench.watched.happened(.revoked(.logout), to: Bench.sid(7)))
        #expect(bench.told == ["1 07 revoked logout"] && bench.reads.isEmpty)
    }

    @Test("changes during a read lead to one more, which alone says what came of them")
    func coalesced() throws {
        var bench = Bench()
        bench.watch(7, 1)
        for _ in 0..<5 { bench.changed(7) }
        #expect(bench.reads.count == 1)
        try bench.answer(bench.living(for: 60_000))
        #expect(bench.reads.count == 1)
        try bench.answer(.ended(.replay))
        #expect(bench.told == ["1 07 revoked replay"])
    }

    @Test("who comes while it is being read is not told what was before, and is read for")
    func comesDuringRead() throws {
        var bench = Bench()
        bench.watch(7, 1)
        try bench.answer(bench.living(for: 60_000, forced: 1))
        bench.changed(7)
        bench.watch(7, 2)
        try bench.answer(bench.living(for: 60_000, forced: 2))
        #expect(bench.told == ["1 07 replaced rotate"])
        try bench.answer(bench.living(for: 60_000, forced: 2))
        #expect(bench.told == ["1 07 replaced rotate"] && bench.watched.count == 1)
        bench.changed(7)
        try bench.answer(bench.living(for: 60_000, forced: 3, login: bench.now))
        #expect(bench.told.last == "2 07 replaced login" && bench.watched.isEmpty)
    }

    @Test("its known end is looked at then, within two seconds, however often it moved before")
    func expires() throws {
        var bench = Bench()
        bench.now += 900
        bench.watch(7, 1)
        try bench.answer(bench.living(for: 5_300))
        bench.pass(seconds: 5)
        #expect(bench.reads.isEmpty, "nothing is read before the end")
        bench.changed(7)
        try bench.answer(bench.living(for: 3_000))
        let end = bench.now + 3_000
        while bench.reads.isEmpty {
            bench.pass(seconds: 1)
            try #require(bench.now < end + 2_000)
        }
        #expect(bench.now >= end)
        try bench.answer(.absent)
        #expect(bench.told == ["1 07 expired"])
    }

    @Test("one that is gone before its end was deleted by somebody")
    func deleted() throws {
        var bench = Bench()
        bench.watch(7, 1)
        try bench.answer(bench.living(for: 60_000))
        bench.changed(7)
        try bench.answer(.absent)
        #expect(bench.told == ["1 07 unknown"])
    }

    @Test("an end further away than a round of the wheel is found in its round")
    func farAway() throws {
        var bench = Bench()
        bench.watch(7, 1)
        try bench.answer(bench.living(for: 10_000_000))
        bench.pass(seconds: 9_999)
        #expect(bench.reads.isEmpty)
        bench.pass(seconds: 2)
        #expect(bench.reads.count == 1)
    }

    @Test("a clock that is put forward or back leaves nobody out")
    func clockJumps() throws {
        var bench = Bench()
        for number in UInt8(1)...200 {
            bench.watch(number, 1)
            try bench.answer(bench.living(for: Milliseconds(number) * 20_000))
        }
        bench.now = bench.now - 50_000
        bench.pass(seconds: 1)
        #expect(bench.reads.isEmpty)
        bench.now += 50_000_000
        bench.pass(seconds: 1)
        try bench.answerAll(.absent)
        #expect(bench.told.count == 200 && bench.watched.isEmpty)
    }

    @Test("reads are bounded in flight, and all come to pass")
    func bounded() throws {
        var bench = Bench()
        for index in 0..<5_000 {
            var sid = SessionID()
            sid.withUnsafeMutableBytes { $0.storeBytes(of: UInt32(index), as: UInt32.self) }
            bench.take(bench.watched.watch(sid, for: UInt64(index)))
        }
        #expect(bench.reads.count == WatchedSessions.maxReads)
        try bench.answerAll(bench.living(for: 60_000))
        bench.take(bench.watched.changedAll())
        bench.take(bench.watched.changedAll())
        #expect(bench.reads.count == WatchedSessions.maxReads)
        try bench.answerAll(.ended(.admin))
        #expect(bench.told.count == 5_000 && Set(bench.told).count == 5_000 && bench.watched.isEmpty)
    }

    @Test("many that end in one second are looked at in steps")
    func manyAtOnce() throws {
        var bench = Bench()
        let count = WatchedSessions.maxDue * 2 + 10
        for index in 0..<count {
            var sid = SessionID()
            sid.withUnsafeMutableBytes { $0.storeBytes(of: UInt32(index), as: UInt32.self) }
            bench.take(bench.watched.watch(sid, for: 1))
        }
        try bench.answerAll(bench.living(for: 10_000))
        bench.pass(seconds: 10)
        var isBehind = true
        var steps = 1
        while isBehind {
            let (actions, more) = bench.watched.tick(now: bench.now)
            bench.take(actions)
            isBehind = more
            steps += 1
        }
        #expect(steps == 3)
        try bench.answerAll(.absent)
        #expect(bench.told.count == count)
    }

    @Test("a read without an answer is tried again a second later; while Redis is away nothing is asked")
    func failures() throws {
        var bench = Bench()
        bench.watch(7, 1)
        try bench.answer(.failed)
        #expect(bench.reads.isEmpty && bench.told.isEmpty)
        bench.watched.mayRead = false
        bench.pass(seconds: 30)
        bench.changed(7)
        #expect(bench.reads.isEmpty)
        bench.watched.mayRead = true
        bench.take(bench.watched.changedAll())
        #expect(bench.reads.count == 1)
        try bench.answer(.failed)
        bench.pass(seconds: 2)
        try bench.answer(.ended(.logout))
        #expect(bench.told == ["1 07 revoked logout"])
    }

    @Test("who leaves is told nothing, and a read that is under way says nothing to who comes after it")
    func leaves() throws {
        var bench = Bench()
        bench.watch(7, 1)
        bench.watched.forget(Bench.sid(7), for: 1)
        #expect(bench.watched.isEmpty)
        bench.watch(7, 2)
        #expect(bench.reads.count == 2)
        try bench.answer(.ended(.logout))
        #expect(bench.told.isEmpty)
        try bench.answer(bench.living(for: 1_000))
        bench.watched.forget(Bench.sid(7), for: 2)
        bench.pass(seconds: 10)
        #expect(bench.reads.isEmpty && bench.told.isEmpty)
    }

    @Test("an own write tells all who watch then, and no read tells them again")
    func ownWrites() throws {
        var bench = Bench()
        bench.watch(7, 1)
        try bench.answer(bench.living(for: 60_000))
        bench.changed(7)
        bench.watch(7, 2)
        bench.take(bench.watched.happened(.replaced(.login), to: Bench.sid(7)))
        #expect(bench.told == ["1 07 replaced login", "2 07 replaced login"])
        bench.watch(7, 1)
        try bench.answer(bench.living(for: 60_000, forced: 2))
        try bench.answer(bench.living(for: 60_000, forced: 2))
        bench.changed(7)
        try bench.answer(bench.living(for: 60_000, forced: 2))
        #expect(bench.told.count == 2 && bench.watched.count == 1)
    }
}
