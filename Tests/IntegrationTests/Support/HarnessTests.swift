import Foundation
import TestSupport
import Testing

/// The alarms of the harness itself: an alarm that never rings would make every other test worthless.
@Suite("The harness notices what it is there for", .parallel)
struct HarnessTests {
    @Test("a secret that reaches Redis is found in MONITOR, in the append-only file and in SLOWLOG")
    func leak() throws {
        let stage = try Stage()
        let server = try stage.addRedis()
        let client = try server.client()
        let token = TokenText.random()
        stage.book.note(Array(token.utf8))
        let verifier = try #require(TokenParts(token.utf8)).verifier
        let key = Array("\(stage.prefix)x".utf8)
        _ = try client.call(bytes: [
            Array("SET".utf8), key, Array(verifier[20..<40]), Array("EX".utf8), Array("9".utf8),
        ])
        let problems = stage.finish()
        for file in ["redis.monitor", "appendonlydir", "redis.slowlog"] {
            #expect(problems.contains { $0.hasPrefix("S7: r1/") && $0.contains("\(file)") }, "\(problems)")
        }
        #expect(problems.allSatisfy { $0.hasPrefix("S7: r1/") }, "\(problems)")
    }

    @Test("a key without TTL, and one outside the prefix, are found at the end")
    func keys() throws {
        let stage = try Stage()
        let client = try stage.addRedis().client()
        _ = try client.call("SET", "\(stage.prefix)a", "1", "EX", "100")
        _ = try client.call("SET", "\(stage.prefix)b", "1")
        _ = try client.call("SET", "c", "1", "EX", "100")
        let problems = stage.finish()
        #expect(problems.contains { $0.hasPrefix("S9:") })
        #expect(problems.contains { $0.hasPrefix("key outside") })
        #expect(problems.count == 2, "\(problems)")
    }

    @Test("a process left behind is found and ended")
    func leftBehind() throws {
        let stage = try Stage()
        let folder = try stage.folder.folder("x")
        let child = try ChildProcess("sleep", ["60"], name: "sleep", folder: folder)
        // While it is being started it has for a moment neither a command line nor its folder.
        _ = try eventually("it runs") { Leftovers.below(stage.folder.path).first { $0.command.hasPrefix("sleep") } }
        // A daemon's child that outlives it, for instance: in no group of ours.
        let problems = stage.finish()
        #expect(problems.count == 1 && problems[0].hasPrefix("left behind: "), "\(problems)")
        #expect(try child.wait(.seconds(5)) == .killed(SIGKILL))
    }

    @Test("Redis can be paused, killed and started again on the same data, and is watched again")
    func redis() throws {
        let stage = try Stage()
        let server = try stage.addRedis()
        let key = "\(stage.prefix)k"
        _ = try server.client().call("SET", key, "1", "EX", "100")
        server.pause()
        let impatient = try RESPClient(path: server.socket, limit: .milliseconds(100))
        #expect(throws: HarnessFailure.self) { try impatient.call("PING") }
        server.resume()
        try server.restart()
        #expect(try server.client().call("GET", key).text == "1")
        _ = try eventually("the record goes on") { () throws -> Bool? in
            _ = try server.client().call("ECHO", "after the restart")
            let text = FileManager.default.contents(atPath: "\(server.folder)/redis.monitor") ?? Data()
            return text.range(of: Data("after the restart".utf8)) == nil ? nil : true
        }
        #expect(stage.finish().isEmpty)
    }

    @Test("replies of both protocols are read as they stand")
    func replies() throws {
        let stage = try Stage()
        let client = try stage.addRedis().client()
        _ = try client.call("HELLO", "3")
        guard case .map = try client.call("CONFIG", "GET", "save") else { throw HarnessFailure("no map") }
        #expect(try client.call("GET", "nothing") == .null)
        let script = "redis.setresp(3); return {1,{double=0.5},{map={a=1}},false,true}"
        let value = try client.call("EVAL", script, "0")
        #expect(value.elements?.count == 5, "\(value)")
        #expect(try client.pipeline([["PING"], ["NONSENSE"], ["ECHO", "x"]]).map(\.errorCode) == [nil, "ERR", nil])
        #expect(stage.finish().isEmpty)
    }

    @Test("TEST_NEAR_CACHE=0 reaches the daemons")
    func nearCache() throws {
        try withWorld { world in
            let facts = try NearCacheFacts(world.client())
            #expect(facts["enabled"] == (Stage.hasNearCache ? 1 : 0))
        }
    }
}
