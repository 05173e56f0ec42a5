import Foundation
import TestSupport
import Testing

/// A server that answers is not for that the one to ask. Whatever ends its role, nothing is answered from memory a second
/// later, and what it says is not believed either.
@Suite("Proof of life: a server that has lost its role is not believed", .demanding)
struct ProofOfLifeTests {
    /// Presents the token for so long, every 10 ms.
    /// - Returns: when it was accepted last, from the first call on; nil if never. And the last answer.
    private static func present(
        _ token: String, _ client: RESPClient, for span: Duration
    ) throws -> (accepted: Duration?, last: RESPValue) {
        let start = ContinuousClock.now
        var accepted: Duration?
        var last = RESPValue.null
        while ContinuousClock.now - start < span {
            last = try client.call("TOKEN.VALIDATE", token)
            if last.errorText == nil, try Fields(last).isAccepted { accepted = ContinuousClock.now - start }
            letPass(.milliseconds(10))
        }
        return (accepted, last)
    }

    private static func awaitAccepted(_ token: String, _ client: RESPClient) throws {
        _ = try eventually(within: .seconds(10), "accepted again") {
            let reply = try client.call("TOKEN.VALIDATE", token)
            return try reply.errorText == nil && Fields(reply).isAccepted ? true : nil
        }
    }

    @Test(
        "a demoted master, and one that lost its replicas: UNAVAILABLE within a second, hits and reads alike",
        arguments: roleLosses)
    func loss(_ inject: [String], _ undo: [String]) throws {
        try withWorld(settings: ["near-cache.serve-stale": "10s"]) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            let token = try client.issue("SUBJECT", "ann")
            if Stage.hasNearCache { try client.warm(token) }
            #expect(try redis.call(inject) == .simple("OK"))
            let (accepted, last) = try Self.present(token, client, for: .seconds(3))
            #expect(accepted ?? .zero <= .seconds(1), "accepted \(accepted ?? .zero) later")
            expectError("UNAVAILABLE", last)
            if Stage.hasNearCache { #expect(try !NearCacheFacts(client).isArmed) }
            #expect(try redis.call(undo) == .simple("OK"))
            try Self.awaitAccepted(token, client)
        }
    }

    @Test(
        "ended on the new master while the daemon still asks the old one: dead a second after the demotion",
        .topologies(.alone, why: "the masters have ports of their own"))
    func endedElsewhere() throws {
        let ports = try (0..<2).map { _ in try FreePort.find() }
        try withWorld(redis: ["--port", "\(ports[0])", "--repl-diskless-sync-delay", "0"]) { world in
            let client = try world.client()
            let old = try world.requireServer().client()
            let token = try client.issue("SUBJECT", "ann")
            if Stage.hasNearCache { try client.warm(token) }
            // A second server has a copy of everything and becomes the master.
            let server = try world.stage.addRedis(["--port", "\(ports[1])"])
            let new = try server.client()
            #expect(try new.call("REPLICAOF", "127.0.0.1", "\(ports[0])") == .simple("OK"))
            _ = try eventually(within: .seconds(20), "the copy is there") {
                try new.call("INFO", "replication").text?.contains("master_link_status:up") == true ? true : nil
            }
            #expect(try new.call("REPLICAOF", "NO", "ONE") == .simple("OK"))
            let other = try world.stage.addDaemon(.redis(server), settings: [:])
            let demoted = ContinuousClock.now
            #expect(try old.call("REPLICAOF", "127.0.0.1", "\(ports[1])") == .simple("OK"))
            #expect(try other.client().fields("TOKEN.REVOKEALL", "ann").integer("count") == 1)
            let late = ContinuousClock.now - demoted
            let (accepted, last) = try Self.present(token, client, for: .seconds(2))
            #expect((accepted ?? .zero) + late <= .seconds(1), "\(accepted ?? .zero) after \(late)")
            expectError("UNAVAILABLE", last)
        }
    }

