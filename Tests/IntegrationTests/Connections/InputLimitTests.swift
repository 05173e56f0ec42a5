import Foundation
import TestSupport
import Testing

@Suite("Half commands of many clients", .parallel)
struct InputLimitTests {
    private static let mebibyte = 1 << 20

    /// The beginning of a command, with whole arguments of 16 KiB, that never becomes complete.
    private static func halfCommand(_ bytes: Int) -> [UInt8] {
        var command = Array("*1024\r\n$4\r\nPING\r\n".utf8)
        let argument = RESPClient.encode([[UInt8](repeating: 120, count: 16 << 10)]).dropFirst(4)
        while command.count + argument.count <= bytes { command += argument }
        return command
    }

    private func figure(_ name: String, _ client: RESPClient) throws -> Int {
        let lines = try client.call("INFO").text?.split(separator: "\r\n") ?? []
        let line = try #require(lines.first { $0.hasPrefix("\(name):") })
        return try #require(Int(line.dropFirst(name.count + 1)))
    }

    @Test(
        "past limits.max-input the oldest half commands are told why and closed; the youngest is finished and answered")
    func oldestGo() throws {
        try withWorld(settings: ["limits.max-input": "4MiB"]) { world in
            let watcher = try world.client()
            let text = [UInt8](repeating: 120, count: 100 << 10)
            let whole = RESPClient.encode([Array("ECHO".utf8), text])
            let clients = try (0..<100).map { _ in try world.client() }
            for client in clients {
                try client.sendRaw(Array(whole.dropLast(10)))
                #expect(try watcher.call("PING") == .simple("PONG"))
            }
            for client in clients.prefix(50) {
                let answer = String(decoding: try client.readToEnd(limit: .seconds(5)), as: UTF8.self)
                #expect(answer.hasPrefix("-OVERLOADED ") && answer.contains("limits.max-input"), "\(answer)")
            }
            let last = try #require(clients.last)
            try last.sendRaw(Array(whole.suffix(10)))
            #expect(try last.readReply() == .bulk(text))
            #expect(try figure("incomplete_requests_bytes", watcher) <= 4 * Self.mebibyte)
            #expect(try figure("input_limit_connections", watcher) >= 50)
            #expect(world.daemon.log.contains("incomplete requests take more than limits.max-input"))
        }
    }

    @Test("300 half commands of nearly 1 MiB take no more memory than limits.max-input and a little")
    func bounded() throws {
        try withWorld(settings: ["limits.max-input": "16MiB"]) { world in
            let watcher = try world.client()
            let before = try figure("used_memory_rss", watcher)
            let half = Self.halfCommand(Self.mebibyte - 1)
            var clients: [RESPClient] = []
            for _ in 0..<300 {
                let client = try world.client()
                // Fails where it is closed meanwhile, as is meant.
                try? client.sendRaw(half)
                clients.append(client)
            }
            let grown = try figure("used_memory_peak", watcher) - before
            #expect(grown < 48 * Self.mebibyte, "\(grown >> 20) MiB")
            #expect(try figure("input_limit_connections", watcher) > 200)
        }
    }

    @Test(
        "what half commands took is given back to the system when they are gone",
        arguments: [(150, 1 << 20), (600, 100 << 10)])
    func givenBack(count: Int, bytes: Int) throws {
        try withWorld(settings: ["limits.max-input": "1GiB"]) { world in
            let watcher = try world.client()
            let before = try figure("used_memory_rss", watcher)
            let half = Self.halfCommand(bytes - 1)
            var clients = try (0..<count).map { _ in try world.client() }
            for client in clients { try client.sendRaw(half) }
            _ = try eventually("all half commands") {
                try figure("incomplete_requests", watcher) == count ? true : nil
            }
            #expect(try figure("used_memory_rss", watcher) - before > count * bytes / 3 * 2)
            clients.removeAll()
            try watcher.awaitOnlyClient()
            _ = try eventually(within: .seconds(20), every: .milliseconds(200), "the memory") {
                try figure("used_memory_rss", watcher) - before < 16 * Self.mebibyte ? true : nil
            }
            #expect(try figure("incomplete_requests_bytes", watcher) == 0)
        }
    }

    @Test("a protocol error about a limit names the limit and its key")
    func namedLimits() throws {
        try withWorld(settings: ["limits.max-bulk": "8KiB"]) { world in
            let many =
                Self.halfCommand(18) + Array(String(repeating: "$8192\r\n" + text(8192) + "\r\n", count: 140).utf8)
            let cases: [([UInt8], String)] = [
                (Array("*1\r\n$8193\r\n".utf8), "invalid bulk length: at most 8192 bytes (limits.max-bulk)"),
                (Array("*1025\r\n".utf8), "invalid multibulk length: at most 1024 arguments"),
                (Array(text(5000).utf8), "too big inline request: at most 4096 bytes"),
                (many, "too big request: at most 1048576 bytes (limits.max-bulk)"),
                (Array("*1\r\n$x\r\n".utf8), "invalid bulk length"),
            ]
            for (bytes, message) in cases {
                let client = try world.client()
                try? client.sendRaw(bytes)
                let answer = String(decoding: try client.readToEnd(limit: .seconds(5)), as: UTF8.self)
                #expect(answer == "-ERR Protocol error: \(message)\r\n")
            }
        }
    }

    private func text(_ count: Int) -> String { String(repeating: "x", count: count) }
}
