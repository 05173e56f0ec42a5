import Testing
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// Logins of one subject that race over as many daemons, under a limit: their steps in every order, with
/// lost replies, and commands that are given up.
///
/// Where `LONG_TESTS` is set more worlds of three logins are explored.
@Suite("Every interleaving of racing logins under a limit")
struct LimitExplorationTests {
    private static let many = ExplorationTests.isLong ? [(3, 1, 2), (3, 2, 1), (3, 3, 2)] : []
    static let scenarios =
        ([(2, 1, 0), (2, 1, 1), (2, 2, 2), (3, 1, 0)] + many).map { logins, limit, before in
            LimitScenario(makers: Array(repeating: .issue, count: logins), limit: limit, before: before)
        } + [
            LimitScenario(makers: [.login(over: 0), .login(over: 1)], limit: 1, before: 2),
            LimitScenario(makers: [.login(over: 0), .login(over: 0)], limit: 1, before: 2),
            LimitScenario(makers: [.login(over: 0), .issue], limit: 1, before: 1),
            LimitScenario(makers: [.login(over: 0), .issue], limit: 2, before: 2),
            LimitScenario(makers: [.login(over: 0), .login(over: 0), .issue], limit: 1, before: 1),
            LimitScenario(makers: [.login(over: 0), .login(over: 0), .issue], limit: 2, before: 2),
            LimitScenario(makers: [.login(over: 0), .login(over: 0)], limit: 1, before: 2, losses: 2),
            LimitScenario(makers: [.login(over: 1), .loginOverAnonymous], limit: 1, before: 2),
            LimitScenario(makers: [.issue, .issue], limit: 1, before: 1, losses: 1),
            LimitScenario(makers: [.login(over: 0), .issue], limit: 1, before: 1, losses: 2),
            LimitScenario(makers: [.login(over: 0), .login(over: 1)], limit: 1, before: 2, losses: 1),
            LimitScenario(makers: [.issue, .issue], limit: 1, before: 0, policy: .refuse),
            LimitScenario(makers: [.issue, .issue, .issue], limit: 2, before: 1, policy: .refuse),
            LimitScenario(makers: [.login(over: 0), .issue], limit: 1, before: 1, policy: .refuse),
            LimitScenario(makers: [.login(over: 0), .login(over: 1)], limit: 1, before: 2, policy: .refuse),
            LimitScenario(makers: [.loginOverAnonymous, .issue], limit: 1, before: 0, policy: .refuse),
            LimitScenario(makers: [.issue, .issue], limit: 1, before: 0, policy: .refuse, losses: 2),
            LimitScenario(makers: [.login(over: 0), .issue], limit: 1, before: 1, policy: .refuse, losses: 1),
        ]

    @Test("exactly the n that logged in last remain, or n have a place, in every interleaving", arguments: scenarios)
    func everyInterleaving(scenario: LimitScenario) throws {
        let report = try LimitExplorer(scenario).explore()
        #expect(report.violation == nil, "\(report.violation ?? "")")
        #expect(report.states > 20 && report.ends > 1, "\(report.states) states explore nothing")
        print("explored: \(scenario.testDescription): \(report.states) states, \(report.ends) ends")
    }

    @Test("each rule of the limit that is taken away is missed", arguments: RemovedLimitRule.allCases)
    func removedRules(rule: RemovedLimitRule) throws {
        for scenario in Self.scenarios {
            guard let violation = try LimitExplorer(scenario, removed: rule).explore().violation else { continue }
            print("without \(rule): \(violation); \(scenario.testDescription)")
            return
        }
        Issue.record("no scenario misses the rule \(rule)")
    }

    @Test("a login that was written is told its token, whatever cannot be read behind it", arguments: 0...3)
    func writtenIsTold(failing: Int) throws {
        let explorer = try LimitExplorer(LimitScenario(makers: [.issue], limit: 1, before: 2))
        var world = try explorer.start()
        for _ in 0..<2 + failing { try explorer.advance(0, &world) }
        try explorer.fail(0, &world)
        #expect(world.logins[0].answer == .issued(3), "step \(failing): not told")
        #expect(world.lives(3))
    }
}
