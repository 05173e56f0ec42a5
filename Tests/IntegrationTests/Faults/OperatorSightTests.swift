import Foundation
import TestSupport
import Testing

/// What visitors are answered UNAVAILABLE for, the operator sees: in the log with the remedy, in INFO, and by `doctor`.
@Suite("A fault is seen by the operator, too", .parallel)
struct OperatorSightTests {
    /// A fault that leaves the connection to Redis as it is.
    struct Fault: Sendable, CustomTestStringConvertible {
        let text: String
        let remedy: String
        var options: [String] = []
        /// What is sent to Redis.
        var inject: [[String]] = []
        let testDescription: String

        static let all = [
            Fault(
                text: "Redis has reached its memory limit", remedy: "raise `maxmemory`",
                inject: [["CONFIG", "SET", "maxmemory", "1"]], testDescription: "maxmemory"),
            Fault(
                text: "Redis has too few replicas to accept writes", remedy: "bring the replicas back",
                inject: [["CONFIG", "SET", "min-replicas-to-write", "1"]], testDescription: "too few replicas"),
            Fault(
                text: "Redis did not answer in time", remedy: "redis-cli --latency",
                inject: [["CLIENT", "PAUSE", "8000", "WRITE"]], testDescription: "slow answers"),
            Fault(
                text: "the Redis user lacks a permission", remedy: "conf/redis-users.acl",
                inject: [["ACL", "SETUSER", "default", "-zadd"]], testDescription: "a missing permission"),
            Fault(
                text: "Redis does not know a command that the daemon needs", remedy: "rename-command",
                options: ["--rename-command", "ZADD", ""], testDescription: "a renamed command"),
        ]
    }

    @Test("the answer, the log, INFO and doctor say the same", arguments: Fault.all)
    func seen(_ fault: Fault) throws {
        try withWorld(settings: ["redis.timeout": "700ms"], redis: fault.options, isRestricted: false) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            for command in fault.inject { #expect(try redis.call(command) == .simple("OK")) }
            try expectSeen(fault.text, fault.remedy, world) { try client.call("TOKEN.ISSUE", "SUBJECT", "ann") }
            _ = try redis.call("CLIENT", "UNPAUSE")
            _ = try redis.call("ACL", "SETUSER", "default", "+@all")
        }
    }

    @Test("a full disk")
    func fullDisk() throws {
        let options = ["--enable-protected-configs", "yes"]
        try withWorld(redis: options, isRestricted: false) { world in
            let redis = try world.daemon.redis()
            let gone = "\(try world.requireServer().folder)/gone"
            try FileManager.default.createDirectory(atPath: gone, withIntermediateDirectories: false)
            #expect(try redis.call("CONFIG", "SET", "dir", gone) == .simple("OK"))
            try FileManager.default.removeItem(atPath: gone)
            _ = try redis.call("CONFIG", "SET", "save", "3600 1")
            try redis.failToSave()
            let client = try world.client()
            let page = try expectSeen(
                "Redis refuses writes because it cannot save to disk", "is Redis's disk full", world
            ) { try client.call("TOKEN.ISSUE") }
            #expect(page.contains("fail redis disk"), "\(page)")
            _ = try redis.call("CONFIG", "SET", "save", "")
            _ = try redis.call("CONFIG", "SET", "dir", try world.requireServer().folder)
        }
    }

