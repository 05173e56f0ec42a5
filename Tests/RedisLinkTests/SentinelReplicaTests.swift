import EventLoop
import SeededRandom
import Testing

@testable import RedisLink

/// The word of a master's replicas in the place of Sentinels that do not answer, without any of them.
@Suite("The word of the replicas")
struct SentinelReplicaTests {
    private static let master = address(1)
    private static let (one, two, three) = (address(2), address(3), address(4))
    private static let start = MonotonicInstant(nanoseconds: 1_000_000_000_000)

    private static func address(_ number: Int64) -> SentinelMachine.Address {
        SentinelMachine.Address(host: "10.0.0.\(number)", port: 6379)
    }

    private func at(_ milliseconds: Int) -> MonotonicInstant { Self.start + .milliseconds(milliseconds) }

    private func answer(
        _ master: SentinelMachine.Address = master, _ epoch: Int64 = 1,
        _ replicas: Set<SentinelMachine.Address>? = [one, two]
    ) -> SentinelMachine.Answer {
        SentinelMachine.Answer(master: master, epoch: epoch, sentinels: 3, replicas: replicas)
    }

    /// Led by two of three Sentinels, both asked at 0 ms.
    private func led(_ answers: [SentinelMachine.Answer]) -> SentinelMachine {
        var machine = SentinelMachine(configured: 3)
        for (id, answer) in zip(["a", "b", "c"], answers) {
            _ = machine.answered(id, answer, askedAt: at(0), now: at(0))
        }
        return machine
    }

    private func told(
        _ machine: inout SentinelMachine, inStep: Set<SentinelMachine.Address>,
        listed: Set<SentinelMachine.Address> = [one, two], sentAt: Int, at now: Int? = nil
    ) -> [SentinelMachine.Decision] {
        machine.told(ReplicaRoll(listed: listed, inStep: inStep), sentAt: at(sentAt), now: at(now ?? sentAt))
    }

