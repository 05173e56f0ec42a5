import Foundation
import TestSupport
import Testing
import TokenCacheClient
import UnixTime

import enum Tokens.EndReason

@testable import tokencachectl

/// What the subcommands send, print and return when the daemon answers.
@Suite("tokencachectl: answers", .timeLimit(.minutes(10)))
struct AnswerTests {
    static let sid = ErrorPathTests.sid
    static let token = ErrorPathTests.token

    /// A map as RESP2 carries it.
    static func map(_ fields: KeyValuePairs<String, Any>) -> String {
        "*\(fields.count * 2)\r\n"
            + fields.map { name, value in
                let text = (value as? Int).map { ":\($0)\r\n" } ?? (value as? String).map(bulk) ?? "$-1\r\n"
                return bulk(name) + ((value as? [String]).map { "*\($0.count)\r\n" + $0.map(bulk).joined() } ?? text)
            }.joined()
    }

    static func bulk(_ text: String) -> String { "$\(text.utf8.count)\r\n\(text)\r\n" }

    static let accepted = map([
        "status": "valid", "accepted": 1, "kind": "session", "sid": sid, "subject": "", "generation": 3,
        "created": 1_700_000_000, "modified": 1_700_000_100, "expires_in": 7_140, "absolute_in": 86_000,
        "successor": "pending", "data_fields": 1,
    ])
    static let info = """
        # Server\r\ntokencached_version:0.1.0\r\nuptime_in_seconds:90061\r\nconfig_file:\r\n\r\n# Upstream\r
        upstream_state:ready\r\n# Tokens\r\ntokens_issued:12\r\ntokens_validated_valid:007\r\n

        """

    private func run(
        _ arguments: [String], input: String = "", reply: String
    ) throws -> (result: Tool, commands: [[String]]) {
        let server = try ScriptedServer { _ in .reply(reply) }
        let result = try ControlProgram.run(["--socket", server.path] + arguments, input: input)
        return (result, server.commands)
    }

    @Test(
        "each subcommand sends its command",
        arguments: [
            (["ping"], ["PING"]),
            (["status"], ["INFO"]),
            (["reload"], ["RELOAD"]),
            (["info", "tokens"], ["INFO", "tokens"]),
            (["issue"], ["TOKEN.ISSUE"]),
            (
                [
                    "issue", "--data", "a=b=c", "--absolute", "12h", "--subject", "ann lee", "--idle", "30m", "--data",
                    "e=",
                ],
                ["TOKEN.ISSUE", "SUBJECT", "ann lee", "IDLE", "30m", "ABSOLUTE", "12h", "DATA", "a", "b=c", "e", ""]
            ),
            (["validate"], ["TOKEN.VALIDATE", token]),
            (["validate", "--token-stdin"], ["TOKEN.VALIDATE", token]),
            (["inspect", "-"], ["TOKEN.INSPECT", token]),
            (["inspect", sid.uppercased()], ["TOKEN.INSPECT", "SID", sid]),
            (["why", sid], ["TOKEN.INSPECT", "SID", sid]),
            (["revoke", sid], ["TOKEN.REVOKE", "SID", sid]),
            (["revoke", "-"], ["TOKEN.REVOKE", token]),
            (["revoke", "--subject", "ann"], ["TOKEN.REVOKEALL", "ann"]),
            (
                ["sessions", "--subject", "ann", "--limit", "5", "--data", "a", "--data", "b"],
                ["TOKEN.LIST", "ann", "LIMIT", "5", "DATA", "a", "b"]
            ),
            (["sessions", "--summary"], ["INFO"]),
        ] as [([String], [String])])
    func commands(arguments: [String], command: [String]) throws {
        #expect(try run(arguments, input: "  \(Self.token)\r\nrest", reply: "+PONG\r\n").commands == [command])
    }

