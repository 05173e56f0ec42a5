import Foundation
import TestSupport
import Testing

/// What stays behind at the source of a move: nothing that could serve, whoever starts what there.
@Suite("The source of a move", .parallel)
struct MovedSourceTests {
    private func within(isRestricted: Bool, _ body: (Stage) throws -> Void) throws {
        let stage = try Stage(isRestricted: isRestricted)
        var problems: [String] = []
        do { try body(stage) } catch { problems.append("\(error)") }
        problems += stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    /// One with the pages of HTTP.
    private func addDaemon(
        _ stage: Stage, _ store: Daemon.Store, _ readiness: Daemon.Readiness = .serves
    ) throws -> Daemon {
        let listen = "unix:\(try Self.page(stage, stage.daemons.count))"
        return try stage.addDaemon(store, settings: ["http.listen": listen], readiness: readiness)
    }

    private static func page(_ stage: Stage, _ number: Int) throws -> String {
        "\(try stage.clientFolder())/http\(number).sock"
    }

    /// It says so to visitors, to the operator and whoever watches it, and in its log.
    private func expectMoved(
        _ daemon: Daemon, to place: String, _ stage: Stage, _ tokens: [String], _ words: String = "has moved"
    ) throws {
        let client = try daemon.client()
        let fault = "the data of this Redis \(words) to \(place)"
        let reason = "UNAVAILABLE \(fault)"
        // What is done once more at another master is waited for first: its time may be up with that.
        for token in tokens {
            _ = try eventually("it says that the data \(words)") {
                let answer = try client.call("TOKEN.VALIDATE", token)
                #expect(answer.errorCode == "UNAVAILABLE", "\(answer)")
                return answer.errorText == reason ? true : nil
            }
        }
        #expect(try client.call("TOKEN.ISSUE").errorText == reason)
        #expect(daemon.log.contains("\(words) to \(place)") && daemon.log.contains("To undo"), "\(daemon.log)")
        for command in ["doctor", "status"] {
            let page = try Tool.run(
                stage, PackageFolder.program("tokencachectl"), ["--socket", daemon.socket, command])
            #expect(page.output.contains(fault), "\(command): \(page)")
        }
        let upstream = try DaemonFacts(client, "upstream")
        #expect(upstream["upstream_state"] == "down" && upstream["upstream_last_fault"] == fault, "\(upstream)")
        #expect(try DaemonFacts(client, "nearcache")["near_cache_armed"] == "0")
        let number = try #require(stage.daemons.firstIndex { $0 === daemon })
        let http = try HTTPClient(path: Self.page(stage, number))
        let ready = try http.get("/readyz")
        #expect(ready.status == 503 && ready.body.contains(fault), "\(ready)")
        #expect(try http.get("/status.json").body.contains(fault))
    }

    @Test("one that is started anew: rights and mark are as they were, and either is enough")
    func restarted() throws {
        try within(isRestricted: true) { stage in
            let source = try stage.addRedis(speaksTLS: false, topology: .alone)
            let target = try stage.addRedis(speaksTLS: false, topology: .alone)
            let daemon = try addDaemon(stage, .redis(source))
            let client = try daemon.client()
            let residents = try Residents(client)
            let move = Move(stage, from: source.adminURL, to: target.url, ["--fence-user", "default"])
            let done = try move.run()
            #expect(done.status == 0 && done.errors.contains("ACL SAVE"), "\(done)")
            let report = try done.report()
            #expect((report["fence_kept"] as? [String])?.count == 1, "\(report)")
            #expect(report["unmark"] as? [String] == ["DEL \(stage.prefix)d:moved"])
            // The daemon that was left running knows why, too.
            try expectMoved(daemon, to: target.url, stage, residents.living)
            #expect(try KeyAudit.allKeys(target.client()).filter { $0.contains("d:moved") }.isEmpty)
            let mark = try source.client().call("GET", "\(stage.prefix)d:moved").text ?? ""
            #expect(mark.hasSuffix(" \(target.url)") && mark.first?.isNumber == true, "\(mark)")
            #expect(try source.client().call("PTTL", "\(stage.prefix)d:moved") == .integer(-1))

            try source.restart()
            let write = ["ACL", "DRYRUN", "default", "SET", "\(stage.prefix)s:1", "1"]
            #expect(try source.client().call(write) != .simple("OK"))
            let again = try addDaemon(stage, .redis(source), .answers)
            try expectMoved(again, to: target.url, stage, residents.living)

            // Its rights alone do not make it serve.
            for command in report["undo"] as? [String] ?? [] {
                #expect(try source.client().call(command.split(separator: " ").map(String.init)) == .simple("OK"))
            }
            try source.restart()
            #expect(try source.client().call(write) == .simple("OK"))
            try expectMoved(again, to: target.url, stage, residents.living)
            // From here nothing is moved to a third place by mistake.
            let third = try stage.addRedis(speaksTLS: false, topology: .alone)
            let old = try Move(stage, from: source.adminURL, to: third.url, ["--fenced"]).run()
            #expect(old.status == 5 && old.errors.contains("has moved before, to \(target.url)"), "\(old)")

            try move.undo(report, at: source.client())
            for daemon in [daemon, again] { try daemon.client().awaitService() }
            #expect(try residents.complaints(client).isEmpty)
        }
    }

    @Test("one without a file of users: its configuration keeps them, as an operator's own words say")
    func configured() throws {
        try within(isRestricted: false) { stage in
            let port = try FreePort.find()
            let folder = try stage.folder.folder("conf")
            let file = "\(folder)/redis.conf"
            let socket = "\(folder)/r.sock"
            try "port \(port)\nunixsocket \(socket)\ndir \(folder)\nappendonly yes\n".write(
                toFile: file, atomically: true, encoding: .utf8)
            func start() throws -> (ChildProcess, RESPClient) {
                let server = try ChildProcess("redis-server", [file], name: "redis", folder: folder)
                let client = try eventually("it answers") { () throws -> RESPClient? in
                    guard let client = try? RESPClient(path: socket, limit: .seconds(5)) else { return nil }
                    return try client.call("PING") == .simple("PONG") ? client : nil
                }
                return (server, client)
            }
            var (server, redis) = try start()
            defer { server.kill9() }
            #expect(
                try redis.call("ACL", "SETUSER", "tokencached", "on", ">word", "~*", "&*", "+@all") == .simple("OK"))
            let target = try stage.addRedis(speaksTLS: false, topology: .alone)
            let url = "redis://tokencached:word@127.0.0.1:\(port)"
            let daemon = try addDaemon(stage, .url(url))
            let residents = try Residents(daemon.client())
            let move = Move(
                stage, from: "unix://\(socket)", to: target.url, ["--fence-user", "tokencached"])
            let done = try move.run()
            #expect(done.status == 0 && done.errors.contains("CONFIG REWRITE"), "\(done)")
            server.kill9()
            _ = try server.wait()
            (server, redis) = try start()
            let denied = try redis.call("ACL", "DRYRUN", "tokencached", "SET", "x", "1")
            #expect(denied.errorText != nil || denied.text?.contains("permissions") == true, "\(denied)")
            try daemon.stop()
            try daemon.start(.answers)
            try expectMoved(daemon, to: done.destination(), stage, residents.living)
            // All is flushed: then nothing is left that could be old.
            let report = try done.report()
            for command in report["undo"] as? [String] ?? [] {
                #expect(try redis.call(command.split(separator: " ").map(String.init)) == .simple("OK"))
            }
            _ = try redis.call("FLUSHALL")
            try daemon.client().awaitService()
            try daemon.stop()
        }
    }

