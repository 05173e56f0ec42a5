import TestSupport
import Testing

/// Where the sessions live.
enum Backend: String, CaseIterable, CustomTestStringConvertible {
    /// A redis-server that runs by itself.
    case standalone
    /// The daemon's own.
    case embedded

    var testDescription: String { rawValue }
}

/// What one test works with.
struct World: Sendable {
    let stage: Stage
    /// The redis-server under it; nil where the daemon runs its own.
    let server: RedisServer?
    let daemon: Daemon
    let others: [Daemon]

    var daemons: [Daemon] { [daemon] + others }

    func client() throws -> RESPClient { try daemon.client() }

    /// A client of one of the daemons in turn.
    func client(ofDaemon index: Int) throws -> RESPClient { try daemons[index % daemons.count].client() }

    func requireServer() throws -> RedisServer {
        guard let server else { throw HarnessFailure("this test needs a redis-server of its own") }
        return server
    }

    /// The name of what a Redis has once beside its sessions: in a cluster with the tag that its beats have.
    func ownKey(_ name: String) throws -> String {
        guard Topology.ofTests.isCluster else { return stage.prefix + name }
        let beat = try eventually("a beat") {
            _ = try client().call("TOKEN.VALIDATE", TokenText.random())
            return try KeyAudit.allKeys(daemon.redis()).first(where: KeyAudit.isBeat)
        }
        return stage.prefix + name + beat.drop { $0 != "{" }
    }
}

/// What takes the role of a master from a server, and what gives it back. A cluster's server is no replica by REPLICAOF.
let roleLosses = [
    (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
    (["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"]),
].filter { !Topology.ofTests.isCluster || $0.0[0] != "REPLICAOF" }

extension RESPClient {
    /// Has every master save, and waits until all have failed to.
    func failToSave() throws {
        _ = try call("BGSAVE")
        try awaitThat("a failed save") {
            try callEach("INFO", "persistence").allSatisfy {
                $0.text?.contains("rdb_last_bgsave_status:err") == true
            }
        }
    }
}

/// Builds a world, runs the test in it, takes it down and looks at what is left: unclean ends, keys without TTL (S9),
/// secrets at the server's side (S7), processes left behind.
func withWorld(
    _ backend: Backend = .standalone, daemons count: Int = 1, settings: [String: String] = [:],
    redis options: [String] = [], readiness: Daemon.Readiness = .serves, isRestricted: Bool? = nil,
    speaksTLS: Bool? = nil, launcher: [String] = [],
    _ body: (World) throws -> Void
) throws {
    let stage = try Stage(isRestricted: isRestricted)
    var problems: [String] = []
    do {
        let server = backend == .standalone ? try stage.addRedis(options, speaksTLS: speaksTLS) : nil
        let store: Daemon.Store = server.map { .redis($0) } ?? .embedded
        let daemon = try stage.addDaemon(store, settings: settings, launcher: launcher, readiness: readiness)
        let others = try (1..<max(1, count)).map { _ in
            try stage.addDaemon(store, settings: settings, launcher: launcher, readiness: readiness)
        }
        try body(World(stage: stage, server: server, daemon: daemon, others: others))
    } catch {
        problems.append("\(error)")
        for daemon in stage.daemons where !daemon.log.isEmpty {
            problems.append("the end of \(daemon.name)'s log:\n\(daemon.log.suffix(800))")
        }
    }
    problems += stage.finish()
    if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
}

extension Trait where Self == ConditionTrait {
    /// For what the near cache does; the rest passes with it and without.
    static var needsNearCache: Self { .enabled(if: Stage.hasNearCache, "without the near cache") }

    /// For what only these topologies have, or bear; `why` says what the others do not.
    static func topologies(_ fit: Topology..., why: Comment) -> Self {
        .enabled(if: fit.contains(Topology.ofTests), why)
    }
}
