import Foundation
import TestSupport
import Testing

@Suite("G2: a captcha is accepted once, by the first attempt, over all daemons", .parallel)
struct G2CaptchaTests {
    @Test("100 right answers at once over three daemons: one passed, 99 spent")
    func race() throws {
        try withWorld(daemons: 3) { world in
            for _ in 0..<5 {
                let captcha = try world.client().captcha()
                let statuses = try concurrently(100) {
                    try world.client(ofDaemon: $0)
                } work: { _, client in
                    try client.answer(captcha.text, captcha.solution)
                }
                #expect(statuses.count { $0 == "passed" } == 1)
                #expect(statuses.count { $0 == "spent" } == 99)
            }
        }
    }

    @Test("a wrong answer spends it, too: the right one comes too late, at every daemon")
    func wrongFirst() throws {
        try withWorld(daemons: 3) { world in
            let captcha = try world.client().captcha()
            #expect(try world.client(ofDaemon: 0).answer(captcha.text, "no") == "failed")
            for index in 0..<3 {
                #expect(try world.client(ofDaemon: index).answer(captcha.text, captcha.solution) == "spent")
            }
        }
    }

    @Test("among wrong answers and right ones at once, at most one passes, and only if it was the first")
    func mixedRace() throws {
        try withWorld(daemons: 3) { world in
            for _ in 0..<10 {
                let captcha = try world.client().captcha()
                let statuses = try concurrently(12) {
                    try world.client(ofDaemon: $0)
                } work: { index, client in
                    try client.answer(captcha.text, index.isMultiple(of: 2) ? captcha.solution : "wrong")
                }
                #expect(statuses.count { $0 == "spent" } == 11, "\(statuses)")
                #expect(statuses.count { $0 == "passed" || $0 == "failed" } == 1)
            }
        }
    }

