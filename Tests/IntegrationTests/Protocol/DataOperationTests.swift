import TestSupport
import Testing

@Suite("SET with IF, INCR and GETDEL", .parallel)
struct DataOperationTests {
    @Test(
        "INCR: absent counts as 0, the value is exact in 64 bits, and what cannot be added to is left",
        arguments: Backend.allCases)
    func increments(_ backend: Backend) throws {
        try withWorld(backend) { world in
            let client = try world.client()
            let token = try client.issue("DATA", "text", "x", "large", "9007199254740992", "most", "\(Int64.max)")
            func incr(_ words: String...) throws -> RESPValue {
                try client.call(["TOKEN.INCR", token, "DATA"] + words)
            }
            try expectShape(try incr("n"), ["status", "accepted", "sid", "value"], resp3: false)
            #expect(try Fields(incr("n", "41")).integer("value") == 42)
            #expect(try Fields(incr("n", "-2")).integer("value") == 40)
            #expect(try Fields(incr("n", "0")).integer("value") == 40)
            #expect(try Fields(incr("none", "0")).integer("value") == 0)
            #expect(try Fields(incr("large")).integer("value") == 9_007_199_254_740_993)
            #expect(try Fields(incr("low", "\(Int64.min)")).integer("value") == Int(Int64.min))
            for words in [["text"], ["text", "0"], ["most"], ["low", "-1"]] {
                expectError("ERR", try client.call(["TOKEN.INCR", token, "DATA"] + words))
            }
            let data = try client.fields("TOKEN.GET", token).data()
            #expect(data["text"] == "x" && data["most"] == "\(Int64.max)" && data["none"] == nil)
            let sid = try client.fields("TOKEN.INCR", "SID", TokenText.sid(token), "DATA", "n", "2")
            #expect(sid.integer("value") == 42 && sid.sid == TokenText.sid(token))
            expectRefused(
                "unknown", try client.fields("TOKEN.INCR", "SID", TokenText.sid(token), "SUBJECT", "eve", "DATA", "n"))
            expectRefused("unknown", try client.fields("TOKEN.INCR", TokenText.random(), "DATA", "n"))
        }
    }

