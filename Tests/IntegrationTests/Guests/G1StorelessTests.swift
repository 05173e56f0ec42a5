import TestSupport
import Testing

@Suite("G1: page views by visitors without a session write nothing into Redis", .parallel)
struct G1StorelessTests {
    /// The full 20,000 are a run of the load test (`tokencache-load --guests`).
    private static let pageViews = 2_000

    /// A page with a form and a captcha, and the request for the captcha's picture.
    private static func view(_ client: RESPClient, count: Int) throws {
        let page = [["TOKEN.VISIT", "", "CSRF", "contact"], ["CAPTCHA.ISSUE", "FORM", "contact"]]
        let replies = try client.pipeline((0..<count).flatMap { _ in page }).map { try Fields($0) }
        #expect(replies.filter { $0.status == "none" && $0.text("csrf") != nil }.count == count)
        let captchas = replies.compactMap { $0.text("captcha") }
        #expect(captchas.count == count)
        let pictures = try client.pipeline(captchas.map { ["CAPTCHA.OPEN", $0] }).map { try Fields($0) }
        #expect(
            pictures.map { $0.text("solution") }
                == replies.filter { $0.text("captcha") != nil }.map { $0.text("solution") })
    }

    @Test("bots that bring no token: VISIT with CSRF, a captcha, its picture")
    func bots() throws {
        try withWorld(daemons: 2) { world in
            let count = try WriteCount(world.requireServer())
            let clients = [try world.client(ofDaemon: 0), try world.client(ofDaemon: 1)]
            for turn in 0..<(Self.pageViews / 100) { try Self.view(clients[turn % 2], count: 100) }
            let writes = try count.writes()
            #expect(writes == [:])
            #expect(try count.size() == count.keys)
            let facts = try clients.map { try DaemonFacts($0, "tokens") }
            #expect(facts.map { $0.number("guests_issued") }.reduce(0, +) == Self.pageViews)
            #expect(facts.map { $0.number("captchas_issued") }.reduce(0, +) == Self.pageViews)
            // The count is one that rises.
            _ = try clients[0].issue()
            #expect(try count.writes()["hset"] ?? 0 > 0)
        }
    }

    @Test("guests that come back with their token, fill in forms wrongly, look at what they have")
    func guests() throws {
        try withWorld { world in
            let client = try world.client()
            let count = try WriteCount(world.requireServer())
            for _ in 0..<50 {
                let guest = try client.guest()
                let csrf = try client.csrf(guest, "FORM", "contact")
                let replies = try client.pipeline([
                    ["TOKEN.VALIDATE", guest], ["TOKEN.VISIT", guest, "CHECK", csrf, "contact", "CSRF", "contact"],
                    ["CSRF.VERIFY", guest, csrf, "FORM", "other"], ["TOKEN.INSPECT", guest], ["TOKEN.GET", guest],
                    ["TOKEN.SET", guest, "DATA", "cart", ""], ["CAPTCHA.ISSUE", "FOR", guest],
                ])
                #expect(
                    try replies.map { try Fields($0).status }
                        == ["valid", "valid", "failed", "valid", "valid", "valid", "issued"])
            }
            let writes = try count.writes()
            #expect(writes == [:])
            #expect(try count.size() == count.keys)
        }
    }

    @Test("the captcha costs its one write when it is tried, and leaves a key that goes by itself")
    func captcha() throws {
        try withWorld { world in
            let client = try world.client()
            let count = try WriteCount(world.requireServer())
            let captcha = try client.captcha("LIFETIME", "60s")
            let writes = try count.writes()
            #expect(writes == [:])
            #expect(try client.answer(captcha.text, captcha.solution) == "passed")
            #expect(try count.writes() == ["set": 1])
            #expect(try client.answer(captcha.text, captcha.solution) == "spent")
            let redis = try world.requireServer().client()
            let keys = try KeyAudit.allKeys(redis).filter { $0.hasPrefix("\(world.stage.prefix)x:") }
            #expect(keys.count == 1)
            // What is left of the captcha, and 120 s more for clocks that differ.
            let ttl = try #require(try redis.call("PTTL", keys.first ?? "").integer)
            #expect((178_000...180_000).contains(ttl), "\(ttl)")
        }
    }
}
