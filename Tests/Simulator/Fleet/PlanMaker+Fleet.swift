/// Masters that change, and what their change could let through.
extension PlanMaker {
    /// Once or twice another master, for this or that reason, and requests about what was changed meanwhile.
    mutating func failOver() {
        for round in 0..<pick([1, 1, 2]) {
            let now = between(1_200, max(1_300, length - 2_500)) + Int64(round) * 3_000
            let daemon = between(0, Int64(setup.daemons) - 1)
            let span = between(1_500, 5_000)
            switch between(0, 12) {
            case 0, 1, 2: add(now, "sentinel failover \(between(0, 2))")
            case 3, 4:
                add(now, "server master crash")
                add(now + span, "server all start")
            case 5, 6:
                add(now, "server master pause")
                add(now + span, "server all resume")
            case 7: add(now, "partition master for \(span)")
            case 8: add(now, "partition master d\(daemon) for \(span)")
            case 9, 10, 11:
                // One whom most of them do not answer, or none does: it has the replicas' word.
                for sentinel in 0..<pick([2, 3, 3]) {
                    add(now - 300, "sentinel ignore \(sentinel) \(daemon) for \(span + 1_500)")
                }
                add(now + between(500, 2_500), "sentinel failover \(between(0, 2))")
            default:
                // One that hears of few.
                let sentinel = between(0, 2)
                add(now - 300, "partition d\(daemon) h\(sentinel) for \(span)")
                add(now, "sentinel failover \(between(0, 2))")
            }
            if chance(20) {
                let first = between(0, 2)
                for sentinel in [first, (first + 1) % 3].prefix(Int(pick([1, 2]))) {
                    add(now + between(-500, 500), "sentinel stop \(sentinel)")
                    add(now + span + 500, "sentinel start \(sentinel)")
                }
            }
            // One that comes to the new master late.
            if chance(30) { add(now + between(100, 1_000), "network refuse \(daemon) both for \(between(800, 2_500))") }
            change(around: now)
        }
    }

    /// What Sentinels say comes late to a daemon, and then nothing does, while they agree on another master.
    mutating func delayWords() {
        let now = between(2_500, max(2_600, length - 2_500))
        let daemon = between(0, Int64(setup.daemons) - 1)
        add(now - 1_500, "network slow \(daemon) watch by \(between(600, 900)) for 1500")
        add(now, "network hold \(daemon) watch down for \(between(3_500, 5_000))")
        add(now + between(20, 200), "sentinel failover \(between(0, 2))")
        for browser in 0..<setup.browsers {
            for _ in 0..<8 {
                add(now + between(1_800, 3_500), "browser \(browser) \(pick(["validate", "login alice"])) at \(daemon)")
            }
        }
    }

    /// Slots that go from one to another, and masters that do.
    mutating func moveAround() {
        for _ in 0..<pick([1, 2, 4]) {
            let at = between(700, length)
            let browser = between(0, Int64(setup.browsers) - 1)
            add(at, "cluster move browser \(browser) for \(between(5, 400))")
            for _ in 0..<4 {
                let what = pick(["validate", "validate", "old validate", "visit", "rotate", "logout"])
                add(at + between(0, 500), "browser \(browser) \(what) at \(between(0, Int64(setup.daemons) - 1))")
            }
        }
        for round in 0..<pick([0, 1, 1, 2]) {
            let now = between(1_200, max(1_300, length - 2_500)) + Int64(round) * 4_000
            let (daemon, server) = (between(0, Int64(setup.daemons) - 1), between(0, 2))
            let span = between(1_000, 5_000)
            switch between(0, 7) {
            case 0, 1: add(now, "cluster failover \(server)")
            case 2, 3:
                add(now, "server \(server) crash")
                add(now + span, "server all start")
            case 4, 5:
                add(now, "server \(server) pause")
                add(now + span + 1_500, "server all resume")
                wake(at: now + span + 1_500)
            case 6: add(now, "partition h\(server) for \(span)")
            default: add(now, "partition h\(server) d\(daemon) for \(span)")
            }
            // One that comes to the new owner late.
            if chance(50) {
                add(now + between(100, 1_500), "network refuse \(daemon) both for \(between(1_500, 4_000))")
            }
            change(around: now)
        }
    }

