import EventLoop
import SeededRandom
import Testing

@testable import RedisLink

/// Which Redis is the master after what Sentinels said, without a Sentinel.
@Suite("The word of the Sentinels")
struct SentinelMachineTests {
    private let old = SentinelMachine.Address(host: "10.0.0.1", port: 6379)
    private let new = SentinelMachine.Address(host: "10.0.0.2", port: 6379)
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000_000)

    private func at(_ milliseconds: Int) -> MonotonicInstant { start + .milliseconds(milliseconds) }

    private func answer(_ master: SentinelMachine.Address, _ epoch: Int64, of sentinels: Int = 3)
        -> SentinelMachine.Answer
    {
        SentinelMachine.Answer(master: master, epoch: epoch, sentinels: sentinels)
    }

    /// What follows from an answer that is asked for and comes at once.
    private func said(
        _ machine: inout SentinelMachine, _ id: String, _ answer: SentinelMachine.Answer, _ milliseconds: Int
    ) -> [SentinelMachine.Decision] {
        machine.answered(id, answer, askedAt: at(milliseconds), now: at(milliseconds))
    }

    @Test("a master is followed when a majority names it, and confirmed as of the oldest question that is needed")
    func majority() {
        var machine = SentinelMachine(configured: 3)
        #expect(said(&machine, "a", answer(old, 1), 0).isEmpty)
        #expect(said(&machine, "b", answer(old, 1), 100) == [.lead(old), .confirmed(askedAt: at(0))])
        #expect(said(&machine, "c", answer(old, 1), 200) == [.confirmed(askedAt: at(100))])
        #expect(said(&machine, "a", answer(old, 1), 500) == [.confirmed(askedAt: at(200))])
    }

    @Test("one Sentinel under two addresses is one")
    func ids() {
        var machine = SentinelMachine(configured: 3)
        for moment in 0..<5 { #expect(said(&machine, "a", answer(old, 1), moment * 100).isEmpty) }
    }

    @Test("half of them are no majority, and those that are known count, not those that are configured")
    func known() {
        var machine = SentinelMachine(configured: 1)
        #expect(said(&machine, "a", answer(old, 1, of: 4), 0).isEmpty)
        #expect(said(&machine, "b", answer(old, 1, of: 4), 10).isEmpty)
        #expect(said(&machine, "c", answer(old, 1, of: 4), 20) == [.lead(old), .confirmed(askedAt: at(0))])
        var more = SentinelMachine(configured: 5)
        #expect(said(&more, "a", answer(old, 1, of: 3), 0).isEmpty)
        #expect(said(&more, "b", answer(old, 1, of: 3), 10).isEmpty)
        #expect(said(&more, "c", answer(old, 1, of: 3), 20).first == .lead(old))
    }

    @Test("an answer that is older than two seconds does not count")
    func aged() {
        var machine = SentinelMachine(configured: 3)
        #expect(said(&machine, "a", answer(old, 1), 0).isEmpty)
        #expect(said(&machine, "b", answer(old, 1), 2_001).isEmpty)
        #expect(said(&machine, "a", answer(old, 1), 2_100) == [.lead(old), .confirmed(askedAt: at(2_001))])
    }

    @Test("an answer is dated at its question, and one that comes late does not replace a newer one")
    func dates() {
        var machine = SentinelMachine(configured: 3)
        _ = machine.answered("a", answer(old, 1), askedAt: at(500), now: at(600))
        #expect(machine.answered("a", answer(new, 2), askedAt: at(100), now: at(700)).isEmpty)
        #expect(
            machine.answered("b", answer(old, 1), askedAt: at(650), now: at(900))
                == [.lead(old), .confirmed(askedAt: at(500))])
    }

    @Test("a master is left as soon as one names another with a higher epoch, and it is not gone back to")
    func failover() {
        var machine = SentinelMachine(configured: 3)
        for id in ["a", "b", "c"] { _ = said(&machine, id, answer(old, 1), 0) }
        #expect(said(&machine, "c", answer(new, 2), 500) == [.leave])
        // Those who have not heard of it yet.
        #expect(said(&machine, "a", answer(old, 1), 510).isEmpty)
        #expect(said(&machine, "b", answer(old, 1), 520).isEmpty)
        #expect(machine.master == nil)
        #expect(said(&machine, "a", answer(new, 2), 1_000) == [.lead(new), .confirmed(askedAt: at(500))])
        #expect(said(&machine, "b", answer(old, 1), 1_010).isEmpty)
        #expect(machine.master == new)
    }

    @Test("another master of the same epoch, or of an older one, is no reason to leave")
    func sameEpoch() {
        var machine = SentinelMachine(configured: 3)
        for id in ["a", "b", "c"] { _ = said(&machine, id, answer(old, 5), 0) }
        #expect(said(&machine, "a", answer(new, 5), 100).isEmpty)
        #expect(said(&machine, "b", answer(new, 4), 110).isEmpty)
        #expect(machine.master == old)
    }

    @Test("a newer master that only one named, and names no more, keeps nobody from the old one")
    func forgotten() {
        var machine = SentinelMachine(configured: 3)
        for id in ["a", "b", "c"] { _ = said(&machine, id, answer(old, 5), 0) }
        #expect(said(&machine, "c", answer(new, 6), 500) == [.leave])
        #expect(said(&machine, "a", answer(old, 5), 1_000).isEmpty)
        #expect(said(&machine, "b", answer(old, 5), 1_000).isEmpty)
        #expect(said(&machine, "a", answer(old, 5), 2_501) == [.lead(old), .confirmed(askedAt: at(1_000))])
    }

    /// Each of some Sentinels says so, twice a second.
    /// - Returns: when something followed, in milliseconds, and what.
    private func saying(
        _ machine: inout SentinelMachine, _ ids: [String], _ answer: SentinelMachine.Answer, from: Int, to: Int
    ) -> [(Int, [SentinelMachine.Decision])] {
        stride(from: from, to: to, by: 500).flatMap { now in
            ids.map { (now, said(&machine, $0, answer, now)) }.filter { !$0.1.isEmpty }
        }
    }

    @Test("Sentinels that were told of the master anew have a lower epoch: a majority is followed after ten seconds")
    func reset() {
        for master in [old, new] {
            var machine = SentinelMachine(configured: 3)
            for id in ["a", "b", "c"] { _ = said(&machine, id, answer(old, 5), 0) }
            let events = saying(&machine, ["a", "b"], answer(master, 0), from: 3_000, to: 15_000)
            let first = events.first
            #expect(first?.0 == 13_000 && machine.epoch == 0 && machine.master == master)
            if case .lead(let address)? = first?.1.first { #expect(address == new && master == new) }
            #expect(events.last?.1 == [.confirmed(askedAt: at(14_500))])
            // The epochs go on from there.
            if master == new { #expect(said(&machine, "a", answer(old, 1), 15_000) == [.leave]) }
        }
    }

    @Test("a lower epoch is not followed while one names a higher one, nor for what a majority said with gaps")
    func noReset() {
        var machine = SentinelMachine(configured: 3)
        for id in ["a", "b", "c"] { _ = said(&machine, id, answer(old, 5), 0) }
        for now in stride(from: 3_000, to: 30_000, by: 500) {
            #expect(said(&machine, "a", answer(new, 0), now).isEmpty)
            #expect(said(&machine, "b", answer(new, 0), now).isEmpty)
            // The third was cut off, or has not heard of it: it comes back in time.
            if now % 3_000 == 0 { #expect(said(&machine, "c", answer(old, 5), now).isEmpty) }
        }
        var gaps = SentinelMachine(configured: 1)
        _ = said(&gaps, "a", answer(old, 5, of: 1), 0)
        for now in stride(from: 3_000, to: 30_000, by: 2_500) {
            #expect(said(&gaps, "a", answer(new, 0, of: 1), now).isEmpty)
        }
        #expect(gaps.epoch == 5)
    }

    @Test("a lower epoch needs a majority of as many Sentinels as there were: one that was reset knows no others")
    func resetAlone() {
        var machine = SentinelMachine(configured: 1)
        for id in ["a", "b", "c"] { _ = said(&machine, id, answer(old, 5), 0) }
        #expect(saying(&machine, ["a"], answer(new, 0, of: 1), from: 61_000, to: 120_000).isEmpty)
        #expect(machine.known == 1 && machine.epoch == 5)
        #expect(saying(&machine, ["a", "b"], answer(new, 0, of: 2), from: 120_000, to: 131_000).count > 0)
        #expect(machine.master == new)
    }

    @Test("Sentinels that were taken away are forgotten after a minute")
    func shrunk() {
        var machine = SentinelMachine(configured: 3)
        for id in ["a", "b", "c", "d", "e"] { _ = said(&machine, id, answer(old, 1, of: 5), 0) }
        #expect(machine.known == 5)
        for id in ["a", "b", "c"] { _ = said(&machine, id, answer(old, 1, of: 3), 60_001) }
        #expect(machine.known == 3)
    }

    @Test(
        "whatever two daemons hear of five Sentinels, none is confirmed on the older master for long after one starts on a newer"
    )
    func partition() {
        var random = SeededRandom(seed: 7)
        var overlaps = 0
        for _ in 0..<2_000 {
            var daemons = [SentinelMachine(configured: 5), SentinelMachine(configured: 5)]
            var confirmedUntil = [at(0), at(0)]
            // A Sentinel's epoch only grows, and each epoch has one master.
            var epochs = [Int64](repeating: 1, count: 5)
            /// When a daemon first started on the master of an epoch.
            var firstLead: [Int64: MonotonicInstant] = [:]
            for step in 1..<80 {
                let now = at(step * 100)
                if Int.random(in: 0..<4, using: &random) == 0 {
                    let sentinel = Int.random(in: 0..<5, using: &random)
                    let highest = epochs.max() ?? 1
                    epochs[sentinel] = Int.random(in: 0..<3, using: &random) == 0 ? highest + 1 : highest
                }
                let daemon = Int.random(in: 0..<2, using: &random)
                let sentinel = Int.random(in: 0..<5, using: &random)
                let epoch = epochs[sentinel]
                let master = SentinelMachine.Address(host: "10.0.0.\(epoch)", port: 6379)
                let askedAt = now - .milliseconds(Int.random(in: 0..<50, using: &random))
                for decision in daemons[daemon].answered(
                    "\(sentinel)", answer(master, epoch, of: 5), askedAt: askedAt, now: now)
                {
                    switch decision {
                    case .lead:
                        firstLead[epoch] = firstLead[epoch] ?? now
                        confirmedUntil[daemon] = at(0)
                    case .leave: confirmedUntil[daemon] = at(0)
                    case .confirmed(let askedAt): confirmedUntil[daemon] = askedAt + SentinelMachine.answerLifetime
                    }
                }
                for daemon in 0..<2 {
                    for (epoch, lead) in firstLead where epoch > daemons[daemon].epoch {
                        overlaps += confirmedUntil[daemon] > lead ? 1 : 0
                        #expect(confirmedUntil[daemon] <= lead + SentinelMachine.answerLifetime)
                    }
                }
            }
        }
        #expect(overlaps > 100, "the two never differed: nothing was tried")
    }

    @Test("what a Sentinel answers is read, and what is none of its answers is not")
    func replies() {
        let fields: RedisReply = .array([
            .text("name"), .text("main"), .text("config-epoch"), .text("7"), .text("num-other-sentinels"), .text("2"),
        ])
        #expect(SentinelReply.answer(fields, master: old) == answer(old, 7, of: 3))
        #expect(SentinelReply.address(.array([.text("10.0.0.1"), .text("6379")])) == old)
        for reply in [
            .null, .array([]), .array([.text("10.0.0.1")]), .array([.text("10.0.0.1"), .text("0")]),
            .array([.text("10.0.0.1"), .text("65536")]), .array([.text(""), .text("1")]),
            .array([.text("a b"), .text("1")]), .array([.integer(1), .integer(2)]), .integer(3),
        ] as [RedisReply] {
            #expect(SentinelReply.address(reply) == nil)
        }
        for reply in [
            .null, .array([]), .array([.text("config-epoch")]), .array([.text("config-epoch"), .text("-1")]),
            .array([.text("config-epoch"), .text("7"), .text("num-other-sentinels"), .text("99999999999")]),
        ] as [RedisReply] {
            #expect(SentinelReply.answer(reply, master: old) == nil)
        }
        let id = String(repeating: "a", count: 40)
        let other: RedisReply = .array([
            .text("runid"), .text(id), .text("ip"), .text("10.0.0.2"), .text("port"), .text("6379"),
        ])
        let others = SentinelReply.others(.array([other, .null, .array([.text("ip")])]))
        #expect(others.count == 1 && others.first?.id == id && others.first?.1 == new)
    }
}
