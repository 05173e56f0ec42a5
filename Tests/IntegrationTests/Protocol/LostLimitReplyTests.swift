import TestSupport
import Testing

@Suite("MAX: a login whose reply is lost", .demanding)
struct LostLimitReplyTests {
    private static func isAlive(_ client: RESPClient, _ token: String) throws -> Bool {
        try client.validate(token).isAccepted
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
