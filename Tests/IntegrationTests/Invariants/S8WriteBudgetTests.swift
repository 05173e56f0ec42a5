import TestSupport
import Testing

@Suite("S8: one write per session and touch interval for accesses, two per rotation, over all daemons", .demanding)
struct S8WriteBudgetTests {
    /// Writes since the last look.
    private struct Counter {
        let folder: String
        var seen = 0

        mutating func next() throws -> [[String]] {
            let all = try AppendLog.writes(in: folder)
            defer { seen = all.count }
            return Array(all.dropFirst(seen))
        }
    }

    @Test("a session that three daemons present all the time is written once per touch interval")
    func touches() throws {
        try withWorld(daemons: 3, settings: ["session.touch-interval": "1s"]) { world in
            let client = try world.client()
            let tokens = try (0..<3).map { _ in try client.issue() }
            var counter = Counter(folder: try world.requireServer().folder)
            _ = try counter.next()
            let start = ContinuousClock.now
            _ = try concurrently(6) { index in
                try world.client(ofDaemon: index)
            } work: { index, client in
                while ContinuousClock.now - start < .milliseconds(3300) {
                    let command = index.isMultiple(of: 2) ? "TOKEN.VALIDATE" : "TOKEN.VISIT"
                    for token in tokens {
                        let reply = try client.fields(command, token)
                        #expect(reply.status == "valid")
                    }
                }
            }
            letPass(.milliseconds(100))
            let elapsed = ContinuousClock.now - start
            let intervals = Int(elapsed.components.seconds) + 1
            let writes = try counter.next()
            #expect(writes.count <= tokens.count * intervals, "\(writes.count) writes in \(elapsed)")
            #expect(writes.count >= tokens.count * 2, "the accesses were not recorded: \(writes.count)")
        }
    }

    @Test("within one touch interval accesses, INSPECT, GET and unchanged SET write nothing")
    func nothing() throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let token = try client.issue("SUBJECT", "ann", "DATA", "a", "1")
            var counter = Counter(folder: try world.requireServer().folder)
            #expect(try !counter.next().isEmpty, "what was written is not seen")
            for index in 0..<100 {
                let client = try world.client(ofDaemon: index)
                _ = try client.pipeline([
                    ["TOKEN.VALIDATE", token], ["TOKEN.VISIT", token], ["TOKEN.INSPECT", token],
                    ["TOKEN.GET", token], ["TOKEN.SET", token, "DATA", "a", "1"], ["TOKEN.LIST", "ann"],
                    ["TOKEN.VALIDATE", TokenText.forged(token)], ["TOKEN.VALIDATE", TokenText.random()],
                ])
            }
            letPass(.milliseconds(100))
            #expect(try counter.next().isEmpty)
        }
    }

    @Test("a rotation costs two writes, however many present the old token")
    func rotations() throws {
        let settings = ["rotation.after": "100ms", "session.touch-interval": "60s"]
        try withWorld(daemons: 3, settings: settings) { world in
            let clients = try (0..<6).map { try world.client(ofDaemon: $0) }
            var token = try clients[0].issue()
            var counter = Counter(folder: try world.requireServer().folder)
            _ = try counter.next()
            let rounds = 15
            for _ in 0..<rounds {
                // Well past `rotation.after`: three daemons estimate Redis's clock to within some milliseconds.
                letPass(.milliseconds(130))
                let presented = token
                let answers = try concurrently(clients.count) { try clients[$0].validate(presented) }
                #expect(answers.allSatisfy(\.isAccepted) && Set(answers.compactMap(\.sessionToken)).count <= 1)
                token = answers.compactMap(\.sessionToken).first ?? presented
                let successor = token
                // Nobody's confirmation may be followed by the next rotation in the same round.
                for answer in try concurrently(3, work: { try clients[$0].validate(successor) }) {
                    #expect(answer.isAccepted)
                    if let newer = answer.sessionToken { token = newer }
                }
            }
            letPass(.milliseconds(100))
            let generation = try #require(try clients[0].inspect(token).generation)
            #expect(generation > rounds / 2, "too few rotations: \(generation)")
            let pending = try clients[0].inspect(token).text("successor") == "pending" ? 1 : 0
            #expect(try counter.next().count == 2 * (generation - 1) - pending)
        }
    }

    /// All that is written until nothing follows any more: what comes behind an answer is sent before anything that is asked
    /// behind it, and in its steps.
    private static func settle(_ counter: inout Counter, _ client: RESPClient) throws -> [[String]] {
        var writes: [[String]] = []
        while true {
            _ = try client.fields("TOKEN.INSPECT", TokenText.random())
            letPass(.milliseconds(20))
            let more = try counter.next()
            if more.isEmpty { return writes }
            writes += more
        }
    }

    @Test("each command writes exactly as often as docs/sessions.md says", arguments: WriteCase.all)
    private func documented(_ writeCase: WriteCase) throws {
        let row = try #require(try WriteCase.documented()[writeCase.row], "docs/sessions.md has no row for it")
        let documented = row + (writeCase.entersIndex && Topology.ofTests.isCluster ? 1 : 0)
        try withWorld(settings: writeCase.settings) { world in
            let client = try world.client()
            let folder = try world.requireServer().folder
            for _ in 0..<5 {
                let prepared = try writeCase.prepare(client)
                var counter = Counter(folder: folder)
                // What follows the answers of the preparation is none of the command's.
                _ = try Self.settle(&counter, client)
                let reply = try client.fields(prepared)
                #expect(reply.status == writeCase.status, "\(reply)")
                let writes = try Self.settle(&counter, client)
                #expect(writes.count == documented, "\(prepared[0]): \(writes)")
            }
        }
    }
}

