import Foundation
import TestSupport
import Testing

/// Two daemons before one Redis: `far` is reached by the test's changes directly, `near` through a proxy.
struct NearCacheWorld: Sendable {
    let stage: Stage
    let server: RedisServer
    let proxy: RedisProxy
    let near: Daemon
    let far: Daemon

    /// How many rounds a test does; the long form with `LONG_TESTS=1`.
    static func rounds(_ short: Int, long: Int) -> Int {
        ProcessInfo.processInfo.environment["LONG_TESTS"] == "1" ? long : short
    }
}

func withNearCache(
    settings: [String: String] = [:], redis options: [String] = [], _ body: (NearCacheWorld) throws -> Void
) throws {
    let stage = try Stage()
    var problems: [String] = []
    var proxies: [RedisProxy] = []
    do {
        let server = try stage.addRedis(options)
        let proxy = try RedisProxy(stage, to: server)
        proxies.append(proxy)
        let near = try stage.addDaemon(.url(proxy.url), settings: settings)
        let far = try stage.addDaemon(.redis(server), settings: settings)
        for daemon in [near, far] { try NearCacheFacts.awaitArmed(daemon) }
        try body(NearCacheWorld(stage: stage, server: server, proxy: proxy, near: near, far: far))
    } catch {
        problems.append("\(error)")
        for daemon in stage.daemons where !daemon.log.isEmpty {
            problems.append("the end of \(daemon.name)'s log:\n\(daemon.log.suffix(800))")
        }
    }
    // A daemon that is stopped talks to its Redis once more.
    problems += stage.finish()
    for proxy in proxies { proxy.close() }
    if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
}

/// The counters under `# Nearcache`.
struct NearCacheFacts {
    private let values: [String: Int]

    init(_ client: RESPClient) throws {
        let text = try client.call("INFO", "nearcache").text ?? ""
        values = Dictionary(
            text.split(whereSeparator: \.isNewline).compactMap { line in
                let parts = line.split(separator: ":")
                return parts.count == 2 ? Int(parts[1]).map { (String(parts[0]), $0) } : nil
            }, uniquingKeysWith: { first, _ in first })
    }

    subscript(_ name: String) -> Int { values["near_cache_\(name)"] ?? -1 }
    var isArmed: Bool { self["armed"] == 1 }

    static func awaitArmed(_ daemon: Daemon) throws {
        let client = try daemon.client()
        _ = try eventually("\(daemon.name) is armed") { try NearCacheFacts(client).isArmed ? true : nil }
    }

    /// Armed again after everything was dropped once more.
    static func awaitRearmed(_ daemon: Daemon, flushesBefore: Int) throws {
        let client = try daemon.client()
        _ = try eventually("\(daemon.name) is armed again") {
            let facts = try NearCacheFacts(client)
            return facts.isArmed && facts["flushes"] > flushesBefore ? true : nil
        }
    }
}

extension RESPClient {
    /// Presents a token until its session answers from memory.
    func warm(_ token: String) throws {
        let before = try NearCacheFacts(self)["hits"]
        _ = try eventually("a hit") {
            guard try validate(token).isAccepted else { throw HarnessFailure("refused while warming up") }
            return try NearCacheFacts(self)["hits"] > before ? true : nil
        }
    }

    /// All at once; each is known from memory afterwards.
    func warm(_ tokens: [String]) throws {
        for _ in 0..<2 {
            for reply in try pipeline(tokens.map { ["TOKEN.VALIDATE", $0] }) where try !Fields(reply).isAccepted {
                throw HarnessFailure("refused while warming up: \(reply)")
            }
        }
    }

    func issue(count: Int) throws -> [String] {
        try pipeline(Array(repeating: ["TOKEN.ISSUE"], count: count)).map { try Fields($0).newToken() }
    }
}

/// What a Redis was asked, by its own account.
struct CommandCount {
    private let redis: RESPClient
    /// What goes on by itself: proofs of life, the clock, what the test itself asks.
    private static let background: Set<String> = [
        "ping", "time", "info", "config|resetstat", "client|list", "client|kill", "monitor", "command|docs", "auth",
        // A cluster's map, and what Sentinels ask.
        "cluster|nodes", "client|setname", "publish", "subscribe",
    ]

    init(_ server: RedisServer) throws {
        redis = try server.client()
        try reset()
    }

    func reset() throws { _ = try redis.call("CONFIG", "RESETSTAT") }

    /// Reads that a machine that stood still costs: nothing is answered from memory while nothing proves that Redis
    /// lives, and what an invalidation overtakes is read again.
    static let excused = 10

    /// As many reads of sessions since the last reset, those excused, and nothing else.
    func expectReads(_ number: Int, at location: SourceLocation = #_sourceLocation) throws {
        let calls = try calls()
        let reads = calls["hgetall", default: 0]
        #expect(
            calls.keys.allSatisfy { $0 == "hgetall" } && (number...number + Self.excused).contains(reads),
            "\(calls), not \(number) reads", sourceLocation: location)
    }

    /// Calls by command since the last reset, those within scripts and the beats left out.
    func calls() throws -> [String: Int] {
        var calls = try redis.commandCalls().filter { !Self.background.contains($0.key) }
        // Nothing but a beat calls SET here, once each.
        if let scripts = calls["evalsha"] {
            let others = scripts - calls["set", default: 0]
            calls["evalsha"] = others > 0 ? others : nil
            calls["set"] = nil
        }
        if calls["evalsha"] != nil {
            for name in calls.keys where name != "evalsha" && name != "hgetall" { calls[name] = nil }
        }
        return calls
    }
}
