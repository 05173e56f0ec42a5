import Foundation
import TestSupport
import Testing

/// As every test, these end with the search through MONITOR, append-only file, SLOWLOG, logs, INFO and errors for what
/// their clients saw. Here it is shown that the search knows the secrets of guests and captchas, and finds them.
@Suite("S7 for what is sealed: no guest's signature, no captcha's solution", .parallel)
struct SealedLeakTests {
    @Test("the search finds a solution in either case and in every encoding, and a guest's signature")
    func searchFinds() throws {
        let book = SecretBook()
        book.noteSolution(Array("KXPQ7R4MWTHA".utf8))
        let signature = (0..<32).map { _ in UInt8.random(in: 0...255) }
        let token = "eyJh.eyJq." + KeyRingText.base64url(Data(signature))
        book.note(Array(token.utf8))
        #expect(book.count == 1 && book.solutionCount == 2)
        let texts = [
            "x KXPQ7R4MWTHA y", "\"kxpq7r4mwtha\"", TokenText.hexadecimal(Array("KXPQ7R4MWTHA".utf8)),
            "a" + Data("KXPQ7R4MWTHA".utf8).base64EncodedString(), TokenText.hexadecimal(signature[8..<24]), token,
        ]
        for text in texts { #expect(!book.scan.leaks(in: Array(text.utf8), source: "here").isEmpty, "\(text)") }
        for text in ["KXPQ7R", "another captcha", "eyJh.eyJq."] {
            #expect(book.scan.leaks(in: Array(text.utf8), source: "here").isEmpty)
        }
    }

    @Test("a solution that reaches Redis is found at the end, whoever wrote it")
    func alarm() throws {
        let stage = try Stage()
        let server = try stage.addRedis()
        let daemon = try stage.addDaemon(.redis(server))
        let solution = try daemon.client().captcha("LENGTH", "16").solution
        _ = try server.client().call("SET", "\(stage.prefix)x:\(solution.lowercased())", "1", "EX", "9")
        let problems = stage.finish()
        #expect(problems.contains { $0.hasPrefix("S7: r1/redis.monitor") }, "\(problems)")
    }

    @Test(
        "guests, forms and captchas through every command, right and wrong, and the search", arguments: Backend.allCases
    )
    func everyCommand(_ backend: Backend) throws {
        try withWorld(backend, settings: ["log.level": "debug", "guest.lifetime": "20s"]) { world in
            let client = try world.client()
            let guest = try client.guest()
            let drawn = try client.captcha("LENGTH", "16", "FORM", "f", "FOR", guest)
            let given = try client.captcha("SOLUTION", "Correct Horse Battery")
            for (captcha, solution) in [drawn, given] {
                _ = try client.fields("CAPTCHA.OPEN", captcha)
                _ = try client.answer(captcha, solution.lowercased(), "FORM", "x")
                _ = try client.answer(captcha, solution + "x", "FORM", "f", "FOR", guest)
                _ = try client.answer(captcha, solution)
                for wrong in [
                    ["CAPTCHA.VERIFY", captcha, solution, solution], ["CAPTCHA.OPEN", solution, solution],
                    ["CAPTCHA.ISSUE", "SOLUTION", solution, "LENGTH", solution], ["CAPTCHA.ISSUE", "LENGTH", solution],
                    ["CAPTCHA.ISSUE", solution], [solution], ["CAPTCHA.VERIFY", solution, captcha, "FOR"],
                ] {
                    let reply = try client.call(wrong)
                    #expect(reply.errorText?.contains(solution) != true, "\(wrong[0]) echoes an argument")
                }
            }
            for wrong in [
                ["GUEST.ISSUE", guest], ["TOKEN.VALIDATE", guest, guest], [guest], ["INFO", guest], ["AUTH", guest],
                ["CSRF.ISSUE", guest, "FORM"], ["TOKEN.VALIDATE", guest, "BIND", "ip", guest],
            ] {
                let reply = try client.call(wrong)
                #expect(reply.errorText?.contains(guest.suffix(43)) != true, "\(wrong[0].prefix(9)) echoes an argument")
            }
            let csrf = try client.csrf(guest)
            _ = try client.verify(guest, csrf)
            _ = try client.fields("TOKEN.VISIT", guest, "CHECK", csrf, "", "CSRF", "f")
            let session = try client.fields("TOKEN.SET", guest, "DATA", "a", "1").newToken()
            _ = try client.validate(session)
            _ = try client.validateGuest(guest)
            _ = try client.fields("TOKEN.LOGIN", client.guest(), "ann")
            _ = try client.fields("TOKEN.ROTATE", client.guest())
            _ = try client.fields("TOKEN.REVOKE", guest)
            #expect(world.stage.book.count >= 6 && world.stage.book.solutionCount >= 4)
        }
    }
}
