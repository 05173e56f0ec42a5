import Synchronization
import TestSupport
import Testing

/// VISIT logged honest people out: with a round trip of 0.2 s, 37 of 60 browsers that poll in the background.
@Suite("Browsers that poll in the background keep their login", .demanding)
struct BackgroundVisitTests {
    private final class Browser: Sendable {
        private let cookie = Mutex("")
        let subject: String

        init(_ subject: String) { self.subject = subject }

        var jar: String { cookie.withLock { $0 } }

        /// A request on its way for 0.2 s, there and back: what it brings goes into the jar, whatever is there by then.
        func request(_ ask: (_ token: String) throws -> Fields) throws -> Fields {
            let token = jar
            letPass(.milliseconds(Int.random(in: 20...180)))
            let reply = try ask(token)
            letPass(.milliseconds(Int.random(in: 20...180)))
            if let newer = reply.sessionToken { cookie.withLock { $0 = newer } }
            return reply
        }

        func page(_ client: RESPClient) throws -> Fields {
            try request {
                try client.fields(
                    "TOKEN.VISIT", $0, "FETCH-SITE", "same-origin", "FETCH-MODE", "navigate", "CSRF", "login")
            }
        }

        func poll(_ client: RESPClient) throws {
            _ = try request {
                try client.fields("TOKEN.VISIT", $0, "FETCH-SITE", "same-origin", "FETCH-MODE", "cors")
            }
        }

        /// The login form comes back: one request, two commands, the newest token that is known.
        func logIn(_ csrf: String, _ client: RESPClient) throws -> Fields {
            try request { token in
                let visit = try client.fields(
                    "TOKEN.VISIT", token, "CHECK", csrf, "login", "FETCH-SITE", "same-origin", "FETCH-MODE", "navigate",
                    "POST")
                guard visit.text("check") == "passed" else { throw HarnessFailure("the form was refused: \(visit)") }
                return try client.fields("TOKEN.LOGIN", visit.sessionToken ?? token, subject)
            }
        }
    }

    @Test("40 browsers at two daemons, login and rotation under background visits: nobody is logged out")
    func fortyBrowsers() throws {
        let settings = ["rotation.after": "700ms", "rotation.overlap": "2s"]
        try withWorld(daemons: 2, settings: settings) { world in
            let browsers = (0..<40).map { Browser("ann-\($0)") }
            let end = ContinuousClock.now + .seconds(6)
            // Of each browser: the person in front of it, and two tabs that poll.
            let rotations = try concurrently(120) { index in
                try world.client(ofDaemon: index / 40)
            } work: { index, client in
                let browser = browsers[index % 40]
                guard index < 40 else {
                    while browser.jar.isEmpty { letPass(.milliseconds(20)) }
                    while ContinuousClock.now < end {
                        try browser.poll(client)
                        letPass(.milliseconds(Int.random(in: 0...100)))
                    }
                    return 0
                }
                let welcome = try browser.page(client)
                letPass(.milliseconds(Int.random(in: 100...800)))
                let login = try browser.logIn(welcome.text("csrf") ?? "", client)
                guard login.status == "issued" else { throw HarnessFailure("no login: \(login)") }
                var generation = 0
                while ContinuousClock.now < end {
                    let page = try browser.page(client)
                    guard page.isAccepted, page.text("subject") == browser.subject else {
                        throw HarnessFailure("logged out: \(page)")
                    }
                    generation = page.generation ?? generation
                    letPass(.milliseconds(Int.random(in: 50...300)))
                }
                return generation
            }
            #expect(rotations.prefix(40).allSatisfy { $0 > 2 }, "nothing was rotated: \(rotations.prefix(40))")
            for browser in browsers {
                #expect(try world.client().validate(browser.jar).text("subject") == browser.subject)
            }
        }
    }
}
