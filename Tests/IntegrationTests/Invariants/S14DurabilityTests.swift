import Synchronization
import TestSupport
import Testing

@Suite(
    "S14: no INCR that was acknowledged is lost to kill -9 with appendfsync always, and none counts twice", .parallel)
struct S14DurabilityTests {
    /// What is known of a session's number.
    private struct Known {
        var acknowledged = 0
        /// Sent, and not answered.
        var open = 0
    }

    @Test(
        "the daemon is killed, Redis is, both are; the number goes on from where it stood",
        arguments: ["daemon", "redis", "both"])
    func killed(_ killed: String) throws {
        try withWorld(settings: ["redis.timeout": "10s"], redis: ["--appendfsync", "always"]) { world in
            let count = 6
            let tokens = try world.client().issue(count: count)
            let known = Mutex(Array(repeating: Known(), count: count))
            var uncertain = 0
            for round in 1...4 {
                let workers = try tokens.indices.map { index in
                    let client = try world.client()
                    return Background { try Self.increment(client, tokens[index], index, known) }
                }
                _ = try eventually(within: .seconds(60), "enough work") {
                    known.withLock { $0.allSatisfy { $0.acknowledged >= 10 * round } } ? true : nil
                }
                if killed != "daemon" { try world.requireServer().kill9() }
                if killed != "redis" { world.daemon.kill9() }
                if killed != "daemon" { try world.requireServer().start() }
                for worker in workers { try? worker.stop() }
                if killed != "redis" { try world.daemon.start() }
                let client = try world.client()
                try client.awaitService()
                for index in tokens.indices {
                    let value =
                        Int(try client.answered("TOKEN.GET", tokens[index], "DATA", "n").data()["n"] ?? "") ?? -1
                    known.withLock {
                        let (least, most) = ($0[index].acknowledged, $0[index].acknowledged + $0[index].open)
                        #expect((least...most).contains(value), "\(value) is not between \(least) and \(most)")
                        uncertain += $0[index].open
                        $0[index] = Known(acknowledged: value)
                    }
                }
            }
            #expect(uncertain > 0, "nothing was under way when it was killed")
        }
    }

    /// One step, which answers the number after the last one that is known.
    private static func increment(
        _ client: RESPClient, _ token: String, _ index: Int, _ known: borrowing Mutex<[Known]>
    ) throws {
        let before = known.withLock { known in
            known[index].open += 1
            return known[index].acknowledged
        }
        let value = try client.fields("TOKEN.INCR", token, "DATA", "n").integer("value")
        guard value == before + 1 else { throw HarnessFailure("\(before) and 1 is not \(value ?? -1)") }
        known.withLock { $0[index] = Known(acknowledged: before + 1) }
    }
}
