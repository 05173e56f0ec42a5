import TestSupport
import Testing

@Suite("Limits later: EXPIRE, ROTATE and SET with IDLE and ABSOLUTE", .parallel)
struct ExpireTests {
    private func isAbout(_ seconds: Int?, _ expected: Int) -> Bool { (expected - 5...expected).contains(seconds ?? -1) }

    @Test("EXPIRE answers the fields with the new limits, and hands out no token", arguments: [false, true])
    func fields(_ resp3: Bool) throws {
        try withWorld { world in
            let client = try world.client()
            if resp3 { _ = try client.call("HELLO", "3") }
            let token = try client.issue("SUBJECT", "ann", "IDLE", "1h", "ABSOLUTE", "2d")
            let reply = try client.call("TOKEN.EXPIRE", token, "IDLE", "10h", "ABSOLUTE", "30d")
            try expectShape(reply, acceptedFields, resp3: resp3)
            let fields = try Fields(reply)
            #expect(fields.status == "valid" && fields.generation == 1 && fields.text("subject") == "ann")
            #expect(isAbout(fields.integer("expires_in"), 36_000) && isAbout(fields.integer("absolute_in"), 2_592_000))
            let later = try client.validate(token)
            #expect(isAbout(later.integer("expires_in"), 36_000) && isAbout(later.integer("absolute_in"), 2_592_000))
            // Each alone leaves the other.
            let idle = try client.fields("TOKEN.EXPIRE", token, "IDLE", "1h")
            #expect(isAbout(idle.integer("expires_in"), 3_600) && isAbout(idle.integer("absolute_in"), 2_592_000))
            let absolute = try client.fields("TOKEN.EXPIRE", token, "ABSOLUTE", "10m")
            #expect(isAbout(absolute.integer("expires_in"), 600) && isAbout(absolute.integer("absolute_in"), 600))
        }
    }

