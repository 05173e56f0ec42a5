import Foundation
import TestSupport
import Testing

/// What scripts rely on when things go wrong: the status, one line on standard error, and no token anywhere.
@Suite("tokencachectl: errors", .timeLimit(.minutes(10)))
struct ErrorPathTests {
    static let token = String(repeating: "0123456789abcdef", count: 8)
    static let sid = "0123456789abcdef0123456789abcdef"

    private func expectOneLine(_ result: Tool, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(result.errors.split(separator: "\n").count == 1, sourceLocation: sourceLocation)
        #expect(result.errors.hasPrefix("tokencachectl: "), sourceLocation: sourceLocation)
        #expect(result.output.isEmpty, sourceLocation: sourceLocation)
        #expect(!(result.output + result.errors).contains("0123456789"), sourceLocation: sourceLocation)
    }

    @Test(
        "an error reply has its status",
        arguments: [
            ("UNAVAILABLE redis: connection refused", 3), ("OVERLOADED max clients", 3), ("NOPERM worker needed", 4),
            ("NOKEYS no ring", 5), ("ERR bad argument", 5), ("WRONGTYPE what", 5),
        ] as [(String, Int32)])
    func errorReplies(line: String, status: Int32) throws {
        let server = try ScriptedServer { _ in .reply("-\(line)\r\n") }
        for arguments in [["validate"], ["inspect", "-"], ["revoke", "--token-stdin"], ["issue"], ["status"]] {
            let result = try ControlProgram.run(["--socket", server.path] + arguments, input: Self.token + "\n")
            #expect(result.status == status, "\(arguments)")
            expectOneLine(result)
        }
    }

    @Test(
        "a broken reply is 5, no reply is 3",
        arguments: [
            (.reply("HTTP/1.1 200 OK\r\n\r\n"), 5), (.reply(":7\r\n"), 5), (.reply("*1\r\n+x\r\n"), 5),
            (.replyAndClose("*4\r\n$6\r\nsta"), 3), (.replyAndClose(""), 3), (.silence, 3),
        ] as [(ScriptedServer.Step, Int32)])
    func brokenReplies(step: ScriptedServer.Step, status: Int32) throws {
        let server = try ScriptedServer { _ in step }
        let patience = if case .silence = step { "200ms" } else { "20s" }
        let result = try ControlProgram.run(
            ["validate", "--timeout", patience, "--socket", server.path], input: Self.token)
        #expect(result.status == status)
        expectOneLine(result)
    }

    @Test("nobody there is 3, and says what to do")
    func nobody() throws {
        let result = try ControlProgram.run(["--socket", "/proc/none/s", "ping"])
        #expect(result.status == 3)
        expectOneLine(result)
        #expect(result.errors.contains("cannot connect to /proc/none/s: /proc/none does not exist: is the daemon"))
    }

    @Test("a reply about another session is never shown as the answer")
    func foreignReply() throws {
        let other = String(repeating: "f", count: 32)
        let server = try ScriptedServer { _ in
            .reply("*6\r\n+status\r\n+valid\r\n+accepted\r\n:1\r\n+sid\r\n+\(other)\r\n")
        }
        let result = try ControlProgram.run(["validate", "--socket", server.path], input: Self.token)
        #expect(result.status == 5)
        expectOneLine(result)
    }

    @Test(
        "a token as an argument is refused before anything is sent, and not repeated",
        arguments: [
            ["validate", token], ["inspect", token], ["inspect", "0x" + token.uppercased()], ["why", token],
            ["issue", "--data", "t=" + token], ["--token=" + token], ["revoke", String(token.dropLast())],
            ["inspect", "ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8BI0VniavN7w"],
            ["inspect", "eyJhbGciOiJIUzI1NiIsInR5cCI6InRjLWd1ZXN0K2p3dCJ9.eyJqdGkiOiIwMTIzNDU2Nzg5In0.c2lnbmF0dXJl"],
        ])
    func tokenAsArgument(arguments: [String]) throws {
        let server = try ScriptedServer { _ in .silence }
        let result = try ControlProgram.run(["--socket", server.path] + arguments)
        #expect(result.status == 2)
        expectOneLine(result)
        #expect(result.errors.contains("standard input"))
        #expect(!result.errors.contains("ASNFZ4") && !result.errors.contains("eyJ"))
        #expect(server.commands.isEmpty)
    }

