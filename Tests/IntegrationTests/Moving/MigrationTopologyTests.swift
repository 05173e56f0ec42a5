import Foundation
import TestSupport
import Testing

/// From one kind of Redis to another.
@Suite("tokencachectl migrate between topologies", .parallel)
struct MigrationTopologyTests {
    @Test("from one Redis to a cluster: indexes are of one slot there, and everything is found")
    func intoCluster() throws {
        let stage = try Stage(isRestricted: true)
        let site = try ClusterSite(in: stage.folder.folder("cluster"))
        defer { site.stop() }
        let source = try stage.addRedis(speaksTLS: false)
        let daemon = try stage.addDaemon(.redis(source))
        let past = try daemon.client().issue()
        #expect(try daemon.client().fields("TOKEN.REVOKEEVERYONE").integer("count") == 1)
        let residents = try Residents(daemon.client(), count: 40)
        let done = try Move(stage, from: source.adminURL, to: site.url, ["--fence-user", "default"]).run()
        #expect(done.status == 0, "\(done)")
        #expect((try done.report()["keys"] as? [String: Int])?["epochs"] == 1)
        // Each master knows when everyone was logged out.
        for master in try site.masters() {
            #expect(try site.ask(master, ["KEYS", "\(stage.prefix)s:~epoch{*"]).count == 1)
        }
        #expect(try stage.addDaemon(.url(site.url)).client().validate(past).status == "revoked")
        try check(residents, stage.addDaemon(.url(site.url)))
        try finish(stage, site)
    }

    @Test("from a cluster with replicas to one Redis, while sessions end")
    func outOfCluster() throws {
        let stage = try Stage(isRestricted: false)
        let site = try ClusterSite(in: stage.folder.folder("cluster"), masters: 3, replicas: 1)
        defer { site.stop() }
        for member in site.members {
            try site.ask(member, ["ACL", "SETUSER", "tokencached", "on", ">word", "~*", "&*", "+@all"])
        }
        let target = try stage.addRedis(speaksTLS: false)
        let daemon = try stage.addDaemon(
            .url(site.url.replacingOccurrences(of: "//", with: "//tokencached:word@")))
        let client = try daemon.client()
        #expect(try client.fields("TOKEN.REVOKEEVERYONE").status == "revoked")
        let residents = try Residents(client, count: 40)
        let ended = try (0..<600).map { _ in try client.issue() }
        let moving = try Move(
            stage, from: site.url, to: "unix://\(target.socket)", ["--fence-user", "tokencached"]
        ).begin()
        var open = ended[...]
        while moving.ended == nil, let token = open.first {
            if try client.call("TOKEN.REVOKE", token).errorText == nil { open.removeFirst() } else { break }
        }
        #expect(try moving.wait(.seconds(60)) == .exited(0), "\(moving.errors)")
        #expect(try target.client().call("PTTL", "\(stage.prefix)s:~epoch").integer ?? 0 > 0)
        let there = try stage.addDaemon(.redis(target))
        try check(residents, there)
        for token in ended[..<open.startIndex] {
            #expect(try there.client().validate(token).status == "revoked")
        }
        // It stands at each master, and at those that may be one.
        for member in site.members {
            let denied = try site.ask(member, ["ACL", "DRYRUN", "tokencached", "SET", "x", "1"]).first
            #expect(denied?.contains("has no permissions") == true, "\(denied ?? "")")
        }
        try finish(stage, site)
    }

