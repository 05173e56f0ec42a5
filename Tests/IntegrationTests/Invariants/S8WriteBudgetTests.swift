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

    @Test("each command writes exactly as often as docs/sessions.md says", arguments: CommandCost.all)
    func documented(_ command: CommandCost) throws {
        let documented = try command.documented().writes + (command.entersIndex && Topology.ofTests.isCluster ? 1 : 0)
        try withWorld(settings: command.settings) { world in
            let client = try world.client()
            let folder = try world.requireServer().folder
            for _ in 0..<5 {
                let prepared = try command.prepare(client)
                var counter = Counter(folder: folder)
                // What follows the answers of the preparation is none of the command's.
                _ = try Self.settle(&counter, client)
                let reply = try client.fields(prepared)
                #expect(reply.status == command.status, "\(reply)")
                let writes = try Self.settle(&counter, client)
                #expect(writes.count == documented, "\(prepared[0]): \(writes)")
            }
        }
    }
}
