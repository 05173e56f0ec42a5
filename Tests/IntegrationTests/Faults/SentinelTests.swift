import Foundation
import TestSupport
import Testing

/// Real Sentinels, and the masters that they name.
@Suite("A master that Sentinels name", .parallel, .enabled(if: SentinelSite.isWanted, "make test-topologies"))
struct SentinelTests {
    @Test(
        "a master that is killed, or handed over: the new one is in use within a second of the Sentinels' word",
        arguments: [true, false])
    func failover(isKilled: Bool) throws {
        try withSentinelSite { _, site, daemons in
            let clients = try daemons.map { try $0.client() }
            let kept = try clients[0].issue()
            let ended = try clients[0].issue()
            for client in clients { #expect(try client.validate(kept).isAccepted) }
            #expect(try clients[1].validate(ended).isAccepted)
            // Replication is asynchronous: what is to be there after the failover is given a moment.
            _ = try clients[0].call("TOKEN.REVOKE", ended)
            letPass(.milliseconds(300))

            let before = site.servers[0].port
            if isKilled {
                site.servers[0].signal(SIGKILL)
            } else {
                try site.ask(site.sentinels[0], ["SENTINEL", "FAILOVER", SentinelSite.masterName])
            }
            let named = try site.awaitAnotherMaster(than: before)
            for client in clients {
                _ = try eventually("it is served by the new master") { () throws -> Bool? in
                    // Until it hears of it, the old one serves.
                    let endpoint = try DaemonFacts(client, "upstream")["upstream_endpoint"] ?? ""
                    return try !endpoint.hasSuffix(":\(before)") && client.call("TOKEN.ISSUE").errorText == nil
                        ? true : nil
                }
            }
            let passed = ContinuousClock.now - named
            print("in use \(passed) after most Sentinels named the new master")
            #expect(passed < .seconds(1), "\(passed)")
            for client in clients {
                #expect(try client.answered("TOKEN.VALIDATE", kept).isAccepted)
                #expect(try client.answered("TOKEN.VALIDATE", ended).status == "revoked")
            }
            // What one ends on the new master, the other hears of.
            if Stage.hasNearCache { try NearCacheFacts.awaitArmed(daemons[1]) }
            #expect(try clients[1].validate(kept).isAccepted)
            _ = try clients[0].answered("TOKEN.REVOKE", kept)
            letPass(.milliseconds(100))
            #expect(try clients[1].answered("TOKEN.VALIDATE", kept).status == "revoked")
        }
    }

    @Test("servers and Sentinels that speak TLS and nothing else: hits from memory, and a master that is handed over")
    func tls() throws {
        try withSentinelSite(daemons: 1, isTLS: true) { _, site, daemons in
            for member in [site.servers[0], site.sentinels[0]] {
                let plain = try Tool.run("redis-cli", ["-p", "\(member.port)", "PING"])
                #expect(!plain.output.contains("PONG"), "\(plain.output)")
            }
            let client = try daemons[0].client()
            let token = try client.issue()
            #expect(try client.validate(token).isAccepted)
            if Stage.hasNearCache {
                try NearCacheFacts.awaitArmed(daemons[0])
                _ = try eventually("it is a hit") { () throws -> Bool? in
                    let before = try NearCacheFacts(client)["hits"]
                    #expect(try client.validate(token).isAccepted)
                    return try NearCacheFacts(client)["hits"] > before ? true : nil
                }
            }
            letPass(.milliseconds(300))
            let before = site.servers[0].port
            try site.ask(site.sentinels[0], ["SENTINEL", "FAILOVER", SentinelSite.masterName])
            try site.awaitAnotherMaster(than: before)
            _ = try eventually("it is served by the new master") { () throws -> Bool? in
                let endpoint = try DaemonFacts(client, "upstream")["upstream_endpoint"] ?? ""
                return try !endpoint.hasSuffix(":\(before)") && client.call("TOKEN.ISSUE").errorText == nil ? true : nil
            }
            #expect(try client.answered("TOKEN.VALIDATE", token).isAccepted)
        }
    }

    @Test("what was acknowledged and lost with a master is carried out once more by the daemon that acknowledged it")
    func repeated() throws {
        try withSentinelSite { _, site, daemons in
            let clients = try daemons.map { try $0.client() }
            let tokens = try (0..<6).map { _ in try clients[0].issue() }
            letPass(.milliseconds(300))
            // The replicas sleep: what is written now goes nowhere else.
            for replica in site.servers.dropFirst() { replica.signal(SIGSTOP) }
            try site.ask(site.servers[0], ["CLIENT", "KILL", "TYPE", "replica"])
            for token in tokens.dropFirst() { _ = try clients[0].answered("TOKEN.REVOKE", token) }
            let rotated = try clients[0].answered("TOKEN.ROTATE", tokens[0]).newToken()
            site.servers[0].signal(SIGKILL)
            for replica in site.servers.dropFirst() { replica.signal(SIGCONT) }
            _ = try site.awaitAnotherMaster(than: site.servers[0].port)
            for token in tokens { #expect(try !clients[0].answered("TOKEN.VALIDATE", token).isAccepted) }
            for client in clients { #expect(try client.answered("TOKEN.VALIDATE", rotated).isAccepted) }
            for token in tokens { #expect(try !clients[1].answered("TOKEN.VALIDATE", token).isAccepted) }
            let log = daemons[0].log
            #expect(
                log.range(of: "lately stands there.*were_lost=[1-9]", options: .regularExpression) != nil, "\(log)")
        }
    }

    @Test("without most Sentinels' word nothing is served after two seconds, not from memory either; with it, again")
    func confirmation() throws {
        try withSentinelSite(daemons: 1) { _, site, daemons in
            let client = try daemons[0].client()
            let token = try client.issue()
            #expect(try client.validate(token).isAccepted)
            // With all replicas in step their word would do.
            site.servers[1].signal(SIGSTOP)
            for sentinel in site.sentinels.prefix(2) { sentinel.signal(SIGSTOP) }
            let stopped = Date()
            var last = stopped
            let refusal = try eventually(within: .seconds(5), every: .milliseconds(10), "it is refused") {
                () throws -> String? in
                let answer = try client.call("TOKEN.VALIDATE", token)
                if answer.errorText == nil { last = Date() }
                return answer.errorText
            }
            #expect(refusal == "UNAVAILABLE the Sentinels do not confirm that Redis is still the master")
            #expect(last.timeIntervalSince(stopped) < 2.1)
            #expect(try client.call("TOKEN.ISSUE").errorText == refusal)
            for member in site.sentinels + site.servers { member.signal(SIGCONT) }
            _ = try eventually("it is served again") {
                try client.call("TOKEN.VALIDATE", token).errorText == nil ? true : nil
            }
        }
    }

    @Test("redis.sentinel-quorum: ignore serves without it")
    func ignored() throws {
        try withSentinelSite(daemons: 1, settings: ["redis.sentinel-quorum": "ignore"]) { _, site, daemons in
            let client = try daemons[0].client()
            let token = try client.issue()
            for sentinel in site.sentinels { sentinel.signal(SIGSTOP) }
            let end = Date() + 4
            while Date() < end {
                #expect(try client.validate(token).isAccepted)
                letPass(.milliseconds(50))
            }
            #expect(try client.call("TOKEN.ISSUE").errorText == nil)
        }
    }

    @Test("one Sentinel is enough to find the others, and they may ask for a password")
    func learned() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("password")
        try "s3cret-of-sentinels\n".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(chmod(file, 0o600) == 0)
        try withSentinelSite(
            daemons: 1, settings: ["redis.sentinel-password-file": file], password: "s3cret-of-sentinels",
            url: { "sentinel://127.0.0.1:\($0.sentinels[2].port)/\(SentinelSite.masterName)" }
        ) { _, _, daemons in
            let client = try daemons[0].client()
            #expect(try client.validate(client.issue()).isAccepted)
        }
    }

    @Test("the rights of conf/redis-users.acl at the master and of conf/sentinel-users.acl at the Sentinels are enough")
    func rights() throws {
        let folder = try TemporaryFolder()
        func passwordFile(_ word: String) throws -> String {
            try "\(word)\n".write(toFile: folder.file(word), atomically: true, encoding: .utf8)
            #expect(chmod(folder.file(word), 0o600) == 0)
            return folder.file(word)
        }
        let stage = try Stage(isRestricted: false)
        let site = try SentinelSite(in: stage.folder.folder("site"))
        defer { site.stop() }
        let shipped = try PackageFolder.text("conf/sentinel-users.acl")
        #expect(try PackageFolder.text("docs/operations.md").contains("```\n\(shipped)```"))
        let user = ["ACL", "SETUSER", "tokencached"]
        for server in site.servers {
            let rule = try RedisRights.rule(">word-at-redis", prefix: stage.prefix)
            #expect(try site.ask(server, user + rule) == ["OK"])
        }
        for sentinel in site.sentinels {
            let rule = try RedisRights.rule(">word-at-sentinel", file: "sentinel-users.acl")
            #expect(try site.ask(sentinel, user + rule) == ["OK"])
        }
        // One is named: the others are learned with these rights, too.
        let daemon = try stage.addDaemon(
            .url("sentinel://tokencached@127.0.0.1:\(site.sentinels[0].port)/\(SentinelSite.masterName)"),
            settings: [
                "redis.password-file": passwordFile("word-at-redis"), "redis.sentinel-user": "tokencached",
                "redis.sentinel-password-file": passwordFile("word-at-sentinel"),
            ])
        defer { daemon.kill9() }
        let client = try daemon.client()
        if Stage.hasNearCache { try NearCacheFacts.awaitArmed(daemon) }
        #expect(try client.fields("PROBE").status == "ok")
        for sentinel in site.sentinels {
            try awaitThat("the daemon asks every Sentinel, and is told by it") {
                let own = try site.ask(sentinel, ["CLIENT", "LIST"]).filter { $0.contains("user=tokencached") }
                return own.contains { $0.contains(" sub=1 ") } && own.contains { $0.contains(" sub=0 ") }
            }
        }
        let before = site.servers[0].port
        try site.ask(site.sentinels[0], ["SENTINEL", "FAILOVER", SentinelSite.masterName])
        _ = try site.awaitAnotherMaster(than: before)
        _ = try eventually("it is served by the new master") {
            try client.call("TOKEN.ISSUE").errorText == nil ? true : nil
        }
        for member in site.servers + site.sentinels { #expect(try site.ask(member, ["ACL", "LOG"]) == []) }
        #expect(!daemon.log.contains("permission") && !daemon.log.contains("refuse"), "\(daemon.log)")
    }

    @Test("a name that no Sentinel knows is told")
    func unknownName() throws {
        let stage = try Stage(isRestricted: false)
        let site = try SentinelSite(in: stage.folder.folder("site"))
        defer { site.stop() }
        let daemon = try stage.addDaemon(
            .url(site.url.replacingOccurrences(of: "/main", with: "/other")), readiness: .answers)
        defer { daemon.kill9() }
        let client = try daemon.client()
        _ = try eventually("it says why") {
            try client.call("TOKEN.ISSUE").errorText == "UNAVAILABLE no majority of the Sentinels names a master"
                ? true : nil
        }
    }
}
