import Foundation
import Synchronization
import Testing

/// What one seed came to.
struct RunResult: Sendable {
    var seed: UInt64
    var violations: [Violation]
    var requests: Int
    var faults: Int
    var logDigest: UInt64
    var log: [String] = []
}

enum Simulation {
    static func run(_ setup: Setup, removing rule: RemovedRule? = nil, keepsLog: Bool = false) -> RunResult {
        do {
            let world = try World(setup, removing: rule, keepsLog: keepsLog)
            try world.run()
            return RunResult(
                seed: setup.seed, violations: world.checker.violations, requests: world.requests.count,
                faults: world.faultCount, logDigest: world.logDigest, log: world.log)
        } catch {
            let violation = Violation(invariant: "run", detail: "\(error)", at: 0)
            return RunResult(seed: setup.seed, violations: [violation], requests: 0, faults: 0, logDigest: 0)
        }
    }

    static func run(seed: UInt64, _ topology: Topology = .one, removing rule: RemovedRule? = nil) -> RunResult {
        run(PlanMaker.plan(seed: seed, topology), removing: rule)
    }

    static func number(_ name: String, or other: Int) -> Int {
        guard let value = getenv(name) else { return other }
        return Int(String(cString: value)) ?? other
    }

    /// Runs seeds side by side, each in a world of its own.
    static func run(seeds: Range<UInt64>, _ topology: Topology = .one, lanes: Int = 2) async -> [RunResult] {
        let rest = Seeds(seeds)
        return await withTaskGroup(of: [RunResult].self) { group in
            for _ in 0..<lanes {
                group.addTask {
                    var results: [RunResult] = []
                    while let seed = rest.next() { results.append(run(seed: seed, topology)) }
                    return results
                }
            }
            var all: [RunResult] = []
            for await results in group { all += results }
            return all.sorted { $0.seed < $1.seed }
        }
    }

    private final class Seeds: Sendable {
        private let rest: Mutex<Range<UInt64>>

        init(_ seeds: Range<UInt64>) { rest = Mutex(seeds) }

        func next() -> UInt64? {
            rest.withLock { rest in
                guard let seed = rest.first else { return nil }
                rest = rest.dropFirst()
                return seed
            }
        }
    }
}

@Suite("Simulation")
struct SimulationTests {
    /// `make simulate SEEDS=…` runs more; `SIMULATOR_FIRST_SEED` begins elsewhere.
    @Test("S1 to S14 hold in every run of the seeds", arguments: Topology.wanted)
    func seeds(_ topology: Topology) async throws {
        let first = UInt64(Simulation.number("SIMULATOR_FIRST_SEED", or: 1))
        let count = UInt64(topology.share(of: Simulation.number("SIMULATOR_SEEDS", or: 2_000)))
        let began = ContinuousClock.now
        let results = await Simulation.run(seeds: first..<first + count, topology)
        let failed = results.filter { !$0.violations.isEmpty }
        print(
            """
            simulator, \(topology): \(results.count) seeds in \(ContinuousClock.now - began), \
            \(results.reduce(0) { $0 + $1.requests }) requests, \(results.reduce(0) { $0 + $1.faults }) faults injected, \
            \(failed.count) seeds with a violation
            """)
        for result in failed.prefix(40) {
            print("  seed \(result.seed): \(result.violations[0])")
        }
        #expect(failed.isEmpty)
    }

    @Test("one seed is one run: its log is the same, byte for byte")
    func oneSeedIsOneRun() throws {
        for (seed, topology) in [3, 17, 42].flatMap({ seed in Topology.allCases.map { (UInt64(seed), $0) } }) {
            let setup = PlanMaker.plan(seed: seed, topology)
            let (first, second) = (Simulation.run(setup, keepsLog: true), Simulation.run(setup, keepsLog: true))
            #expect(first.log == second.log && first.log.count > 20)
            let again = try Setup(scenario: setup.scenario)
            #expect(again.events == setup.events)
            #expect(Simulation.run(again).logDigest == first.logDigest)
        }
    }
}

extension SimulationTests {
    /// `SIMULATOR_LOG=SEED` prints a run, `SIMULATOR_LOG=FILE` that of a scenario; with `SIMULATOR_RULE=NAME` without that rule.
    @Test("the log of one seed, where somebody wants to read it")
    func logOfOneSeed() throws {
        guard let name = getenv("SIMULATOR_LOG").map({ String(cString: $0) }) else { return }
        let rule = getenv("SIMULATOR_RULE").flatMap { RemovedRule(rawValue: String(cString: $0)) }
        let setup =
            if let seed = UInt64(name) {
                PlanMaker.plan(seed: seed, Topology.chosen(rule))
            } else { try Setup(scenario: String(contentsOfFile: name, encoding: .utf8)) }
        let result = Simulation.run(setup, removing: rule, keepsLog: true)
        print(setup.scenario)
        print(result.log.joined(separator: "\n"))
    }

    /// `SIMULATOR_SHRINK=SEED` prints the smallest run that misses the same invariant: a text for `scenarios`.
    @Test("a failing seed made small, where somebody wants it")
    func shrunkSeed() throws {
        let seed = Simulation.number("SIMULATOR_SHRINK", or: 0)
        guard seed > 0 else { return }
        let rule = getenv("SIMULATOR_RULE").flatMap { RemovedRule(rawValue: String(cString: $0)) }
        let setup = Shrinking.shrink(PlanMaker.plan(seed: UInt64(seed), Topology.chosen(rule)), removing: rule)
        print(setup.scenario)
        print(Simulation.run(setup, removing: rule, keepsLog: true).log.joined(separator: "\n"))
    }
}

extension Topology {
    /// So many of all seeds: of one server all of them, and of a topology that is named.
    fileprivate func share(of seeds: Int) -> Int {
        guard getenv("SIMULATOR_TOPOLOGY") == nil else { return seeds }
        return switch self {
        case .one: seeds
        case .sentinels: (seeds * 3 + 19) / 20
        // A run of a cluster takes four times as long.
        case .cluster: (seeds + 24) / 25
        case .moving: (seeds + 9) / 10
        }
    }

    /// All of them, or that of `SIMULATOR_TOPOLOGY`.
    fileprivate static var wanted: [Topology] {
        getenv("SIMULATOR_TOPOLOGY").flatMap { Topology(rawValue: String(cString: $0)) }.map { [$0] } ?? allCases
    }

    /// `SIMULATOR_TOPOLOGY`, or that of the rule.
    fileprivate static func chosen(_ rule: RemovedRule?) -> Topology {
        getenv("SIMULATOR_TOPOLOGY").flatMap { Topology(rawValue: String(cString: $0)) } ?? rule?.topology ?? .one
    }
}