    @Test("its replica that was away, and is promoted when it is back")
    func replica() throws {
        try within(isRestricted: false) { stage in
            let ports = try [FreePort.find(), FreePort.find()]
            let master = try RedisProcess("--port", "\(ports[0])", "--repl-diskless-sync-delay", "0")
            let replica = try RedisProcess("--port", "\(ports[1])", "--replicaof", "127.0.0.1 \(ports[0])")
            defer { for server in [master, replica] { server.kill9() } }
            let user = ["ACL", "SETUSER", "tokencached", "on", ">word", "~*", "&*", "+@all"]
            let redis = try RESPClient(path: master.socket)
            #expect(try redis.call(user) == .simple("OK"))
            let target = try stage.addRedis(speaksTLS: false, topology: .alone)
            let daemon = try stage.addDaemon(.url("redis://tokencached:word@127.0.0.1:\(ports[0])"))
            let residents = try Residents(daemon.client())
            replica.kill9()
            _ = try eventually("it is away") {
                try redis.call("INFO", "replication").text?.contains("connected_slaves:0") == true ? true : nil
            }
            let done = try Move(
                stage, from: "redis://127.0.0.1:\(ports[0])", to: target.url,
                ["--fence-user", "tokencached"]
            ).run()
            #expect(done.status == 0, "\(done)")
            try daemon.stop()

            try replica.start()
            let back = try RESPClient(path: replica.socket)
            #expect(try back.call(user) == .simple("OK"))
            _ = try eventually("it has all") {
                try back.call("INFO", "replication").text?.contains("master_link_status:up") == true ? true : nil
            }
            master.kill9()
            #expect(try back.call("REPLICAOF", "NO", "ONE") == .simple("OK"))
            let there = try addDaemon(
                stage, .url("redis://tokencached:word@127.0.0.1:\(ports[1])"), .answers)
            try expectMoved(there, to: done.destination(), stage, residents.living)
            try there.stop()
        }
    }

