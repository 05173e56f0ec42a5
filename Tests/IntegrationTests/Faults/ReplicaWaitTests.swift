import Foundation
import TestSupport
import Testing

/// `redis.wait-replicas` before real servers: what is acknowledged stands at the replicas, too.
@Suite("Changes that replicas must have", .parallel)
struct ReplicaWaitTests {
    /// A master on a port of its own, and its replicas.
    struct Site {
        let master: RedisProcess
        let port: Int
        let replicas: [RedisProcess]
        var url: String { "redis://127.0.0.1:\(port)" }

        init(replicas count: Int, program: String = "redis-server") throws {
            let port = try FreePort.find()
            let master = try RedisProcess(program: program, ["--port", "\(port)", "--repl-diskless-sync-delay", "0"])
            let replicas = try (0..<count).map { _ in
                try RedisProcess(program: program, ["--replicaof", "127.0.0.1 \(port)"])
            }
            let client = try RESPClient(path: master.socket)
            _ = try eventually("the replicas are in step") {
                let text = try client.call("INFO", "replication").text ?? ""
                return text.split(separator: "\r\n").count { $0.contains("state=online") } == count ? true : nil
            }
            (self.master, self.port, self.replicas) = (master, port, replicas)
        }

        /// The only replica stands still, and gets nothing that was not sent to it before.
        func cutOff() throws {
            replicas[0].signal(SIGSTOP)
            #expect(try RESPClient(path: master.socket).call("CLIENT", "KILL", "TYPE", "replica") == .integer(1))
        }

        /// The master is dead, and a replica in its place, under its address.
        func promote(_ replica: RedisProcess) throws {
            master.kill9()
            let client = try RESPClient(path: replica.socket)
            #expect(try client.call("REPLICAOF", "NO", "ONE") == .simple("OK"))
            _ = try eventually("the port is free") {
                try client.call("CONFIG", "SET", "port", "\(port)") == .simple("OK") ? true : nil
            }
        }

        func end() { for server in replicas + [master] { server.kill9() } }
    }

    private static let timeout = Duration.seconds(1)

