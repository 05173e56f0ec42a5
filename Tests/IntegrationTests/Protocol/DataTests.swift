import TestSupport
import Testing

@Suite("SET and GET", .parallel)
struct DataTests {
    @Test("changed counts what really changed; an empty value removes", arguments: Backend.allCases)
    func changed(_ backend: Backend) throws {
        try withWorld(backend) { world in
            let client = try world.client()
            let token = try client.issue()
            func set(_ pairs: String...) throws -> Fields { try client.fields(["TOKEN.SET", token, "DATA"] + pairs) }
            let first = try set("a", "1", "b", "2")
            #expect(first.status == "valid" && first.isAccepted && first.integer("changed") == 2)
            #expect(try set("a", "1", "b", "2").integer("changed") == 0)
            #expect(try set("a", "1", "b", "3", "c", "4").integer("changed") == 2)
            #expect(try set("a", "", "nothing", "").integer("changed") == 1)
            #expect(try client.fields("TOKEN.GET", token).data() == ["b": "3", "c": "4"])
            #expect(try client.inspect(token).integer("data_fields") == 2)
            #expect(try set("b", "", "c", "").integer("changed") == 2)
            #expect(try client.fields("TOKEN.GET", token).data() == [:])
        }
    }

    @Test("GET gives the fields asked for, or all")
    func get() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("DATA", "a", "1", "b", "2", "c", "3")
            #expect(try client.fields("TOKEN.GET", token).data() == ["a": "1", "b": "2", "c": "3"])
            #expect(try client.fields("TOKEN.GET", token, "DATA").data() == ["a": "1", "b": "2", "c": "3"])
            #expect(try client.fields("TOKEN.GET", token, "DATA", "c", "a").data() == ["c": "3", "a": "1"])
            let missing = try client.fields("TOKEN.GET", token, "DATA", "a", "none").data()
            #expect(missing["a"] == "1" && (missing["none"] ?? "") == "")
            #expect(try client.fields("TOKEN.VISIT", token, "DATA", "b").data() == ["b": "2"])
        }
    }

    @Test("a worker that validated minutes ago uses the SID")
    func sid() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            let sid = TokenText.sid(token)
            let set = try client.fields("TOKEN.SET", "SID", sid, "DATA", "a", "1")
            #expect(set.isAccepted && set.integer("changed") == 1)
            #expect(try client.fields("TOKEN.GET", "SID", sid).data() == ["a": "1"])
            #expect(try client.fields("TOKEN.GET", "SID", sid, "DATA", "a").data() == ["a": "1"])
            _ = try client.call("TOKEN.REVOKE", token)
            expectRefused("revoked", reason: "logout", try client.fields("TOKEN.GET", "SID", sid))
            expectRefused("revoked", reason: "logout", try client.fields("TOKEN.SET", "SID", sid, "DATA", "a", "2"))
            let gone = TokenText.sid(TokenText.random())
            expectRefused("unknown", try client.fields("TOKEN.SET", "SID", gone, "DATA", "a", "2"))
            #expect(try world.daemon.redis().call("EXISTS", "\(world.stage.prefix)s:\(gone)") == .integer(0))
        }
    }

    @Test("current, pending and previous tokens read and write alike, and neither rotates nor confirms")
    func everyToken() throws {
        try withWorld(settings: ["rotation.after": "200ms"]) { world in
            let client = try world.client()
            let first = try client.issue("DATA", "a", "1")
            letPass(.milliseconds(250))
            #expect(try client.fields("TOKEN.GET", first).status == "valid")
            #expect(try client.fields("TOKEN.SET", first, "DATA", "b", "1").isAccepted)
            #expect(try client.inspect(first).text("successor") == "none", "GET or SET rotated")
            let second = try client.rotateWhenDue(first)
            for (index, token) in [first, second].enumerated() {
                #expect(try client.fields("TOKEN.SET", token, "DATA", "n", "\(index)").integer("changed") == 1)
                #expect(try client.fields("TOKEN.GET", token, "DATA", "n").data() == ["n": "\(index)"])
                #expect(try client.fields("TOKEN.GET", token).sessionToken == nil)
            }
            #expect(try client.inspect(first).text("successor") == "pending", "GET or SET confirmed")
        }
    }

    @Test("binary names and values come back as they were; no name touches the record")
    func binary() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("SUBJECT", "ann")
            let bytes = (0..<256).map { UInt8($0) }
            let start = ["TOKEN.SET", token, "DATA"].map { Array($0.utf8) }
            #expect(try Fields(client.call(bytes: start + [bytes, bytes])).integer("changed") == 1)
            let data = try #require(try client.fields("TOKEN.GET", token)["data"])
            #expect(try Fields(data).entries.map(\.value) == [.bulk(bytes)])
            let names = [
                "v", "c", "g", "s", "subject", "status", "generation", "created", "0", "d:", "kind", "sid", "_", " ",
            ]
            for name in names { _ = try client.fields("TOKEN.SET", token, "DATA", name, "x") }
            let reply = try client.validate(token)
            #expect(reply.status == "valid" && reply.text("subject") == "ann" && reply.generation == 1)
            #expect(try client.inspect(token).integer("data_fields") == names.count + 1)
        }
    }

    @Test("a session holds session.max-data and not a byte more, and a refused SET changes nothing")
    func maximum() throws {
        try withWorld(settings: ["session.max-data": "4096"]) { world in
            let client = try world.client()
            let token = try client.issue("DATA", "a", "1")
            let large = String(repeating: "x", count: 3000)
            #expect(try client.fields("TOKEN.SET", token, "DATA", "big", large).integer("changed") == 1)
            expectError("ERR", try client.call("TOKEN.SET", token, "DATA", "a", "2", "more", large), hiding: [large])
            #expect(try client.fields("TOKEN.GET", token, "DATA", "a").data() == ["a": "1"])
            expectError("ERR", try client.call("TOKEN.ISSUE", "DATA", "a", large + large), hiding: [large])
            #expect(try client.fields("TOKEN.SET", token, "DATA", "big", "", "more", large).integer("changed") == 2)
            // Many small writes come to the same limit as a large one.
            var refused = 0
            for index in 0..<200
            where try client.call("TOKEN.SET", token, "DATA", "n\(index)", "0123456789").errorCode == "ERR" {
                refused += 1
            }
            #expect(refused > 50)
        }
    }

    @Test("a name given twice in one command counts once, the last value wins, and the bookkeeping stays right")
    func repeatedNames() throws {
        try withWorld(settings: ["session.max-data": "4096"]) { world in
            let client = try world.client()
            let token = try client.issue()
            func set(_ pairs: String...) throws -> RESPValue { try client.call(["TOKEN.SET", token, "DATA"] + pairs) }
            #expect(try Fields(set("a", "1", "a", "2")).integer("changed") == 1)
            #expect(try client.fields("TOKEN.GET", token).data() == ["a": "2"])
            #expect(try Fields(set("a", "", "a", "2")).integer("changed") == 0)
            #expect(try client.fields("TOKEN.GET", token).data() == ["a": "2"])
            _ = try set("b", "1", "b", "")
            #expect(try client.fields("TOKEN.GET", token).data() == ["a": "2"])
            // Removed twice, subtracted twice: then a session would hold more than it may.
            let large = String(repeating: "x", count: 3000)
            for _ in 0..<3 {
                _ = try set("big", large)
                _ = try set("big", "", "big", "")
            }
            #expect(try Fields(set("one", large)).integer("changed") == 1)
            expectError("ERR", try set("two", large))
        }
    }

    @Test("64 KiB by default, in one value")
    func defaultMaximum() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            let value = String(repeating: "v", count: 60_000)
            #expect(try client.fields("TOKEN.SET", token, "DATA", "a", value).integer("changed") == 1)
            #expect(try client.fields("TOKEN.GET", token).data() == ["a": value])
            expectError("ERR", try client.call("TOKEN.SET", token, "DATA", "b", value))
        }
    }

    @Test("concurrent SETs of different fields lose nothing")
    func concurrentSets() throws {
        try withWorld(daemons: 2) { world in
            let token = try world.client().issue()
            _ = try concurrently(20) { index in
                try world.client(ofDaemon: index)
            } work: { index, client in
                for round in 0..<5 { _ = try client.fields("TOKEN.SET", token, "DATA", "f\(index)-\(round)", "x") }
            }
            #expect(try world.client().inspect(token).integer("data_fields") == 100)
        }
    }
}