    @Test("an embedded one, whose daemon is started again on its old state")
    func embedded() throws {
        try within(isRestricted: false) { stage in
            let target = try stage.addRedis(speaksTLS: false, topology: .alone)
            let daemon = try addDaemon(stage, .embedded)
            let residents = try Residents(daemon.client())
            let file = "\(try stage.clientFolder())/embedded.yaml"
            try "state-dir: \(daemon.stateFolder)\nredis:\n  url: embedded\n  prefix: \"\(stage.prefix)\"\n".write(
                toFile: file, atomically: true, encoding: .utf8)
            let done = try Move(stage, ["--from-config", file, "--to", target.url]).run()
            #expect(done.status == 0, "\(done)")
            let place = try done.destination()
            try expectMoved(daemon, to: place, stage, residents.living)
            try daemon.stop()
            try daemon.start(.answers)
            try expectMoved(daemon, to: place, stage, residents.living)
            // Its rights ended with the old process: the mark is all that there is.
            #expect(try daemon.redis().call("DEL", "\(stage.prefix)d:moved") == .integer(1))
            try daemon.client().awaitService()
            #expect(try residents.complaints(daemon.client()).isEmpty)
        }
    }

    @Test("a move back takes the mark away there, and leaves one here")
    func back() throws {
        try within(isRestricted: true) { stage in
            let first = try stage.addRedis(speaksTLS: false, topology: .alone)
            let second = try stage.addRedis(speaksTLS: false, topology: .alone)
            let early = try stage.addDaemon(.redis(first))
            let residents = try Residents(early.client())
            let there = Move(stage, from: first.adminURL, to: second.adminURL, ["--fence-user", "default"])
            let gone = try there.run()
            #expect(gone.status == 0, "\(gone)")
            let late = try addDaemon(stage, .redis(second))
            let token = try late.client().issue()
            // Rights alone: the mark goes when all is there.
            for command in try gone.report()["undo"] as? [String] ?? [] {
                _ = try first.client().call(command.split(separator: " ").map(String.init))
            }
            _ = try first.client().call("DEL", "\(stage.prefix)d:marks")
            let back = Move(stage, from: second.adminURL, to: first.adminURL, ["--fence-user", "default"])
            let refused = try back.run()
            #expect(refused.status == 5 && refused.errors.contains("--resume"), "\(refused)")
            #expect(try early.client().call("TOKEN.ISSUE").errorCode == "UNAVAILABLE")
            let done = try back.run("--resume")
            #expect(done.status == 0, "\(done)")
            try early.client().awaitService()
            #expect(try early.client().validate(token).isAccepted)
            #expect(try residents.complaints(early.client()).isEmpty)
            try expectMoved(late, to: done.destination(), stage, [token])
        }
    }

