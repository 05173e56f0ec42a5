import Foundation
import TestSupport
import Testing

@Suite("Clients that read slowly, greedily, or not at all", .demanding)
struct SlowReaderTests {
    private let command = RESPClient.encode([Array("ECHO".utf8), [UInt8](repeating: 120, count: 50_000)])

    @Test("a client that never reads is closed; others are served all the time")
    func neverReads() throws {
        try withWorld(settings: ["limits.write-timeout": "3s"]) { world in
            let other = try world.client()
            let greedy = try world.client()
            greedy.shrinkReceiveBuffer()
            let start = ContinuousClock.now
            let closed = Background {
                // Fails when the daemon has closed the connection, or has stopped reading for good.
                try greedy.sendRaw(self.command, readingMeanwhile: false, limit: .seconds(12))
            }
            var slowest = Duration.zero
            _ = try eventually(within: .seconds(20), "the close") { () throws -> Bool? in
                let before = ContinuousClock.now
                #expect(try other.call("PING") == .simple("PONG"))
                slowest = max(slowest, ContinuousClock.now - before)
                let info = try other.call("INFO", "clients").text ?? ""
                return info.contains("connected_clients:1\r\n") ? true : nil
            }
            #expect(ContinuousClock.now - start > .milliseconds(2_900), "closed before its time")
            #expect(slowest < .seconds(2), "waited for somebody's write timeout")
            #expect(throws: (any Error).self) { try closed.stop() }
        }
    }

    @Test("a client that reads slowly gets everything")
    func slow() throws {
        try withWorld(settings: ["limits.write-timeout": "3s"]) { world in
            let client = try world.client()
            client.shrinkReceiveBuffer()
            let value = String(repeating: "x", count: 50_000)
            let token = try client.issue("DATA", "page", value)
            // Short commands with long replies: all are under way before the first reply is read.
            let count = 100
            try client.sendRaw((0..<count).flatMap { _ in RESPClient.encode("TOKEN.GET", token) })
            for _ in 0..<count {
                #expect(try Fields(client.readReply()).data() == ["page": value])
                letPass(.milliseconds(40))
            }
            #expect(try client.call("PING") == .simple("PONG"))
        }
    }

    private static func commandsProcessed(_ info: RESPValue) throws -> Int {
        let line = try #require(info.text?.split(separator: "\r\n").first { $0.hasPrefix("total_commands_processed:") })
        return try #require(Int(line.dropFirst("total_commands_processed:".count)))
    }

    @Test("one greedy pipeliner does not keep others waiting")
    func greedy() throws {
        try withWorld { world in
            let greedy = try world.client()
            let patient = try world.client()
            let count = 8_000
            for _ in 0..<10 {
                let before = try Self.commandsProcessed(patient.call("INFO", "stats"))
                // Both lie in their sockets when the daemon looks again, the pipeline first.
                world.daemon.signal(SIGSTOP)
                try greedy.sendRaw(Array(String(repeating: "PING\r\n", count: count).utf8))
                try patient.send("INFO", "stats")
                world.daemon.signal(SIGCONT)
                let meanwhile = try Self.commandsProcessed(patient.readReply()) - before
                #expect(meanwhile < count / 10, "\(meanwhile) of somebody's commands came first")
                for _ in 0..<count { #expect(try greedy.readReply() == .simple("PONG")) }
            }
        }
    }
}
