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