    @Test("a cluster that lost slots says CLUSTERDOWN: UNAVAILABLE within a second, and service when it is whole again")
    func clusterDown() throws {
        // One node that owns all slots serves as a single Redis does.
        try withCluster { client, redis in
            let token = try client.issue("SUBJECT", "ann")
            if Stage.hasNearCache { try client.warm(token) }
            #expect(try redis.call("CLUSTER", "DELSLOTS", "0") == .simple("OK"))
            let (accepted, last) = try Self.present(token, client, for: .seconds(3))
            #expect(accepted ?? .zero <= .milliseconds(1_500), "accepted \(accepted ?? .zero) later")
            expectError("UNAVAILABLE", last)
            #expect(try redis.call("CLUSTER", "ADDSLOTS", "0") == .simple("OK"))
            try Self.awaitAccepted(token, client)
        }
    }

    private func withCluster(_ body: (RESPClient, RESPClient) throws -> Void) throws {
        let stage = try Stage()
        var problems: [String] = []
        do {
            let server = try stage.addRedis(topology: .cluster)
            // By itself to the daemon, where the tests' topology is no other.
            let store = Topology.ofTests.isCluster ? Daemon.Store.redis(server) : .url("unix://\(server.socket)")
            try body(stage.addDaemon(store).client(), server.client())
        } catch { problems.append("\(error)") }
        problems += stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    @Test(
        "a disk that cannot be written: nothing from memory, but reads go on; nothing is acknowledged", .needsNearCache)
    func misconfigured() throws {
        try withWorld(redis: ["--save", "3600 1", "--enable-protected-configs", "yes"]) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            let token = try client.issue("SUBJECT", "ann")
            try client.warm(token)
            // The background save fails: its file is to go where no folder is.
            let folder = try world.requireServer().folder + "/away"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            #expect(try redis.call("CONFIG", "SET", "dir", folder) == .simple("OK"))
            try FileManager.default.removeItem(atPath: folder)
            try redis.failToSave()
            letPass(.milliseconds(1_100))
            let count = try CommandCount(world.requireServer())
            for _ in 0..<50 { #expect(try client.validate(token).status == "valid") }
            #expect(try count.calls()["hgetall", default: 0] == 50, "each was read")
            expectError("UNAVAILABLE", try client.call("TOKEN.REVOKE", token))
            _ = try redis.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
            #expect(try eventually("it ends") { try? client.fields("TOKEN.REVOKE", token).status } == "revoked")
            _ = try redis.call("CONFIG", "SET", "dir", try world.requireServer().folder)
        }
    }

    @Test("the feed leads to another server than the commands do: nothing from memory", .needsNearCache)
    func twoServers() throws {
        try withNearCache { world in
            let client = try world.near.client()
            let token = try client.issue("SUBJECT", "ann")
            try client.warm(token)
            let other = try world.stage.addRedis([])
            world.proxy.retarget(to: other)
            world.proxy.cut(.feed)
            letPass(.milliseconds(1_100))
            #expect(try !NearCacheFacts(client).isArmed)
            let hits = try NearCacheFacts(client)["hits"]
            for _ in 0..<100 {
                #expect(try client.validate(token).status == "valid")
                letPass(.milliseconds(10))
            }
            #expect(try NearCacheFacts(client)["hits"] == hits)
        }
    }

    @Test(
        "beats are written five times a second to each master by all daemons together while requests come, and not without them"
    )
    func cost() throws {
        try withWorld(daemons: 3) { world in
            let clients = try world.daemons.map { try $0.client() }
            let token = try clients[0].issue()
            let redis = try world.requireServer().client()
            func written() throws -> Int {
                try KeyAudit.allKeys(redis).count { KeyAudit.isBeat($0) }
            }
            let start = ContinuousClock.now
            var most = 0
            while ContinuousClock.now - start < .seconds(4) {
                for client in clients { _ = try client.call("TOKEN.VALIDATE", token) }
                letPass(.milliseconds(20))
                most = max(most, try written())
            }
            // A beat lives for two seconds; SCAN may still see one that is over.
            let masters = try world.requireServer().masters.count
            #expect((7 * masters...12 * masters).contains(most), "\(most) at a time")
            letPass(.seconds(9))
            #expect(try written() == 0)
        }
    }
}