    @Test("all of them stand in for a majority, for a second from the write on, and are asked once a second is over")
    func whole() {
        var machine = led([answer(), answer()])
        #expect(!machine.needsReplicas(at: at(999)) && machine.needsReplicas(at: at(1_000)))
        #expect(told(&machine, inStep: [Self.one, Self.two], sentAt: 900).isEmpty, "nobody asked")
        // Two seconds from then on is a second from the write on.
        #expect(
            told(&machine, inStep: [Self.one, Self.two], sentAt: 1_500, at: 1_510) == [.confirmed(askedAt: at(500))])
        #expect(told(&machine, inStep: [Self.one, Self.two], sentAt: 1_400, at: 1_700).isEmpty, "older")
        #expect(told(&machine, inStep: [Self.one, Self.two], sentAt: 2_000, at: 3_001).isEmpty, "late")
        // A majority again.
        _ = machine.answered("a", answer(), askedAt: at(3_000), now: at(3_000))
        _ = machine.answered("b", answer(), askedAt: at(3_000), now: at(3_000))
        #expect(!machine.needsReplicas(at: at(3_900)))
    }

    @Test("one that is missing, or behind, makes them no whole: another one in its place neither")
    func missing() {
        var machine = led([answer(), answer()])
        #expect(told(&machine, inStep: [Self.one], sentAt: 1_500).isEmpty)
        #expect(told(&machine, inStep: [Self.one], listed: [Self.one], sentAt: 1_500).isEmpty)
        #expect(told(&machine, inStep: [Self.one, Self.three], listed: [Self.one, Self.three], sentAt: 1_500).isEmpty)
        #expect(!told(&machine, inStep: [Self.one, Self.two, Self.three], sentAt: 1_500).isEmpty)
    }

    @Test("whoever follows the master, or is named by one Sentinel, counts from then on, in step or not")
    func newcomers() {
        var machine = led([answer(), answer()])
        #expect(
            told(&machine, inStep: [Self.one, Self.two], listed: [Self.one, Self.two, Self.three], sentAt: 1_500)
                .isEmpty)
        #expect(told(&machine, inStep: [Self.one, Self.two], sentAt: 1_600).isEmpty, "it was there")
        var other = led([answer(), answer(Self.master, 1, [Self.one, Self.two, Self.three])])
        #expect(told(&other, inStep: [Self.one, Self.two], sentAt: 1_500).isEmpty, "one Sentinel knows it")
        var later = led([answer(), answer()])
        _ = later.answered("c", answer(Self.master, 1, [Self.three]), askedAt: at(1_400), now: at(1_400))
        #expect(told(&later, inStep: [Self.one, Self.two], sentAt: 1_500).isEmpty)
        #expect(!told(&later, inStep: [Self.one, Self.two, Self.three], sentAt: 1_500).isEmpty)
    }

    @Test("where nobody knows all of them, or there is none, they are not asked")
    func unknown() {
        for replicas in [nil, []] as [Set<SentinelMachine.Address>?] {
            var machine = led([answer(Self.master, 1, replicas), answer(Self.master, 1, replicas)])
            #expect(!machine.needsReplicas(at: at(1_500)))
            #expect(told(&machine, inStep: [], listed: [], sentAt: 1_500).isEmpty)
        }
        // One of the majority does not say.
        let machine = led([answer(), answer(Self.master, 1, nil)])
        #expect(!machine.needsReplicas(at: at(1_500)))
    }

    @Test("not while a Sentinel names another master, of whatever epoch, and not once the master is left")
    func contradicted() {
        var machine = led([answer(), answer()])
        _ = machine.answered("c", answer(Self.one, 0), askedAt: at(1_400), now: at(1_400))
        #expect(told(&machine, inStep: [Self.one, Self.two], sentAt: 1_500).isEmpty)
        _ = machine.answered("c", answer(), askedAt: at(1_600), now: at(1_600))
        #expect(!told(&machine, inStep: [Self.one, Self.two], sentAt: 1_700).isEmpty)
        #expect(machine.answered("c", answer(Self.one, 2), askedAt: at(1_800), now: at(1_800)) == [.leave])
        #expect(!machine.needsReplicas(at: at(1_900)))
        #expect(told(&machine, inStep: [Self.one, Self.two], sentAt: 1_900).isEmpty)
    }

    @Test("past a gap of ten seconds only a majority's word counts")
    func gap() {
        var machine = led([answer(), answer()])
        #expect(!told(&machine, inStep: [Self.one, Self.two], sentAt: 9_000).isEmpty)
        // That was a word of 8 s.
        #expect(machine.needsReplicas(at: at(18_000)) && !machine.needsReplicas(at: at(18_001)))
        #expect(told(&machine, inStep: [Self.one, Self.two], sentAt: 18_001).isEmpty)
    }

    /// A fleet in which a failover comes at some time, as two daemons see it.
    private struct Fleet {
        var random: SeededRandom
        /// When each replica came to the master, and when it left, dead or promoted.
        var came: [SentinelMachine.Address: Int] = [:]
        var left: [SentinelMachine.Address: Int] = [:]
        var promoted: (SentinelMachine.Address, at: Int)?
        /// Sentinels that know of the failover.
        var informed: Set<Int> = []

        init(seed: UInt64) {
            random = SeededRandom(seed: seed)
            came = [one: 0, two: 0]
        }

        mutating func chance(_ parts: Int) -> Bool { Int.random(in: 0..<parts, using: &random) == 0 }

        /// Replicas that Sentinels know: they hear of one a second later at least.
        func known(at now: Int) -> Set<SentinelMachine.Address> {
            Set(came.filter { $0.value == 0 || $0.value + 1_000 <= now }.keys)
        }

        mutating func pass(to now: Int) {
            if came[three] == nil, chance(30) { came[three] = now }
            // One dies.
            if chance(150), let victim = [one, two].randomElement(using: &random), left[victim] == nil {
                left[victim] = now
            }
            if promoted == nil, now > 3_000, chance(25) {
                let candidates = known(at: now).filter { left[$0] == nil }.sorted { $0.host < $1.host }
                if let best = candidates.randomElement(using: &random) {
                    promoted = (best, now)
                    left[best] = now
                }
            }
            // It is named after it was promoted, by one after the other.
            if promoted != nil, chance(4) { informed.insert(Int.random(in: 0..<3, using: &random)) }
            // And others follow it sooner or later.
            if let (_, at) = promoted, now > at + 500, chance(10), left[one] == nil { left[one] = now }
        }

        func answer(of sentinel: Int, at now: Int) -> SentinelMachine.Answer {
            guard let promoted, informed.contains(sentinel) else {
                return SentinelMachine.Answer(master: master, epoch: 1, sentinels: 3, replicas: known(at: now))
            }
            let others = known(at: now).subtracting([promoted.0]).union([master])
            return SentinelMachine.Answer(master: promoted.0, epoch: 2, sentinels: 3, replicas: others)
        }

        /// Who follows the master.
        func followers(at now: Int) -> Set<SentinelMachine.Address> {
            Set(came.filter { $0.value <= now && left[$0.key].map { $0 > now } ?? true }.keys)
        }

        /// Who has what was written at a moment. One that has left may have been seen a little longer.
        mutating func roll(sentAt: Int, now: Int) -> ReplicaRoll {
            var roll = ReplicaRoll()
            for address in [one, two, three] {
                guard let came = came[address], came <= now else { continue }
                let isThere = left[address].map { $0 > sentAt } ?? true
                if isThere || chance(2) { roll.listed.insert(address) }
                if isThere, !chance(20) { roll.inStep.insert(address) }
            }
            return roll
        }
    }

    @Test(
        "whatever is heard of whom, no write confirms that was sent after a replica was promoted, and the bound is a second"
    )
    func interleavings() {
        var (confirmations, failovers, overlaps) = (0, 0, 0)
        for seed in 0..<1_500 {
            var fleet = Fleet(seed: UInt64(seed))
            var daemons = [SentinelMachine(configured: 3), SentinelMachine(configured: 3)]
            var reached: [Set<Int>] = [[0, 1, 2], [0, 1, 2]]
            /// Of the older master, by the replicas alone.
            var confirmedUntil = Self.start
            var firstLead: Int?
            for now in stride(from: 100, to: 12_000, by: 100) {
                fleet.pass(to: now)
                for daemon in 0..<2 {
                    if now > 2_000, fleet.chance(20) {
                        reached[daemon] = Set((0..<3).filter { _ in fleet.chance(2) })
                    }
                    var decisions: [SentinelMachine.Decision] = []
                    for sentinel in 0..<3 where reached[daemon].contains(sentinel) && fleet.chance(3) {
                        let answer = fleet.answer(of: sentinel, at: now)
                        decisions += daemons[daemon].answered(
                            "\(sentinel)", answer, askedAt: at(now), now: at(now))
                    }
                    if decisions.contains(where: { if case .lead(let to) = $0 { to != Self.master } else { false } }) {
                        firstLead = firstLead ?? now
                        failovers += 1
                    }
                    let isOld = daemons[daemon].master == Self.master
                    if isOld, now % 500 == 0 { daemons[daemon].told(fleet.followers(at: now), now: at(now)) }
                    guard daemons[daemon].needsReplicas(at: at(now)) else { continue }
                    let sentAt = now - Int.random(in: 0...90, using: &fleet.random)
                    let roll = fleet.roll(sentAt: sentAt, now: now)
                    let told = daemons[daemon].told(roll, sentAt: at(sentAt), now: at(now))
                    guard case .confirmed(let askedAt)? = told.first, isOld else { continue }
                    confirmations += 1
                    if let (_, promotedAt) = fleet.promoted {
                        #expect(sentAt < promotedAt, "seed \(seed): a write of \(sentAt) ms")
                    }
                    confirmedUntil = max(confirmedUntil, askedAt + SentinelMachine.answerLifetime)
                }
                guard let firstLead else { continue }
                overlaps += confirmedUntil > at(firstLead) ? 1 : 0
                #expect(confirmedUntil <= at(firstLead + 1_000), "seed \(seed)")
            }
        }
        #expect(
            confirmations > 5_000 && failovers > 500 && overlaps > 0, "\(confirmations) \(failovers) \(overlaps)")
    }

    @Test("what a master says of its replicas is read, and what is not understood counts for nothing")
    func replies() {
        let text = """
            # Replication\r\nrole:master\r\nconnected_slaves:3\r\n\
            slave0:ip=10.0.0.2,port=6379,state=online,offset=200,lag=0\r\n\
            slave1:ip=10.0.0.3,port=6379,state=online,offset=199,lag=1\r\n\
            slave2:ip=10.0.0.4,port=6379,state=wait_bgsave,offset=0,lag=0,type=replica\r\n\
            slave_read_only:1\r\nmaster_repl_offset:200\r\n
            """
        #expect(ReplicationText.offset(.text(text)) == 200)
        let roll = ReplicationText.roll(.text(text), written: 200)
        #expect(roll == ReplicaRoll(listed: [Self.one, Self.two, Self.three], inStep: [Self.one]))
        for line in [
            "slave0:ip=,port=1,state=online,offset=1", "slave0:ip=a,port=0,state=online,offset=1",
            "slave0:ip=a,port=1,state=online", "slave0:ip=a,port=1,state=online,offset=-1", "slave0:",
        ] {
            #expect(ReplicationText.roll(.text(line), written: 1) == nil, "\(line)")
        }
        let many = (0...64).map { "slave\($0):ip=a,port=\($0 + 1),state=online,offset=1\r\n" }.joined()
        #expect(ReplicationText.roll(.text(many), written: 1) == nil)
        #expect(ReplicationText.roll(.integer(1), written: 1) == nil)
        #expect(ReplicationText.offset(.null) == nil)

        func fields(_ host: String, _ port: String) -> RedisReply {
            .array([.text("name"), .text("x"), .text("ip"), .text(host), .text("port"), .text(port)])
        }
        let replicas: RedisReply = .array([fields("10.0.0.2", "6379"), fields("10.0.0.3", "6379")])
        #expect(SentinelReply.replicas(replicas) == [Self.one, Self.two])
        for reply in [.null, .array([.null]), .array([fields("10.0.0.2", "0")])] as [RedisReply] {
            #expect(SentinelReply.replicas(reply) == nil)
        }
    }
}
