import TestSupport
import Testing

@Suite("Wrong calls: ERR that says what is allowed and repeats nothing", .parallel)
struct ArgumentErrorTests {
    /// Stands in arguments; must not come back.
    private static let mark = "Zq7mark"

    private func wrong(_ token: String) -> [[String]] {
        let mark = Self.mark
        let long = String(repeating: mark, count: 40)
        return [
            ["TOKEN.VALIDATE"], ["TOKEN.VALIDATE", token, mark], ["TOKEN.VALIDATE", token, mark, mark, mark],
            ["TOKEN.VISIT"], ["TOKEN.VISIT", token, mark], ["TOKEN.INSPECT"],
            ["TOKEN.INSPECT", token, mark], ["TOKEN.ISSUE", mark], ["TOKEN.ISSUE", "SUBJECT"], ["TOKEN.ISSUE", "IDLE"],
            ["TOKEN.ISSUE", "IDLE", mark], ["TOKEN.ISSUE", "IDLE", ""], ["TOKEN.ISSUE", "IDLE", "-5"],
            ["TOKEN.ISSUE", "IDLE", "0"], ["TOKEN.ISSUE", "IDLE", "5x"], ["TOKEN.ISSUE", "IDLE", "5 m"],
            ["TOKEN.ISSUE", "IDLE", "99999999999999999999"], ["TOKEN.ISSUE", "IDLE", "9223372036854775807"],
            ["TOKEN.ISSUE", "ABSOLUTE", "401d"], ["TOKEN.ISSUE", "ABSOLUTE", "0s"], ["TOKEN.ISSUE", "ABSOLUTE", "1e3"],
            ["TOKEN.ISSUE", "SUBJECT", long], ["TOKEN.ISSUE", "DATA", mark], ["TOKEN.ISSUE", "DATA", "a", "1", mark],
            ["TOKEN.ISSUE", "SUBJECT", mark, "SUBJECT"], ["TOKEN.LOGIN"], ["TOKEN.LOGIN", token],
            ["TOKEN.LOGIN", token, "ann", mark], ["TOKEN.LOGIN", token, long], ["TOKEN.LOGIN", token, ""],
            ["TOKEN.LOGIN", token, "ann", "IDLE", mark], ["TOKEN.ROTATE"], ["TOKEN.ROTATE", token, mark],
            ["TOKEN.REVOKE"], ["TOKEN.REVOKE", token, mark], ["TOKEN.REVOKEALL"],
            ["TOKEN.REVOKEALL", ""], ["TOKEN.REVOKEALL", "ann", mark], ["TOKEN.REVOKEALL", "ann", "EXCEPT"],
            ["TOKEN.REVOKEALL", "ann", mark, token], ["TOKEN.LIST"], ["TOKEN.LIST", ""], ["TOKEN.LIST", "ann", mark],
            ["TOKEN.LIST", "ann", "LIMIT"], ["TOKEN.LIST", "ann", "LIMIT", mark], ["TOKEN.LIST", "ann", "LIMIT", "-1"],
            ["TOKEN.SET"], ["TOKEN.SET", token], ["TOKEN.SET", token, "DATA"], ["TOKEN.SET", token, "DATA", mark],
            ["TOKEN.SET", token, mark, mark, mark], ["TOKEN.SET", "SID", "DATA", "a", "1"], ["TOKEN.GET"],
            ["TOKEN.GET", token, mark], ["TOKEN.NONSENSE", mark], ["\(mark).X"], [mark], [""],
        ]
    }

    @Test("every one of them is ERR, echoes nothing, and changes nothing")
    func errors() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            let redis = try world.daemon.redis()
            let before = try KeyAudit.keysOfUsers(redis)
            for command in wrong(token) {
                let reply = try client.call(command)
                let shown = command.map { $0 == token ? "<token>" : String($0.prefix(24)) }
                #expect(reply.errorCode == "ERR", "\(shown): \(reply)")
                #expect(reply.errorText?.contains(Self.mark) != true, "\(shown): echoed")
                #expect(reply.errorText?.contains(token.prefix(20)) != true, "\(shown): echoed")
                #expect((reply.errorText ?? "").utf8.count < 400)
            }
            #expect(try KeyAudit.keysOfUsers(redis) == before)
            #expect(try client.validate(token).status == "valid")
        }
    }

    @Test("durations: a unit or seconds, within the limits")
    func durations() throws {
        try withWorld { world in
            let client = try world.client()
            for (text, seconds) in [
                ("90", 90), ("90s", 90), ("15m", 900), ("12h", 43200), ("30d", 2_592_000), ("400d", 34_560_000),
                ("90000ms", 90),
            ] {
                let reply = try client.fields("TOKEN.ISSUE", "IDLE", text, "ABSOLUTE", text)
                let left = try #require(reply.integer("absolute_in"))
                #expect((seconds - 2...seconds).contains(left), "\(text): \(left)")
                #expect((seconds - 2...seconds).contains(reply.integer("expires_in") ?? 0), "\(text)")
            }
        }
    }

    @Test("an IDLE longer than ABSOLUTE is refused, and a default one is cut")
    func idleBeyondAbsolute() throws {
        try withWorld { world in
            let client = try world.client()
            for (options, text) in [
                (["IDLE", "2h", "ABSOLUTE", "10m"], "IDLE 2h is longer than ABSOLUTE 10m"),
                // 30 days became 24 hours without a word, on the command that "remember me" calls.
                (["IDLE", "30d"], "IDLE 30d is longer than session.absolute (24h): give ABSOLUTE, too"),
            ] {
                let issue = try client.call(["TOKEN.ISSUE"] + options)
                #expect(issue.errorText == "ERR " + text)
                let login = try client.call(["TOKEN.LOGIN", "", "ann"] + options)
                #expect(login.errorText == "ERR " + text)
            }
            let cut = try client.fields("TOKEN.ISSUE", "ABSOLUTE", "10m")
            #expect((595...600).contains(cut.integer("absolute_in") ?? 0))
            #expect((595...600).contains(cut.integer("expires_in") ?? 0), "\(cut)")
        }
    }

    @Test("a subject may have 256 bytes of any kind, and is given back as it came")
    func subjects() throws {
        try withWorld { world in
            let client = try world.client()
            for subject in [String(repeating: "s", count: 256), "ä-ö-ü", "a b\tc", "SID", "EXCEPT", "{x}*?[a]"] {
                let token = try client.fields("TOKEN.ISSUE", "SUBJECT", subject).newToken()
                #expect(try client.validate(token).text("subject") == subject)
                #expect(try client.fields("TOKEN.REVOKEALL", subject).integer("count") == 1)
            }
            let empty = try client.fields("TOKEN.ISSUE", "SUBJECT", "")
            #expect(empty.text("subject") == "")
            let bytes = (0..<256).map { UInt8($0) }
            let reply = try Fields(
                client.call(bytes: [Array("TOKEN.ISSUE".utf8), Array("SUBJECT".utf8), bytes]))
            #expect(reply["subject"] == .bulk(bytes))
        }
    }
}
