import Foundation
import TestSupport
import Testing

@Suite("tokencachectl: with a real daemon", .enabled(if: LiveDaemon.isAvailable), .timeLimit(.minutes(10)))
struct LiveDaemonTests {
    @Test("a session's life, from issue to why")
    func life() throws {
        let daemon = try LiveDaemon()
        #expect(try daemon.run(["ping"]).output.hasPrefix("PONG from "))

        let issued = try daemon.run(
            ["issue", "--json", "--subject", "ann", "--idle", "30m", "--absolute", "12h", "--data", "city=Rome"])
        #expect(issued.status == 0, "\(issued.errors)")
        let fields = try #require(try issued.json() as? NSDictionary)
        let token = try #require(fields["sessiontoken"] as? String)
        let sid = try #require(fields["sid"] as? String)
        #expect(token.hasPrefix(sid) && token.count == 128)
        #expect(fields["status"] as? String == "issued" && fields["subject"] as? String == "ann")

        let validated = try daemon.run(["validate"], input: token + "\n")
        #expect(validated.status == 0 && validated.output.contains("status       valid\n"), "\(validated)")
        #expect(!validated.output.contains(token))
        let inspected = try daemon.run(["inspect", sid])
        #expect(inspected.status == 0 && inspected.output.contains("data_fields  1"), "\(inspected)")
        #expect(try daemon.run(["inspect", "--token-stdin"], input: token).status == 0)
        let listed = try daemon.run(["sessions", "--subject", "ann", "--data", "city"])
        #expect(listed.status == 0 && listed.output.contains(sid) && listed.output.contains("Rome"), "\(listed)")
        #expect(try daemon.run(["why", sid]).output.contains("It lives, and is that of \"ann\""))

        #expect(try daemon.run(["revoke", "-"], input: token).status == 0)
        let refused = try daemon.run(["validate"], input: token)
        #expect(refused.status == 1 && refused.output.contains("reason    logout"), "\(refused)")
        let why = try daemon.run(["why", sid])
        #expect(why.status == 1 && why.output.contains("It was ended: logged out"), "\(why)")
        #expect(try daemon.run(["sessions", "--subject", "ann"]).status == 1)
    }

    @Test("a guest, a form of theirs, a captcha: secrets come from standard input, a line each")
    func visitors() throws {
        let daemon = try LiveDaemon()
        func field(_ name: String, _ arguments: [String], _ input: String = "") throws -> String {
            let result = try daemon.run(arguments + ["--json"], input: input)
            #expect(result.status == 0, "\(result)")
            let fields = try #require(try result.json() as? NSDictionary)
            return try #require(fields[name] as? String)
        }
        let guest = try field("sessiontoken", ["guest", "issue", "--lifetime", "1h"])
        #expect(guest.hasPrefix("eyJ"))
        let page = try daemon.run(["validate"], input: guest)
        #expect(page.status == 0 && page.output.contains("kind         guest\n"), "\(page)")

        let csrf = try field("csrf", ["csrf", "issue", "--form", "contact"], guest)
        #expect(try field("status", ["csrf", "verify", "--form", "contact"], "\(guest)\n\(csrf)\n") == "passed")
        let verify = ["csrf", "verify", "--form", "contact", "--site"]
        #expect(try daemon.run(verify + ["cross-site"], input: "\(guest)\n\(csrf)\n").status == 1)
        #expect(try daemon.run(["csrf", "verify"], input: "\(guest)\n\(csrf)\n").output == "status  failed\n")
        #expect(try daemon.run(["csrf", "issue"], input: ErrorPathTests.token).output.contains("unknown"))

        let made = try daemon.run(["captcha", "issue", "--length", "7", "--for-token-stdin", "--json"], input: guest)
        let fields = try #require(try made.json() as? NSDictionary)
        let captcha = try #require(fields["captcha"] as? String)
        let solution = try #require(fields["solution"] as? String)
        #expect(solution.count == 7)
        #expect(try field("solution", ["captcha", "open"], captcha) == solution)
        let answer = "\(captcha)\n\(solution.lowercased())\n\(guest)\n"
        #expect(try daemon.run(["captcha", "verify"], input: answer).output == "status  mismatch\n")
        #expect(try daemon.run(["captcha", "verify", "--for-token-stdin"], input: answer).output == "status  passed\n")
        let again = try daemon.run(["captcha", "verify", "--for-token-stdin"], input: answer)
        #expect(again.status == 1 && again.output == "status  spent\n")
        // Of secrets that are missing it is said which.
        #expect(try daemon.run(["captcha", "verify"], input: captcha).errors.contains("no answer on standard input"))
        #expect(try daemon.run(["csrf", "verify"], input: guest).errors.contains("no CSRF token on standard input"))
        for secret in [guest, captcha, csrf] {
            let refused = try daemon.run(["csrf", "verify", secret])
            #expect(refused.status == 2 && !refused.errors.contains(secret), "\(refused)")
        }
    }

