import Foundation
import TestSupport
import Testing

/// From one Redis to another, with real servers and daemons before both.
@Suite("tokencachectl migrate", .parallel)
struct MigrationTests {
    /// A source whose daemons have the rights of conf/redis-users.acl, and a target that is empty.
    private func withMove(
        _ body: (Stage, RedisServer, RedisServer, Daemon, Move) throws -> Void
    ) throws {
        let stage = try Stage(isRestricted: true)
        var problems: [String] = []
        do {
            let source = try stage.addRedis(speaksTLS: false)
            let target = try stage.addRedis(speaksTLS: false)
            let daemon = try stage.addDaemon(.redis(source))
            let move = Move(
                stage, from: source.adminURL, to: target.adminURL, ["--fence-user", "default"])
            try body(stage, source, target, daemon, move)
        } catch {
            problems.append("\(error)")
        }
        problems += stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    @Test("nobody is logged out, what was ended stays ended, ends and lists go on; the old daemon says UNAVAILABLE")
    func wholeMove() throws {
        try withMove { stage, source, target, daemon, move in
            let client = try daemon.client()
            let early = try client.issue("SUBJECT", "early")
            #expect(try client.fields("TOKEN.REVOKEEVERYONE").integer("count") == 1)
            letPass(.milliseconds(1_100))
            let residents = try Residents(client)
            let trial = try move.run("--dry-run")
            #expect(trial.status == 0, "\(trial)")
            #expect(try KeyAudit.allKeys(target.client()).isEmpty)

            let done = try move.run()
            #expect(done.status == 0, "\(done)")
            let report = try done.report()
            #expect(report["status"] as? String == "moved")
            let keys = try #require(report["keys"] as? [String: Int])
            #expect(keys["epochs"] == 1 && keys["indexes"] == 2 && keys["sessions"] == 20, "\(keys)")
            let before = try KeySnapshot(source.client(), prefix: stage.prefix)
            let after = try KeySnapshot(target.client(), prefix: stage.prefix)
            #expect(after.differences(from: before).isEmpty)
            #expect(before.keys.count > 20)

            // Whoever is left at the source has no answer, instead of an old one.
            #expect(try client.call("TOKEN.VALIDATE", residents.living[0]).errorCode == "UNAVAILABLE")
            let there = try stage.addDaemon(.redis(target)).client()
            #expect(try residents.complaints(there).isEmpty)
            #expect(try there.validate(early).status == "revoked")
            #expect(try there.call("TOKEN.LIST", "ann").elements?.count == 13)
            #expect(try there.fields("TOKEN.REVOKEALL", "ann").integer("count") == 13)

            // What it says is to be done gives the rights back.
            let again = try move.run("--resume").errors
            let undo = try #require(report["undo"] as? [String])
            #expect(again.contains("daemons are before the target already"), "\(again)")
            try move.undo(report, at: source.client())
            let rights = try source.client().call("ACL", "GETUSER", "default").elements ?? []
            #expect(
                rights.contains {
                    $0.text.map { undo.first?.hasSuffix($0) == true && $0.contains("+evalsha") } ?? false
                })
            try client.awaitService()
        }
    }

