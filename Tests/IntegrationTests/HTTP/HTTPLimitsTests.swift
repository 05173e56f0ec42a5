import Foundation
import TestSupport
import Testing

@Suite("HTTP: bounds and roles are those of the RESP socket", .parallel)
struct HTTPLimitsTests {
    @Test("a client that reads slowly gets every answer in order, though few of them wait for it")
    func slow() throws {
        try withHTTP(settings: ["limits.max-output": "4KiB", "limits.write-timeout": "5s"]) { site in
            let client = try site.http()
            client.shrinkReceiveBuffer()
            let count = 400
            let requests = (0..<count).map { HTTPClient.head($0 % 2 == 0 ? "GET" : "HEAD", "/metrics") }.joined()
            try client.send(Array(requests.utf8), readingMeanwhile: false)
            for number in 0..<count {
                let answer = try client.read(isHead: number % 2 == 1)
                #expect(answer.status == 200 && answer.body.isEmpty == (number % 2 == 1))
                if number % 50 == 0 {
                    // What is not read is not even made: at most limits.max-output and one answer.
                    #expect(try site.world.daemon.figure("http_requests") < number + 50)
                    letPass(.milliseconds(20))
                }
            }
        }
    }

    @Test("a client that reads nothing is closed after limits.write-timeout; others are answered meanwhile")
    func neverReads() throws {
        try withHTTP(settings: ["limits.max-output": "4KiB", "limits.write-timeout": "500ms"]) { site in
            let greedy = try site.http()
            greedy.shrinkReceiveBuffer()
            let requests = Array(String(repeating: HTTPClient.head("GET", "/metrics"), count: 20_000).utf8)
            let closed = Background { try greedy.send(requests, readingMeanwhile: false, limit: .seconds(20)) }
            let other = try site.http()
            _ = try eventually("it is closed") {
                #expect(try other.get("/healthz").status == 200)
                return try site.world.daemon.figure("timed_out_connections") == 1 ? true : nil
            }
            #expect(throws: (any Error).self, "sent to a connection that is closed") { try closed.stop() }
        }
    }

    @Test("a connection on which nothing is asked is closed after limits.idle-timeout; one that asks stays")
    func idle() throws {
        try withHTTP(settings: ["limits.idle-timeout": "3s"]) { site in
            let idle = try site.http()
            let busy = try site.http()
            #expect(try idle.get("/healthz").status == 200)
            let asks = Background {
                let status = try busy.get("/healthz").status
                #expect(status == 200)
                letPass(.milliseconds(100))
            }
            #expect(try idle.readToEnd() == "")
            try asks.stop()
            #expect(try busy.get("/healthz").status == 200)
        }
    }

    @Test("the drain answers what is in flight, and takes nothing new")
    func drain() throws {
        let settings = ["near-cache.max-memory": "0", "redis.timeout": "10s", "drain-timeout": "20s"]
        try withHTTP(settings: settings) { site in
            let server = try site.world.requireServer()
            let token = try site.login()
            let client = try site.http()
            let waiting = try site.http()
            #expect(try waiting.get("/healthz").status == 200)
            server.pause()
            try client.send(String(repeating: HTTPClient.head("GET", "/auth", [cookie(token)]), count: 5))
            // They have reached the daemon when a later connection's request is answered.
            #expect(try site.http().get("/healthz").status == 200)
            letPass(.milliseconds(100))
            site.world.daemon.signal(SIGTERM)
            #expect(try waiting.readToEnd() == "")
            #expect(site.world.daemon.ended == nil, "ended with requests in flight")
            server.resume()
            let answers = try (0..<5).map { _ in try client.read() }
            #expect(answers.allSatisfy { $0.status == 200 } && answers.last?["Connection"] == "close")
            #expect(try client.readToEnd() == "")
            #expect(try site.world.daemon.wait(.seconds(10)) == .exited(0))
        }
    }