    @Test("all sessions of a subject end, what is unknown is 1, a bad call is 5")
    func endings() throws {
        let daemon = try LiveDaemon()
        for _ in 0..<3 { #expect(try daemon.run(["issue", "--subject", "bob"]).status == 0) }
        let ended = try daemon.run(["revoke", "--subject", "bob", "--json"])
        #expect(ended.status == 0 && ended.output.contains("\"count\":3"), "\(ended)")
        #expect(try daemon.run(["revoke", "--subject", "bob"]).status == 1)
        #expect(try daemon.run(["validate"], input: ErrorPathTests.token).status == 1)
        #expect(try daemon.run(["inspect", ErrorPathTests.sid]).status == 1)
        #expect(try daemon.run(["revoke", ErrorPathTests.sid]).status == 1)
        #expect(try daemon.run(["issue", "--subject", String(repeating: "s", count: 257)]).status == 5)
    }

    @Test("reload takes a changed file, names what needs a restart, and fails with 78 and the reason on a wrong one")
    func reload() throws {
        let daemon = try LiveDaemon()
        try daemon.configure("redis:\n  timeout: 10s\nsession:\n  idle: 30m\n")
        let good = try daemon.run(["reload"])
        #expect(good.status == 0 && good.output == "the configuration was reloaded\n", "\(good)")
        #expect(try daemon.run(["reload", "--json"]).output == "{\"need_restart\":[]}\n")

        try daemon.configure("session:\n  idle: soon\nlog:\n  level: loud\n")
        let wrong = try daemon.run(["reload"])
        #expect(wrong.status == 78 && wrong.output.isEmpty, "\(wrong)")
        for part in ["nothing was changed", "session.idle", "log.level"] { #expect(wrong.errors.contains(part)) }

        try daemon.configure("redis:\n  timeout: 1s\n  prefix: \"x:\"\n")
        let partly = try daemon.run(["reload"])
        #expect(partly.status == 0, "\(partly)")
        #expect(partly.output.hasSuffix("these keys change with a restart only: redis.prefix, redis.timeout\n"))
        #expect(
            try daemon.run(["reload", "--json"]).output
                == "{\"need_restart\":[\"redis.prefix\",\"redis.timeout\"]}\n")
    }

    @Test("status, info and doctor find a healthy daemon healthy")
    func health() throws {
        let daemon = try LiveDaemon()
        let doctor = try daemon.run(["doctor", "--json"])
        #expect(doctor.status == 0 && !doctor.output.contains("\"fail\""), "\(doctor.output)")
        let findings = try #require(try doctor.json() as? [NSDictionary])
        #expect(
            Set(findings.compactMap { $0["check"] as? String }).isSuperset(of: [
                "socket", "ping", "role", "clock", "key ring",
            ]))
        let version = findings.first { $0["check"] as? String == "version" }
        #expect(version?["result"] as? String == "ok", "both programs are of one release")
        let status = try daemon.run(["status"])
        #expect(status.status == 0 && status.output.contains("ready, role master"), "\(status.output)")
        #expect(try daemon.run(["info", "--json"]).json() is NSDictionary)
        #expect(try daemon.run(["sessions", "--summary", "--json"]).json() is NSDictionary)
    }
}