    @Test("what is ended and made while it runs is carried: all that was acknowledged holds at the target")
    func changesMeanwhile() throws {
        try withMove { stage, _, target, daemon, move in
            let client = try daemon.client()
            var living = try (0..<2_000).map { try client.issue("SUBJECT", "s\($0 % 50)") }
            var ended: [String] = []
            let moving = try move.begin()
            // Until the fence refuses, and a little more.
            while moving.ended == nil, !living.isEmpty {
                let made = try client.call("TOKEN.ISSUE", "SUBJECT", "late")
                if made.errorText == nil { living.append(try Fields(made).newToken()) }
                let token = living.removeFirst()
                if try client.call("TOKEN.REVOKE", token).errorText == nil {
                    ended.append(token)
                } else {
                    // Nobody knows of this one; there are enough others until it is over.
                    letPass(.milliseconds(5))
                }
            }
            #expect(try moving.wait(.seconds(60)) == .exited(0), "\(moving.errors)")
            #expect(ended.count > 10)
            let there = try stage.addDaemon(.redis(target)).client()
            for token in ended { #expect(try there.validate(token).status == "revoked") }
            for token in living { #expect(try there.validate(token).isAccepted) }
        }
    }

    @Test("a run that was killed goes on with --resume, at whatever moment; a filled target is refused without it")
    func resumed() throws {
        try withMove { stage, source, target, daemon, move in
            let client = try daemon.client()
            let residents = try Residents(client, count: 3_000)
            let moving = try move.begin()
            _ = try eventually("it copies") { try KeyAudit.allKeys(target.client()).count > 100 ? true : nil }
            moving.signal(SIGINT)
            #expect(try moving.wait() != .exited(0))
            #expect(moving.errors.contains("interrupted"), "\(moving.errors)")
            for pause in [150, 300, 600] {
                let moving = try move.begin("--resume")
                letPass(.milliseconds(pause))
                moving.kill9()
                _ = try moving.wait()
            }
            // What the source has not goes.
            _ = try target.client().call(
                "SET", "\(stage.prefix)x:\(String(repeating: "a", count: 32))", "1", "PX", "900000")
            let refused = try move.run()
            #expect(refused.status == 5 && refused.errors.contains("--resume"), "\(refused)")
            let done = try move.run("--resume")
            #expect(done.status == 0, "\(done)")
            let undo = try done.report()["undo"] as? [String]
            let again = try move.run("--resume")
            #expect(again.status == 0, "\(again)")
            // The fence stands, and how it is taken down is known all the same.
            #expect(try again.report()["undo"] as? [String] == undo && undo?.first?.contains("+evalsha") == true)
            let before = try KeySnapshot(source.client(), prefix: stage.prefix)
            let after = try KeySnapshot(target.client(), prefix: stage.prefix)
            #expect(after.differences(from: before).isEmpty)
            #expect(try residents.complaints(stage.addDaemon(.redis(target)).client()).isEmpty)
        }
    }

    @Test(
        "a run that was killed when it had fenced, or had compared, goes on with --resume",
        arguments: ["fenced", "compared"])
    func killed(at step: String) throws {
        try withMove { stage, source, target, daemon, move in
            let client = try daemon.client()
            let residents = try Residents(client, count: 2_000)
            let (moving, end) = try move.kill(at: step)
            // What follows on the comparison may be over by now.
            #expect(end == .killed(SIGKILL) || step == "compared", "\(end) \(moving.errors)")
            #expect(try client.call("TOKEN.ISSUE").errorCode == "UNAVAILABLE")

            let done = try move.run("--resume")
            #expect(done.status == 0, "\(done)")
            let report = try done.report()
            let undo = try #require(report["undo"] as? [String])
            #expect(undo.first?.contains("+evalsha") == true && undo.last == "ACL SAVE", "\(undo)")
            let before = try KeySnapshot(source.client(), prefix: stage.prefix)
            let after = try KeySnapshot(target.client(), prefix: stage.prefix)
            #expect(after.differences(from: before).isEmpty && before.keys.count > 2_000)
            #expect(try KeyAudit.allKeys(target.client()).filter { $0.contains("d:moved") }.isEmpty)
            #expect(try residents.complaints(stage.addDaemon(.redis(target)).client()).isEmpty)
            for token in residents.living.prefix(50) {
                #expect(try client.call("TOKEN.VALIDATE", token).errorCode == "UNAVAILABLE")
            }
        }
    }

    @Test("a run that was killed when it had fenced can be given up: what it said takes fence and mark away")
    func givenUp() throws {
        try withMove { stage, source, target, daemon, move in
            let client = try daemon.client()
            let residents = try Residents(client, count: 2_000)
            let moving = try move.begin()
            _ = try eventually(every: .milliseconds(1), "it has fenced") {
                moving.errors.contains("\nfenced ") ? true : nil
            }
            moving.kill9()
            _ = try moving.wait()
            let line = try #require(moving.errors.split(separator: "\n").first { $0.hasPrefix("fenced ") })
            let told = try #require(line.components(separatedBy: "To undo: ").last)
            for command in told.components(separatedBy: "; ") {
                let words = command.split(separator: " ").dropFirst().filter { $0 != "-c" }.map(String.init)
                let reply = try source.client().call(words)
                #expect(reply == .simple("OK") || reply == .integer(1), "\(command): \(reply)")
            }
            try client.awaitService()
            #expect(try residents.complaints(client).isEmpty)
            try source.restart()
            try client.awaitService()
            #expect(try residents.complaints(client).isEmpty)
            // And begun once more.
            let done = try move.run("--resume")
            #expect(done.status == 0, "\(done)")
            #expect(try residents.complaints(stage.addDaemon(.redis(target)).client()).isEmpty)
        }
    }

    @Test("a daemon that still writes is noticed, and one that is before the target already")
    func splitTruth() throws {
        try withMove { stage, source, target, daemon, move in
            let client = try daemon.client()
            _ = try Residents(client)
            // The operator says that it was stopped, and it was not.
            let byHand = Move(stage, from: source.adminURL, to: target.adminURL, ["--fenced"])
            let moving = try byHand.begin()
            while moving.ended == nil { _ = try client.call("TOKEN.ISSUE") }
            #expect(try moving.wait() == .exited(5))
            #expect(
                moving.errors.contains("somebody still writes") || moving.errors.contains("differ"), "\(moving.errors)")

            let there = try stage.addDaemon(.redis(target))
            _ = try eventually("its mark") {
                try KeyAudit.allKeys(target.client()).contains("\(stage.prefix)d:marks") ? true : nil
            }
            let refused = try move.run("--resume")
            #expect(refused.status == 5 && refused.errors.contains(there.socket), "\(refused)")
            // Nobody was fenced.
            #expect(try client.call("TOKEN.ISSUE").errorText == nil)
        }
    }

    @Test("it waits for the daemons, and says how long nothing could be written")
    func waiting() throws {
        try withMove { stage, source, target, daemon, move in
            let residents = try Residents(daemon.client())
            _ = try eventually("its mark") {
                try KeyAudit.allKeys(source.client()).contains("\(stage.prefix)d:marks") ? true : nil
            }
            let moving = try move.begin("--wait")
            _ = try eventually("all is compared") { moving.errors.contains("compared ") ? true : nil }
            letPass(.milliseconds(300))
            #expect(moving.ended == nil)
            try daemon.stop()
            // The same host and socket, with the new address.
            let there = try ChildProcess(
                Daemon.program,
                [
                    "--socket", daemon.socket, "--state-dir", daemon.stateFolder, "--redis", target.url, "--set",
                    "redis.prefix=\(stage.prefix)", "--set", "redis.timeout=2s", "--set",
                    "keyring.file=\(stage.keyRing())",
                ], name: "there", folder: stage.folder.folder("there"))
            #expect(try moving.wait() == .exited(0), "\(moving.errors)")
            #expect(
                moving.errors.contains("arrived   ") && moving.output.contains("\"outage_ms\":"), "\(moving.output)")
            #expect(try residents.complaints(daemon.client()).isEmpty)
            there.signal(SIGTERM)
            #expect(try there.wait() == .exited(0))
        }
    }