    @Test("what comes behind a refusal is passed over up to a bound, so that the refusal arrives")
    func discarded() throws {
        try withHTTP { site in
            let client = try site.http()
            // Fewer bytes than are passed over; and, by another client, far more.
            let behind = [UInt8](repeating: 0x61, count: 60_000)
            try client.send(Array("GET /healthz HTTP/1.1\r\nHost: a\nX: y\r\n\r\n".utf8) + behind)
            #expect(try client.read().status == 400)
            let greedy = try site.http()
            try greedy.send("GET / HTTP/1.1\r\nHost: a\n\r\n")
            let begin = ContinuousClock.now
            #expect(throws: (any Error).self, "32 MiB were taken") {
                try greedy.send([UInt8](repeating: 0x61, count: 32 << 20), readingMeanwhile: false, limit: .seconds(20))
            }
            #expect(ContinuousClock.now - begin < .seconds(15), "it let nobody go: the client gave up")
            #expect(try site.http().get("/healthz").status == 200)
        }
    }

    @Test(
        "limits.max-clients-per-user counts HTTP's connections of a user who is no admin", .enabled(if: getuid() == 0))
    func perUser() throws {
        let settings = ["limits.max-clients-per-user": "3", "access.default": "validator"]
        try withHTTP(settings: settings) { site in
            try openTheWay(to: URL(fileURLWithPath: site.socket).deletingLastPathComponent().path)
            let crowd = """
                import socket, sys, time
                kept = []
                for _ in range(5):
                    connection = socket.socket(socket.AF_UNIX)
                    connection.settimeout(15)
                    connection.connect(sys.argv[1])
                    try: connection.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
                    except OSError: pass
                    kept.append((connection, connection.recv(4096).split(b" ")[1].decode()))
                print(" ".join(status for _, status in kept), flush=True)
                time.sleep(60)
                """
            let visitor = try ChildProcess.ofNobody(crowd, [site.socket], name: "crowd", in: site.world)
            let statuses = try eventually("all are answered") { () -> String? in
                if let end = visitor.ended { throw HarnessFailure("\(end): \(visitor.errors)") }
                return visitor.output.hasSuffix("\n") ? visitor.output : nil
            }
            #expect(statuses == "200 200 200 503 503\n")
            #expect(try site.http().get("/healthz").status == 200, "another user's")
        }
    }

    /// Asks over a connection that it keeps and over a new one, and says what both were answered whenever that changes.
    private static let visitor = """
        import socket, sys, time

        def connect():
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(15)
            connection.connect(sys.argv[1])
            return connection

        def ask(connection):
            try: connection.sendall(b"GET /auth HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
            except OSError: pass  # It was answered before it asked.
            return connection.recv(4096).split(b" ")[1].decode()

        kept, last = connect(), ""
        while True:
            statuses = ask(kept) + " " + ask(connect())
            if statuses != last: print(statuses, flush=True)
            last = statuses
            time.sleep(0.02)
        """

    @Test("a reload takes the right away from who is connected, and gives it back", .enabled(if: getuid() == 0))
    func roles() throws {
        let folder = try TemporaryFolder()
        let file = "\(folder.path)/c.yaml"
        func allow(_ role: String) throws {
            try "access: {default: \(role)}\n".write(toFile: file, atomically: true, encoding: .utf8)
        }
        try allow("validator")
        let launcher = ["/bin/sh", "-c", "exec \"$@\" --config '\(file)'", "sh"]
        try withHTTP(launcher: launcher) { site in
            try openTheWay(to: URL(fileURLWithPath: site.socket).deletingLastPathComponent().path)
            let visitor = try ChildProcess.ofNobody(Self.visitor, [site.socket], name: "visitor", in: site.world)
            func expectStatuses(_ line: String) throws {
                _ = try eventually("the visitor is answered \(line)") { () -> Bool? in
                    if let end = visitor.ended { throw HarnessFailure("\(end): \(visitor.output) \(visitor.errors)") }
                    return visitor.output.hasSuffix("\(line)\n") ? true : nil
                }
            }
            try expectStatuses("401 401")
            try allow("none")
            #expect(try site.world.client().call("RELOAD") == .simple("OK"))
            try expectStatuses("403 403")
            #expect(try site.world.daemon.figure("denied_connections") > 0)
            try allow("validator")
            #expect(try site.world.client().call("RELOAD") == .simple("OK"))
            try expectStatuses("401 401")
        }
    }
}
