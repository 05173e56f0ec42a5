import TestSupport
import Testing

@Suite("Clients that read slowly, greedily, or not at all", .demanding)
struct SlowReaderTests {
    private let command = RESPClient.encode([Array("ECHO".utf8), [UInt8](repeating: 120, count: 50_000)])

    @Test("a client that never reads is closed; others are served all the time")
    func neverReads() throws {
        try withWorld(settings: ["limits.write-timeout": "1s"]) { world in
            let other = try world.client()
            let greedy = try world.client()
            greedy.shrinkReceiveBuffer()
            let closed = Background {
                // Fails when the daemon has closed the connection, or has stopped reading for good.
                try greedy.sendRaw(self.command, readingMeanwhile: false, limit: .seconds(8))
            }
            let start = ContinuousClock.now
            var slowest = Duration.zero
            _ = try eventually(within: .seconds(15), "the close") { () throws -> Bool? in
                let before = ContinuousClock.now
                #expect(try other.call("PING") == .simple("PONG"))
                slowest = max(slowest, ContinuousClock.now - before)
                let info = try other.call("INFO", "clients").text ?? ""
                return info.contains("connected_clients:1\r\n") ? true : nil
            }
            #expect(ContinuousClock.now - start > .milliseconds(900), "closed before its time")
            #expect(slowest < .milliseconds(500))
            #expect(throws: (any Error).self) { try closed.stop() }
        }
    }

    @Test("a client that reads slowly gets everything")
    func slow() throws {
        try withWorld(settings: ["limits.write-timeout": "1s"]) { world in
            let client = try world.client()
            client.shrinkReceiveBuffer()
            let value = String(repeating: "x", count: 50_000)
            let token = try client.issue("DATA", "page", value)
            // Short commands with long replies: all are under way before the first reply is read.
            let count = 100
            try client.sendRaw((0..<count).flatMap { _ in RESPClient.encode("TOKEN.GET", token) })
            for _ in 0..<count {
                #expect(try Fields(client.readReply()).data() == ["page": value])
                letPass(.milliseconds(20))
            }
            #expect(try client.call("PING") == .simple("PONG"))
        }
    }

    @Test("one greedy pipeliner does not keep others waiting")
    func greedy() throws {
        try withWorld { world in
            let greedy = try world.client()
            let patient = try world.client()
            let token = try patient.issue()
            let flood = Background { _ = try greedy.pipeline((0..<5000).map { _ in ["TOKEN.VALIDATE", token] }) }
            letPass(.milliseconds(50))
            var slowest = Duration.zero
            for _ in 0..<50 {
                let start = ContinuousClock.now
                #expect(try patient.call("PING") == .simple("PONG"))
                slowest = max(slowest, ContinuousClock.now - start)
            }
            try flood.stop()
            #expect(slowest < .milliseconds(300), "waited \(slowest) behind somebody's pipeline")
        }
    }
}