    @Test("who may not take rights is told what to do, and no source, user or target is guessed")
    func refusals() throws {
        try withMove { stage, source, target, daemon, _ in
            _ = try Residents(daemon.client())
            func refusal(_ from: String, _ to: String, _ options: String...) throws -> String {
                let tool = try Move(stage, from: from, to: to, options).run()
                #expect(tool.status != 0)
                return tool.errors
            }
            let asDaemon = "unix://\(source.socket)"
            #expect(try refusal(asDaemon, target.adminURL).contains("--fence-user"))
            let denied = try refusal(asDaemon, target.adminURL, "--fence-user", "default")
            #expect(denied.contains("--fenced") && denied.contains("nothing was changed"), "\(denied)")
            #expect(try refusal(source.adminURL, target.adminURL, "--fence-user", "bob").contains("no user bob"))
            #expect(try refusal(source.adminURL, source.adminURL, "--fenced").contains("same Redis"))
            #expect(try refusal(source.adminURL, "unix:///none.sock", "--fenced").contains("target unix:///none.sock"))
            #expect(try KeyAudit.allKeys(target.client()).isEmpty)

            // With the daemon's own rights at both it works once the daemon is stopped.
            try daemon.stop()
            let done = try Move(stage, from: asDaemon, to: "unix://\(target.socket)", ["--fenced"]).run()
            #expect(done.status == 0, "\(done)")
        }
    }
}
