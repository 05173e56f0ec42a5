/// What a server says of its disk and its memory, asked now; nil where it would not say.
public struct RedisHealth: Equatable, Sendable {
    /// What is left of its data after a crash; the worst comes last.
    public enum Persistence: String, Sendable, CaseIterable {
        /// An append-only file.
        case aof
        /// Snapshots from time to time: what came after the last one is lost.
        case rdb
        /// Nothing.
        case none
    }

    public var persistence: Persistence?
    /// Whether its last attempt to write its data to disk failed.
    public var isDiskFailing: Bool?
    /// Bytes.
    public var usedMemory: Int64?
    /// Bytes; 0: no limit.
    public var maxMemory: Int64?
    /// Replicas that are connected to it.
    public var replicas: Int64?

    public init() {}

    /// Of several servers what is worst: the least that is kept, a disk that fails, the memory that is fullest, and the most
    /// replicas, of which each may be promoted.
    public static func worst(of all: [RedisHealth]) -> RedisHealth {
        var worst = all.max { $0.fullness < $1.fullness } ?? RedisHealth()
        worst.persistence = Persistence.allCases.last { kind in all.contains { $0.persistence == kind } }
        let disks = all.compactMap(\.isDiskFailing)
        worst.isDiskFailing = disks.isEmpty ? nil : disks.contains(true)
        worst.replicas = all.compactMap(\.replicas).max()
        return worst
    }

    /// The share of its limit that is used; without a limit nothing is full.
    private var fullness: (share: Double, used: Int64) {
        guard let usedMemory, let maxMemory else { return (-1, 0) }
        return (maxMemory > 0 ? Double(usedMemory) / Double(maxMemory) : 0, usedMemory)
    }
}

/// What a server says of those that follow it.
public struct RedisReplicas: Sendable {
    /// How far it has written, in bytes.
    public let written: Int64
    /// All of them, in the order of their addresses.
    public let listed: [RedisEndpoint]
    /// Of them those that have what was asked about.
    public let inStep: [RedisEndpoint]
}

extension RedisNode {
    /// Asks the server who follows it: each may be promoted. Calls back once, from the loop; nil: it does not say.
    /// - Parameter offset: of what it has written, that some may have by now.
    public func askReplicas(having offset: Int64 = 0, _ done: @escaping (RedisReplicas?) -> Void) {
        let login = endpoint.login
        send(RedisCommand("INFO", "replication"), repeatable: true) { result in
            guard let reply = try? result.get(), let written = ReplicationText.offset(reply),
                let roll = ReplicationText.roll(reply, written: offset)
            else { return done(nil) }
            let endpoints = [roll.listed, roll.inStep].map { addresses in
                addresses.map { RedisEndpoint.tcp(host: $0.host, port: $0.port, login: login) }
                    .sorted { $0.description < $1.description }
            }
            done(RedisReplicas(written: written, listed: endpoints[0], inStep: endpoints[1]))
        }
    }

    /// Asks the server how it is. Calls back once, from the loop.
    public func askHealth(_ done: @escaping (RedisHealth) -> Void) {
        var health = RedisHealth()
        var hasLog: Bool?
        var snapshots: Bool?
        func conclude() {
            switch (hasLog, snapshots) {
            case (true?, _): health.persistence = .aof
            case (_, true?): health.persistence = .rdb
            case (false?, false?): health.persistence = RedisHealth.Persistence.none
            default: break
            }
            done(health)
        }
        // A managed Redis denies CONFIG, and nothing is wrong with that: it is not asked twice.
        let mayConfigure = serverInfo.maxmemoryPolicy != nil
        send(RedisCommand("INFO", "persistence"), repeatable: true) { result in
            guard let reply = try? result.get() else { return }
            hasLog = InformationText.field("aof_enabled", in: reply).map { $0 == "1" }
            let states = ["aof_last_write_status", "rdb_last_bgsave_status"].compactMap {
                InformationText.field($0, in: reply)
            }
            if !states.isEmpty { health.isDiskFailing = states.contains { $0 != "ok" } }
        }
        send(RedisCommand("INFO", "replication"), repeatable: true) { result in
            guard let reply = try? result.get() else { return }
            health.replicas = InformationText.field("connected_slaves", in: reply).flatMap { Int64($0) }
        }
        // Requests complete in the order in which they were sent, or all of them at their deadline.
        send(RedisCommand("INFO", "memory"), repeatable: true) { result in
            if let reply = try? result.get() {
                health.usedMemory = InformationText.field("used_memory", in: reply).flatMap { Int64($0) }
                health.maxMemory = InformationText.field("maxmemory", in: reply).flatMap { Int64($0) }
            }
            if !mayConfigure { conclude() }
        }
        guard mayConfigure else { return }
        send(RedisCommand("CONFIG", "GET", "save"), repeatable: true) { result in
            if case .success(.array(let pair)) = result, pair.count == 2, case .bulk(let rules) = pair[1] {
                snapshots = !rules.isEmpty
            }
            conclude()
        }
    }
}
