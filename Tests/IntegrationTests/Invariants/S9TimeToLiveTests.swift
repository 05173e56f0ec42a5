import TestSupport
import Testing

/// The end of every integration test looks at all keys too; here they are looked at while everything happens to them.
@Suite("S9: every key has a TTL at every moment", .parallel)
struct S9TimeToLiveTests {
    @Test("under a load of all commands", arguments: Backend.allCases)
    func underLoad(_ backend: Backend) throws {
        let settings = [
            "rotation.after": "50ms", "rotation.overlap": "20ms", "session.touch-interval": "5ms",
            "session.tombstone": "2s",
        ]
        try withWorld(backend, settings: settings) { world in
            let redis = try world.daemon.redis()
            let prefix = world.stage.prefix
            let audit = Background {
                for violation in try KeyAudit.violations(redis, prefix: prefix) { Issue.record("\(violation)") }
            }
            let start = ContinuousClock.now
            _ = try concurrently(4) { _ in
                try world.client()
            } work: { thread, client in
                var token = ""
                var step = 0
                while ContinuousClock.now - start < .seconds(3) {
                    step += 1
                    let subject = "user-\(thread)-\(step / 40 % 3)"
                    let command: [String] =
                        switch step % 20 {
                        case 1: ["TOKEN.ISSUE", "SUBJECT", subject, "DATA", "a", "1"]
                        case 2: ["TOKEN.ISSUE", "IDLE", "300ms"]
                        case 5: ["TOKEN.SET", token, "DATA", "a", "\(step)", "b", "x"]
                        case 8: ["TOKEN.LOGIN", token, subject]
                        case 11: ["TOKEN.ROTATE", token]
                        case 13: ["TOKEN.SET", token, "DATA", "a", "", "b", ""]
                        case 15: ["TOKEN.LOGIN", token, "other-\(thread)"]
                        case 17: ["TOKEN.REVOKE", token]
                        case 19: ["TOKEN.REVOKEALL", subject]
                        default: ["TOKEN.VISIT", token]
                        }
                    if let newer = try client.fields(command).sessionToken { token = newer }
                }
            }
            try audit.stop()
        }
    }

    @Test("a key lives until the nearer of its limits, a subject's index as long as its longest session")
    func lifetimes() throws {
        try withWorld(settings: ["session.touch-interval": "1ms"]) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            let prefix = world.stage.prefix
            func lifetime(_ key: String) throws -> Int { try #require(try redis.call("PTTL", key).integer) }

            let short = try client.issue("ABSOLUTE", "30m", "SUBJECT", "ann")
            #expect((1_790_000...1_800_500).contains(try lifetime("\(prefix)s:\(TokenText.sid(short))")))
            for _ in 0..<5 {
                letPass(.milliseconds(10))
                #expect(try client.validate(short).isAccepted)
            }
            letPass(.milliseconds(50))
            let touched = try lifetime("\(prefix)s:\(TokenText.sid(short))")
            #expect(touched <= 1_800_500, "a touch moved the key past the absolute end: \(touched)")
            let long = try client.issue("IDLE", "1h", "ABSOLUTE", "10d", "SUBJECT", "ann")
            #expect((3_590_000...3_600_500).contains(try lifetime("\(prefix)s:\(TokenText.sid(long))")))
            _ = try client.issue("ABSOLUTE", "20m", "SUBJECT", "ann")
            let index = try #require(try KeyAudit.allKeys(redis).first { $0.hasPrefix("\(prefix)u:") })
            #expect(try lifetime(index) > 863_000_000, "a shorter session shortened the index")

            _ = try client.call("TOKEN.REVOKE", short)
            let tombstone = try lifetime("\(prefix)s:\(TokenText.sid(short))")
            // It is counted from the daemon's estimate of Redis's clock, which on a busy machine is milliseconds off.
            #expect((590_000...600_500).contains(tombstone), "a tombstone stands for 10 minutes: \(tombstone)")
            #expect(!index.contains("ann"), "the subject stands in a key")
        }
    }
}
