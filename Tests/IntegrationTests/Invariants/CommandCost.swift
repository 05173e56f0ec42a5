import Foundation
import TestSupport
import Testing

/// A command in a situation of its own, and the row of docs/sessions.md, "Commands and writes", that says what it costs.
struct CommandCost: CustomTestStringConvertible, Sendable {
    let row: String
    let settings: [String: String]
    let status: String
    /// With the session, by one script: in a cluster a write of its own.
    let entersIndex: Bool
    /// Makes the situation, and says what to ask then.
    let prepare: @Sendable (RESPClient) throws -> [String]

    var testDescription: String { row }

    init(
        _ row: String, _ status: String, settings: [String: String] = [:], entersIndex: Bool = false,
        _ prepare: @escaping @Sendable (RESPClient) throws -> [String]
    ) {
        (self.row, self.status, self.settings, self.prepare) = (row, status, settings, prepare)
        self.entersIndex = entersIndex
    }

    private static let limited = ["session.max-per-subject": "1"]
    private static let refusing = ["session.max-per-subject": "1", "session.on-limit": "refuse"]

    static let all: [CommandCost] = [
        CommandCost("VALIDATE, VISIT of a live session", "valid") { ["TOKEN.VISIT", try $0.issue()] },
        CommandCost(
            "… that is recorded, at most once a touch interval", "valid", settings: ["session.touch-interval": "1s"]
        ) {
            client in
            let token = try client.issue()
            letPass(.milliseconds(1_050))
            return ["TOKEN.VALIDATE", token]
        },
        CommandCost("… that rotates", "rotated", settings: ["rotation.after": "50ms", "rotation.overlap": "1h"]) {
            client in
            let token = try client.issue()
            letPass(.milliseconds(80))
            return ["TOKEN.VALIDATE", token]
        },
        CommandCost("… that confirms", "valid", settings: ["rotation.after": "1s", "rotation.overlap": "1h"]) {
            client in
            ["TOKEN.VISIT", try client.rotateWhenDue(client.issue())]
        },
        CommandCost("… that is `replayed`, retired at once by LOGIN or ROTATE", "replayed") { client in
            let token = try client.issue()
            _ = try client.fields("TOKEN.ROTATE", token)
            return ["TOKEN.VALIDATE", token]
        },
        CommandCost(
            "… that is `replayed`, its overlap being over", "replayed",
            settings: ["rotation.after": "1s", "rotation.overlap": "50ms"]
        ) { client in
            let token = try client.issue()
            let successor = try client.rotateWhenDue(token)
            _ = try client.validate(successor)
            letPass(.milliseconds(300))
            return ["TOKEN.VALIDATE", token]
        },
        CommandCost("VISIT of a guest, and without a token", "none") { _ in ["TOKEN.VISIT", ""] },
        CommandCost("ISSUE", "issued") { _ in ["TOKEN.ISSUE"] },
        CommandCost("… with a subject", "issued", entersIndex: true) { _ in ["TOKEN.ISSUE", "SUBJECT", "ann"] },
        CommandCost("LOGIN that makes a session", "issued", entersIndex: true) { _ in ["TOKEN.LOGIN", "", "ann"] },
        CommandCost("… of a guest's, or of nobody's", "issued", entersIndex: true) {
            ["TOKEN.LOGIN", try $0.issue(), "ann"]
        },
        CommandCost("… that renews one", "issued", entersIndex: true) {
            ["TOKEN.LOGIN", try $0.issue("SUBJECT", "ann"), "ann"]
        },
        CommandCost("… in the place of another subject's", "issued", entersIndex: true) {
            ["TOKEN.LOGIN", try $0.issue("SUBJECT", "bob"), "ann"]
        },
        CommandCost("… again, with nothing new", "issued") { client in
            let token = try client.issue()
            _ = try client.fields("TOKEN.LOGIN", token, "ann")
            return ["TOKEN.LOGIN", token, "ann"]
        },
        CommandCost("… under a limit that ends another's", "issued", settings: limited, entersIndex: true) { client in
            _ = try client.fields("TOKEN.LOGIN", "", "ann")
            return ["TOKEN.LOGIN", "", "ann"]
        },
        CommandCost("… under a limit and `refuse`", "issued", settings: refusing) { client in
            _ = try client.fields("TOKEN.REVOKEALL", "ann")
            return ["TOKEN.LOGIN", "", "ann"]
        },
        CommandCost("… that is refused", "refused", settings: refusing) { client in
            _ = try client.fields("TOKEN.LOGIN", "", "ann")
            return ["TOKEN.LOGIN", "", "ann"]
        },
        CommandCost("ROTATE", "rotated") { ["TOKEN.ROTATE", try $0.issue("SUBJECT", "ann")] },
        CommandCost("REVOKE", "revoked") { ["TOKEN.REVOKE", try $0.issue()] },
        CommandCost("… of a subject's", "revoked") { ["TOKEN.REVOKE", try $0.issue("SUBJECT", "ann")] },
        CommandCost("EXPIRE", "valid") { ["TOKEN.EXPIRE", try $0.issue("SUBJECT", "ann"), "IDLE", "1h"] },
        CommandCost("… with a later end of a subject's", "valid") {
            ["TOKEN.EXPIRE", try $0.issue("SUBJECT", "ann"), "ABSOLUTE", "48h"]
        },
        CommandCost("SET, INCR, GETDEL that change something", "valid") {
            ["TOKEN.INCR", try $0.issue("SUBJECT", "ann"), "DATA", "n"]
        },
        CommandCost("… that change nothing", "valid") {
            ["TOKEN.SET", try $0.issue("DATA", "n", "1"), "DATA", "n", "1"]
        },
        CommandCost("GET, INSPECT, LIST, COUNT", "valid") { ["TOKEN.GET", try $0.issue("DATA", "n", "1")] },
    ]

    /// What its row says: round trips where the near cache does not have the session, and writes.
    func documented() throws -> (roundTrips: Int, writes: Int) {
        let text = try PackageFolder.text("docs/sessions.md")
        let section = try #require(text.split(separator: "### Commands and writes").last)
        for line in section.split(separator: "\n").prefix(while: { !$0.hasPrefix("### ") }) where line.hasPrefix("|") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 3, cells[0] == row else { continue }
            let cold = cells[1].components(separatedBy: "else ").last ?? ""
            let trips = cold.hasPrefix("none") ? 0 : cold.hasPrefix("one") ? 1 : Int(cold.prefix(while: \.isNumber))
            return (try #require(trips, "\(line)"), try #require(Int(cells[2]), "\(line)"))
        }
        throw HarnessFailure("docs/sessions.md has no row \(row)")
    }
}
