import Glibc
import Testing

/// The simulator is tested by removing rules: each must be missed by some invariant within a thousand seeds. One that is
/// known to miss it is tried first.
@Suite("The simulator notices a removed rule")
struct RemovedRuleTests {
    static let mostSeeds: UInt64 = 1_000

    struct Catch: Sendable {
        let rule: RemovedRule
        /// Nil where nothing noticed.
        let seed: UInt64?
        let invariants: String
    }

    private static func look(for rule: RemovedRule) -> Catch {
        for seed in [rule.seed] + (1...mostSeeds) {
            let violations = Simulation.run(seed: seed, rule.topology, removing: rule).violations
            guard !violations.isEmpty else { continue }
            let names = Set(violations.map(\.invariant)).sorted().joined(separator: ", ")
            return Catch(rule: rule, seed: seed, invariants: names)
        }
        return Catch(rule: rule, seed: nil, invariants: "–")
    }

    @Test("every rule that is removed is missed by an invariant")
    func removedRules() async {
        let found = await withTaskGroup(of: Catch.self) { group in
            for rule in RemovedRule.chosen { group.addTask { Self.look(for: rule) } }
            var found: [RemovedRule: Catch] = [:]
            for await caught in group { found[caught.rule] = caught }
            return found
        }
        print("| rule removed | seed that misses it | invariant |\n|---|---|---|")
        for rule in RemovedRule.chosen {
            guard let caught = found[rule] else { continue }
            print("| \(rule.rule) | \(caught.seed.map(String.init) ?? "none") | \(caught.invariants) |")
            #expect(caught.seed != nil, "nothing misses the rule: \(rule.rule)")
        }
    }
}

extension RemovedRule {
    /// All of them, or the one that `SIMULATOR_RULE` names.
    fileprivate static var chosen: [RemovedRule] {
        guard let name = getenv("SIMULATOR_RULE") else { return allCases }
        return RemovedRule(rawValue: String(cString: name)).map { [$0] } ?? allCases
    }
}
