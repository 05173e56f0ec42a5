import Foundation
import TestSupport
import Testing

@Suite("A Redis that is none, or will not have us", .parallel)
struct BrokenServerTests {
    /// What a fake server does with each connection.
    enum Behaviour: String, CaseIterable, CustomTestStringConvertible {
        case silent, closes, text, endless, hugeArray, hugeBulk, nested, negative, truncated, tooMany

        var testDescription: String { rawValue }

        /// The expression that a small Python server writes after it has read something.
        var bytes: String {
            switch self {
            case .silent, .closes: "b''"
            case .text: "b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n'"
            case .endless: "b'+' + b'x' * 3000000"
            case .hugeArray: "b'*2147483647\\r\\n'"
            case .hugeBulk: "b'$9223372036854775807\\r\\n'"
            case .nested: "b'*1\\r\\n' * 100000"
            case .negative: "b'$-7\\r\\n*-9\\r\\n'"
            case .truncated: "b'*3\\r\\n$3\\r\\nab'"
            case .tooMany: "b'+OK\\r\\n' * 100000"
            }
        }
    }

    @Test("garbage, silence and absurd lengths: UNAVAILABLE, and the daemon lives", arguments: Behaviour.allCases)
    func garbage(_ behaviour: Behaviour) throws {
        try withWorld(settings: ["redis.timeout": "250ms"]) { world in
            let folder = try world.stage.folder.folder("fake")
            let path = "\(folder)/f.sock"
            let script = """
                import socket, sys, threading
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(sys.argv[1])
                listener.listen(64)
                def serve(peer):
                    try:
                        while peer.recv(65536):
                            if \(behaviour == .closes ? "True" : "False"):
                                break
                            peer.sendall(\(behaviour.bytes))
                    except OSError:
                        pass
                    peer.close()
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
                """
            let fake = try ChildProcess("/usr/bin/python3", ["-c", script, path], name: "fake", folder: folder)
            _ = try eventually("the fake server") { FileManager.default.fileExists(atPath: path) ? true : nil }
            let daemon = try world.stage.addDaemon(
                .url("unix://\(path)"), settings: ["redis.timeout": "250ms"], readiness: .answers)
            let client = try daemon.client()
            let start = ContinuousClock.now
            while ContinuousClock.now - start < .seconds(1) {
                for command in [["TOKEN.VALIDATE", TokenText.random()], ["TOKEN.ISSUE"]] {
                    expectError("UNAVAILABLE", try client.call(command), hiding: Array(command.dropFirst()))
                }
                letPass(.milliseconds(20))
            }
            #expect(try client.call("PING") == .simple("PONG"))
            #expect(daemon.ended == nil)
            // The other daemon of this test, at a real Redis, is the measure: nothing was allocated on a stranger's word.
            #expect(try residentKilobytes(daemon.pid) < residentKilobytes(world.daemon.pid) + 60_000)
            fake.kill9()
        }
    }

    private func residentKilobytes(_ pid: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
    }