    @Test("accepted is 0, with readable times; --json keeps the protocol's names and numbers")
    func accepted() throws {
        let page = try run(["validate"], input: Self.token, reply: Self.accepted).result
        #expect(page.status == 0 && page.errors.isEmpty)
        #expect(page.output.contains("status       valid\n"))
        #expect(page.output.contains("accepted     yes\n"))
        #expect(page.output.contains("subject      -\n"))
        #expect(page.output.contains("created      2023-11-14 22:13:20 ("))
        #expect(page.output.contains("(in 1h 59m)\n"))
        #expect(!page.output.contains("\u{1b}"))

        for arguments in [["validate", "--json"], ["--json", "inspect", "-"]] {
            let json = try run(arguments, input: Self.token, reply: Self.accepted).result
            #expect(json.status == 0)
            #expect(
                json.output == """
                    {"status":"valid","accepted":1,"kind":"session","sid":"\(Self.sid)","subject":"","generation":3,\
                    "created":1700000000,"modified":1700000100,"expires_in":7140,"absolute_in":86000,\
                    "successor":"pending","data_fields":1}

                    """)
        }
    }

    @Test("not accepted is an answer: 1", arguments: ["validate", "inspect", "why"])
    func refused(command: String) throws {
        let reply = Self.map(["status": "revoked", "accepted": 0, "reason": "replay"])
        let arguments = command == "why" ? ["why", Self.sid] : [command, "-"]
        let result = try run(arguments, input: Self.token, reply: reply).result
        #expect(result.status == 1)
        #expect(result.output.contains(command == "why" ? "a retired token came back" : "reason    replay\n"))
    }

    @Test("why has a sentence of its own for whatever the daemon ends a session for")
    func reasons() throws {
        let replies = Tokens.EndReason.allCases.map { reason in
            ReplyValue.array(
                ["status", "revoked", "reason", reason.rawValue].map { .text($0.bytes) })
        }
        let sentences = try replies.map { reply in Why.sentences(try #require(reply.fields), now: UnixSeconds(0)) }
        #expect(Set(sentences).count == Tokens.EndReason.allCases.count && sentences.allSatisfy { $0.count == 1 })
        for sentence in sentences.joined() {
            #expect(sentence.hasPrefix("It was ended") && !sentence.contains("reason"), "\(sentence)")
        }
    }

    @Test(
        "revoke is 0 if something was ended, else 1",
        arguments: [
            (map(["status": "revoked", "accepted": 0, "reason": "logout"]), 0),
            (map(["status": "unknown", "accepted": 0]), 1),
            (map(["status": "revoked", "count": 2]), 0), (map(["status": "revoked", "count": 0]), 1),
        ] as [(String, Int32)])
    func revoke(reply: String, status: Int32) throws {
        #expect(try run(["revoke", Self.sid], reply: reply).result.status == status)
    }

    @Test("sessions makes a table; strangers' data cannot steer the terminal; JSON loses nothing")
    func sessions() throws {
        let data = ["city", "\u{1b}[31mRom\u{202e}\"\n"]
        let session = Self.map([
            "sid": Self.sid, "created": 1_700_000_000, "modified": 1_700_000_100, "expires_in": 59,
            "absolute_in": 90_000,
            "generation": 0, "data": data,
        ])
        let arguments = ["sessions", "--subject", "ann", "--data", "city"]
        let table = try run(arguments, reply: "*1\r\n" + session).result
        #expect(table.status == 0)
        let lines = table.output.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].contains("EXPIRES_IN  ABSOLUTE_IN  GENERATION  CITY"))
        #expect(lines[1].contains("in 59s      in 1d 1h     0           \u{fffd}[31mRom\u{fffd}\"\u{fffd}"))

        let json = try run(arguments + ["--json"], reply: "*1\r\n" + session).result
        let first = try #require((try json.json() as? NSArray)?.firstObject as? NSDictionary)
        #expect((first["data"] as? NSDictionary)?["city"] as? String == data[1])
        #expect(try run(arguments + ["--json"], reply: "*0\r\n").result.output == "[]\n")
        #expect(try run(arguments, reply: "*0\r\n").result.status == 1)
    }

    @Test("INFO is read leniently: missing fields are -, numbers stay numbers")
    func information() throws {
        let status = try run(["status"], reply: Self.bulk(Self.info)).result
        #expect(status.status == 0)
        #expect(status.output.contains("tokencached 0.1.0, process -, up 1d 1h\n"))
        #expect(status.output.contains("ready, role -, Redis -, policy -, clock skew - ms\n"))
        #expect(status.output.contains("validated valid  007\n"))

        let nested = try run(["info", "--json"], reply: Self.bulk(Self.info)).result
        #expect(
            nested.output == """
                {"server":{"tokencached_version":"0.1.0","uptime_in_seconds":90061,"config_file":""},\
                "upstream":{"upstream_state":"ready"},"tokens":{"tokens_issued":12,"tokens_validated_valid":"007"}}

                """)
        let summary = try run(["sessions", "--summary", "--json"], reply: Self.bulk(Self.info)).result
        #expect(summary.output == "{\"tokens\":{\"tokens_issued\":12,\"tokens_validated_valid\":\"007\"}}\n")
    }

    @Test("why tells a life in sentences and where the log is")
    func why() throws {
        let result = try run(["why", Self.sid], reply: Self.accepted).result
        #expect(result.status == 0)
        #expect(result.output.contains("nobody's by name: created 2023-11-14 22:13:20"))
        #expect(result.output.contains("Its token has been replaced 2 times; the newest one was sent"))
        #expect(result.output.contains("It carries 1 data field."))
        #expect(result.output.contains("The log knows more: \(ServiceManager.current.log(of: "sid=\(Self.sid)"))\n"))
    }

    @Test("what to do next names systemd where it is, and only there")
    func serviceManagers() throws {
        let sid = try SessionID(argument: Self.sid)
        #expect(Why.logCommand(sid, .systemd) == "journalctl -u tokencached | grep sid=\(Self.sid)")
        for text in [
            Why.logCommand(sid, .none), ServiceManager.none.status, ServiceManager.none.restart,
            ServiceManager.none.log(),
        ] { #expect(!text.contains("ctl")) }
        #expect(Why.logCommand(sid, .none).contains("sid=\(Self.sid)"))
    }

    @Test("info of a section that there is not says so, and which there are", arguments: [[], ["--json"]])
    func noSection(options: [String]) throws {
        let server = try ScriptedServer { command in
            .reply(Self.bulk(command == ["INFO", "all"] ? Self.info : ""))
        }
        let result = try ControlProgram.run(["info", "nosuch", "--socket", server.path] + options)
        #expect(result.status == 2 && result.output.isEmpty)
        #expect(
            result.errors.contains("no section nosuch; there are: server, upstream, tokens, all"), "\(result.errors)")
    }

    @Test("a summary says whose it is")
    func whoseSummary() throws {
        let summary = try run(["sessions", "--summary"], reply: Self.bulk(Self.info)).result
        #expect(
            summary.output.hasPrefix("Counted by this daemon since its start, 1d 1h ago; others before the same Redis"))
    }

    @Test("config check as JSON says what is wrong, where")
    func configCheckAsJSON() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("tokencached.yaml")
        try "sesion:\n  idle: 2h\n".write(toFile: path, atomically: true, encoding: .utf8)
        let wrong = try ControlProgram.run(["--json", "config", "check", path])
        let report = try #require(try wrong.json() as? NSDictionary)
        #expect(wrong.status == 78 && wrong.errors.isEmpty && report["valid"] as? Bool == false)
        let problem = try #require((report["problems"] as? [NSDictionary])?.first)
        #expect(problem["origin"] as? String == "\(path):1" && problem["key"] as? String == "sesion")
        try "session:\n  idle: 2h\n".write(toFile: path, atomically: true, encoding: .utf8)
        let right = try ControlProgram.run(["config", "check", path, "--json"])
        let good = try right.json() as? NSDictionary
        #expect(right.status == 0 && good?["valid"] as? Bool == true, "\(right)")
    }

    @Test("help and version are 0 and go to standard output; help has the table of exit statuses")
    func help() throws {
        let help = try ControlProgram.run(["--help"])
        #expect(help.status == 0 && help.errors.isEmpty)
        for status in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "78"] {
            #expect(help.output.contains("\n  \(status)"))
        }
        let version = try ControlProgram.run(["--version"])
        #expect(version.status == 0 && version.output == "0.1.0\n")
    }
}
