import Foundation
import TestSupport
import Testing

/// Real servers of other names and versions. The invariants over them: `TEST_SERVER`.
@Suite("Other servers", .parallel, .enabled(if: OtherServer.areWanted, "make test-servers"))
struct OtherServerTests {
    private static let works: [(server: OtherServer, name: String, version: String)] = [
        (.valkey, "Valkey", "9.1.2"), (.redis8, "Redis", "8.2.3"),
    ]

    private func withStage(_ body: (Stage) throws -> Void) throws {
        let stage = try Stage()
        var problems: [String] = []
        do { try body(stage) } catch {
            problems.append("\(error)")
            for daemon in stage.daemons { problems.append("\(daemon.name): \(daemon.log.suffix(1500))") }
        }
        problems += stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    /// A session's life, what another daemon hears of it, and what the operator is shown.
    private func expectService(_ stage: Stage, _ daemons: [Daemon], _ name: String, _ version: String) throws {
        if Stage.hasNearCache { for daemon in daemons { try NearCacheFacts.awaitArmed(daemon) } }
        let client = try daemons[0].client()
        let last = try daemons[daemons.count - 1].client()
        let token = try client.issue("SUBJECT", "ann")
        #expect(try last.validate(token).isAccepted)
        let next = try client.fields("TOKEN.ROTATE", token).newToken()
        #expect(try last.validate(next).isAccepted)
        #expect(try client.fields("TOKEN.REVOKE", next).status == "revoked")
        letPass(.milliseconds(100))
        #expect(try last.answered("TOKEN.VALIDATE", next).status == "revoked")
        let facts = try DaemonFacts(client, "upstream")
        #expect(facts["upstream_server"] == name && facts["upstream_redis_version"] == version)
        #expect(daemons[0].log.contains("connected to \(name) \(version)"), "\(daemons[0].log)")
        for command in ["doctor", "status"] {
            let page = try Tool.run(
                stage, PackageFolder.program("tokencachectl"), ["--socket", daemons[0].socket, command])
            #expect(page.status == 0 && page.output.contains("\(name) \(version)"), "\(page.output)")
        }
    }

    @Test("at redis.url, with two daemons: service, near cache, and its name wherever it is shown", arguments: works)
    func external(_ server: OtherServer, name: String, version: String) throws {
        try withStage { stage in
            let redis = try stage.addRedis(program: server.program())
            let daemons = try (0..<2).map { _ in try stage.addDaemon(.redis(redis)) }
            try expectService(stage, daemons, name, version)
        }
    }

    @Test("embedded, and again after a kill -9 of the daemon, which leaves it behind", arguments: works)
    func embedded(_ server: OtherServer, name: String, version: String) throws {
        try withStage { stage in
            let daemon = try stage.addDaemon(.embedded, settings: ["redis.executable": server.program()])
            try expectService(stage, [daemon], name, version)
            let token = try daemon.client().issue()
            daemon.kill9()
            try daemon.start()
            #expect(daemon.log.contains("ending a redis-server left over from before"), "\(daemon.log)")
            #expect(try daemon.client().validate(token).isAccepted)
        }
    }

    @Test("Redis 6.2: told by its version, and as the embedded one the end of the start")
    func tooOld() throws {
        let words = "Redis is too old: 6.2.14, and 7.0 is the least"
        try withStage { stage in
            let folder = try stage.folder.folder("old")
            let program = try OtherServer.redis6.program()
            let redis = try ChildProcess(
                program, ["--port", "0", "--unixsocket", "\(folder)/r.sock", "--save", ""], name: "redis",
                folder: folder)
            defer { redis.kill9() }
            let daemon = try stage.addDaemon(.url("unix://\(folder)/r.sock"), readiness: .answers)
            let client = try daemon.client()
            _ = try eventually("it is told") {
                try client.call("TOKEN.ISSUE").errorText == "UNAVAILABLE \(words)" ? true : nil
            }
            let child = try ChildProcess(
                Daemon.program,
                [
                    "--socket", "\(folder)/s", "--state-dir", "\(folder)/state", "--redis", "embedded", "--set",
                    "redis.executable=\(program)",
                ], name: "daemon", folder: folder)
            #expect(try child.wait(.seconds(20)) == .exited(69))
            #expect(child.errors.contains(words), "\(child.errors)")
        }
    }
}

/// What a managed Redis may deny.
@Suite("A Redis that denies what is not needed", .parallel)
struct DenyingServerTests {
    @Test("CONFIG is denied: everything works, near cache too")
    func configuration() throws {
        try withWorld(isRestricted: false) { world in
            #expect(try world.daemon.redis().call("ACL", "SETUSER", "default", "-config") == .simple("OK"))
            let daemon = try world.stage.addDaemon(.redis(world.requireServer()))
            if Stage.hasNearCache { try NearCacheFacts.awaitArmed(daemon) }
            let client = try daemon.client()
            #expect(try client.validate(client.issue()).isAccepted)
            #expect(try client.fields("PROBE").status == "ok")
            let page = try Tool.run(
                world.stage, PackageFolder.program("tokencachectl"), ["--socket", daemon.socket, "doctor"])
            #expect(page.status == 0 && !page.output.contains("fail"), "\(page.output)")
            #expect(!daemon.log.contains("warning") && !daemon.log.contains("error"), "\(daemon.log)")
            _ = try world.daemon.redis().call("ACL", "SETUSER", "default", "+config")
        }
    }

    @Test("tracking is denied: every access asks Redis, said in the log once and by doctor", .needsNearCache)
    func tracking() throws {
        try withWorld(isRestricted: false) { world in
            _ = try world.daemon.redis().call("ACL", "SETUSER", "default", "-client|tracking")
            let daemon = try world.stage.addDaemon(.redis(world.requireServer()))
            let client = try daemon.client()
            let token = try client.issue()
            for _ in 0..<30 {
                #expect(try client.validate(token).isAccepted)
                letPass(.milliseconds(100))
            }
            let words = "the near cache cannot work: Redis does not tell of changes: the Redis user lacks a permission"
            #expect(daemon.log.components(separatedBy: words).count == 2, "\(daemon.log)")
            let page = try Tool.run(
                world.stage, PackageFolder.program("tokencachectl"), ["--socket", daemon.socket, "doctor"])
            #expect(page.output.contains("warn  near cache"), "\(page.output)")
            _ = try world.daemon.redis().call("ACL", "SETUSER", "default", "+@all")
        }
    }
}