    private func withSite(
        replicas: Int, wait: Int, settings: [String: String] = [:], _ body: (Stage, Site, Daemon) throws -> Void
    ) throws {
        let stage = try Stage(isRestricted: false)
        let site = try Site(replicas: replicas)
        defer { site.end() }
        var all = ["redis.wait-replicas": "\(wait)", "redis.timeout": "1s"]
        all.merge(settings) { $1 }
        let daemon = try stage.addDaemon(.url(site.url), settings: all)
        var problems: [String] = []
        do { try body(stage, site, daemon) } catch {
            problems.append("\(error); the end of the log:\n\(daemon.log.suffix(1_500))")
        }
        problems += stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    private func shortfall(_ reply: RESPValue) -> Bool {
        reply.errorText?.hasPrefix("UNAVAILABLE too few replicas have the change: 1 of 2") == true
    }

    @Test("each of the changes is acknowledged when two replicas have it, and not while one stands still")
    func acknowledged() throws {
        try withSite(replicas: 2, wait: 2) { _, site, daemon in
            let client = try daemon.client()
            let (renewed, limited, ended, entered) = (
                try client.issue(), try client.issue(), try client.issue(), try client.issue()
            )
            let rotated = try client.answered("TOKEN.ROTATE", renewed).newToken()
            #expect(try client.fields("TOKEN.EXPIRE", limited, "IDLE", "1h").isAccepted)
            #expect(try DaemonFacts(client, "upstream").number("upstream_waits") >= 6)
            #expect(try DaemonFacts(client, "upstream").number("upstream_wait_replicas") == 2)

            site.replicas[0].signal(SIGSTOP)
            var told = 0
            for command in [
                ["TOKEN.ISSUE"], ["TOKEN.ISSUE", "SUBJECT", "ann"], ["TOKEN.LOGIN", entered, "ann"],
                ["TOKEN.ROTATE", rotated], ["TOKEN.EXPIRE", limited, "IDLE", "2h"], ["TOKEN.REVOKE", ended],
                // What stands already is not acknowledged by being asked for again.
                ["TOKEN.REVOKE", ended], ["TOKEN.REVOKEEVERYONE"],
            ] {
                let began = ContinuousClock.now
                let reply = try client.call(command)
                #expect(reply.errorCode == "UNAVAILABLE", "\(command[0]): \(reply)")
                if shortfall(reply) { told += 1 }
                let took = began.duration(to: .now)
                #expect(took < Self.timeout * 2, "\(command[0]) took \(took)")
            }
            // A machine that stands still for a tenth of a second may let a request's time pass first.
            #expect(told >= 6)
            // An end is one, whoever has it.
            #expect(try client.validate(ended).status == "revoked")
            #expect(try DaemonFacts(client, "upstream").number("upstream_wait_shortfalls") >= 6)

            site.replicas[0].signal(SIGCONT)
            #expect(try client.answered("TOKEN.REVOKE", ended).status == "revoked")
            let fresh = try client.issue()
            #expect(try client.fields("TOKEN.SET", fresh, "DATA", "a", "b").isAccepted)
        }
    }

    @Test("REVOKEALL that is asked again waits, too, although what it ended is in no index any more")
    func revokeAllAgain() throws {
        try withSite(replicas: 1, wait: 1) { stage, site, daemon in
            let client = try daemon.client()
            let tokens = try (0..<3).map { _ in try client.issue("SUBJECT", "ann") }
            site.replicas[0].signal(SIGSTOP)
            #expect(try client.call("TOKEN.REVOKEALL", "ann").errorCode == "UNAVAILABLE")
            let master = try RESPClient(path: site.master.socket)
            let index = try #require(try master.call("KEYS", "\(stage.prefix)u:*").elements?.first?.text)
            // As who looks at the list does, in the end.
            #expect(try master.call("DEL", index) == .integer(1))
            let again = try client.call("TOKEN.REVOKEALL", "ann")
            #expect(again.errorText == "UNAVAILABLE too few replicas have the change: 0 of 1", "\(again)")
            site.replicas[0].signal(SIGCONT)
            try awaitThat("the replica has it") { try client.call("TOKEN.REVOKEALL", "ann").errorText == nil }
            for token in tokens { #expect(try client.validate(token).status == "revoked") }
        }
    }

    @Test("an access that has rotated is answered valid without a token, and so is the next one until a replica has it")
    func rotation() throws {
        try withSite(replicas: 1, wait: 1, settings: ["rotation.after": "1s"]) { _, site, daemon in
            let client = try daemon.client()
            let token = try client.issue()
            letPass(.milliseconds(1_100))
            site.replicas[0].signal(SIGSTOP)
            // Whoever asks second would be told what the first one wrote.
            for _ in 0..<2 {
                let stuck = try client.validate(token)
                #expect(stuck.status == "valid" && stuck["sessiontoken"] == nil, "\(stuck)")
            }
            site.replicas[0].signal(SIGCONT)
            let reply = try client.validate(token)
            #expect(reply.status == "rotated")
            #expect(try client.validate(reply.newToken()).status == "valid")
        }
    }

    @Test("a revocation that no replica had is denied here when one of them is master")
    func deniedAfterFailover() throws {
        try withSite(replicas: 1, wait: 1) { _, site, daemon in
            let client = try daemon.client()
            let token = try client.issue()
            try site.cutOff()
            #expect(try client.call("TOKEN.REVOKE", token).errorCode == "UNAVAILABLE")
            site.master.kill9()
            site.replicas[0].signal(SIGCONT)
            try site.promote(site.replicas[0])
            try awaitThat("it is read again") { try client.call("TOKEN.VALIDATE", TokenText.random()).errorText == nil }
            // It lives there, and is not accepted.
            let stranger = try RESPClient(path: site.replicas[0].socket)
            let keys = try stranger.call("KEYS", "*s:\(TokenText.sid(token).lowercased())").elements
            #expect(keys?.count == 1)
            let reply = try client.call("TOKEN.VALIDATE", token)
            #expect(reply.errorText?.contains("the end of this session was asked for") == true, "\(reply)")
        }
    }

    @Test(
        "a master that is killed: what it acknowledged before is lost, unless the replica was waited for",
        arguments: [0, 1])
    func killed(wait: Int) throws {
        try withSite(replicas: 1, wait: wait) { stage, site, daemon in
            let client = try daemon.client()
            var (issued, revoked): ([String], [String]) = ([], [])
            func change() throws {
                if let token = try? Fields(client.call("TOKEN.ISSUE")).newToken() { issued.append(token) }
                guard issued.count > revoked.count, let token = issued.first else { return }
                issued.removeFirst()
                if (try? Fields(client.call("TOKEN.REVOKE", token)))?.status == "revoked" { revoked.append(token) }
            }
            for _ in 0..<100 { try change() }
            #expect(issued.count > 40 && revoked.count > 40)
            try site.cutOff()
            for _ in 0..<3 { try change() }
            site.master.kill9()
            site.replicas[0].signal(SIGCONT)
            try site.promote(site.replicas[0])
            let other = try stage.addDaemon(.url(site.url)).client()
            let lost = try issued.count { try !other.validate($0).isAccepted }
            let living = try revoked.count { try other.validate($0).isAccepted }
            if wait == 0 {
                #expect(lost + living > 0)
            } else {
                #expect(lost == 0 && living == 0, "\(lost) sessions are gone, \(living) live again")
            }
        }
    }

    @Test("with the rights of conf/redis-users.acl, WAIT and its write are permitted")
    func rights() throws {
        try withWorld(settings: ["redis.wait-replicas": "1", "redis.timeout": "1s"], isRestricted: true) { world in
            let reply = try world.client().call("TOKEN.ISSUE")
            #expect(reply.errorText == "UNAVAILABLE too few replicas have the change: 0 of 1", "\(reply)")
        }
    }

    @Test("PROBE waits for the replicas, too: it names those that have nothing, and a right that is missing")
    func probe() throws {
        try withSite(replicas: 1, wait: 1) { _, site, daemon in
            let client = try daemon.client()
            #expect(try client.fields("PROBE").status == "ok")
            site.replicas[0].signal(SIGSTOP)
            let stuck = try client.fields("PROBE")
            #expect(stuck["fault"]?.text == "too few replicas have the change: 0 of 1", "\(stuck)")
            #expect(stuck["remedy"]?.text?.hasPrefix("are the replicas running and in step") == true)
            site.replicas[0].signal(SIGCONT)
            try awaitThat("the replica has it again") { try client.fields("PROBE").status == "ok" }
            let master = try RESPClient(path: site.master.socket)
            #expect(try master.call("ACL", "SETUSER", "default", "-wait") == .simple("OK"))
            let denied = try client.fields("PROBE")
            #expect(denied["fault"]?.text == "the Redis user lacks a permission (NOPERM)", "\(denied)")
            #expect(denied["remedy"]?.text?.contains("conf/redis-users.acl") == true)
        }
    }

    @Test("doctor warns where another replica may be promoted")
    func doctor() throws {
        try withSite(replicas: 2, wait: 1) { stage, _, daemon in
            let probe = try daemon.client().fields("PROBE")
            #expect(probe["replicas"]?.integer == 2 && probe["wait_replicas"]?.integer == 1, "\(probe)")
            let page = try Tool.run(
                stage, PackageFolder.program("tokencachectl"), ["--socket", daemon.socket, "doctor"])
            #expect(page.output.contains("1 of 2 have a change before it is acknowledged"), "\(page.output)")
            #expect(page.output.contains("set `redis.wait-replicas` to 2"), "\(page.output)")
        }
    }
}
