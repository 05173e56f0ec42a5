import Foundation
import TestSupport
import Testing

/// Every integration test ends with the search for its own secrets; here it is shown that the search finds, and every
/// command is run once for it.
@Suite("S7: no usable token in Redis, its files, MONITOR, SLOWLOG, logs, INFO or errors", .parallel)
struct S7LeakTests {
    private let verifier = (0..<48).map { _ in UInt8.random(in: 0...255) }

    @Test("the search finds a secret in every encoding, whole and in halves, at any offset")
    func searchFinds() {
        let scan = LeakScan([verifier])
        for start in 0...32 {
            let piece = Array(verifier[start..<start + 16])
            let hexadecimal = TokenText.hexadecimal(piece)
            let base64 = Data(Array(verifier[..<max(16, start)]) + piece).base64EncodedString()
            let escaped = piece.map { "\\x" + TokenText.hexadecimal([$0]) }.joined()
            let forms = [
                Array("junk".utf8) + piece + [0, 1, 2], Array("x\(hexadecimal)x".utf8),
                Array(hexadecimal.uppercased().utf8), Array("\"\(escaped)\"".utf8), Array(base64.utf8),
                Array(base64.replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_").utf8),
            ]
            for form in forms { #expect(!scan.leaks(in: form, source: "here").isEmpty) }
        }
    }

    @Test("the search finds nothing where nothing is")
    func searchIsSilent() {
        let scan = LeakScan([verifier])
        let noise = (0..<300_000).map { _ in UInt8.random(in: 0...255) }
        #expect(scan.leaks(in: noise, source: "noise").isEmpty)
        #expect(scan.leaks(in: Array(TokenText.hexadecimal(noise).utf8), source: "noise").isEmpty)
    }

    @Test("a token is recognised in every form that a client may send", arguments: [0, 1, 2, 3])
    func tokenForms(_ form: Int) throws {
        let token = TokenText.random()
        let forms = [token, token.uppercased(), "0x" + token, TokenText.base64url(token)]
        #expect(TokenParts(forms[form].utf8) == TokenParts(token.utf8))
        let book = SecretBook()
        book.note(Array(forms[form].utf8))
        #expect(book.count == 1)
    }

    @Test("every command, right and wrong, and a search through all that was recorded", arguments: Backend.allCases)
    func everyCommand(_ backend: Backend) throws {
        try withWorld(backend, settings: ["rotation.after": "150ms", "session.touch-interval": "1ms"]) { world in
            let client = try world.client()
            let token = try client.issue("SUBJECT", "ann", "DATA", "a", "1")
            let next = try client.rotateAndConfirm(token)
            let forms = [
                next, next.uppercased(), "0x" + next, TokenText.base64url(next), token, TokenText.forged(token),
            ]
            for form in forms {
                for command in ["VALIDATE", "VISIT", "INSPECT", "GET"] { _ = try client.call("TOKEN.\(command)", form) }
                _ = try client.call("TOKEN.SET", form, "DATA", "b", "2")
                // Where a token has no business to be: it is refused, and not repeated in the refusal.
                for wrong in [
                    ["TOKEN.VALIDATE", form, form], ["TOKEN.VALIDATE", form, "BOGUS", form], [form], [form, "x"],
                    ["TOKEN.ISSUE", form], ["TOKEN.ISSUE", "IDLE", form], ["TOKEN.REVOKE", "SID", form],
                    ["TOKEN.LIST", "ann", "LIMIT", form], ["SELECT", form], ["CLIENT", form], ["CONFIG", "GET", form],
                    ["HELLO", form], ["INFO", form], ["AUTH", form], ["AUTH", "user", form],
                    ["TOKEN.\(form)", "x"], ["TOKEN", form, "x"], ["COMMAND", "INFO", form], ["COMMAND", form],
                ] {
                    let reply = try client.call(wrong)
                    #expect(reply.errorText?.contains(form) != true, "\(wrong[0].prefix(12)) echoes an argument")
                }
            }
            let loggedIn = try client.fields("TOKEN.LOGIN", next, "ann").newToken()
            let rotated = try client.fields("TOKEN.ROTATE", loggedIn).newToken()
            _ = try client.call("TOKEN.REVOKEALL", "ann", "EXCEPT", rotated)
            _ = try client.call("TOKEN.LIST", "ann")
            _ = try client.call("TOKEN.REVOKE", rotated)
            let broken = try world.client()
            try broken.sendRaw("*2\r\n$14\r\nTOKEN.VALIDATE\r\n$128\r\n\(rotated)xx\r\n")
            _ = try broken.readToEnd()
            #expect(world.stage.book.count >= 6)
        }
    }

    @Test("MONITOR was really recorded: the traffic of a known session is in it")
    func recordIsReal() throws {
        try withWorld { world in
            let token = try world.client().issue()
            // Of three masters one has the session; each has a folder of its own.
            let folders = try world.requireServer().masters.map { ($0.socket as NSString).deletingLastPathComponent }
            _ = try eventually("the record of the session") {
                folders.contains { folder in
                    let text = FileManager.default.contents(atPath: "\(folder)/redis.monitor") ?? Data()
                    return text.range(of: Data(TokenText.sid(token).utf8)) != nil
                } ? true : nil
            }
        }
    }

    @Test("subjects, data and log lines cannot be forged by line ends")
    func lineEnds() throws {
        try withWorld { world in
            let client = try world.client()
            let evil = "ann\r\n+OK\r\n<0>forged line"
            let token = try client.issue("SUBJECT", evil, "DATA", "a\r\nb", evil)
            #expect(try client.validate(token).text("subject") == evil)
            #expect(try client.fields("TOKEN.GET", token).data() == ["a\r\nb": evil])
            for command in [["AUTH", evil], ["CLIENT", "SETNAME", evil], [evil], ["TOKEN.VALIDATE", token, evil]] {
                _ = try client.call(command)
            }
            #expect(try client.call("PING") == .simple("PONG"))
            #expect(!world.daemon.log.contains("\n<0>forged line"))
        }
    }
}