    @Test(
        "INCR takes one field and an integer as Redis writes them",
        arguments: ["+1", "01", " 1", "1.5", "", "-0", "9223372036854775808"])
    func addends(_ number: String) throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            expectError("ERR", try client.call("TOKEN.INCR", token, "DATA", "n", number))
            expectError("ERR", try client.call("TOKEN.INCR", token, "DATA", "n", "1", "2"))
            #expect(try client.fields("TOKEN.GET", token).data() == [:])
        }
    }

    @Test("INCR counts against session.max-data")
    func sumsAreBounded() throws {
        try withWorld(settings: ["session.max-data": "4096"]) { world in
            let client = try world.client()
            let token = try client.issue("DATA", "fill", String(repeating: "x", count: 4_090), "n", "")
            #expect(try client.fields("TOKEN.INCR", token, "DATA", "n").integer("value") == 1)
            expectError("ERR", try client.call("TOKEN.INCR", token, "DATA", "m"))
            expectError("ERR", try client.call("TOKEN.INCR", token, "DATA", "n", "9"))
            #expect(try client.fields("TOKEN.GET", token, "DATA", "n", "m").data() == ["n": "1"])
        }
    }

    @Test("GETDEL gives what GET gives, once", arguments: [false, true])
    func takes(_ resp3: Bool) throws {
        try withWorld { world in
            let client = try world.client()
            if resp3 { _ = try client.call("HELLO", "3") }
            let token = try client.issue("DATA", "a", "1", "b", "2", "c", "3")
            _ = try client.validate(token)
            let taken = try client.call("TOKEN.GETDEL", token, "DATA", "c", "none", "a")
            try expectShape(taken, ["status", "accepted", "sid", "data"], resp3: resp3)
            #expect(try Fields(taken).data() == ["c": "3", "a": "1"])
            #expect(try client.fields("TOKEN.GET", token).data() == ["b": "2"], "a write is true here at once")
            #expect(try client.fields("TOKEN.GETDEL", token, "DATA", "c", "a").data() == [:])
            #expect(try client.fields("TOKEN.GETDEL", "SID", TokenText.sid(token), "DATA", "b").data() == ["b": "2"])
            #expect(try client.inspect(token).integer("data_fields") == 0)
            expectError("ERR", try client.call("TOKEN.GETDEL", token, "DATA"))
            expectError("ERR", try client.call("TOKEN.GETDEL", token, "DATA", "a", "a"))
        }
    }

    @Test("SET with IF writes where every field has its value, and answers conflict with those fields where not")
    func conditions() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("DATA", "a", "1")
            func set(_ words: String...) throws -> RESPValue { try client.call(["TOKEN.SET", token] + words) }
            let held = try set("IF", "a", "1", "IF", "b", "", "DATA", "a", "2", "b", "1")
            try expectShape(held, ["status", "accepted", "sid", "changed"], resp3: false)
            #expect(try Fields(held).status == "valid" && Fields(held).integer("changed") == 2)
            let conflict = try set("IF", "a", "2", "IF", "b", "", "IF", "c", "x", "DATA", "a", "3")
            try expectShape(conflict, ["status", "accepted", "sid", "changed", "data"], resp3: false)
            let fields = try Fields(conflict)
            #expect(fields.status == "conflict" && fields.isAccepted && fields.integer("changed") == 0)
            #expect(try fields.data() == ["a": "2", "b": "1"])
            #expect(try client.call("INFO", "tokens").text?.contains("data_conflicts:1\r\n") == true)
            let sid = TokenText.sid(token)
            let bySID = try client.fields("TOKEN.SET", "SID", sid, "IF", "a", "9", "DATA", "a", "3")
            #expect(bySID.status == "conflict")
            #expect(try bySID.data() == ["a": "2"])
            expectError("ERR", try set("IF", "a", "1", "IF", "a", "2", "DATA", "a", "3"))
            for option in ["IF", "IDLE", "ABSOLUTE"] {
                guard case .error(let text) = try set("DATA", "a", "1", option, "x") else {
                    throw HarnessFailure("\(option) behind DATA was taken")
                }
                #expect(text.contains("put it before DATA"))
            }
            #expect(try client.fields("TOKEN.GET", token).data() == ["a": "2", "b": "1"])
        }
    }

    @Test("of a guest: INCR makes the session; INCR by 0, GETDEL and an IF that fails make nothing")
    func guests() throws {
        try withWorld { world in
            let client = try world.client()
            let guest = try client.guest()
            let sid = try client.fields("TOKEN.GET", guest).sid
            #expect(try client.fields("TOKEN.INCR", guest, "DATA", "n", "0").integer("value") == 0)
            #expect(try client.fields("TOKEN.GETDEL", guest, "DATA", "n").data() == [:])
            let failed = try client.fields("TOKEN.SET", guest, "IF", "n", "1", "DATA", "n", "2")
            #expect(failed.status == "conflict" && failed.sessionToken == nil)
            #expect(try failed.data() == [:])
            #expect(try client.fields("TOKEN.VALIDATE", guest).text("kind") == "guest")

            let made = try client.call("TOKEN.INCR", guest, "DATA", "n", "5")
            try expectShape(made, ["status", "accepted", "sid", "value", "sessiontoken"], resp3: false)
            let token = try Fields(made).newToken()
            #expect(try Fields(made).integer("value") == 5 && Fields(made).sid == sid)
            let again = try client.fields("TOKEN.INCR", guest, "DATA", "n")
            #expect(again.integer("value") == 6 && again.sessionToken == token)
            #expect(try client.fields("TOKEN.GET", token).data() == ["n": "6"])

            let other = try client.guest()
            let limited = try client.fields(
                "TOKEN.SET", other, "IDLE", "30d", "ABSOLUTE", "90d", "IF", "a", "", "DATA", "a", "1")
            #expect(
                limited.integer("changed") == 1 && (7_775_990...7_776_000).contains(limited.integer("max_age") ?? 0))
            let view = try client.inspect(try limited.newToken())
            #expect((2_591_990...2_592_000).contains(view.integer("expires_in") ?? 0))
        }
    }

    @Test("current, pending and previous tokens alike, and none of it rotates or confirms")
    func everyToken() throws {
        try withWorld(settings: ["rotation.after": "200ms"]) { world in
            let client = try world.client()
            let first = try client.issue()
            letPass(.milliseconds(250))
            let second = try client.rotateWhenDue(first)
            for (round, token) in [first, second].enumerated() {
                #expect(try client.fields("TOKEN.INCR", token, "DATA", "n").integer("value") == round + 1)
                #expect(try client.fields("TOKEN.SET", token, "IF", "n", "\(round + 1)", "DATA", "f", "x").isAccepted)
                #expect(try client.fields("TOKEN.GETDEL", token, "DATA", "f").data() == ["f": "x"])
                #expect(try client.fields("TOKEN.EXPIRE", token, "IDLE", "1h").status == "valid")
            }
            #expect(try client.inspect(first).text("successor") == "pending")
        }
    }
}