    @Test(
        "one whose move was ended before all was there: it is being moved, then it has moved, and nobody serves from it"
    )
    func moving() throws {
        try within(isRestricted: true) { stage in
            let source = try stage.addRedis(speaksTLS: false, topology: .alone)
            let target = try stage.addRedis(speaksTLS: false, topology: .alone)
            let daemon = try addDaemon(stage, .redis(source))
            let residents = try Residents(daemon.client(), count: 3_000)
            // Who moves is who is fenced, and may not write any more when the mark is to say that it is over.
            let move = Move(stage, from: source.url, to: target.url, ["--fence-user", "default"])
            for words in [["SETUSER", "default", "+acl", "+client|kill"], ["SAVE"]] {
                #expect(try source.client().call(["ACL"] + words) == .simple("OK"))
            }
            try move.kill(at: "fenced")
            let key = "\(stage.prefix)d:moved"
            #expect(try source.client().call("GET", key).text?.hasSuffix(" \(target.url) moving") == true)
            let again = try addDaemon(stage, .redis(source), .answers)
            try expectMoved(again, to: target.url, stage, Array(residents.living.prefix(9)), "is being moved")
            try source.restart()
            try expectMoved(daemon, to: target.url, stage, Array(residents.living.prefix(9)), "is being moved")
            let third = try stage.addRedis(speaksTLS: false, topology: .alone)
            let other = try Move(stage, from: source.adminURL, to: third.url, ["--fenced"]).run()
            #expect(other.status == 5 && other.errors.contains("is being moved to \(target.url)"), "\(other)")
            #expect(other.errors.contains("redis-cli -c DEL \(key)"), "\(other)")

            // As if it had been killed when it had the right back to say in the mark that it is over.
            #expect(try source.client().call("ACL", "SETUSER", "default", "+set") == .simple("OK"))
            let done = try move.run("--resume")
            #expect(done.status == 0, "\(done)")
            let undo = try done.report()["undo"] as? [String]
            #expect(undo?.first?.contains("+evalsha") == true, "those are not the rights that it had: \(undo ?? [])")
            #expect(try source.client().call("GET", key).text?.hasSuffix(" \(target.url)") == true)
            let write = ["ACL", "DRYRUN", "default", "SET", key, "1"]
            #expect(try source.client().call(write) != .simple("OK"))
            for daemon in [daemon, again] {
                try expectMoved(daemon, to: target.url, stage, Array(residents.living.prefix(9)))
            }
        }
    }