    /// A slot goes to another master while one of the daemons does not reach the one that had it, so is not told of what
    /// happened there last. Nor does the new one tell of it: nothing is left of a session whose tombstone ran out.
    mutating func takeAway() {
        (setup.numbers["tombstone"], setup.numbers["idle"], setup.numbers["rotation-after"]) = (1_500, 6_000, 6_000)
        let (now, browser) = (between(1_000, length), between(0, Int64(setup.browsers) - 1))
        let (daemon, other) = twoDaemons()
        for delay in [between(40, 200), between(5, 30)] { add(now - delay, "browser \(browser) validate at \(daemon)") }
        add(now, "cluster move browser \(browser) for \(between(1_600, 2_200))")
        add(now + 1, "cluster cut \(daemon) owner browser \(browser) for \(between(4_000, 6_000))")
        add(now + between(5, 80), "browser \(browser) logout at \(other)")
        for _ in 0..<6 { add(now + between(1_200, 5_500), "browser \(browser) old validate at \(daemon)") }
    }

    /// Keys go long before their slot, and one of the daemons does not reach the server that they have gone to.
    mutating func moveKeysAhead() {
        let (now, browser) = (between(1_000, length), between(0, Int64(setup.browsers) - 1))
        let (daemon, other) = twoDaemons()
        let span = between(500, 5_000)
        add(now, "cluster move browser \(browser) for \(span) ahead \(span - between(10, 100))")
        for delay in [between(110, 150), between(150, 200), between(200, 250)] {
            add(now + delay, "browser \(browser) validate at \(daemon)")
        }
        add(now + between(280, 290), "cluster cut \(daemon) target browser \(browser) for \(between(1_000, 5_000))")
        add(now + between(300, 400), "browser \(browser) \(pick(["logout", "rotate", "logout"])) at \(other)")
        for _ in 0..<6 { add(now + between(1_400, 5_000), "browser \(browser) old validate at \(daemon)") }
    }

    /// A master dies with places in indexes that its replica has not yet, of sessions that others have and that live on.
    mutating func loseIndexes() {
        guard setup.number("wait-replicas") == 0 else { return }
        (setup.numbers["lag"], setup.numbers["idle"], setup.numbers["absolute"]) = (400, 6_000, 20_000)
        let now = between(1_500, length)
        for browser in 0..<setup.browsers {
            let name = pick(["alice", "bob", "carol"])
            add(now - between(20, 300), "browser \(browser) issue \(name) at \(between(0, Int64(setup.daemons) - 1))")
            for _ in 0..<6 {
                let daemon = between(0, Int64(setup.daemons) - 1)
                add(now + between(2_500, 9_000), "browser \(browser) validate at \(daemon)")
            }
        }
        add(now, "server \(between(0, 2)) crash")
        add(now + between(2_000, 3_500), "server all start")
    }

    mutating func twoDaemons() -> (Int64, Int64) {
        let daemon = between(0, Int64(setup.daemons) - 1)
        return (daemon, (daemon + between(1, Int64(setup.daemons) - 1)) % Int64(setup.daemons))
    }

    /// What was ended while a server slept is asked about when it wakes, with old answers in its socket.
    private mutating func wake(at now: Int64) {
        for browser in 0..<setup.browsers {
            add(now - between(100, 900), "browser \(browser) logout at \(between(0, Int64(setup.daemons) - 1))")
            for _ in 0..<6 {
                let daemon = between(0, Int64(setup.daemons) - 1)
                add(now + between(0, 300), "browser \(browser) old validate at \(daemon)")
            }
        }
    }

    /// What is ended just before, meanwhile and after it, and tokens from before, at all daemons.
    private mutating func change(around now: Int64) {
        for browser in 0..<setup.browsers {
            let daemon = Int(between(0, Int64(setup.daemons) - 1))
            for other in 0..<setup.daemons {
                add(now - between(20, 300), "browser \(browser) validate at \(other)")
            }
            let ended = now + pick([between(-400, 0), between(0, 1_500), between(1_500, 4_000)])
            add(ended, "browser \(browser) \(pick(["logout", "rotate", "login alice", "logout"])) at \(daemon)")
            for _ in 0..<6 {
                let other = chance(60) ? Int(between(0, Int64(setup.daemons) - 1)) : daemon
                add(now + between(0, 6_000), "browser \(browser) old validate at \(other)")
            }
        }
    }
}
