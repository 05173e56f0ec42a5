import Testing

@testable import TokenCache

/// Commands on one session's data that race over as many daemons: their steps in every order, with lost replies, and
/// commands that were given up and act late or never. The real flows keep S14; take one rule away and it is broken.
@Suite("Every interleaving of commands on data")
struct DataExplorationTests {
    static let scenarios = [
        DataScenario(
            name: "three increments",
            commands: [(.incr("n", by: 1), .token), (.incr("n", by: 1), .token), (.incr("n", by: 5), .worker)],
            start: ["n": "7"]),
        DataScenario(
            name: "two SET IF beside a SET",
            commands: [
                (.set("cart", "b", if: "a"), .token), (.set("cart", "c", if: "a"), .token),
                (.set("cart", "a", if: nil), .token),
            ], start: ["cart": "a"]),
        DataScenario(
            name: "a SET IF of a worker beside a SET that removes the field and one where it is absent",
            commands: [
                (.set("cart", "b", if: "a"), .worker), (.set("cart", "", if: nil), .token),
                (.set("cart", "c", if: ""), .token),
            ], start: ["cart": "a"]),
        DataScenario(
            name: "two GETDEL beside a SET",
            commands: [(.getDel("code"), .token), (.getDel("code"), .worker), (.set("code", "y", if: nil), .token)],
            start: ["code": "x"]),
        DataScenario(
            name: "a counter that is incremented, taken and set on a condition",
            commands: [(.incr("n", by: 1), .worker), (.getDel("n"), .token), (.set("n", "9", if: "2"), .token)],
            start: ["n": "1"]),
        DataScenario(
            name: "an increment beside a SET, and a LOGIN between",
            commands: [(.incr("n", by: 1), .token), (.set("n", "5", if: nil), .token), (.incr("n", by: 1), .worker)],
            logins: 1),
        DataScenario(
            name: "increments by a guest, and a LOGIN between",
            commands: [(.incr("n", by: 1), .guest), (.incr("n", by: 1), .guest), (.incr("n", by: 0), .guest)],
            logins: 1),
        DataScenario(
            name: "a guest's SET where the field is absent, twice, beside a GETDEL",
            commands: [
                (.set("lock", "1", if: ""), .guest), (.set("lock", "2", if: ""), .guest), (.getDel("lock"), .guest),
            ]),
        DataScenario(
            name: "a guest's SETs of two fields beside an increment",
            commands: [
                (.set("a", "1", if: nil), .guest), (.set("b", "2", if: nil), .guest), (.incr("n", by: 3), .guest),
            ]),
    ]

    @Test("S14 some order of the commands explains all answers, in every interleaving", arguments: scenarios)
    func everyInterleaving(scenario: DataScenario) throws {
        let report = try DataExplorer(scenario).explore()
        #expect(report.violation == nil, "\(report.violation ?? "")")
        #expect(report.states > 1_000 && report.ends > 100, "\(report.states) states explore nothing")
        print("explored: \(scenario.name): \(report.states) states, \(report.ends) ends")
    }

    @Test("each rule of data that is taken away is missed", arguments: RemovedDataRule.allCases)
    func removedRules(rule: RemovedDataRule) throws {
        for scenario in Self.scenarios {
            guard let violation = try DataExplorer(scenario, removed: rule).explore().violation else { continue }
            print("without \(rule): \(violation.prefix { $0 != "\n" }); \(scenario.name)")
            return
        }
        Issue.record("no scenario misses the rule \(rule)")
    }

    @Test("a story that no order explains is none")
    func stories() {
        func story(_ told: [(DataCommand, DataAnswer, UInt8)], _ end: [String: String]) -> Bool {
            DataStory(
                told: told.map { DataStory.Told(command: $0, answer: $1, after: $2) },
                start: DataReference(fields: [:]), end: DataReference(fields: end)
            ).isExplained
        }
        let incr = DataCommand.incr("n", by: 1)
        #expect(story([(incr, .value("2"), 0), (incr, .value("1"), 0)], ["n": "2"]))
        // What was answered first came first.
        #expect(!story([(incr, .value("2"), 0), (incr, .value("1"), 1)], ["n": "2"]))
        #expect(!story([(incr, .value("1"), 0), (incr, .value("1"), 0)], ["n": "1"]))
        #expect(story([(incr, .value("1"), 0), (incr, .unavailable, 0)], ["n": "1"]))
        #expect(story([(incr, .value("2"), 0), (incr, .unavailable, 0)], ["n": "2"]))
        #expect(!story([(incr, .value("1"), 0), (incr, .unavailable, 0)], ["n": "3"]))
        #expect(!story([(incr, .refused, 0)], ["n": "1"]))
    }
}
