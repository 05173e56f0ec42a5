import EventLoop
import Testing

@testable import RedisLink

/// What proves that a server lives, may write and tells what changes.
@Suite("The beat")
struct BeatTests {
    /// Redis's clock, exact to a millisecond: at this moment it stands at the beginning of number 1,000.
    private let start = MonotonicInstant(nanoseconds: 50_000_000_000)
    private var clock = RedisClock()

    init() {
        clock.sample(
            serverMicroseconds: 200_000_000, sentAt: start - .microseconds(500), receivedAt: start + .microseconds(500))
    }

    @Test("a proof needs both: the own call accepted, and the key told", arguments: [true, false])
    func both(_ toldFirst: Bool) {
        var beat = Beat()
        beat.called(1_000, at: start + .milliseconds(100))
        if toldFirst { beat.told(1_000, at: start + .milliseconds(101), clock: clock) }
        if !toldFirst { beat.accepted(1_000, isOwn: false, clock: clock) }
        #expect(beat.lastProof == nil)
        if !toldFirst { beat.told(1_000, at: start + .milliseconds(101), clock: clock) }
        if toldFirst { beat.accepted(1_000, isOwn: false, clock: clock) }
        #expect(beat.lastProof.map { (start - .milliseconds(2)...start).contains($0) } == true)
    }

    @Test("it is dated at the earliest moment at which its key could have been written, whoever wrote it")
    func date() throws {
        var beat = Beat()
        // Another daemon wrote it, early in its time; this one calls it late.
        beat.told(1_000, at: start + .milliseconds(5), clock: clock)
        beat.called(1_000, at: start + .milliseconds(180))
        beat.accepted(1_000, isOwn: false, clock: clock)
        let proof = try #require(beat.lastProof)
        #expect(proof <= start && proof >= start - .milliseconds(2), "\(start.duration(to: proof))")
    }

    @Test("what this daemon wrote is dated at its call; a key that was told before it was called is not what it wrote")
    func own() {
        let call = start + .milliseconds(180)
        var beat = Beat()
        beat.called(1_000, at: call)
        beat.accepted(1_000, isOwn: true, clock: clock)
        beat.told(1_000, at: start + .milliseconds(190), clock: clock)
        #expect(beat.lastProof == call)
        var other = Beat()
        other.told(1_000, at: start + .milliseconds(170), clock: clock)
        other.called(1_000, at: call)
        other.accepted(1_000, isOwn: true, clock: clock)
        #expect(other.lastProof.map { $0 <= start } == true)
    }

    @Test("never later than the own call, nor than it was told, wherever Redis's clock is thought to stand")
    func clockAhead() throws {
        var wrong = RedisClock()
        // Redis's clock went back: by the estimate number 1,000 is still to come.
        wrong.sample(serverMicroseconds: 198_500_000, sentAt: start, receivedAt: start)
        var beat = Beat()
        beat.called(1_000, at: start)
        beat.accepted(1_000, isOwn: false, clock: wrong)
        beat.told(1_000, at: start + .milliseconds(10), clock: wrong)
        #expect(beat.lastProof == start)
        var other = Beat()
        other.told(1_000, at: start - .milliseconds(30), clock: wrong)
        other.called(1_000, at: start)
        other.accepted(1_000, isOwn: false, clock: wrong)
        #expect(other.lastProof == start - .milliseconds(30))
    }

    @Test("a key that is told again, because it expired or was evicted, proves nothing more")
    func again() {
        var beat = Beat()
        beat.called(1_000, at: start + .milliseconds(50))
        beat.accepted(1_000, isOwn: false, clock: clock)
        beat.told(1_000, at: start + .milliseconds(51), clock: clock)
        let proof = beat.lastProof
        beat.told(1_000, at: start + .milliseconds(1_900), clock: clock)
        #expect(beat.lastProof == proof)
    }

    @Test("others' beats alone, and numbers that are not of this time, prove nothing")
    func others() {
        var beat = Beat()
        for number in [0, 999, 1_000, 1_001, Int64.max / 1_000] { beat.told(number, at: start, clock: clock) }
        #expect(beat.lastProof == nil)
        beat.called(3_000, at: start)
        beat.accepted(3_000, isOwn: false, clock: clock)
        beat.told(3_000, at: start, clock: clock)
        #expect(beat.lastProof == nil, "nobody can have written a key of the future")
    }

    @Test("a refusal ends what was proved, and what is told of earlier calls does not bring it back")
    func refusal() {
        var beat = Beat()
        beat.called(1_000, at: start)
        beat.accepted(1_000, isOwn: false, clock: clock)
        beat.told(1_000, at: start, clock: clock)
        beat.called(1_001, at: start + .milliseconds(200))
        beat.accepted(1_001, isOwn: false, clock: clock)
        beat.refused(RedisFault(.noReplicas, "too few"))
        #expect(beat.lastProof == nil && beat.refusal?.kind == .noReplicas)
        beat.told(1_001, at: start + .milliseconds(450), clock: clock)
        #expect(beat.lastProof == nil)
        // The next one that is taken is the end of it.
        beat.called(1_003, at: start + .milliseconds(600))
        beat.accepted(1_003, isOwn: false, clock: clock)
        #expect(beat.refusal == nil && beat.lastProof == nil)
        beat.told(1_003, at: start + .milliseconds(601), clock: clock)
        let written = start + .milliseconds(600)
        #expect(beat.lastProof.map { (written - .milliseconds(2)...written).contains($0) } == true)
    }

    @Test("what was accepted and is not told within a second is overdue; what nobody called or took is not")
    func overdue() {
        var beat = Beat()
        let late = start + .milliseconds(1_101)
        #expect(!beat.isOverdue(since: start, now: late))
        beat.called(1_000, at: start + .milliseconds(100))
        #expect(!beat.isOverdue(since: start, now: late))
        beat.accepted(1_000, isOwn: false, clock: clock)
        #expect(!beat.isOverdue(since: start, now: late - .milliseconds(1)))
        #expect(beat.isOverdue(since: start, now: late))
        // Called before every change was told: another daemon's key may have been written before that.
        #expect(!beat.isOverdue(since: start + .milliseconds(101), now: late))
        beat.called(1_004, at: start + .milliseconds(900))
        beat.accepted(1_004, isOwn: false, clock: clock)
        beat.told(1_004, at: start + .milliseconds(901), clock: clock)
        #expect(!beat.isOverdue(since: start, now: late))
    }

    @Test("what was told is not overdue however its proof is dated, and after a pause nothing is")
    func notOverdue() {
        var beat = Beat()
        beat.called(1_000, at: start + .milliseconds(150))
        beat.accepted(1_000, isOwn: false, clock: clock)
        beat.told(1_000, at: start + .milliseconds(151), clock: clock)
        #expect(beat.lastProof.map { $0 < start + .milliseconds(150) } == true)
        #expect(!beat.isOverdue(since: start - .seconds(9), now: start + .seconds(2)))
        // Known to the server, and told before this daemon was armed.
        beat.called(1_001, at: start + .milliseconds(250))
        beat.accepted(1_001, isOwn: false, clock: clock)
        #expect(!beat.isOverdue(since: start + .milliseconds(240), now: start + .seconds(60)))
    }

    @Test("it remembers a bounded number of beats, the latest ones")
    func bound() {
        var beat = Beat()
        for number in 900..<1_100 as Range<Int64> { beat.called(number, at: start) }
        beat.accepted(1_000, isOwn: false, clock: clock)
        beat.told(1_000, at: start, clock: clock)
        #expect(beat.lastProof == nil, "forgotten")
    }
}
