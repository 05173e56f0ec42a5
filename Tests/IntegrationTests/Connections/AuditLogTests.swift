import Foundation
import TestSupport
import Testing

@Suite("The log as an auditor reads it", .parallel)
struct AuditLogTests {
    @Test("log.format: json: every line from the first to the last is an object")
    func json() throws {
        try withWorld(settings: ["log.format": "json", "log.level": "debug", "session.idle": "20d"]) { world in
            let client = try world.client()
            _ = try client.issue("SUBJECT", "a\n\"b")
            try world.requireServer().kill9()
            expectError("UNAVAILABLE", try client.call("TOKEN.ISSUE"))
            try world.requireServer().start()
            try client.awaitService()
            try world.daemon.stop()
            let lines = world.daemon.log.split(separator: "\n")
            var messages: [String] = []
            for line in lines {
                let fields = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
                messages.append(try #require(fields?["message"], "\(line)"))
                #expect(["debug", "info", "notice", "warning", "error"].contains(fields?["level"]), "\(line)")
                #expect(try Date(fields?["time"] ?? "", strategy: .iso8601).timeIntervalSinceNow > -600, "\(line)")
            }
            for part in ["session.idle, 20d, never matters", "serves", "session issued", "UNAVAILABLE", "draining"] {
                #expect(messages.contains { $0.contains(part) }, "\(part): \(messages)")
            }
        }
    }

    @Test("a start that fails says so in the form that was asked for")
    func failedStart() throws {
        try withWorld { world in
            let folder = try world.stage.folder.folder("wrong")
            let child = try ChildProcess(
                Daemon.program, ["--set", "log.format=json", "--set", "session.idle=soon"], name: "wrong",
                folder: folder)
            #expect(try child.wait() == .exited(78))
            let fields = try JSONSerialization.jsonObject(with: Data(child.errors.utf8)) as? [String: String]
            #expect(fields?["message"]?.contains("session.idle") == true && fields?["level"] == "error")
        }
    }

    @Test("issue with a subject, login, end and replay have a line each with the sid; anonymous sessions have none")
    func lines() throws {
        try withWorld(settings: ["rotation.after": "1ms", "rotation.overlap": "0"]) { world in
            let client = try world.client()
            let anonymous = try client.issue()
            let token = try client.fields("TOKEN.ISSUE", "SUBJECT", "ann b").newToken()
            let successor = try client.rotateWhenDue(token)
            _ = try client.validate(successor)
            _ = try eventually("the first token is retired") {
                try client.validate(token).status == "replayed" ? true : nil
            }
            let bob = try client.fields("TOKEN.LOGIN", anonymous, "bob").newToken()
            #expect(try client.fields("TOKEN.REVOKE", bob).status == "revoked")
            _ = try eventually("the log") { world.daemon.log.contains("session ended") ? true : nil }
            let log = world.daemon.log
            #expect(log.contains("info  session issued sid=\(token.prefix(32)) subject=\"ann b\"\n"))
            #expect(log.contains("notice a retired token came back sid=\(token.prefix(32))"))
            #expect(log.contains("info  login sid=\(bob.prefix(32)) subject=bob\n"))
            #expect(log.contains("info  session ended reason=logout sid=\(bob.prefix(32))\n"))
            #expect(!log.contains("session issued sid=\(anonymous.prefix(32))"))
        }
    }

    @Test("a peer cannot flood the log")
    func flood() throws {
        try withWorld(settings: ["session.idle": "1h"]) { world in
            let client = try world.client()
            let start = ContinuousClock.now
            for _ in 0..<20 {
                _ = try client.pipeline((0..<100).map { _ in ["TOKEN.ISSUE", "SUBJECT", "ann"] })
            }
            let seconds = Int((ContinuousClock.now - start) / .seconds(1))
            let lines = world.daemon.log.split(separator: "\n").filter { $0.contains("session issued") }
            #expect(lines.count >= 50 && lines.count <= 50 * (seconds + 2), "\(lines.count) in \(seconds) s")
        }
    }
}