    @Test("from one cluster to another, while sessions end")
    func betweenClusters() throws {
        let stage = try Stage(isRestricted: false)
        let source = try ClusterSite(in: stage.folder.folder("source"))
        defer { source.stop() }
        let target = try ClusterSite(in: stage.folder.folder("target"))
        defer { target.stop() }
        for member in source.members {
            try source.ask(member, ["ACL", "SETUSER", "tokencached", "on", ">word", "~*", "&*", "+@all"])
        }
        let daemon = try stage.addDaemon(
            .url(source.url.replacingOccurrences(of: "//", with: "//tokencached:word@")))
        let client = try daemon.client()
        let past = try client.issue()
        #expect(try client.fields("TOKEN.REVOKEEVERYONE").integer("count") == 1)
        letPass(.milliseconds(1_100))
        let residents = try Residents(client, count: 40)
        let ended = try (0..<400).map { _ in try client.issue() }
        let moving = try Move(stage, from: source.url, to: target.url, ["--fence-user", "tokencached"]).begin()
        var open = ended[...]
        while moving.ended == nil, let token = open.first {
            if try client.call("TOKEN.REVOKE", token).errorText == nil { open.removeFirst() } else { break }
        }
        #expect(try moving.wait(.seconds(60)) == .exited(0), "\(moving.errors)")
        for master in try target.masters() {
            #expect(try target.ask(master, ["KEYS", "\(stage.prefix)s:~epoch{*"]).count == 1)
            #expect(try target.ask(master, ["KEYS", "\(stage.prefix)d:moved*"]).isEmpty)
        }
        let there = try stage.addDaemon(.url(target.url))
        #expect(try there.client().validate(past).status == "revoked")
        try check(residents, there)
        for token in ended[..<open.startIndex] {
            #expect(try there.client().validate(token).status == "revoked")
        }
        let answer = try client.call("TOKEN.VALIDATE", residents.living[0])
        #expect(answer.errorText?.contains("has moved to cluster://") == true, "\(answer)")
        try finish(stage) {
            source.stop()
            target.stop()
        }
    }