    @Test(
        "credentials that are withdrawn: UNAVAILABLE, no storm of retries, and service when they are back",
        .topologies(.alone, why: "the server has a port of its own"))
    func credentials() throws {
        let port = try FreePort.find()
        let user = ["--port", "\(port)", "--bind", "127.0.0.1", "--user", "tc", "on", ">first", "~*", "&*", "+@all"]
        try withWorld(redis: user, isRestricted: false) { world in
            let daemon = try world.stage.addDaemon(.url("redis://tc:first@127.0.0.1:\(port)"))
            let client = try daemon.client()
            let token = try client.issue()
            let redis = try world.requireServer().client()
            func connections() throws -> Int {
                let info = try #require(try redis.call("INFO", "stats").text)
                let line = try #require(
                    info.split(separator: "\r\n").first { $0.hasPrefix("total_connections_received:") })
                return try #require(Int(line.dropFirst("total_connections_received:".count)))
            }
            _ = try redis.call("ACL", "DELUSER", "tc")
            let before = try connections()
            let start = ContinuousClock.now
            while ContinuousClock.now - start < .seconds(2) {
                expectError("UNAVAILABLE", try client.call("TOKEN.VALIDATE", token))
                letPass(.milliseconds(5))
            }
            let attempts = try connections() - before
            #expect(attempts < 40, "\(attempts) connections in two seconds")
            _ = try redis.call("ACL", "SETUSER", "tc", "on", ">first", "~*", "&*", "+@all")
            let reply = try eventually(within: .seconds(10), "service again") { try? client.validate(token) }
            #expect(reply.status == "valid")
            #expect(!daemon.log.contains("first"))
            #expect(daemon.log.utf8.count < 20_000, "the log is flooded")
        }
    }

    @Test("rights that are withdrawn: UNAVAILABLE, and service when they are back")
    func rights() throws {
        try withWorld(isRestricted: false) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            for rights in [["-@scripting"], ["-hset", "-hmset", "-pexpire", "-pexpireat", "-del"]] {
                let token = try client.issue()
                _ = try redis.call(["ACL", "SETUSER", "default"] + rights)
                expectError("UNAVAILABLE", try client.call("TOKEN.REVOKE", token), hiding: [token])
                expectDenied(client, token)
                _ = try redis.call("ACL", "SETUSER", "default", "+@all")
                try client.awaitService(within: .seconds(8))
                #expect(try client.fields("TOKEN.REVOKE", token).status == "revoked")
            }
        }
    }

    /// A session whose end was asked for and not confirmed: this daemon accepts its token nowhere.
    private func expectDenied(_ client: RESPClient, _ token: String, at location: SourceLocation = #_sourceLocation) {
        for command in [["VALIDATE", token], ["VISIT", token], ["GET", token], ["SET", token, "DATA", "a", "1"]] {
            let reply = Result { try client.call(["TOKEN.\(command[0])"] + command.dropFirst()) }
            let isAccepted = (try? Fields(reply.get()).isAccepted) ?? false
            #expect(!isAccepted, "\(command[0]) accepts a session whose end was asked for", sourceLocation: location)
        }
    }

    @Test("a Redis that is loading: UNAVAILABLE, then service")
    func loading() throws {
        let options = [
            "--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024",
        ]
        try withWorld(redis: options) { world in
            let client = try world.client()
            let tokens = try client.pipeline((0..<100).map { _ in ["TOKEN.ISSUE"] }).map { try Fields($0).newToken() }
            let server = try world.requireServer()
            server.kill9()
            let restart = Background {
                try server.start(); throw Done()
            }
            var unavailable = 0
            let reply = try eventually(within: .seconds(20), "service after loading") { () throws -> Fields? in
                let reply = try client.call("TOKEN.VALIDATE", tokens[99])
                if reply.errorCode == "UNAVAILABLE" { unavailable += 1 }
                return reply.errorText == nil ? try Fields(reply) : nil
            }
            #expect(reply.status == "valid" && unavailable > 0)
            #expect(throws: Done.self) { try restart.stop() }
        }
    }

    private struct Done: Error {}

    @Test("Redis cannot save (MISCONF): a revocation is not acknowledged, and the session is denied here")
    func misconf() throws {
        try withWorld(redis: ["--enable-protected-configs", "yes"]) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            let server = try world.requireServer()
            let token = try client.issue()
            let gone = "\(server.folder)/gone"
            try FileManager.default.createDirectory(atPath: gone, withIntermediateDirectories: false)
            #expect(try redis.call("CONFIG", "SET", "dir", gone) == .simple("OK"))
            try FileManager.default.removeItem(atPath: gone)
            _ = try redis.call("CONFIG", "SET", "save", "3600 1")
            try redis.failToSave()
            expectError("UNAVAILABLE", try client.call("TOKEN.REVOKE", token))
            expectError("UNAVAILABLE", try client.call("TOKEN.ISSUE"))
            expectDenied(client, token)
            _ = try redis.call("CONFIG", "SET", "save", "")
            _ = try redis.call("CONFIG", "SET", "dir", server.folder)
            let reply = try eventually(within: .seconds(8), "service again") {
                try? client.fields("TOKEN.REVOKE", token)
            }
            #expect(reply.status == "revoked")
        }
    }
}
