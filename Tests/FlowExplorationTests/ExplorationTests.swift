import Glibc
import Testing

@testable import Tokens

/// Every interleaving of small worlds: two daemons with two or three requests each that wait for one another, a browser
/// with several requests under way, a thief, a forger, reads that arrive late, lost, repeated, given up and late commands. The real decisions keep every invariant; take one rule away and one is broken.
///
/// The short form explores the first three requests of each scenario to the end, with one loss, in a minute; where
/// `LONG_TESTS` is set all four are explored as well, with reads that arrive at once (millions of states, many minutes).
@Suite("Every interleaving")
struct ExplorationTests {
    static let isLong = getenv("LONG_TESTS") != nil
    static let scenarios = isLong ? full.map(\.coarse) + full.map(\.short) : full.map(\.short)

    private static let full = [
        Scenario(
            name: "four page views of one browser, a rotation due, a loss",
            requests: [(.validate, .jar), (.validate, .jar), (.validate, .jar), (.validate, .jar)], ticks: 2, losses: 1),
        Scenario(
            name: "three page views, two losses, time enough to rotate twice",
            requests: [(.validate, .jar), (.validate, .jar), (.validate, .jar)], ticks: 4, losses: 2),
        Scenario(
            name: "page views beside a thief and a forger, a replay ends the session",
            requests: [(.validate, .jar), (.validate, .jar), (.validate, .firstToken), (.validate, .forger)], ticks: 3,
            losses: 0, onReplay: .revoke),
        Scenario(
            name: "a double-clicked login beside page views, a loss",
            requests: [(.login, .jar), (.login, .jar), (.validate, .jar), (.validate, .jar)], ticks: 1, losses: 1),
        Scenario(
            name: "a double-clicked login of another subject, a loss",
            requests: [(.login, .jar), (.login, .jar), (.validate, .firstToken), (.validate, .jar)], ticks: 1,
            losses: 1,
            subject: Array("bob".utf8)),
        Scenario(
            name: "a change of privilege beside page views and a thief, a replay ends the session",
            requests: [(.rotate, .jar), (.validate, .firstToken), (.validate, .jar), (.validate, .jar)], ticks: 3,
            losses: 0, onReplay: .revoke),
        Scenario(
            name: "a logout beside page views, late touches, a loss",
            requests: [(.revoke, .jar), (.validate, .jar), (.validate, .firstToken), (.validate, .jar)], ticks: 2,
            losses: 1),
        Scenario(
            name: "login, change of privilege and logout across each other, a loss",
            requests: [(.login, .jar), (.rotate, .jar), (.revoke, .firstToken), (.validate, .jar)], ticks: 1, losses: 1),
        Scenario(
            name: "the absolute end is reached in the middle",
            requests: [(.validate, .jar), (.validate, .jar), (.rotate, .jar), (.validate, .firstToken)], ticks: 3,
            losses: 0,
            absoluteTicks: 2),
        Scenario(
            name: "a forger beside a page view, a replay ends the session",
            requests: [(.validate, .forger), (.validate, .jar), (.revoke, .forger), (.login, .forger)], ticks: 3,
            losses: 1,
            onReplay: .revoke),
    ]

    @Test("S1 S2 S3 S4 S5 S6 S12 hold in every state of every interleaving", arguments: scenarios)
    func everyInterleaving(scenario: Scenario) throws {
        let report = try Explorer(scenario).explore()
        #expect(
            report.violation == nil, "\(report.violation?.description ?? "")\n\(report.trace.joined(separator: "\n"))")
        #expect(report.isComplete, "the scenario was explored to its ends")
        #expect(
            report.states > (Self.isLong ? 10_000 : 1_000) && report.ends > 0 && report.depth > 8,
            "\(report.states) states explore nothing")
        print(
            "explored: \(scenario.testDescription): \(report.states) states, \(report.transitions) steps, depth \(report.depth)"
        )
    }

    @Test("each rule that is taken away is missed by an invariant", arguments: RemovedRule.allCases)
    func removedRules(rule: RemovedRule) throws {
        var found: (scenario: Scenario, report: Explorer.Report)?
        // The scenario that is known to miss it; else short stories first, over all scenarios.
        let known = Self.scenarios[rule.scenario]
        let first = try Explorer(known, removed: rule).explore(limit: 1_000_000)
        if first.violation != nil { found = (known, first) }
        for limit in [1_000, 10_000, 30_000, 1_000_000] {
            for scenario in Self.scenarios where found == nil {
                let report = try Explorer(scenario, removed: rule).explore(limit: limit)
                if report.violation != nil { found = (scenario, report) }
            }
        }
        let (scenario, report) = try #require(found, "no scenario misses the rule \(rule)")
        print(
            "without \(rule): \(report.violation?.description ?? "") after \(report.trace.count) steps; \(scenario.name)"
        )
    }
}
