import EventLoop
import Foundation
import WireProtocol

@testable import RedisLink

/// Drives the feed's life by hand, with a clock that stands until it is set.
struct FeedDriver {
    var machine: FeedMachine
    var now = MonotonicInstant(nanoseconds: 5_000_000_000)

    init(settings: LinkSettings = LinkSettings(), seed: UInt64 = 1) {
        machine = FeedMachine(
            prefix: Array("tc:s:".utf8), channel: Array("tc:none".utf8), settings: settings, seed: seed)
    }

    mutating func receive(_ value: RESPValue) -> [FeedMachine.Action] { machine.received(value, now: now) }

    /// Time passes in steps; all that was done meanwhile.
    mutating func advance(_ duration: Duration) -> [FeedMachine.Action] {
        var actions: [FeedMachine.Action] = []
        let end = now + duration
        while now < end {
            now = min(end, now + .milliseconds(25))
            actions += machine.tick(now: now)
        }
        return actions
    }

    static func text(_ text: String) -> RESPValue { .text(Array(text.utf8)) }
    static func told(_ keys: String...) -> RESPValue {
        .push([text("invalidate"), .list(keys.map { text($0) })])
    }
    static let everything = RESPValue.push([text("invalidate"), .null])
    static let pong = text("PONG")
    static let acknowledged = RESPValue.push([text("subscribe"), text("tc:none"), .integer(1)])
    static let hello = RESPValue.list([text("server"), text("redis"), text("proto"), .integer(3)])

    /// Answers what comes before the subscription's acknowledgement.
    mutating func prepare(role: String = "master", runID: String? = "abc") -> [FeedMachine.Action] {
        var actions = machine.connected(login: RedisLogin(), now: now)
        let server = "redis_version:7.0\r\n" + (runID.map { "run_id:\($0)\r\n" } ?? "")
        for reply in [Self.hello, Self.text("OK"), Self.text(server), Self.text("role:\(role)\r\n"), Self.text("OK")] {
            actions += receive(reply)
        }
        return actions
    }

    /// Why nothing is told yet, where that is what was said, and the connection was closed.
    static func failure(in actions: [FeedMachine.Action]) -> RedisFault.Kind? {
        guard case .failed(let fault)? = actions.first, actions.last == .disconnect else { return nil }
        return fault.kind
    }

    mutating func subscribe() {
        _ = machine.start(now: now)
        _ = prepare()
        _ = receive(Self.acknowledged)
    }

    /// The commands in what was sent.
    static func words(_ actions: [FeedMachine.Action]) -> [[String]] {
        var all: [[String]] = []
        for case .send(let bytes) in actions {
            var lines = String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")[...]
            while let count = lines.popFirst().flatMap({ Int($0.dropFirst()) }) {
                all.append(
                    (0..<count).compactMap { _ in
                        lines.removeFirst()
                        return lines.popFirst()
                    })
            }
        }
        return all
    }
}
