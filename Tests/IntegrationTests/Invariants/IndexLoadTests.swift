import Foundation
import Synchronization
import TestSupport
import Testing

/// What very many sessions and very many subjects cost who comes beside them. `make bench-index`, half an hour.
@Suite(
    "The load of indexes", .serialized,
    .enabled(if: ProcessInfo.processInfo.environment["BENCH_INDEX"] == "1", "a measurement: make bench-index"))
struct IndexLoadTests {
    /// Every validation asks Redis.
    private static let cold = ["near-cache.max-memory": "0"]

    @Test("LISTs of 1,000 sessions, 200 in flight: another visitor's median stays within three times its own")
    func lists() throws {
        for connections in [1, 20] {
            try withWorld(settings: Self.cold) { world in
                var visitor = try Visitor(world)
                try Self.fill(world, (0..<1_000).map { _ in ["TOKEN.ISSUE", "SUBJECT", "many"] })
                var (quiet, busy) = (Latencies(), Latencies())
                for _ in 0..<5 {
                    quiet += try visitor.come(for: .seconds(2))
                    let readers = try (0..<connections).map { _ in
                        let client = try RESPClient(path: world.daemon.socket, limit: .seconds(60))
                        let lists = Array(repeating: ["TOKEN.LIST", "many", "LIMIT", "1000"], count: 200 / connections)
                        return Background {
                            for list in try client.pipeline(lists) where list.elements?.count != 1_000 {
                                throw HarnessFailure("LIST: \(list)")
                            }
                        }
                    }
                    busy += try visitor.come(for: .seconds(2))
                    for reader in readers { try reader.stop() }
                }
                print("200 LISTs on \(connections) connections: a visit \(busy); without them \(quiet)")
                #expect(busy.milliseconds(at: 0.5) <= 5 * quiet.milliseconds(at: 0.5))
            }
        }
    }

    @Test("100,000 subjects whose sessions are dead: after two rounds nothing is left of their indexes")
    func dead() throws {
        try withWorld(settings: ["janitor.interval": "10s", "janitor.rate": "1000000"]) { world in
            let redis = try world.requireServer().client()
            func indexes() throws -> Int {
                try ["u", "n"].reduce(0) { count, kind in
                    count + (try redis.call("KEYS", "\(world.stage.prefix)\(kind):*").elements?.count ?? 0)
                }
            }
            try Self.fill(
                world, (0..<100_000).map { ["TOKEN.ISSUE", "SUBJECT", "dead-\($0)", "IDLE", "1s", "ABSOLUTE", "20h"] })
            let full = try redis.call("INFO", "memory").text ?? ""
            #expect(try indexes() >= 100_000)
            let start = ContinuousClock.now
            // A round, the two minutes of the margin, a round.
            _ = try eventually(within: .seconds(300), "no index is left") { () -> Bool? in
                letPass(.seconds(2))
                return try indexes() == 0 ? true : nil
            }
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            print(
                "100,000 dead sessions: no index left after \(Int(seconds)) s;",
                "Redis had \(Self.memory(full)), has \(Self.memory(try redis.call("INFO", "memory").text ?? ""))")
        }
    }

    @Test("a million indexes, walked at the rate of janitor.rate: a visitor does not notice")
    func million() throws {
        let folder = try TemporaryFolder()
        let file = "\(folder.path)/c.yaml"
        func setRate(_ rate: Int) throws {
            try Data("janitor:\n  rate: \(rate)\n  interval: 30d\n".utf8).write(to: URL(filePath: file))
        }
        try setRate(1)
        let launcher = ["/bin/sh", "-c", "exec \"$@\" --config '\(file)'", "sh"]
        try withWorld(settings: Self.cold, launcher: launcher) { world in
            var visitor = try Visitor(world)
            for part in 0..<100 {
                try Self.fill(world, (0..<10_000).map { ["TOKEN.ISSUE", "SUBJECT", "subject-\(part)-\($0)"] })
            }
            var (quiet, busy) = (Latencies(), Latencies())
            var walking = 0.0
            while try world.daemon.figure("janitor_rounds") == 0, walking < 1_800 {
                // By turns, so that both meet the same machine.
                try setRate(1)
                #expect(try world.client().call("RELOAD") == .simple("OK"))
                quiet += try visitor.come(for: .seconds(15))
                try setRate(1_000)
                #expect(try world.client().call("RELOAD") == .simple("OK"))
                busy += try visitor.come(for: .seconds(45))
                if try world.daemon.figure("janitor_walking") == 1 { walking += 45 }
            }
            #expect(try world.daemon.figure("janitor_rounds") == 1)
            let walked = try world.daemon.figure("janitor_indexes")
            #expect(walked >= 1_000_000)
            print("\(walked) indexes in \(Int(walking)) s of walking: a visit \(busy); without the janitor \(quiet)")
            #expect(busy.milliseconds(at: 0.99) <= 1.5 * quiet.milliseconds(at: 0.99))
            // Too many for the look at all keys with which a test ends.
            #expect(try world.requireServer().client().call("FLUSHALL") == .simple("OK"))
        }
    }

