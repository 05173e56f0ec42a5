import Foundation
import TestSupport
import Testing

@Suite("audit.target", .parallel)
struct AuditTrailTests {
    /// One line of the trail.
    private struct Event: Decodable, Equatable {
        struct Peer: Decodable, Equatable {
            let uid: Int
            let pid: Int
        }

        let time: String
        let event: String
        let sid: String?
        let subject: String?
        let peer: Peer?
        let reason: String?
        let fingerprint: String?
        let outcome: String?
    }

    private static let file = "audit.jsonl"

    private func events(_ text: String) throws -> [Event] {
        try text.split(separator: "\n").map { try JSONDecoder().decode(Event.self, from: Data($0.utf8)) }
    }

    private func events(at path: String) throws -> [Event] { try events(String(contentsOfFile: path, encoding: .utf8)) }

    private func withTrail(
        settings: [String: String] = [:], environment: [String: String] = [:], launcher: [String] = [],
        _ body: (Stage, Daemon, _ path: String) throws -> Void
    ) throws {
        let stage = try Stage()
        let path = "\(try stage.folder.folder("trail"))/\(Self.file)"
        var all = ["audit.target": "file:\(path)"]
        all.merge(settings) { _, new in new }
        let daemon = try stage.addDaemon(
            .redis(stage.addRedis()), settings: all, environment: environment, launcher: launcher)
        try body(stage, daemon, path)
        let problems = stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    @Test("an end of which Redis did not say whether it came to pass has a line, and one more when that is known")
    func unconfirmedEnd() throws {
        let stage = try Stage()
        let server = try stage.addRedis()
        let proxy = try RedisProxy(stage, to: server)
        let path = "\(try stage.folder.folder("trail"))/\(Self.file)"
        let daemon = try stage.addDaemon(
            .url(proxy.url), settings: ["audit.target": "file:\(path)", "redis.timeout": "600ms"])
        let client = try daemon.client()
        let token = try client.issue("SUBJECT", "ann")
        // The read is answered in time, the write behind it is not.
        proxy.treat(.data) { $0.delay = .milliseconds(400) }
        expectError("UNAVAILABLE", try client.call("TOKEN.REVOKE", token))
        proxy.treat(.data) { $0.delay = .zero }
        _ = try eventually("the late answer") { () throws -> Bool? in
            let ends = try events(at: path).filter { $0.event == "end" }
            return ends.map(\.outcome) == ["unknown", nil] && ends.allSatisfy { $0.reason == "logout" } ? true : nil
        }
        let problems = stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    @Test("a file that ends in the middle of a line: the next event stands on a line of its own, after a restart too")
    func tornFile() throws {
        let stage = try Stage()
        let path = "\(try stage.folder.folder("trail"))/\(Self.file)"
        try Data("{\"time\":\"torn".utf8).write(to: URL(fileURLWithPath: path))
        chmod(path, 0o600)
        _ = try stage.addDaemon(.redis(stage.addRedis()), settings: ["audit.target": "file:\(path)"]).client().issue(
            "SUBJECT", "ann")
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let whole = text.split(separator: "\n").dropFirst().joined(separator: "\n")
        #expect(text.hasPrefix("{\"time\":\"torn\n{"), "\(text)")
        #expect(try events(whole).last?.event == "issue")
        let problems = stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    @Test("issue with a subject, login, every end with its reason, a replay: each a line with sid, subject and peer")
    func sessions() throws {
        let settings = [
            "rotation.after": "1ms", "rotation.overlap": "0", "rotation.on-replay": "revoke",
            "rotation.replay-grace": "0",
        ]
        try withTrail(settings: settings) { _, daemon, path in
            let client = try daemon.client()
            let anonymous = try client.issue()
            let ann = try client.fields("TOKEN.ISSUE", "SUBJECT", "ann \"b\"\n\u{2028}\u{1b}[31m").newToken()
            let bob = try client.fields("TOKEN.LOGIN", anonymous, "bob").newToken()
            // Another subject's login ends bob's session and makes one.
            let eve = try client.fields("TOKEN.LOGIN", bob, "eve").newToken()
            #expect(try client.fields("TOKEN.REVOKE", eve).status == "revoked")
            let many = try (0..<150).map { _ in try client.issue("SUBJECT", "many") }
            #expect(try client.fields("TOKEN.REVOKEALL", "many").integer("count") == 150)
            let successor = try client.rotateWhenDue(ann)
            _ = try client.validate(successor)
            _ = try eventually("the replay") { try client.validate(ann).status == "replayed" ? true : nil }

            let found = try events(at: path)
            func one(_ event: String, _ token: String, reason: String? = nil) -> Event? {
                found.first { $0.event == event && $0.sid == String(token.prefix(32)) && $0.reason == reason }
            }
            #expect(one("issue", ann)?.subject == "ann \"b\"\n\u{2028}\u{1b}[31m")
            #expect(one("issue", anonymous) == nil, "nobody's session is nobody's business")
            #expect(one("login", bob)?.subject == "bob" && one("login", eve)?.subject == "eve")
            #expect(one("end", bob, reason: "login")?.subject == "bob")
            #expect(one("end", eve, reason: "logout")?.subject == "eve")
            for token in many { #expect(one("end", token, reason: "logout-all")?.subject == "many") }
            #expect(
                one("replay", ann)?.subject?.hasPrefix("ann") == true
                    && one("end", ann, reason: "replay")?.subject?.hasPrefix("ann") == true)
            for event in found where event.sid != nil {
                #expect(event.peer == .init(uid: Int(getuid()), pid: Int(getpid())), "\(event)")
            }
            // One line each, whatever stands in a subject.
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(!text.unicodeScalars.contains("\u{1b}") && !text.unicodeScalars.contains("\u{2028}"))
        }
    }

    @Test("the key ring that is loaded, one that changed, and reloads with who asked; what is refused is said, too")
    func operations() throws {
        try withTrail { stage, daemon, path in
            let client = try daemon.client()
            let first = try #require(try events(at: path).first)
            #expect(first.event == "keyring" && first.reason == "loaded" && first.fingerprint?.count == 16)
            let ring = try TestRing(stage)
            try ring.write([ring.key("k9", activeFrom: 1)])
            #expect(try client.call("RELOAD") == .simple("OK"))
            let changed = try events(at: path).suffix(2)
            #expect(changed.map(\.event) == ["reload", "keyring"])
            #expect(changed.first?.peer?.pid == Int(getpid()) && changed.first?.reason == "done")
            #expect(changed.last?.reason == "changed" && changed.last?.fingerprint != first.fingerprint)
            chmod(ring.path, 0o666)
            expectError("ERR", try client.call("RELOAD"))
            daemon.signal(SIGHUP)
            _ = try eventually("the second refusal") { try events(at: path).count == 5 ? true : nil }
            let refused = try events(at: path).suffix(2)
            #expect(refused.allSatisfy { $0.event == "reload" && $0.reason == "refused, nothing was changed" })
            #expect(refused.last?.peer == nil, "a signal has no peer")
        }
    }

    @Test("a denied peer has a line each time", .enabled(if: getuid() == 0))
    func denied() throws {
        try withWorld(settings: [
            "socket.mode": "0666", "access.default": "none", "audit.target": "log", "log.level": "critical",
        ]) { world in
            _ = try Crowd(30, in: world)
            let lines = world.daemon.log.split(separator: "\n").filter { $0.contains("audit {") }
            let denied = try events(lines.map { String($0.drop { $0 != "{" }) }.joined(separator: "\n")).filter {
                $0.event == "denied"
            }
            #expect(denied.count == 30 && denied.allSatisfy { $0.peer?.uid == 65_534 && $0.reason == "role none" })
        }
    }

    @Test("events are never left out, whatever their rate and the level of the log", arguments: [true, false])
    func neverSuppressed(_ isFile: Bool) throws {
        let settings = ["log.level": "critical"].merging(isFile ? [:] : ["audit.target": "log"]) { _, new in new }
        try withTrail(settings: settings) { _, daemon, path in
            let client = try daemon.client()
            var tokens: [String] = []
            for start in stride(from: 0, to: 2_000, by: 100) {
                let commands = (start..<start + 100).map { ["TOKEN.ISSUE", "SUBJECT", "ann\($0)"] }
                tokens += try client.pipeline(commands).map { try Fields($0).newToken() }
            }
            let lines =
                isFile
                ? try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
                : daemon.log.split(separator: "\n").filter { $0.contains("audit {") }.map {
                    String($0.drop { $0 != "{" })
                }
            let found = try events(lines.joined(separator: "\n")).filter { $0.event == "issue" }
            #expect(found.map(\.subject) == (0..<2_000).map { "ann\($0)" })
            #expect(found.map(\.sid) == tokens.map { String($0.prefix(32)) })
            let info = try client.call("INFO", "stats").text ?? ""
            #expect(info.contains("audit_events:2001\r\n") && info.contains("audit_lost:0\r\n"))
        }
    }

    @Test("a file that was moved away is opened anew at SIGHUP; not one event is lost in between")
    func rotation() throws {
        try withTrail { _, daemon, path in
            let client = try daemon.client()
            for round in 0..<5 {
                _ = try client.issue("SUBJECT", "before\(round)")
                #expect(rename(path, "\(path).\(round)") == 0)
                // Still into the one that was moved.
                _ = try client.issue("SUBJECT", "between\(round)")
                daemon.signal(SIGHUP)
                _ = try eventually("the new file") { FileManager.default.fileExists(atPath: path) ? true : nil }
                #expect(
                    try events(at: "\(path).\(round)").compactMap(\.subject) == ["before\(round)", "between\(round)"])
            }
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o7777 == 0o600)
        }
    }

    @Test("what cannot be written is counted and said, the daemon goes on, and every whole line is one event")
    func full() throws {
        // The disk is full at 4 KiB.
        try withTrail(launcher: ["prlimit", "--fsize=4096"]) { _, daemon, path in
            let client = try daemon.client()
            for round in 0..<60 { _ = try client.issue("SUBJECT", "ann\(round)") }
            let info = try client.call("INFO", "stats").text ?? ""
            let figures = info.split(separator: "\r\n").filter { $0.hasPrefix("audit_") }.compactMap {
                Int($0.drop { $0 != ":" }.dropFirst())
            }
            #expect(figures.count == 2 && figures[1] > 0 && figures.reduce(0, +) == 61, "\(info)")
            #expect(daemon.log.contains("an audit event could not be written (audit.target)"))
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            #expect(try events(lines.prefix(figures[0]).joined(separator: "\n")).count == figures[0])
        }
    }

    @Test("the time is Redis's, not this host's")
    func time() throws {
        try withTrail(environment: ShiftedClock.environment("+3600s")) { _, daemon, path in
            _ = try daemon.client().issue("SUBJECT", "ann")
            let text = try #require(try events(at: path).first { $0.event == "issue" }?.time)
            let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
            #expect(abs(try Date(text, strategy: format).timeIntervalSinceNow) < 60, "\(text)")
        }
    }

    @Test("a link in the file's place is refused at the start, and at a reload, which changes nothing")
    func refused() throws {
        try withTrail { stage, daemon, path in
            let folder = try stage.folder.folder("other")
            let victim = "\(folder)/victim"
            try Data("precious\n".utf8).write(to: URL(filePath: victim))
            let client = try daemon.client()
            #expect(unlink(path) == 0 && symlink(victim, path) == 0)
            let reply = try client.call("RELOAD")
            #expect(reply.errorCode == "ERR" && reply.errorText?.contains("audit.target: \(path) is not used") == true)
            // The file that was open goes on to be written.
            _ = try client.issue("SUBJECT", "ann")
            try daemon.stop()
            let child = try ChildProcess(
                Daemon.program,
                ["--socket", "\(folder)/t.sock", "--state-dir", folder, "--set", "audit.target=file:\(path)"],
                name: "refused", folder: folder)
            #expect(try child.wait() == .exited(78))
            #expect(child.errors.contains("audit.target: \(path) is not used"))
            #expect(try String(contentsOfFile: victim, encoding: .utf8) == "precious\n")
        }
    }
}