    @Test("EXPIRE counts as an access: a shorter idle limit does not end the session at once")
    func access() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            letPass(.milliseconds(1_200))
            #expect(try client.fields("TOKEN.EXPIRE", token, "IDLE", "1s").isAccepted)
            #expect(try client.validate(token).status == "valid")
            letPass(.milliseconds(1_500))
            #expect(try client.validate(token).status == "unknown")
        }
    }

    @Test("an IDLE longer than the ABSOLUTE beside it is ERR and names both; longer than what is left it is cut")
    func idleAndAbsolute() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("ABSOLUTE", "1h")
            for command in ["TOKEN.EXPIRE", "TOKEN.ROTATE"] {
                let reply = try client.call(command, token, "IDLE", "3h", "ABSOLUTE", "2h")
                guard case .error(let text) = reply else { throw HarnessFailure("\(command) took it") }
                #expect(text.contains("IDLE 3h") && text.contains("ABSOLUTE 2h"))
                expectError("ERR", try client.call(command, token, "IDLE", "1h", "IDLE", "1h"))
            }
            let cut = try client.fields("TOKEN.EXPIRE", token, "IDLE", "30h")
            #expect(isAbout(cut.integer("expires_in"), 3_600) && isAbout(cut.integer("absolute_in"), 3_600))
            guard case .error(let text) = try client.call("TOKEN.EXPIRE", token) else {
                throw HarnessFailure("EXPIRE without an option was taken")
            }
            #expect(text.hasPrefix("ERR") && text.contains("REVOKE"))
            expectError("ERR", try client.call("TOKEN.EXPIRE", token, "IDLE", "500d"))
            expectRefused("unknown", try client.fields("TOKEN.EXPIRE", TokenText.random(), "IDLE", "1h"))
        }
    }

    @Test("ABSOLUTE counts from now, within session.max-absolute of the session's making or last login")
    func longest() throws {
        try withWorld(settings: ["session.max-absolute": "1m", "session.absolute": "30s", "session.idle": "10s"]) {
            world in
            let client = try world.client()
            let token = try client.issue()
            letPass(.milliseconds(2_100))
            let cut = try client.fields("TOKEN.EXPIRE", token, "ABSOLUTE", "60s")
            #expect((53...57).contains(cut.integer("absolute_in") ?? 0))
            let login = try client.fields("TOKEN.LOGIN", token, "ann").newToken()
            let anew = try client.fields("TOKEN.EXPIRE", login, "ABSOLUTE", "60s")
            #expect(isAbout(anew.integer("absolute_in"), 60))
        }
    }

    @Test("S13: a later absolute end is in the subject's index first, by EXPIRE and by ROTATE")
    func index() throws {
        try withWorld { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            func score() throws -> Int {
                guard case .array(let keys) = try redis.call("KEYS", "\(world.stage.prefix)u:*"),
                    let key = keys.first?.text,
                    case .array(let members) = try redis.call("ZRANGE", key, "0", "-1", "WITHSCORES")
                else { throw HarnessFailure("no index") }
                return Int(members.last?.text ?? "") ?? 0
            }
            let token = try client.issue("SUBJECT", "ann", "ABSOLUTE", "1h")
            let first = try score()
            _ = try client.fields("TOKEN.EXPIRE", token, "IDLE", "30m")
            #expect(try score() == first, "nothing later")
            _ = try client.fields("TOKEN.EXPIRE", token, "ABSOLUTE", "10h")
            let second = try score()
            #expect(second >= first + 8 * 3_600_000)
            let rotated = try client.fields("TOKEN.ROTATE", token, "ABSOLUTE", "20h").newToken()
            #expect(try score() >= second + 9 * 3_600_000)
            #expect(try client.fields("TOKEN.REVOKEALL", "ann").integer("count") == 1)
            expectRefused("revoked", reason: "logout-all", try client.validate(rotated))
        }
    }

    @Test(
        "ROTATE takes limits: they stay unless given; the cookie outlives the browser then, unless COOKIE said session")
    func rotation() throws {
        try withWorld { world in
            let client = try world.client()
            let plain = try client.fields("TOKEN.ROTATE", try client.issue())
            #expect(plain.integer("max_age") == nil && isAbout(plain.integer("absolute_in"), 86_400))
            let longer = try client.fields("TOKEN.ROTATE", try plain.newToken(), "IDLE", "20d", "ABSOLUTE", "30d")
            #expect(longer.integer("max_age") == longer.integer("absolute_in"))
            #expect(isAbout(longer.integer("max_age"), 2_592_000) && isAbout(longer.integer("expires_in"), 1_728_000))
            let stays = try client.fields("TOKEN.ROTATE", try longer.newToken())
            #expect(isAbout(stays.integer("absolute_in"), 2_592_000) && isAbout(stays.integer("max_age"), 2_592_000))
            for cookie in [["COOKIE", "session"], ["COOKIE", "session", "ABSOLUTE", "2d"]] {
                let token = try client.answered(["TOKEN.ISSUE"] + cookie).newToken()
                _ = try client.fields("TOKEN.EXPIRE", token, "ABSOLUTE", "3d")
                let rotated = try client.fields("TOKEN.ROTATE", token, "ABSOLUTE", "4d")
                #expect(rotated.integer("max_age") == nil && isAbout(rotated.integer("absolute_in"), 345_600))
            }
        }
    }

    @Test("of a guest EXPIRE makes the session, with its token and max_age; a repetition leads to the same")
    func guest() throws {
        try withWorld { world in
            let client = try world.client()
            let guest = try client.guest()
            let made = try client.call("TOKEN.EXPIRE", guest, "IDLE", "1d", "ABSOLUTE", "40d")
            try expectShape(made, acceptedFields + ["sessiontoken", "max_age"])
            let fields = try Fields(made)
            #expect(fields.text("kind") == "session" && isAbout(fields.integer("expires_in"), 86_400))
            #expect(isAbout(fields.integer("max_age"), 3_456_000))
            let again = try client.fields("TOKEN.EXPIRE", guest, "IDLE", "2d")
            #expect(again.sessionToken == fields.sessionToken && isAbout(again.integer("expires_in"), 172_800))
            #expect(try client.validate(try fields.newToken()).status == "valid")
        }
    }

    @Test("a full Redis takes EXPIRE and GETDEL, and refuses INCR")
    func fullRedis() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("DATA", "a", "1", "n", "1")
            let redis = try world.requireServer().client()
            _ = try redis.call("CONFIG", "SET", "maxmemory", "1")
            #expect(try client.fields("TOKEN.EXPIRE", token, "IDLE", "1h").isAccepted)
            #expect(try client.fields("TOKEN.GETDEL", token, "DATA", "a").data() == ["a": "1"])
            expectError("UNAVAILABLE", try client.call("TOKEN.INCR", token, "DATA", "n"))
            _ = try redis.call("CONFIG", "SET", "maxmemory", "0")
            #expect(try client.fields("TOKEN.INCR", token, "DATA", "n").integer("value") == 2)
        }
    }
}
