import SeededRandom

/// How daemons find their servers.
enum Topology: String, CaseIterable, Sendable {
    case one, sentinels, cluster
    /// One server, whose data is moved away.
    case moving

    /// There is one server.
    var isAlone: Bool { self == .one || self == .moving }
}

/// Makes a plan of a seed: who asks for what and when, and what goes wrong.
struct PlanMaker {
    private var random: SeededRandom
    var setup = Setup()
    private(set) var length: Int64 = 0
    private(set) var faults = 0

    static func plan(seed: UInt64, _ topology: Topology = .one) -> Setup {
        var maker = PlanMaker(seed: seed, topology)
        return maker.make()
    }

    let topology: Topology

    private init(seed: UInt64, _ topology: Topology) {
        self.topology = topology
        random = SeededRandom(seed: seed &* 0x9e37_79b9)
        setup.seed = seed
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &random)]
    }
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    mutating func between(_ low: Int64, _ high: Int64) -> Int64 { Int64.random(in: low...high, using: &random) }

    mutating func add(_ milliseconds: Int64, _ words: String) {
        let at = SimulatedTime.milliseconds(milliseconds) + .microseconds(between(0, 999))
        setup.events.append(PlannedEvent(at: at, words: words.split(separator: " ").map(String.init)))
    }

    private mutating func make() -> Setup {
        setup.daemons = pick([2, 2, 2, 2, 3, 3, 4])
        setup.browsers = pick([2, 3, 3, 4])
        length = chance(8) ? between(22_000, 26_000) : between(5_000, 11_000)
        setup.numbers["rotation-after"] = pick([1_500, 2_000, 3_000])
        setup.numbers["overlap"] = pick([400, 800, 1_200])
        setup.numbers["replay-grace"] = pick([600, 1_500])
        setup.numbers["idle"] = pick([3_000, 5_000, 6_000])
        setup.numbers["absolute"] = pick([6_000, 9_000, 20_000])
        setup.numbers["touch-interval"] = pick([300, 500])
        setup.numbers["tombstone"] = pick([1_500, 4_000])
        setup.numbers["serve-stale"] = chance(12) ? 0 : pick([1_500, 2_500])
        setup.numbers["guest-lifetime"] = pick([4_000, 8_000])
        setup.numbers["revoke-on-replay"] = chance(30) ? 1 : 0
        setup.numbers["cache-bytes"] = chance(15) ? 700 : 65_536
        setup.numbers["password"] = chance(10) ? 1 : 0
        setup.numbers["near-cache"] = chance(5) ? 0 : 1
        if topology == .sentinels {
            setup.numbers["sentinels"] = 3
            setup.numbers["lag"] = pick([1, 20, 150, 400])
        } else if topology == .cluster {
            setup.numbers["cluster"] = 1
            setup.numbers["lag"] = pick([1, 20, 150, 400])
        } else if topology == .moving {
            setup.numbers["moving"] = 1
        }
        for browser in 0..<setup.browsers { live(browser) }
        if chance(25) { steal() }
        if chance(35) { forge() }
        if chance(50) { administer() }
        if topology == .sentinels { failOver() }
        if topology == .cluster { moveAround() }
        if topology == .moving { moveAway() }
        if chance(topology.isAlone ? 85 : 40) {
            for _ in 0..<pick([1, 1, 2, 3]) { fail(at: between(700, length - 500)) }
        }
        if chance(60) { remember() }
        if chance(40) { limit() }
        if chance(12) { endEveryone() }
        if !topology.isAlone, chance(30) { awaitReplicas() }
        if topology == .cluster, chance(25) { takeAway() }
        if topology == .cluster, chance(25) { moveKeysAhead() }
        if topology == .cluster, chance(20) { loseIndexes() }
        if topology == .sentinels, chance(12) { delayWords() }
        if topology == .one, chance(12) { replace() }
        if topology == .one, chance(8) { mislead() }
        setup.events.sort { $0.at < $1.at }
        return setup
    }

    /// All that there are, and near enough that an answer waits for them in its time.
    private mutating func awaitReplicas() {
        setup.numbers["wait-replicas"] = topology == .sentinels ? 2 : 1
        setup.numbers["lag"] = min(setup.number("lag"), 20)
    }

    // MARK: Those who ask

    private mutating func live(_ browser: Int) {
        let name = pick(["alice", "bob", "carol"])
        var now = 300 + between(0, 700)
        request(browser, chance(60) ? "login \(name)" : pick(["visit", "issue \(name)"]), at: now)
        while now < length {
            switch between(0, 99) {
            case 0..<40: now += between(0, 25)
            case 40..<80: now += between(80, 500)
            case 80..<96: now += between(500, 1_800)
            default: now += between(2_000, 7_000)
            }
            switch between(0, 99) {
            case 0..<42: request(browser, "validate", at: now)
            case 42..<64: request(browser, "visit", at: now)
            case 64..<72: request(browser, "set", at: now)
            case 72..<75: request(browser, "get", at: now)
            case 75..<83: request(browser, "old validate", at: now)
            case 83..<84: request(browser, "old set", at: now)
            case 84..<85: request(browser, "old logout", at: now)
            case 85..<92: force(browser, "login \(chance(85) ? name : pick(["alice", "bob"]))", at: now)
            case 92..<95: force(browser, "rotate", at: now)
            case 95..<98: force(browser, "logout", at: now)
            default: request(browser, "issue \(name)", at: now)
            }
        }
    }

    mutating func request(_ browser: Int, _ what: String, at now: Int64) {
        add(now, "browser \(browser) \(what) at \(between(0, Int64(setup.daemons) - 1))\(chance(6) ? " lost" : "")")
    }

    /// An end or a forced rotation, with others on their way at the same time, and a tab that does not know of it.
    private mutating func force(_ browser: Int, _ what: String, at now: Int64) {
        let isLost = chance(15)
        add(now, "browser \(browser) \(what) at \(between(0, Int64(setup.daemons) - 1))\(isLost ? " lost" : "")")
        if isLost, what.hasPrefix("login") {
            request(browser, what, at: now + between(1, 500))
        }
        for _ in 0..<between(0, 3) { request(browser, "validate", at: now + between(0, 12)) }
        for _ in 0..<between(0, 2) { request(browser, "old validate", at: now + between(2, 60)) }
        if chance(60) { request(browser, "old validate", at: now + between(100, 1_000)) }
        if chance(60) { request(browser, "old validate", at: now + between(1_000, 3_000)) }
    }

    private mutating func steal() {
        var now = between(800, max(1_000, length - 3_000))
        add(now, "thief 0 copies browser \(between(0, Int64(setup.browsers) - 1))")
        while now < length {
            now += between(30, 1_500)
            let what = pick(["validate", "validate", "visit", "validate", "rotate", "login mallory", "logout"])
            add(now, "thief 0 \(what) at \(between(0, Int64(setup.daemons) - 1))")
        }
    }

    private mutating func forge() {
        for _ in 0..<between(2, 8) {
            let what = pick(["validate", "logout", "visit", "rotate", "login", "set"])
            let browser = between(0, Int64(setup.browsers) - 1)
            add(between(700, length), "forger \(what) browser \(browser) at \(between(0, Int64(setup.daemons) - 1))")
        }
    }

    private mutating func administer() {
        for _ in 0..<between(1, 4) {
            let daemon = between(0, Int64(setup.daemons) - 1)
            switch between(0, 3) {
            case 0: add(between(800, length), "admin revoke browser \(between(0, 2)) at \(daemon)")
            case 1: add(between(800, length), "admin list alice at \(daemon)")
            default: add(between(800, length), "admin revoke-all \(pick(["alice", "bob", "carol"])) at \(daemon)")
            }
        }
    }

    /// Counters, flash messages and fields that are set on a condition: several requests at once, and whatever fails.
    private mutating func remember() {
        for _ in 0..<between(1, 4) {
            let browser = Int(between(0, Int64(setup.browsers) - 1))
            let what = pick(["incr", "incr", "set-if", "getdel"])
            var now = between(600, length)
            if what == "getdel" { request(browser, "set", at: now - between(5, 300)) }
            for _ in 0..<between(2, 6) {
                request(browser, what, at: now)
                now += chance(60) ? between(0, 3) : between(10, 400)
            }
        }
    }

    /// EXPIRE, and a visit after what it says is over.
    private mutating func limit() {
        for _ in 0..<between(1, 2) {
            let browser = Int(between(0, Int64(setup.browsers) - 1))
            let (now, idle, absolute) = (between(600, length), between(700, 2_500), between(700, 4_000))
            request(browser, "expire \(min(idle, absolute)) \(absolute)", at: now)
            request(browser, "validate", at: now + between(20, absolute))
            request(browser, "validate", at: now + absolute + between(5, 400))
        }
    }

    /// REVOKEEVERYONE, with visits to all daemons from before its acknowledgement until long after it.
    private mutating func endEveryone() {
        let now = between(1_000, length)
        add(now, "admin revoke-everyone at \(between(0, Int64(setup.daemons) - 1))")
        for browser in 0..<setup.browsers {
            for delay in [between(0, 20), between(60, 300), between(60, 300), between(1_100, 1_500)] {
                request(browser, pick(["validate", "old validate", "visit"]), at: now + delay)
            }
        }
        request(0, "login alice", at: now + between(10, 400))
        request(0, "validate", at: now + between(500, 900))
        guard chance(50) else { return }
        // Redis loses it.
        if !topology.isAlone {
            add(now + between(0, 300), "server master crash")
            add(now + between(2_000, 3_000), "server all start")
        } else if chance(50) {
            add(now + between(50, 1_500), "redis flushall")
        } else {
            let lost = now + between(50, 800)
            add(lost, "redis crash loss 1000")
            add(lost + between(50, 400), "redis start loading 0")
        }
    }

    /// A move that ends, or is killed between its steps; the server may be started anew at each, and forget the rights that
    /// were taken. Half of them are undone.
    private mutating func moveAway() {
        var now = between(1_000, length - 3_500)
        let begin = now
        add(now, "move fence")
        now += between(50, 900)
        if chance(50) { startAnew(&now) }
        if chance(60) {
            now += between(50, 900)
            add(now, "move close")
            now += between(50, 900)
            if chance(40) { startAnew(&now) }
        }
        let end = now + between(500, 4_000)
        if chance(50) { add(end, "move undo") }
        for browser in 0..<setup.browsers {
            for _ in 0..<between(2, 6) {
                let what = pick([
                    "validate", "validate", "old validate", "visit", "login alice", "logout", "rotate", "set",
                ])
                request(browser, what, at: between(begin, end))
            }
        }
    }

    private mutating func startAnew(_ now: inout Int64) {
        add(now, "redis crash loss 0")
        now += between(20, 400)
        add(now, "redis start loading 0")
    }

    // MARK: What goes wrong

    private mutating func fail(at now: Int64) {
        let daemon = between(0, Int64(setup.daemons) - 1)
        let role = pick(["data", "feed", "feed", "both"])
        let span = chance(50) ? between(50, 900) : between(900, 3_500)
        func both(_ begin: String, _ end: String) -> [(Int64, String)] { [(now, begin), (now + span, end)] }
        let what: [(Int64, String)] =
            switch topology.isAlone
                ? between(0, 27) : pick([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 18, 22, 24, 25, 26, 27])
            {
            case 0, 1, 2:
                [
                    (now, "redis crash loss \(pick([0, 0, 200, 1_000]))"),
                    (now + span, "redis start loading \(pick([0, 0, 400]))"),
                ]
            case 3, 4: both("redis pause", "redis resume")
            case 5: [(now, "network kill \(daemon) \(role)")]
            case 6: [(now, "network cut \(daemon) \(role) after \(between(0, 500))")]
            case 7: [(now, "network refuse \(daemon) \(role) for \(span)"), (now, "network kill \(daemon) \(role)")]
            case 8: [(now, "network half-open \(daemon) \(role) for \(span)"), (now, "network kill \(daemon) \(role)")]
            case 9, 10, 11, 12, 13:
                [(now, "network hold \(daemon) \(role) \(pick(["up", "down", "ways"])) for \(span)")]
            case 14: [(now, "network slow \(daemon) \(role) by \(between(40, 300)) for \(span)")]
            case 15: both("redis role slave", "redis role master")
            case 16: both("redis replicas lacking", "redis replicas back")
            case 17: both("redis disk full", "redis disk back")
            case 18: both("redis memory full", "redis memory back")
            case 19: [(now, "redis busy \(span)")]
            case 20: both("redis clients refused", "redis clients back") + [(now + 1, "network kill \(daemon) both")]
            case 21: [(now, "redis flushall")]
            case 22: [(now, "redis script-flush")]
            case 23: [(now, "redis clock \(pick([-3_000, -400, 700, 1_000]))")]
            case 24, 25: both("daemon \(daemon) pause", "daemon \(daemon) resume")
            case 26: [(now, "daemon \(daemon) restart")]
            default: [(now, "daemon \(daemon) clock \(pick([-60_000, 5_000, 86_400_000]))")]
            }
        for (at, words) in what { add(at, words) }
        watch(what[0].1, at: now, for: span, daemon)
    }

    // MARK: What a proof is of

    /// Another master is promoted, and one daemon goes on with the one before, which answers.
    private mutating func replace() {
        let (now, (daemon, other)) = (between(1_500, length), twoDaemons())
        add(now, "redis split \(pick(["", "lacking "]))\(other)")
        endElsewhere(daemon, other, at: now, ended: 300...900, asked: 500...4_000)
    }

    /// A daemon's feed comes to another server than its commands.
    private mutating func mislead() {
        let (now, (daemon, other)) = (between(1_500, length), twoDaemons())
        add(now - 1_000, "redis copy \(daemon) for \(between(4_000, 6_000))")
        endElsewhere(daemon, other, at: now, ended: 5...400, asked: 1_100...4_000)
    }

    /// Sessions that a daemon remembers end at another one, and their tokens come back.
    private mutating func endElsewhere(
        _ daemon: Int64, _ other: Int64, at now: Int64, ended: ClosedRange<Int64>, asked: ClosedRange<Int64>
    ) {
        for browser in 0..<setup.browsers {
            for _ in 0..<2 { add(now - between(5, 300), "browser \(browser) validate at \(daemon)") }
            let end = now + between(ended.lowerBound, ended.upperBound)
            add(end, "browser \(browser) \(pick(["logout", "rotate"])) at \(other)")
            for _ in 0..<6 {
                let at = now + between(asked.lowerBound, asked.upperBound)
                add(at, "browser \(browser) old validate at \(daemon)")
            }
        }
    }

    /// What a fault of this kind would let through is tried while it lasts.
    private mutating func watch(_ what: String, at now: Int64, for span: Int64, _ daemon: Int64) {
        let browser = Int(between(0, Int64(setup.browsers) - 1))
        if what == "redis flushall" {
            for daemon in 0..<setup.daemons { add(now + between(30, 200), "browser \(browser) validate at \(daemon)") }
        } else if what.contains("hold") || what.contains("pause"), span > 1_200 {
            let other = (daemon + 1) % Int64(setup.daemons)
            add(now - between(20, 200), "browser \(browser) validate at \(daemon)")
            add(now - between(5, 15), "browser \(browser) validate at \(daemon)")
            add(now + between(10, 60), "browser \(browser) \(pick(["logout", "rotate"])) at \(other)")
            for _ in 0..<3 { add(now + between(1_080, span), "browser \(browser) old validate at \(daemon)") }
        }
    }
}
