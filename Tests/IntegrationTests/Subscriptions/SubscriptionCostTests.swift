import Foundation
import TestSupport
import Testing

@Suite("What subscriptions cost", .parallel, .needsNearCache)
struct SubscriptionCostTests {
    private static let connections = 500
    private static let perConnection = 20

    /// CPU time that a daemon has taken, seconds.
    private func cpu(_ daemon: Daemon) throws -> Double {
        let client = try daemon.client()
        defer { client.quit() }
        let text = try client.call("INFO", "cpu").text ?? ""
        return text.split(whereSeparator: \.isNewline).compactMap { line in
            line.hasPrefix("used_cpu_") ? line.split(separator: ":").last.flatMap { Double($0) } : nil
        }.reduce(0, +)
    }

    @Test(
        "10,000 sessions watched on 500 connections: no CPU and no question to Redis while nothing happens; all are told"
    )
    func idle() throws {
        try withSubscribers(daemons: 2) { world in
            let worker = try world.client(ofDaemon: 1)
            let count = Self.connections * Self.perConnection
            let tokens = try (0..<10).flatMap { _ in try worker.issue(count: count / 10) }
            let sids = tokens.map(TokenText.sid)
            let subscribers = try (0..<Self.connections).map { _ in try Subscriber(world.daemon) }
            for (index, subscriber) in subscribers.enumerated() {
                try subscriber.watch(Array(sids[(index * Self.perConnection)..<((index + 1) * Self.perConnection)]))
            }
            _ = try eventually("all are known") {
                try world.daemon.figure("sessions_watched") == count && world.daemon.figure("blocked_clients") == 0
                    ? true : nil
            }
            letPass(.milliseconds(500))
            let commands = try CommandCount(try world.requireServer())
            let before = try cpu(world.daemon)
            letPass(.seconds(5))
            let spent = try cpu(world.daemon) - before
            // A debug build: what the proofs of life and this question cost; without subscriptions it is about as much.
            #expect(spent < 0.25, "\(spent) s of CPU in five seconds")
            #expect(try commands.calls()["hgetall", default: 0] == 0, "sessions are read while nothing happens")

            // One of each connection ends; all of them, by an admin's FLUSHALL, after that.
            for index in stride(from: 0, to: count, by: Self.perConnection) {
                _ = try worker.fields("TOKEN.REVOKE", tokens[index])
            }
            for (index, subscriber) in subscribers.enumerated() {
                try subscriber.expectMessage(sids[index * Self.perConnection], "revoked logout")
            }
            _ = try world.requireServer().client().call("FLUSHALL")
            for (index, subscriber) in subscribers.enumerated() {
                var left = Set(sids[(index * Self.perConnection + 1)..<((index + 1) * Self.perConnection)])
                while !left.isEmpty {
                    let message = try subscriber.message()
                    #expect(message.text == "unknown" && left.remove(message.sid) != nil)
                }
            }
            #expect(try world.daemon.figure("subscribers_told") == count)
            #expect(try world.daemon.figure("sessions_watched") == 0)
        }
    }

    @Test("a subscriber that reads nothing is closed as any client is; the others are told")
    func slowSubscriber() throws {
        let settings = ["limits.max-output": "4KiB", "limits.write-timeout": "500ms"]
        try withSubscribers(daemons: 1, settings: settings) { world in
            let worker = try world.client()
            let token = try worker.issue("SUBJECT", "ann")
            let sid = TokenText.sid(token)
            let good = try Subscriber(world.daemon)
            try good.watch([sid])
            let slow = try world.client()
            slow.shrinkReceiveBuffer()
            // Of a session that is over: each SUBSCRIBE is a confirmation and a message.
            let never = "session:" + String(repeating: "0", count: 32)
            let burst = Array(repeating: RESPClient.encode("SUBSCRIBE", never), count: 40_000).flatMap(\.self)
            try? slow.sendRaw(burst, readingMeanwhile: false, limit: .seconds(5))
            _ = try eventually("it is closed") {
                try world.daemon.figure("timed_out_connections") == 1 ? true : nil
            }
            #expect(try world.daemon.figure("subscriptions") == 1)
            _ = try worker.fields("TOKEN.REVOKE", token)
            try good.expectMessage(sid, "revoked logout")
        }
    }
}