    @Test("over TLS, with the certificates of daemons' configurations: from one Redis to another, and on to a cluster")
    func overTLS() throws {
        let stage = try Stage(isRestricted: false)
        let authority = try CertificateAuthority(in: stage.certificates())
        let cluster = try ClusterSite(in: stage.folder.folder("cluster"), authority: authority)
        defer { cluster.stop() }
        let source = try stage.addRedis(speaksTLS: true)
        let target = try stage.addRedis(speaksTLS: true)
        let user = ["ACL", "SETUSER", "tokencached", "on", ">word", "~*", "&*", "+@all"]
        for server in [source, target] { #expect(try server.client().call(user) == .simple("OK")) }
        func file(_ name: String, _ url: String, _ settings: [String: String]) throws -> String {
            let path = "\(try stage.clientFolder())/\(name).yaml"
            let rows = settings.sorted { $0.key < $1.key }.map {
                "  \($0.key.dropFirst("redis.".count)): \($0.value)\n"
            }
            try "redis:\n  url: \(url)\n  prefix: \"\(stage.prefix)\"\n\(rows.joined())".write(
                toFile: path, atomically: true, encoding: .utf8)
            return path
        }
        let files = try [
            file("source", source.url, source.settings), file("target", target.url, target.settings),
            file("cluster", cluster.url, cluster.settings),
        ]
        func daemon(_ server: RedisServer) throws -> Daemon {
            let url = server.url.replacingOccurrences(of: "//", with: "//tokencached:word@")
            return try stage.addDaemon(.url(url), settings: server.settings)
        }
        let client = try daemon(source).client()
        let residents = try Residents(client, count: 40)
        // Without its authority nothing is believed.
        let refused = try Move(stage, from: source.url, to: target.url, ["--fence-user", "tokencached"]).run()
        #expect(refused.status != 0 && refused.errors.contains("certificate"), "\(refused)")

        let move = ["--fence-user", "tokencached"]
        let done = try Move(stage, ["--from-config", files[0], "--to-config", files[1]] + move).run()
        #expect(done.status == 0, "\(done)")
        let answer = try client.call("TOKEN.VALIDATE", residents.living[0])
        #expect(answer.errorText?.contains("has moved to rediss://127.0.0.1") == true, "\(answer)")
        let there = try daemon(target)
        #expect(try residents.complaints(there.client()).isEmpty)

        let onward = try Move(stage, ["--from-config", files[1], "--to-config", files[2]] + move).run()
        #expect(onward.status == 0, "\(onward)")
        try check(residents, stage.addDaemon(.url(cluster.url), settings: cluster.settings))
        try finish(stage, cluster.stop)
    }

    @Test("from a cluster whose slots move meanwhile: nothing is left behind")
    func outOfMovingCluster() throws {
        let stage = try Stage(isRestricted: false)
        let site = try ClusterSite(in: stage.folder.folder("cluster"))
        defer { site.stop() }
        let target = try stage.addRedis(speaksTLS: false)
        let daemon = try stage.addDaemon(.url(site.url))
        let client = try daemon.client()
        let residents = try Residents(client, count: 1_500)
        try daemon.stop()
        let masters = try site.masters()
        let move = Move(stage, from: site.url, to: "unix://\(target.socket)", ["--fenced"])
        let resharding = Thread { try? site.reshard(600, from: masters[0], to: masters[1]) }
        resharding.start()
        letPass(.milliseconds(300))
        let done = try move.run()
        #expect(done.status == 0, "\(done)")
        _ = try eventually(within: .seconds(60), "slots have moved") { resharding.isFinished ? true : nil }
        #expect(try residents.complaints(stage.addDaemon(.redis(target)).client()).isEmpty)
        try finish(stage, site)
    }

    @Test("from an embedded Redis to one that several hosts can share, by its daemon's configuration")
    func outOfEmbedded() throws {
        let stage = try Stage(isRestricted: false)
        let target = try stage.addRedis(speaksTLS: false)
        let daemon = try stage.addDaemon(.embedded)
        let client = try daemon.client()
        let residents = try Residents(client)
        let file = "\(try stage.clientFolder())/embedded.yaml"
        try "state-dir: \(daemon.stateFolder)\nredis:\n  url: embedded\n  prefix: \"\(stage.prefix)\"\n".write(
            toFile: file, atomically: true, encoding: .utf8)
        let move = Move(
            stage, ["--from-config", file, "--to", "unix://\(target.socket)"])
        let done = try move.run()
        #expect(done.status == 0, "\(done)")
        let report = try done.report()
        #expect(report["fenced_user"] as? String == "default")
        // Nothing from its memory either, although its Redis answers.
        _ = try eventually("it has no answer") {
            try client.call("TOKEN.VALIDATE", residents.living[0]).errorCode == "UNAVAILABLE" ? true : nil
        }
        try check(residents, stage.addDaemon(.redis(target)))
        try move.undo(report, at: daemon.redis())
        let before = try KeySnapshot(daemon.redis(), prefix: stage.prefix)
        #expect(before.keys.count > 15)
        try client.awaitService()
        let problems = stage.finish()
        #expect(problems.isEmpty, "\(problems)")
    }

    @Test(
        "from a master that Sentinels name, while sessions end; a replica that is promoted afterwards takes nothing either",
        .enabled(if: SentinelSite.isWanted, "make test-topologies"))
    func outOfSentinels() throws {
        let stage = try Stage(isRestricted: false)
        let site = try SentinelSite(in: stage.folder.folder("site"))
        defer { site.stop() }
        for server in site.servers {
            try site.ask(server, ["ACL", "SETUSER", "tokencached", "on", ">word", "~*", "&*", "+@all"])
        }
        let target = try stage.addRedis(speaksTLS: false)
        let daemon = try stage.addDaemon(.url(site.url.replacingOccurrences(of: "//", with: "//tokencached:word@")))
        let client = try daemon.client()
        let residents = try Residents(client, count: 40)
        let ended = try (0..<600).map { _ in try client.issue() }
        let moving = try Move(
            stage, from: site.url, to: "unix://\(target.socket)", ["--fence-user", "tokencached"]
        ).begin()
        var open = ended[...]
        while moving.ended == nil, let token = open.first {
            if try client.call("TOKEN.REVOKE", token).errorText == nil { open.removeFirst() } else { break }
        }
        #expect(try moving.wait(.seconds(60)) == .exited(0), "\(moving.errors)")
        for server in site.servers {
            let denied = try site.ask(server, ["ACL", "DRYRUN", "tokencached", "SET", "x", "1"]).first
            #expect(denied?.contains("has no permissions") == true, "\(denied ?? "")")
            #expect(moving.output.contains("127.0.0.1:\(server.port)\""), "\(moving.output)")
        }
        let before = site.servers[0].port
        try site.ask(site.sentinels[0], ["SENTINEL", "FAILOVER", SentinelSite.masterName])
        try site.awaitAnotherMaster(than: before)
        let end = Date() + 3
        while Date() < end {
            #expect(try client.call("TOKEN.ISSUE").errorCode == "UNAVAILABLE")
            #expect(try client.call("TOKEN.VALIDATE", residents.living[0]).errorCode == "UNAVAILABLE")
            letPass(.milliseconds(50))
        }
        let there = try stage.addDaemon(.redis(target))
        try check(residents, there)
        for token in ended[..<open.startIndex] {
            #expect(try there.client().validate(token).status == "revoked")
        }
        try finish(stage, site.stop)
    }

    @Test(
        "to a master that Sentinels name, and that changes while all is copied",
        .enabled(if: SentinelSite.isWanted, "make test-topologies"))
    func intoSentinels() throws {
        let stage = try Stage(isRestricted: true)
        let site = try SentinelSite(in: stage.folder.folder("site"))
        defer { site.stop() }
        let source = try stage.addRedis(speaksTLS: false)
        let client = try stage.addDaemon(.redis(source)).client()
        let residents = try Residents(client, count: 3_000)
        let moving = try Move(stage, from: source.adminURL, to: site.url, ["--fence-user", "default"]).begin()
        _ = try eventually("it copies") {
            try site.ask(site.servers[0], ["DBSIZE"]).first.flatMap { Int($0) } ?? 0 > 100 ? true : nil
        }
        let before = site.servers[0].port
        try site.ask(site.sentinels[0], ["SENTINEL", "FAILOVER", SentinelSite.masterName])
        #expect(try moving.wait(.seconds(90)) == .exited(0), "\(moving.errors)")
        try site.awaitAnotherMaster(than: before)
        let complaints = try residents.complaints(stage.addDaemon(.url(site.url)).client())
        #expect(complaints.isEmpty, "\(complaints.count): \(complaints.first ?? ""); \(moving.errors)")
        try finish(stage, site.stop)
    }

    @Test("a replica of the source that cannot be fenced is told, and nothing is changed; else it is fenced, too")
    func replicas() throws {
        let stage = try Stage(isRestricted: false)
        let port = try FreePort.find()
        let servers = try [
            RedisProcess("--port", "\(port)", "--repl-diskless-sync-delay", "0"),
            RedisProcess("--port", "\(FreePort.find())", "--replicaof", "127.0.0.1 \(port)"),
        ]
        defer { for server in servers { server.kill9() } }
        let clients = try servers.map { try RESPClient(path: $0.socket) }
        let all = ["on", ">word", "~*", "&*", "+@all"]
        for client in clients { #expect(try client.call(["ACL", "SETUSER", "tokencached"] + all) == .simple("OK")) }
        #expect(try clients[0].call(["ACL", "SETUSER", "admin"] + all) == .simple("OK"))
        _ = try eventually("the replica is in step") {
            try clients[0].call("INFO", "replication").text?.contains("state=online") == true ? true : nil
        }
        let target = try stage.addRedis(speaksTLS: false)
        let worker = try stage.addDaemon(.url("redis://tokencached:word@127.0.0.1:\(port)")).client()
        let residents = try Residents(worker)
        let move = Move(
            stage, from: "redis://admin:word@127.0.0.1:\(port)", to: "unix://\(target.socket)",
            ["--fence-user", "tokencached"])
        let refused = try move.run()
        #expect(refused.status == 5 && refused.errors.contains("cannot be fenced: Redis refuses user or password"))
        #expect(refused.errors.contains("nothing was changed"), "\(refused)")
        #expect(try residents.complaints(worker).isEmpty && worker.call("TOKEN.ISSUE").errorText == nil)

        #expect(try clients[1].call(["ACL", "SETUSER", "admin"] + all) == .simple("OK"))
        let done = try move.run()
        #expect(done.status == 0, "\(done)")
        let write = ["ACL", "DRYRUN", "tokencached", "SET", "x", "1"]
        for client in clients { #expect(try client.call(write) != .simple("OK")) }
        for client in clients { try move.undo(done.report(), at: client) }
        for client in clients { #expect(try client.call(write) == .simple("OK")) }
        let problems = stage.finish()
        #expect(problems.isEmpty, "\(problems)")
    }

    private func finish(_ stage: Stage, _ site: ClusterSite) throws { try finish(stage, site.stop) }

    private func finish(_ stage: Stage, _ stop: () -> Void) throws {
        for daemon in stage.daemons { try daemon.stop() }
        stop()
        let problems = stage.finish()
        #expect(problems.isEmpty, "\(problems)")
    }

    private func check(_ residents: Residents, _ daemon: Daemon) throws {
        let client = try daemon.client()
        #expect(try residents.complaints(client).isEmpty)
        let count = residents.living.count - 3
        #expect(try client.call("TOKEN.LIST", residents.subject, "LIMIT", "100").elements?.count ?? 0 == count)
        #expect(try client.fields("TOKEN.REVOKEALL", residents.subject).integer("count") == count)
    }
}