    @Test("a busy script")
    func busy() throws {
        try withWorld(redis: ["--busy-reply-threshold", "50"], isRestricted: false) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            let loop =
                "local e=redis.call('TIME')[1]+5; while tonumber(redis.call('TIME')[1])<e do end; return 'through'"
            try redis.send("EVAL", loop, "0")
            letPass(.milliseconds(300))
            try expectSeen("Redis is busy with a long script", "SCRIPT KILL", world) {
                // Of three masters the others go on.
                try eventually("one that the busy master has") { () throws -> RESPValue? in
                    let reply = try client.call("TOKEN.ISSUE")
                    return reply.errorText == nil ? nil : reply
                }
            }
            #expect(try redis.readReply().text == "through")
        }
    }

    @Test("a fault is logged at a bounded rate, with the number of answers")
    func bounded() throws {
        try withWorld { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            _ = try redis.call("CONFIG", "SET", "maxmemory", "1")
            for _ in 0..<200 { expectError("UNAVAILABLE", try client.call("TOKEN.ISSUE")) }
            let lines = world.daemon.log.components(separatedBy: "visitors are answered UNAVAILABLE").count - 1
            #expect(lines == 1, "\(world.daemon.log)")
            #expect(try DaemonFacts(client, "tokens").number("unavailable_answers") == 200)
            _ = try redis.call("CONFIG", "SET", "maxmemory", "0")
        }
    }

    @Test("a healthy daemon: PROBE writes for real and leaves nothing that stays")
    func healthy() throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let probe = try client.fields("PROBE")
            #expect(probe.status == "ok" && probe.text("fault") == "", "\(probe)")
            #expect(probe.text("persistence") == "aof" && probe.text("disk") == "ok")
            let keys = try KeyAudit.keysOfUsers(world.daemon.redis())
            let redis = try world.daemon.redis()
            for key in keys { #expect((try redis.call("PTTL", key).integer ?? -1) <= 11_000, "\(key)") }
            let page = try doctor(world)
            #expect(page.contains("ok redis write") && page.contains("ok redis disk"), "\(page)")
            #expect(page.contains("ok key rings the same at all 2 daemons"), "\(page)")
        }
    }

    @Test("daemons with different key rings are told apart by doctor on either")
    func keyRings() throws {
        try withWorld { world in
            let other = "\(world.stage.folder.path)/other.json"
            let ring = TestRing(path: other)
            try ring.write([ring.key("other", activeFrom: 1)])
            let stranger = try world.stage.addDaemon(
                .redis(world.requireServer()), settings: ["keyring.file": other])
            _ = try stranger.client().fields("PROBE")
            for daemon in [world.daemon, stranger] {
                let page = try doctor(world, daemon)
                #expect(page.contains("fail key rings"), "\(page)")
                #expect(page.contains("tokencachectl reload"), "\(page)")
            }
        }
    }

    @Test("an external Redis that keeps nothing is a finding, and so is one that came back empty, within seconds")
    func dataLoss() throws {
        try withWorld(redis: ["--appendonly", "no"]) { world in
            let client = try world.client()
            #expect(try doctor(world).contains("warn redis disk Redis keeps nothing on disk"))
            try world.requireServer().restart()
            try client.awaitService()
            try awaitThat("the loss is noticed") {
                try DaemonFacts(client, "upstream").number("upstream_data_losses") == 1
            }
            #expect(world.daemon.log.contains("Redis was started anew and is without what was written before"))
            #expect(try doctor(world).contains("fail redis data"))
        }
    }

    @Test("a Redis that came back with its data is no loss")
    func noDataLoss() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            try world.requireServer().restart()
            try client.awaitService()
            #expect(try client.answered("TOKEN.VALIDATE", token).status == "valid")
            _ = try client.fields("PROBE")
            #expect(try DaemonFacts(client, "upstream").number("upstream_data_losses") == 0)
        }
    }

    @Test("clocks that differ are told in the log, once, and by doctor")
    func clocks() throws {
        try withWorld { world in
            let daemon = try world.stage.addDaemon(
                .redis(world.requireServer()), environment: ShiftedClock.environment("-20s"))
            let words = "this host's clock and Redis's differ"
            try awaitThat("it is told") { daemon.log.contains(words) }
            letPass(.milliseconds(1_500))
            #expect(daemon.log.components(separatedBy: words).count == 2, "\(daemon.log)")
            #expect(!world.daemon.log.contains(words))
            let page = try doctor(world, daemon)
            #expect(page.contains("warn clock") && page.contains("chrony"), "\(page)")
        }
    }

    @Test("a Redis whose CONFIG is renamed away serves all the same")
    func renamedConfig() throws {
        try withWorld(redis: ["--rename-command", "CONFIG", ""], isRestricted: false) { world in
            let client = try world.client()
            #expect(try client.fields("PROBE").status == "ok")
            _ = try client.issue("SUBJECT", "ann")
        }
    }

    @Test("doctor says why the near cache is not armed, and what to do", .needsNearCache)
    func notArmed() throws {
        try withWorld(isRestricted: false) { world in
            let redis = try world.daemon.redis()
            _ = try redis.call("ACL", "SETUSER", "default", "-subscribe")
            _ = try redis.call("CLIENT", "KILL", "TYPE", "pubsub")
            let client = try world.client()
            try awaitThat("the reason is known") {
                try DaemonFacts(client, "nearcache")["near_cache_fault"]?.contains("lacks a permission") == true
            }
            let page = try doctor(world)
            #expect(page.contains("warn near cache not armed"), "\(page)")
            #expect(page.contains("conf/redis-users.acl"), "\(page)")
        }
    }

    // MARK: Looking

    /// What doctor prints, with one space where columns have more: how wide they are depends on the topology.
    private func doctor(_ world: World, _ daemon: Daemon? = nil) throws -> String {
        let socket = (daemon ?? world.daemon).socket
        return try Tool.run(world.stage, PackageFolder.program("tokencachectl"), ["--socket", socket, "doctor"])
            .output.replacing(/\ {2,}/, with: " ")
    }

    /// - Returns: what doctor printed.
    @discardableResult
    private func expectSeen(
        _ text: String, _ remedy: String, _ world: World, _ visit: () throws -> RESPValue
    ) throws -> String {
        let reply = try visit()
        #expect(reply.errorCode == "UNAVAILABLE" && reply.errorText?.contains(text) == true, "\(reply)")
        let log = world.daemon.log.split(separator: "\n").last {
            $0.contains("visitors are answered UNAVAILABLE: \(text)")
        }
        #expect(log?.contains("remedy=") == true && log?.contains(remedy) == true, "\(world.daemon.log)")
        let facts = try DaemonFacts(world.client(), "upstream")
        #expect(facts["upstream_last_fault"]?.hasPrefix(text) == true, "\(facts)")
        #expect(facts["upstream_last_fault_remedy"]?.contains(remedy) == true, "\(facts)")
        let page = try doctor(world)
        let write = page.components(separatedBy: "fail redis write").dropFirst().first ?? ""
        // A Redis that is slow for long is one that does not answer; in a cluster that is after a second.
        let isSilent = write.contains("Redis does not answer") && Topology.ofTests.isCluster
        #expect(write.contains(text) || isSilent, "\(page)")
        let advice = write.split(separator: "\n").dropFirst().first ?? ""
        #expect(advice.contains(remedy) || isSilent, "\(page)")
        #expect(page.contains("fail answers"), "\(page)")
        let status =
            try Tool.run(
                world.stage, PackageFolder.program("tokencachectl"), ["--socket", world.daemon.socket, "status"]
            ).output.split(separator: "\n").first { $0.hasPrefix("last fault") } ?? ""
        #expect(status.contains(text) || status.contains("Redis does not answer"), "\(status)")
        #expect(status.contains(" ago: "), "\(status)")
        return page
    }
}
