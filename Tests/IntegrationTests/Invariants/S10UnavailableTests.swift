import TestSupport
import Testing

@Suite("S10: Redis out of reach is UNAVAILABLE in time, and nothing else", .demanding)
struct S10UnavailableTests {
    private static let settings = ["redis.timeout": "250ms"]
    /// The daemon's limit and what a busy test machine adds.
    private let limit = Duration.milliseconds(250) + .milliseconds(500)

    private func commands(_ token: String) -> [[String]] {
        [
            ["TOKEN.VALIDATE", token], ["TOKEN.VISIT", token], ["TOKEN.INSPECT", token], ["TOKEN.GET", token],
            ["TOKEN.ISSUE"], ["TOKEN.LOGIN", token, "ann"], ["TOKEN.ROTATE", token],
            ["TOKEN.SET", token, "DATA", "a", "1"], ["TOKEN.REVOKE", token],
            ["TOKEN.REVOKE", "SID", TokenText.sid(token)], ["TOKEN.REVOKEALL", "ann"], ["TOKEN.LIST", "ann"],
            ["TOKEN.VALIDATE", TokenText.random()],
        ]
    }

    /// In time at one of three attempts: a busy machine is late now and then, not three times running.
    private func expectUnavailable(_ client: RESPClient, _ command: [String]) throws {
        for attempt in 1...3 {
            let start = ContinuousClock.now
            let reply = try client.call(command)
            let elapsed = ContinuousClock.now - start
            let fields = try? Fields(reply)
            if fields?.integer("stale") != 1 || fields?.isAccepted != true {
                expectError("UNAVAILABLE", reply, hiding: Array(command.dropFirst()))
            }
            if elapsed < limit { return }
            #expect(attempt < 3, "\(command[0]) took \(elapsed)")
        }
    }

    @Test("Redis hangs: every command, and service again when it goes on")
    func hang() throws {
        try withWorld(settings: Self.settings) { world in
            let client = try world.client()
            let token = try client.issue("SUBJECT", "ann")
            let server = try world.requireServer()
            server.pause()
            for command in commands(token) { try expectUnavailable(client, command) }
            #expect(try client.call("PING") == .simple("PONG"), "what needs no Redis is answered")
            server.resume()
            try client.awaitService()
            let reply = try client.answered("TOKEN.VALIDATE", token)
            #expect(reply.status == "valid", "a command that was given up acted later: \(reply)")
            #expect(try client.answered("TOKEN.REVOKE", token).status == "revoked")
        }
    }

    @Test("many at once while Redis hangs: each in time, nobody waits for the others")
    func hangTogether() throws {
        try withWorld(settings: Self.settings) { world in
            let token = try world.client().issue()
            let server = try world.requireServer()
            server.pause()
            _ = try concurrently(30) { _ in
                try world.client()
            } work: { _, client in
                for _ in 0..<3 { try self.expectUnavailable(client, ["TOKEN.VALIDATE", token]) }
            }
            server.resume()
        }
    }

    @Test("Redis is gone: every command, and service again when it is back")
    func gone() throws {
        try withWorld(settings: Self.settings) { world in
            let client = try world.client()
            let token = try client.issue("SUBJECT", "ann")
            let server = try world.requireServer()
            server.kill9()
            for command in commands(token) { try expectUnavailable(client, command) }
            try server.start()
            try client.awaitService(within: .seconds(5))
            #expect(try client.answered("TOKEN.VALIDATE", token).status == "valid")
        }
    }

    @Test("Redis is not there at the start: the daemon runs, and serves when it comes")
    func notYet() throws {
        try withWorld(settings: Self.settings) { world in
            let server = try world.requireServer()
            server.kill9()
            let late = try world.stage.addDaemon(.redis(server), settings: Self.settings, readiness: .answers)
            let client = try late.client()
            try expectUnavailable(client, ["TOKEN.ISSUE"])
            try expectUnavailable(client, ["TOKEN.VALIDATE", TokenText.random()])
            try server.start()
            try client.awaitService(within: .seconds(5))
        }
    }

    @Test("the embedded Redis hangs or dies: unavailable, and mended by the daemon itself")
    func embedded() throws {
        let settings = Self.settings.merging(["redis.appendfsync": "always"]) { $1 }
        try withWorld(.embedded, settings: settings) { world in
            let client = try world.client()
            let token = try client.issue()
            let info = try #require(try world.daemon.redis().call("INFO", "server").text)
            let line = try #require(info.split(separator: "\r\n").first { $0.hasPrefix("process_id:") })
            let pid = try #require(Int32(line.dropFirst("process_id:".count)))
            Processes.signal(pid, .stop)
            try expectUnavailable(client, ["TOKEN.VALIDATE", token])
            Processes.signal(pid, .go)
            try client.awaitService()
            Processes.signal(pid, .kill)
            try client.awaitService(within: .seconds(10))
            #expect(try client.answered("TOKEN.VALIDATE", token).status == "valid")
        }
    }
}
