import Testing

@testable import TokenCache

/// S13 over one subject's index: logins, later ends, logouts and whoever looks, their round trips in every order and at
/// every moment, with lost replies, late scripts, daemons that stand still, deaths, and masters whose clocks differ by a
/// minute. The real flows keep it; take one rule away and it is broken.
@Suite("Every interleaving around the index of a subject")
struct IndexExplorationTests {
    private static let same = IndexWorld.Clocks()
    private static let sessionAhead = IndexWorld.Clocks(session: 3)
    private static let indexAhead = IndexWorld.Clocks(index: 3)
    private static let daemonsAhead = IndexWorld.Clocks(daemons: 3)

    static let scenarios =
        [same, sessionAhead, indexAhead].map { clocks in
            IndexScenario(
                name: "ISSUE beside two COUNTs", start: .guest, commands: [.issue(30), .count, .count], ticks: 9,
                clocks: clocks)
        } + [
            IndexScenario(
                name: "ISSUE beside two COUNTs, lost replies", start: .guest, commands: [.issue(30), .count, .count],
                ticks: 9, losses: 1, clocks: indexAhead),
            IndexScenario(
                name: "ISSUE beside two COUNTs, a failover", start: .guest, commands: [.issue(30), .count, .count],
                ticks: 9, failover: (.index, 3)),
            IndexScenario(
                name: "ISSUE beside two COUNTs, daemons that stand still", start: .guest,
                commands: [.issue(30), .count, .count], ticks: 9, standsStill: true),
            IndexScenario(
                name: "ISSUE beside a LIST and a REVOKEALL", start: .guest, commands: [.issue(8), .list, .revokeAll],
                ticks: 9, clocks: sessionAhead),
            IndexScenario(
                name: "LOGIN with a guest's token again, beside a COUNT", start: .condemned,
                commands: [.login(3), .login(2), .count], ticks: 5),
            IndexScenario(
                name: "LOGIN with a guest's token again, a death between, beside a COUNT", start: .condemned,
                commands: [.login(30), .login(20), .count], ticks: 2, losses: 1, deaths: 1),
            IndexScenario(
                name: "two EXPIREs beside a COUNT", start: .living(3), commands: [.expire(20), .expire(2), .count],
                ticks: 4, losses: 1),
            IndexScenario(
                name: "ROTATE with a later end beside a LOGIN and a COUNT", start: .living(3),
                commands: [.rotate(20), .login(3), .count], ticks: 4, losses: 1, clocks: daemonsAhead),
            IndexScenario(
                name: "a REVOKE whose daemon stands still, a guest's LOGIN", start: .guest,
                commands: [.login(30), .revoke, .login(30)], ticks: 9, tombstone: 120_000, standsStill: true),
            IndexScenario(
                name: "a REVOKE, a short tombstone, a guest's LOGIN", start: .guest,
                commands: [.login(30), .revoke, .login(30)], ticks: 5, clocks: sessionAhead, tombstone: 20_001),
            IndexScenario(
                name: "LOGIN over another's session, again, beside a REVOKEALL", start: .anothers("bob"),
                commands: [.login(20), .login(20), .revokeAll], ticks: 2, losses: 1),
            IndexScenario(
                name: "a LOGIN that a master lost, beside an EXPIRE and a COUNT", start: .anothers(""),
                commands: [.repetition(20), .expire(30), .count], ticks: 4, losses: 1),
            IndexScenario(
                name: "LOGIN over nobody's session that looks at another's, beside a COUNT", start: .anothers(""),
                commands: [.issue(2), .login(20), .count], ticks: 3, looks: true),
        ]

    @Test("S13 a living session is in its index at every moment, a dead one leaves it", arguments: scenarios)
    func everyInterleaving(scenario: IndexScenario) throws {
        let report = try IndexExplorer(scenario).explore()
        #expect(report.violation == nil, "\(report.violation ?? "")")
        #expect(report.states > 1_000 && report.rests > 10, "\(report.states) states explore nothing")
        print("explored: \(scenario.testDescription): \(report.states) states, \(report.rests) looked at in rest")
    }

    @Test("each rule of the index that is taken away is missed", arguments: RemovedIndexRule.allCases)
    func removedRules(rule: RemovedIndexRule) throws {
        for scenario in Self.scenarios where scenario.name.hasPrefix(rule.scenario) {
            guard let violation = try IndexExplorer(scenario, removed: rule).explore().violation else { continue }
            print("without \(rule): \(violation); \(scenario.testDescription)")
            return
        }
        Issue.record("no scenario misses the rule \(rule)")
    }
}