    @Test("daemons whose clocks differ by 20 s agree, and none of them accepts it again until it is over for all")
    func clocks() throws {
        let stage = try Stage()
        let server = try stage.addRedis()
        let daemons = try ["+0s", "+20s", "-20s"].map { offset in
            try stage.addDaemon(.redis(server), environment: ShiftedClock.environment(offset))
        }
        let clients = try daemons.map { try $0.client() }
        // The clocks really differ.
        let skews = try clients.map { try DaemonFacts($0, "upstream").number("upstream_clock_skew_ms") }
        #expect(abs(skews[1] - skews[0]) > 15_000 && abs(skews[2] - skews[0]) > 15_000, "\(skews)")
        for _ in 0..<5 {
            let captcha = try clients[0].captcha("LIFETIME", "60s")
            let statuses = try concurrently(30) {
                try daemons[$0 % 3].client()
            } work: { _, client in
                try client.answer(captcha.text, captcha.solution)
            }
            #expect(statuses.count { $0 == "passed" } == 1)
            #expect(statuses.count { $0 == "spent" } == 29)
        }
        let brief = try clients[1].captcha("LIFETIME", "2s")
        #expect(try clients[1].answer(brief.text, brief.solution) == "passed")
        for client in clients { #expect(try ["spent", "expired"].contains(client.answer(brief.text, brief.solution))) }
        for client in clients {
            _ = try eventually("it is over for this daemon, too") { () throws -> Bool? in
                let status = try client.answer(brief.text, brief.solution)
                guard ["spent", "expired"].contains(status) else { throw HarnessFailure("accepted again: \(status)") }
                return status == "expired" ? true : nil
            }
        }
        let problems = stage.finish()
        #expect(problems.isEmpty, "\(problems)")
    }

    @Test("the order of the checks: cryptography, time, form, holder, bindings; none of these spends it")
    func order() throws {
        try withWorld(settings: ["binding.ua": "strict"]) { world in
            let client = try world.client()
            let guest = try client.guest("BIND", "ua", "firefox")
            let other = try client.guest("BIND", "ua", "firefox")
            let captcha = try client.captcha("FORM", "contact", "FOR", guest, "BIND", "ua", "firefox")
            let bound = ["BIND", "ua", "firefox"]
            func answer(_ options: [String]) throws -> String {
                try client.fields(["CAPTCHA.VERIFY", captcha.text, captcha.solution] + options).status
            }
            #expect(try client.answer(captcha.text + "A", captcha.solution) == "unknown")
            #expect(try answer(["FOR", guest] + bound) == "mismatch", "no form")
            #expect(try answer(["FORM", "other", "FOR", guest] + bound) == "mismatch", "another form")
            #expect(try answer(["FORM", "contact"] + bound) == "mismatch", "no holder")
            #expect(try answer(["FORM", "contact", "FOR", other] + bound) == "mismatch", "another holder")
            #expect(try answer(["FORM", "contact", "FOR", TokenText.random()] + bound) == "mismatch", "nobody")
            #expect(try answer(["FORM", "contact", "FOR", guest]) == "mismatch", "signal not given")
            #expect(try answer(["FORM", "contact", "FOR", guest, "BIND", "ua", "chrome"]) == "mismatch")
            #expect(try client.fields("CAPTCHA.OPEN", captcha.text).text("solution") == captcha.solution)
            #expect(try answer(["FORM", "contact", "FOR", guest] + bound) == "passed", "all of that spent nothing")
            #expect(try answer(["FORM", "contact", "FOR", guest] + bound) == "spent")
        }
    }

    @Test("answers are compared without case and surrounding space; texts without look-alikes are drawn")
    func comparison() throws {
        try withWorld { world in
            let client = try world.client()
            let captcha = try client.captcha()
            #expect(captcha.solution.count == 5)
            #expect(captcha.solution.allSatisfy { "346789ACDEFGHJKMNPQRTUVWXY".contains($0) })
            #expect(try client.answer(captcha.text, "  \(captcha.solution.lowercased())\t") == "passed")
            let given = try client.captcha("SOLUTION", "Grüße 7")
            #expect(given.solution == "Grüße 7")
            #expect(try client.answer(given.text, "grÜße 7") == "passed")
            #expect(try client.captcha("LENGTH", "9").solution.count == 9)
            #expect(try Set((0..<50).map { _ in try client.captcha("LENGTH", "9").solution }).count == 50)
            for wrong in [
                ["SOLUTION", "a", "LENGTH", "5"], ["LENGTH", "0"], ["LENGTH", "33"], ["SOLUTION", ""],
                ["SOLUTION", " \t "], ["LIFETIME", "0"], ["LIFETIME", "31d"],
                ["FORM", String(repeating: "f", count: 257)],
            ] {
                expectError("ERR", try client.call(["CAPTCHA.ISSUE"] + wrong), hiding: wrong)
            }
        }
    }

    @Test("past its end it is expired, for OPEN and for VERIFY, and nothing is written for it")
    func expired() throws {
        try withWorld { world in
            let client = try world.client()
            let captcha = try client.captcha("LIFETIME", "1s")
            let count = try WriteCount(world.requireServer())
            try awaitThat("its end") { try client.fields("CAPTCHA.OPEN", captcha.text).status == "expired" }
            #expect(try client.answer(captcha.text, captcha.solution) == "expired")
            #expect(try count.writes() == [:])
        }
    }

    @Test("while Redis is out of reach a captcha is made and opened, and an answer to it is UNAVAILABLE, not accepted")
    func outage() throws {
        try withWorld { world in
            let client = try world.client()
            try world.requireServer().kill9()
            let captcha = try client.captcha()
            #expect(try client.fields("CAPTCHA.OPEN", captcha.text).text("solution") == captcha.solution)
            expectError("UNAVAILABLE", try client.call("CAPTCHA.VERIFY", captcha.text, captcha.solution))
            try world.requireServer().start()
            try client.awaitService()
            #expect(try client.answer(captcha.text, captcha.solution) == "passed")
        }
    }
}