    @Test("200,000 sessions are swept after REVOKEEVERYONE: a visitor is served meanwhile")
    func everyone() throws {
        try withWorld(settings: Self.cold) { world in
            var visitor = try Visitor(world)
            try Self.fill(world, (0..<200_000).map { ["TOKEN.ISSUE", "SUBJECT", "subject-\($0)"] })
            let quiet = try visitor.come(for: .seconds(10))
            let admin = try RESPClient(path: world.daemon.socket, limit: .seconds(120))
            let start = ContinuousClock.now
            let isOver = Mutex<Duration?>(nil)
            let sweep = Background {
                if isOver.withLock({ $0 != nil }) { return letPass(.milliseconds(10)) }
                let count = try admin.fields("TOKEN.REVOKEEVERYONE").integer("count")
                guard let count, count >= 200_000 else { throw HarnessFailure("\(count ?? -1) ended") }
                isOver.withLock { $0 = ContinuousClock.now - start }
            }
            var busy = Latencies()
            while isOver.withLock({ $0 == nil }) { busy += try visitor.come(for: .milliseconds(500)) }
            try sweep.stop()
            let seconds = isOver.withLock { ($0 ?? .zero) / .seconds(1) }
            print(
                "200,000 sessions swept in \(seconds) s: a visit \(busy);",
                "without the sweep \(quiet)")
            #expect(busy.milliseconds(at: 0.5) <= 3 * quiet.milliseconds(at: 0.5))
            #expect(try world.requireServer().client().call("FLUSHALL") == .simple("OK"))
        }
    }

    /// Without a note of the tokens, which are too many.
    private static func fill(_ world: World, _ commands: [[String]]) throws {
        let client = try RESPClient(path: world.daemon.socket, limit: .seconds(60))
        var rest = commands[...]
        while !rest.isEmpty {
            for reply in try client.pipeline(Array(rest.prefix(500))) {
                if let error = reply.errorText { throw HarnessFailure("filling: \(error)") }
            }
            rest = rest.dropFirst(500)
        }
        client.quit()
    }

    private static func memory(_ information: String) -> String {
        information.split(whereSeparator: \.isNewline).first { $0.hasPrefix("used_memory_human:") }
            .map { String($0.dropFirst("used_memory_human:".count)) } ?? "?"
    }
}

/// One who logs in and comes back, again and again, a few milliseconds apart.
private struct Visitor {
    private let client: RESPClient
    private var visits = 0

    init(_ world: World) throws { client = try RESPClient(path: world.daemon.socket, limit: .seconds(60)) }

    /// Throws where a visit is answered `UNAVAILABLE`.
    /// - Returns: how long each visit took, a LOGIN and a VALIDATE that asks Redis.
    mutating func come(for span: Duration) throws -> Latencies {
        var latencies = Latencies()
        let end = ContinuousClock.now + span
        while ContinuousClock.now < end {
            visits += 1
            let start = ContinuousClock.now
            let token = try client.fields("TOKEN.LOGIN", "", "visitor-\(visits)", "IDLE", "1m", "ABSOLUTE", "1m")
                .newToken()
            guard try client.fields("TOKEN.VALIDATE", token).status == "valid" else {
                throw HarnessFailure("not valid")
            }
            latencies.add(ContinuousClock.now - start)
            letPass(.milliseconds(5))
        }
        return latencies
    }
}

/// How long things took.
private struct Latencies: CustomStringConvertible {
    private var all: [Double] = []

    mutating func add(_ latency: Duration) { all.append(latency / .milliseconds(1)) }

    static func += (left: inout Latencies, right: Latencies) { left.all += right.all }

    func milliseconds(at share: Double) -> Double {
        let sorted = all.sorted()
        return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }

    var description: String {
        let figures = [0.5, 0.99].map { String(format: "%.2f", milliseconds(at: $0)) }
        return "p50 \(figures[0]) ms, p99 \(figures[1]) ms (\(all.count) times)"
    }
}