    @Test("a cluster whose slots moved while its move stood still: each mark is named, and goes when it is undone")
    func undoneAfterResharding() throws {
        try withCluster { stage, site, target, url in
            let daemon = try addDaemon(stage, .url(url))
            let residents = try Residents(daemon.client(), count: 2_000)
            let move = Move(stage, from: site.url, to: target.url, ["--fence-user", "tokencached"])
            try move.kill(at: "fenced")
            let pattern = ["KEYS", "\(stage.prefix)d:moved*"]
            let masters = try site.masters()
            let own = try #require(try site.ask(masters[0], pattern).first { $0.contains("{") })
            try site.give(slotOf: own, from: masters[0], to: masters[1])

            let done = try move.run("--resume")
            #expect(done.status == 0, "\(done)")
            let marks = try masters.flatMap { try site.ask($0, pattern) }
            #expect(marks.count == 5 && marks.contains(own), "\(marks)")
            let report = try done.report()
            #expect(Set(report["unmark"] as? [String] ?? []) == Set(marks.map { "DEL \($0)" }), "\(report)")
            for command in report["undo"] as? [String] ?? [] where command.hasPrefix("ACL SETUSER") {
                let words = command.split(separator: " ").map(String.init)
                for member in site.members { #expect(try site.ask(member, words) == ["OK"]) }
            }
            for command in report["unmark"] as? [String] ?? [] {
                #expect(try site.ask(masters[2], ["-c"] + command.split(separator: " ").map(String.init)) == ["1"])
            }
            #expect(try masters.flatMap { try site.ask($0, pattern) }.isEmpty)
            try daemon.client().awaitService(within: .seconds(30))
            #expect(try residents.complaints(daemon.client()).isEmpty)
            try daemon.stop()
        }
    }

    /// Who daemons are at a cluster, with the rights that are shipped for it and no others.
    private static func user(_ stage: Stage) throws -> [String] {
        try ["ACL", "SETUSER", "tokencached", "reset"]
            + RedisRights.rule(">word", prefix: stage.prefix, file: "cluster-users.acl")
    }

    /// A cluster that has that user, a place for its data, and the cluster's address for daemons.
    private func withCluster(_ body: (Stage, ClusterSite, RedisServer, _ url: String) throws -> Void) throws {
        try within(isRestricted: false) { stage in
            let site = try ClusterSite(in: stage.folder.folder("cluster"))
            defer { site.stop() }
            let user = try Self.user(stage)
            for member in site.members { #expect(try site.ask(member, user) == ["OK"]) }
            let target = try stage.addRedis(speaksTLS: false, topology: .alone)
            try body(stage, site, target, site.url.replacingOccurrences(of: "//", with: "//tokencached:word@"))
        }
    }

    @Test("a cluster: its servers are started anew, and slots go from one to another")
    func cluster() throws {
        try withCluster { stage, site, target, url in
            let daemon = try addDaemon(stage, .url(url))
            let residents = try Residents(daemon.client(), count: 60)
            let done = try Move(
                stage, from: site.url, to: target.url, ["--fence-user", "tokencached"]
            ).run()
            #expect(done.status == 0, "\(done)")
            let place = try done.destination()
            try expectMoved(daemon, to: place, stage, residents.living)
            // Of all, and one of each master.
            #expect(try done.report()["unmark"].flatMap { $0 as? [String] }?.count == 4)
            for master in try site.masters() {
                #expect(try site.ask(master, ["KEYS", "\(stage.prefix)d:moved{*"]).count == 1)
            }

            let masters = try site.masters()
            try #require(masters.count == 3)
            try site.reshard(100, from: masters[0], to: masters[1])
            for member in site.members {
                try site.ask(member, ["SAVE"])
                member.kill9()
            }
            for member in site.members { try member.restart() }
            let client = try daemon.client()
            // Nobody has a right less: they are of the old process.
            let user = try Self.user(stage)
            let end = Date() + 8
            while Date() < end {
                for member in site.members { try site.ask(member, user) }
                for token in residents.living {
                    let answer = try client.call("TOKEN.VALIDATE", token)
                    #expect(answer.errorCode == "UNAVAILABLE", "\(answer)")
                }
            }
            try expectMoved(daemon, to: place, stage, residents.living)
            let again = try addDaemon(stage, .url(url), .answers)
            try expectMoved(again, to: place, stage, residents.living)

            for command in try done.report()["unmark"] as? [String] ?? [] {
                let words = command.split(separator: " ").map(String.init)
                try site.ask(site.members[0], ["-c"] + words)
            }
            for daemon in [daemon, again] { try daemon.client().awaitService(within: .seconds(30)) }
            #expect(try residents.complaints(client).isEmpty)
            for daemon in [daemon, again] { try daemon.stop() }
        }
    }
}
