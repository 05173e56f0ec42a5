import TestSupport
import Testing

@Suite("MAX: the subject keeps the sessions that logged in last", .demanding)
struct SessionLimitTests {
    private static func isAlive(_ client: RESPClient, _ token: String) throws -> Bool {
        try client.validate(token).isAccepted
    }

    @Test("racing ISSUEs and LOGINs over three daemons leave exactly so many, of those that were told a token")
    func races() throws {
        try withWorld(daemons: 3) { world in
            let client = try world.client()
            for round in 0..<4 {
                let subject = "ann-\(round)"
                let old = try client.issue("SUBJECT", subject)
                let answers = try concurrently(9) { index in
                    try world.client(ofDaemon: index)
                } work: { index, client in
                    index == 0
                        ? try client.fields("TOKEN.LOGIN", old, subject, "MAX", "2")
                        : try client.fields("TOKEN.ISSUE", "SUBJECT", subject, "MAX", "2")
                }
                let told = answers.compactMap(\.sessionToken)
                #expect(try client.call("TOKEN.COUNT", subject) == .integer(2))
                #expect(try told.filter { try Self.isAlive(client, $0) }.count == 2)
                for refused in answers where refused.status == "refused" {
                    #expect(refused.text("reason") == "limit" && refused.sessionToken == nil && !refused.isAccepted)
                }
            }
        }
    }

    @Test("on-limit: refuse: racing ISSUEs over three daemons get the places there are, and no more")
    func places() throws {
        try withWorld(daemons: 3, settings: ["session.on-limit": "refuse", "session.max-per-subject": "3"]) { world in
            let client = try world.client()
            let first = try client.issue("SUBJECT", "ann")
            let answers = try concurrently(9) { index in
                try world.client(ofDaemon: index)
            } work: { _, client in
                try client.fields("TOKEN.ISSUE", "SUBJECT", "ann")
            }
            #expect(answers.count { $0.status == "issued" } == 2 && answers.count { $0.status == "refused" } == 7)
            #expect(try client.call("TOKEN.COUNT", "ann") == .integer(3))
            // The renewal of one's own session needs no place.
            #expect(try client.fields("TOKEN.LOGIN", first, "ann").status == "issued")
            #expect(try client.call("TOKEN.COUNT", "ann") == .integer(3))
        }
    }

    @Test("an ISSUE with MAX whose reply is lost is sent once; the next login ends what it did not", .needsNearCache)
    func unknownFate() throws {
        try withNearCache(settings: ["redis.timeout": "2s"]) { world in
            let client = try world.near.client()
            let direct = try world.far.client()
            let first = try direct.issue("SUBJECT", "ann")
            world.proxy.treat(.data) { $0.delay = .milliseconds(400) }
            try client.send(["TOKEN.ISSUE", "SUBJECT", "ann", "MAX", "1"])
            // Nobody was told its token: beside the limit it stands until somebody logs in.
            _ = try eventually("the session is made") {
                try direct.call("TOKEN.COUNT", "ann") == .integer(2) ? true : nil
            }
            world.proxy.cut(.data)
            world.proxy.treat(.data) { $0.delay = .zero }
            expectError("UNAVAILABLE", try client.readReply())
            try client.awaitService()
            #expect(try direct.call("TOKEN.COUNT", "ann") == .integer(2), "sent twice, or its index entry is gone")
            #expect(try Self.isAlive(direct, first))
            let next = try client.fields("TOKEN.ISSUE", "SUBJECT", "ann", "MAX", "1")
            #expect(next.status == "issued" && next.integer("ended") == 2)
            #expect(try direct.call("TOKEN.COUNT", "ann") == .integer(1))
            expectRefused("revoked", reason: "limit", try direct.validate(first))
            #expect(try Self.isAlive(direct, next.newToken()))
        }
    }
}