    @Test(
        "usage errors are 2, say what is wrong, and send nothing",
        arguments: [
            ([], "Error: Which subcommand?"), (["config"], "Error: Which subcommand?"),
            (["nonsense"], "Error: Unexpected argument 'nonsense'"),
            (["ping", "--nonsense"], "Error: Unknown option '--nonsense'"),
            (["issue", "--idle", "5x"], "Error: The value '5x' is invalid for '--idle <duration>'"),
            (["issue", "--data", "x"], "tokencachectl: --data takes name=value, for example --data language=fr"),
            (["inspect"], "tokencachectl: which session? give its SID, or --token-stdin"),
            (["inspect", "zz"], "tokencachectl: SID must be the 32 hex digits of a session's `sid`"),
            (["inspect", sid, "--token-stdin"], "tokencachectl: give either a SID or --token-stdin, not both"),
            (["revoke"], "tokencachectl: which? give a SID, --token-stdin, --subject or --everything"),
            (
                ["revoke", sid, "--subject", "a"],
                "tokencachectl: give one of SID, --token-stdin, --subject and --everything"
            ),
            (["revoke", "--subject", ""], "tokencachectl: --subject must not be empty"),
            (["sessions", "--data", "x"], "Error: --data needs --subject: the data of all sessions is not read."),
            (["sessions", "--summary", "--subject", "a"], "Error: Give either --subject or --summary."),
            (["sessions", "--subject", "a", "--limit", "0"], "Error: --limit must be 1 or more."),
            (["why"], "Error: Missing expected argument '<sid>'"),
            (["doctor", "--as", "no-such-user-here"], "tokencachectl: no user no-such-user-here on this host"),
            (["validate", "--timeout", "soon"], "Error: The value 'soon' is invalid for '--timeout <duration>'"),
            (["validate"], "tokencachectl: no token on standard input: it is expected there, on one line"),
            (["revoke", "-"], "tokencachectl: no token on standard input: it is expected there, on one line"),
        ] as [([String], String)])
    func usage(arguments: [String], message: String) throws {
        let server = try ScriptedServer { _ in .silence }
        let result = try ControlProgram.run(arguments + ["--socket", server.path], input: " \n")
        #expect(result.status == 2)
        #expect(result.errors.hasPrefix(message) && result.output.isEmpty, "\(result.errors)")
        #expect(server.commands.isEmpty)
    }

    @Test("what cannot be printed is an error", arguments: [["info"], ["--help"]])
    func fullDisk(arguments: [String]) throws {
        let server = try ScriptedServer { _ in .reply("$3\r\na:1\r\n") }
        let result = try ControlProgram.run(
            arguments + ["--socket", server.path], outputPath: "/dev/full")
        #expect(result.status == 5)
        expectOneLine(result)
    }

    @Test("config check is the answer of the daemon's program next to this one, output and status")
    func configCheck() throws {
        let files = FileManager.default
        // In the build folder, because a hard link is never busy being written, as a copy may be (ETXTBSY).
        let folder = "\(PackageFolder.products)/tc-check-\(UUID())"
        try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? files.removeItem(atPath: folder) }
        try files.linkItem(atPath: "\(PackageFolder.products)/tokencachectl", toPath: "\(folder)/tokencachectl")

        let missing = try ControlProgram.run(["config", "check"], in: folder)
        #expect(missing.status == 5)
        expectOneLine(missing)

        let script = Data("#!/bin/sh\necho \"$@\"\nexit 78\n".utf8)
        #expect(
            files.createFile(
                atPath: "\(folder)/tokencached", contents: script, attributes: [.posixPermissions: 0o755]))
        var refused = try ControlProgram.run(["config", "check", "/etc/x y.yaml"], in: folder)
        // The script may be held open for writing by a program that another test is just starting.
        for _ in 0..<50 where refused.errors.contains("busy") {
            refused = try ControlProgram.run(["config", "check", "/etc/x y.yaml"], in: folder)
        }
        #expect(refused.status == 78)
        #expect(refused.output == "--check-config --config /etc/x y.yaml\n")
        #expect(try ControlProgram.run(["config", "check"], in: folder).output == "--check-config\n")
    }
}
