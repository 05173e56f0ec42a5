import Synchronization
import TestSupport
import Testing

@Suite("S11: what was acknowledged survives kill -9 of daemon and Redis with appendfsync always", .parallel)
struct S11DurabilityTests {
    /// Every write waits for a disk that others use, too.
    private static let settings = ["redis.timeout": "10s"]

    /// What clients were told, up to the kill.
    private struct Acknowledged {
        var live: Set<String> = []
        var dead: Set<String> = []
        /// A session's token → what its counter was told last, and the flash message that it holds, if that is certain.
        var counters: [String: Int] = [:]
        var messages: [String: String] = [:]
        /// Under way when everything was killed: may have happened or not.
        var open: Set<String> = []
    }

    @Test("both are killed while they work", arguments: Backend.allCases)
    func killBoth(_ backend: Backend) throws {
        var settings = Self.settings
        if backend == .embedded { settings["redis.appendfsync"] = "always" }
        try withWorld(backend, settings: settings, redis: ["--appendfsync", "always"]) { world in
            let journal = Mutex(Acknowledged())
            let pid = try redisPID(world)
            let workers = try (0..<4).map { worker in
                let client = try world.client()
                return Background { [self] in try step(client, "user-\(worker)", journal) }
            }
            _ = try eventually(within: .seconds(60), "enough work") {
                journal.withLock { $0.live.count + $0.dead.count > 150 ? true : nil }
            }
            Processes.signal(pid, .kill)
            world.daemon.kill9()
            // Each of them ends with the connection it lost.
            for worker in workers { try? worker.stop() }

            try world.server?.restart()
            try world.daemon.start()
            try verify(try world.client(), journal.withLock { $0 })
        }
    }

    @Test("the daemon alone is killed: the Redis it left is ended at the next start, and its data is there")
    func killDaemon() throws {
        let settings = Self.settings.merging(["redis.appendfsync": "always"]) { $1 }
        try withWorld(.embedded, settings: settings) { world in
            let journal = Mutex(Acknowledged())
            let client = try world.client()
            // Half of them log out, by the toss of a coin: enough that ten of each kind are certain.
            for index in 0..<80 { try step(client, "user-\(index)", journal) }
            let orphan = try redisPID(world)
            world.daemon.kill9()
            try world.daemon.start()
            #expect(try redisPID(world) != orphan, "two daemons must not share what one of them left")
            try verify(try world.client(), journal.withLock { $0 })
        }
    }

    private func redisPID(_ world: World) throws -> Int32 {
        let info = try #require(try world.daemon.redis().call("INFO", "server").text)
        let line = try #require(info.split(separator: "\r\n").first { $0.hasPrefix("process_id:") })
        return try #require(Int32(line.dropFirst("process_id:".count)))
    }

    /// One visitor: comes, logs in, perhaps logs out. What is being changed counts as open until it is acknowledged.
    private func step(_ client: RESPClient, _ subject: String, _ journal: borrowing Mutex<Acknowledged>) throws {
        let first = try client.issue()
        journal.withLock { _ = $0.live.insert(first) }
        try remember(client, first, journal)

        journal.withLock {
            $0.live.remove(first); $0.open.insert(first)
        }
        let second = try client.fields("TOKEN.LOGIN", first, subject).newToken()
        journal.withLock {
            $0.open.remove(first)
            $0.dead.insert(first)
            $0.live.insert(second)
            // The session keeps its data.
            $0.counters[second] = $0.counters.removeValue(forKey: first)
            $0.messages[second] = $0.messages.removeValue(forKey: first)
        }
        guard Bool.random() else { return }
        journal.withLock {
            $0.live.remove(second); $0.open.insert(second)
        }
        guard try client.fields("TOKEN.REVOKE", second).status == "revoked" else {
            throw HarnessFailure("REVOKE of a live token")
        }
        journal.withLock {
            $0.open.remove(second); $0.dead.insert(second)
        }
    }

    /// Counts, leaves a message, and takes what it may have left before.
    private func remember(
        _ client: RESPClient, _ token: String, _ journal: borrowing Mutex<Acknowledged>
    ) throws {
        for round in 1...3 {
            let value = try client.fields("TOKEN.INCR", token, "DATA", "n").integer("value")
            #expect(value == round)
            journal.withLock { $0.counters[token] = round }
            // Until it is acknowledged nobody knows.
            let message = journal.withLock { $0.messages.removeValue(forKey: token) }
            let taken = try client.fields("TOKEN.GETDEL", token, "DATA", "flash").data()
            #expect(taken["flash"] == message)
            let set = try client.fields("TOKEN.SET", token, "IF", "flash", "", "DATA", "flash", "\(round)")
            #expect(set.integer("changed") == 1)
            journal.withLock { $0.messages[token] = "\(round)" }
        }
    }

    private func verify(_ client: RESPClient, _ told: Acknowledged) throws {
        #expect(told.live.count > 10 && told.dead.count > 10)
        let (live, messages) = (Array(told.live), told.messages)
        for reply in try client.pipeline(live.map { ["TOKEN.VALIDATE", $0] }) {
            #expect(try Fields(reply).status == "valid", "an acknowledged issue or login is lost")
        }
        for (token, reply) in zip(live, try client.pipeline(live.map { ["TOKEN.GET", $0] })) {
            let data = try Fields(reply).data()
            let (count, told) = (Int(data["n"] ?? "0") ?? -1, told.counters[token] ?? 0)
            // One more may have been carried out and not been told.
            #expect((told...told + 1).contains(count), "S14 \(told) were acknowledged, \(count) counted")
            if let message = messages[token] { #expect(data["flash"] == message, "S14 acknowledged data is lost") }
        }
        for reply in try client.pipeline(told.dead.map { ["TOKEN.VALIDATE", $0] }) {
            #expect(try !Fields(reply).isAccepted, "an acknowledged end is lost")
        }
    }
}
