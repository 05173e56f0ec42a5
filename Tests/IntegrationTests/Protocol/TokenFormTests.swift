import TestSupport
import Testing

@Suite("Tokens on the wire", .parallel)
struct TokenFormTests {
    @Test("hexadecimal in either case, with 0x or without, and base64url are the same token")
    func accepted() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            let mixed = token.prefix(64).uppercased() + token.suffix(64)
            for form in [
                token, token.uppercased(), mixed, "0x" + token, "0X" + token, "0x" + token.uppercased(),
                TokenText.base64url(token),
            ] {
                let reply = try client.fields("TOKEN.VALIDATE", form)
                #expect(reply.status == "valid" && reply.sid == TokenText.sid(token), "\(form.prefix(4))…")
                #expect(try client.fields("TOKEN.GET", form).isAccepted)
            }
        }
    }

    @Test("anything else is unknown, and does no harm")
    func refused() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            let base64url = TokenText.base64url(token)
            let short = String(token.dropLast())
            let tail = String(token.dropFirst())
            let shortBase64 = String(base64url.dropLast())
            var malformed: [String] = ["", " ", "0x", short, TokenText.sid(token), "eyJhbGciOiJIUzI1NiJ9.e30.x"]
            malformed += [
                "\(token)0", "x\(tail)", " \(token)", "\(token)\n", "\(short)g", "0x0x\(token)", "1x\(token)",
            ]
            malformed += ["\(base64url)==", shortBase64, "\(shortBase64)+", "\(shortBase64)!", "\0\(tail)"]
            for (character, count) in [("0", 128), ("é", 64), ("f", 4096)] {
                malformed.append(String(repeating: character, count: count))
            }
            for text in malformed {
                let reply = try client.fields("TOKEN.VALIDATE", text)
                expectRefused("unknown", reply)
                #expect(try client.fields("TOKEN.REVOKE", text).status == "unknown")
                let visit = try client.fields("TOKEN.VISIT", text)
                #expect(visit.status == (text.isEmpty ? "none" : "unknown"))
                // A refused visitor is given a new holder.
                #expect(try client.fields("TOKEN.VALIDATE", visit.newToken()).sid == visit.sid)
            }
            #expect(try client.validate(token).status == "valid")
        }
    }

    @Test("the last character of base64url has bits that must be zero: there is one spelling")
    func canonical() throws {
        try withWorld { world in
            let client = try world.client()
            let form = TokenText.base64url(try client.issue())
            let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
            let last = try #require(form.last.flatMap { alphabet.firstIndex(of: $0) })
            #expect(last.isMultiple(of: 16))
            let other = form.dropLast() + String(alphabet[last + 1])
            #expect(try client.fields("TOKEN.VALIDATE", String(other)).status == "unknown")
        }
    }

    @Test("names are case-insensitive, and two words do for one with a dot")
    func names() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            for command in [
                ["TOKEN.VALIDATE"], ["token.validate"], ["Token.Validate"], ["TOKEN", "VALIDATE"],
                ["token", "validate"],
            ] {
                #expect(try client.fields(command + [token]).status == "valid")
            }
            #expect(try client.fields("token", "issue", "subject", "ann").text("subject") == "ann")
            #expect(try client.fields("TOKEN", "REVOKE", "sid", TokenText.sid(token)).status == "revoked")
            expectError("ERR", try client.call("TOKEN"))
            expectError("ERR", try client.call("TOKEN", "NONSENSE", "x"))
        }
    }

    @Test("a sid is taken in either case and refused when it is none")
    func sids() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            let sid = TokenText.sid(token)
            #expect(try client.fields("TOKEN.INSPECT", "SID", sid.uppercased()).sid == sid)
            for wrong in ["", "abc", sid + "0", String(sid.dropLast()) + "g"] {
                let reply = try client.call("TOKEN.INSPECT", "SID", wrong)
                let isRefused = try reply.errorCode == "ERR" || Fields(reply).status == "unknown"
                #expect(isRefused, "\(reply)")
            }
            expectRefused("unknown", try client.fields("TOKEN.REVOKE", "SID", TokenText.sid(TokenText.random())))
        }
    }
}