/// A command in a situation of its own, and the row of docs/sessions.md, "Commands and writes", that says how often it
/// writes.
private struct WriteCase: CustomTestStringConvertible, Sendable {
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

    static let all: [WriteCase] = [
        WriteCase("VALIDATE, VISIT of a live session", "valid") { ["TOKEN.VISIT", try $0.issue()] },
        WriteCase(
            "… that is recorded, at most once a touch interval", "valid", settings: ["session.touch-interval": "1s"]
        ) {
            client in
            let token = try client.issue()
            letPass(.milliseconds(1_050))
            return ["TOKEN.VALIDATE", token]
        },
        WriteCase("… that rotates", "rotated", settings: ["rotation.after": "50ms", "rotation.overlap": "1h"]) {
            client in
            let token = try client.issue()
            letPass(.milliseconds(80))
            return ["TOKEN.VALIDATE", token]
        },
        WriteCase("… that confirms", "valid", settings: ["rotation.after": "1s", "rotation.overlap": "1h"]) { client in
            ["TOKEN.VISIT", try client.rotateWhenDue(client.issue())]
        },
        WriteCase("… that is `replayed`", "replayed") { client in
            let token = try client.issue()
            _ = try client.fields("TOKEN.ROTATE", token)
            return ["TOKEN.VALIDATE", token]
        },
        WriteCase("VISIT of a guest, and without a token", "none") { _ in ["TOKEN.VISIT", ""] },
        WriteCase("ISSUE", "issued") { _ in ["TOKEN.ISSUE"] },
        WriteCase("… with a subject", "issued", entersIndex: true) { _ in ["TOKEN.ISSUE", "SUBJECT", "ann"] },
        WriteCase("LOGIN that makes a session", "issued", entersIndex: true) { _ in ["TOKEN.LOGIN", "", "ann"] },
        WriteCase("… of a guest's, or of nobody's", "issued", entersIndex: true) {
            ["TOKEN.LOGIN", try $0.issue(), "ann"]
        },
        WriteCase("… that renews one", "issued", entersIndex: true) {
            ["TOKEN.LOGIN", try $0.issue("SUBJECT", "ann"), "ann"]
        },
        WriteCase("… in the place of another subject's", "issued", entersIndex: true) {
            ["TOKEN.LOGIN", try $0.issue("SUBJECT", "bob"), "ann"]
        },
        WriteCase("… again, with nothing new", "issued") { client in
            let token = try client.issue()
            _ = try client.fields("TOKEN.LOGIN", token, "ann")
            return ["TOKEN.LOGIN", token, "ann"]
        },
        WriteCase("… under a limit that ends another's", "issued", settings: limited, entersIndex: true) { client in
            _ = try client.fields("TOKEN.LOGIN", "", "ann")
            return ["TOKEN.LOGIN", "", "ann"]
        },
        WriteCase("… under a limit and `refuse`", "issued", settings: refusing) { client in
            _ = try client.fields("TOKEN.REVOKEALL", "ann")
            return ["TOKEN.LOGIN", "", "ann"]
        },
        WriteCase("… that is refused", "refused", settings: refusing) { client in
            _ = try client.fields("TOKEN.LOGIN", "", "ann")
            return ["TOKEN.LOGIN", "", "ann"]
        },
        WriteCase("ROTATE", "rotated") { ["TOKEN.ROTATE", try $0.issue("SUBJECT", "ann")] },
        WriteCase("REVOKE", "revoked") { ["TOKEN.REVOKE", try $0.issue()] },
        WriteCase("… of a subject's", "revoked") { ["TOKEN.REVOKE", try $0.issue("SUBJECT", "ann")] },
        WriteCase("EXPIRE", "valid") { ["TOKEN.EXPIRE", try $0.issue("SUBJECT", "ann"), "IDLE", "1h"] },
        WriteCase("… with a later end of a subject's", "valid") {
            ["TOKEN.EXPIRE", try $0.issue("SUBJECT", "ann"), "ABSOLUTE", "48h"]
        },
        WriteCase("SET, INCR, GETDEL that change something", "valid") {
            ["TOKEN.INCR", try $0.issue("SUBJECT", "ann"), "DATA", "n"]
        },
        WriteCase("… that change nothing", "valid") {
            ["TOKEN.SET", try $0.issue("DATA", "n", "1"), "DATA", "n", "1"]
        },
        WriteCase("GET, INSPECT, LIST, COUNT", "valid") { ["TOKEN.GET", try $0.issue("DATA", "n", "1")] },
    ]

    /// Row → writes.
    static func documented() throws -> [String: Int] {
        let text = try PackageFolder.text("docs/sessions.md")
        let section = try #require(text.split(separator: "### Commands and writes").last)
        var rows: [String: Int] = [:]
        for line in section.split(separator: "\n").prefix(while: { !$0.hasPrefix("### ") }) where line.hasPrefix("|") {
            let cells = line.split(separator: "|").map { $0.drop { $0 == " " } }.map { text in
                String(text.reversed().drop { $0 == " " }.reversed())
            }
            if cells.count == 3, let writes = Int(cells[2]) { rows[cells[0]] = writes }
        }
        return rows
    }
}
