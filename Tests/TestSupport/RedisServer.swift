import Foundation
import Synchronization

/// A real redis-server on a Unix socket of its own, with an append-only file that is kept, and watched by MONITOR.
public final class RedisServer: Sendable {
    /// The first is the one that is looked at; in a cluster the other masters follow.
    private let processes: [RedisProcess]
    private let witnesses = Mutex<[RedisWitness]>([])
    /// Of the others.
    private let ports: [Int]
    private let book: SecretBook
    private let isRestricted: Bool
    public let topology: Topology
    private let sentinels: Mutex<[Sentinels]>

    public var socket: String { processes[0].socket }
    /// All masters: the port of each (0: none), and its Unix socket.
    public var masters: [(port: Int, socket: String)] { Array(zip([port] + ports, processes.map(\.socket))) }
    /// Those of the others are below it.
    public var folder: String { processes[0].folder }
    /// How daemons reach it: its Unix socket, TLS, its cluster or its Sentinels.
    public let url: String
    /// Of a cluster's server, and of one that Sentinels name; 0 is none.
    public let port: Int
    /// What a daemon must be told besides.
    public let settings: [String: String]

    /// `options` as on redis-server's command line, after ours, so that they win: `["--maxmemory", "1"]`. What it has
    /// answered is in its file, also after `kill -9`; nothing waits for the disk.
    /// - Parameters:
    ///   - isRestricted: `options` name a file of users in which the test has a name of its own.
    ///   - topology: what it is to daemons; with an authority, by itself.
    ///   - authority: it speaks TLS as well, to clients with a certificate of this authority, and daemons do.
    init(
        folder: String, program: String, options: [String], isRestricted: Bool, topology: Topology,
        authority: CertificateAuthority?, book: SecretBook
    ) throws {
        self.book = book
        self.isRestricted = isRestricted
        self.topology = authority == nil ? topology : .alone
        var options = options
        var sentinels: [Sentinels] = []
        port = authority == nil && topology != .alone ? try FreePort.find() : 0
        if let authority {
            let port = try FreePort.find()
            let identity = try authority.issue("redis\(port)", for: ["127.0.0.1"])
            let daemon = try authority.issue("daemon\(port)", for: [])
            options = authority.options(identity, port: port, asksClients: true) + options
            url = "rediss://127.0.0.1:\(port)"
            settings = [
                "redis.tls-ca-cert-file": authority.certificate, "redis.tls-cert-file": daemon.certificate,
                "redis.tls-key-file": daemon.key,
            ]
        } else {
            settings = [:]
            switch topology {
            case .alone: url = "unix://\(folder)/r.sock"
            case .cluster, .threeMasters: url = "cluster://127.0.0.1:\(port)"
            case .sentinels:
                sentinels = [try Self.sentinels(of: port, in: folder, isRestricted: isRestricted)]
                url = sentinels[0].url
                options = ["--port", "\(port)"] + options
            }
        }
        self.sentinels = Mutex(sentinels)
        ports = self.topology == .threeMasters ? try [FreePort.find(), FreePort.find()] : []
        let isCluster = self.topology.isCluster
        var buses: [Int] = []
        processes = try ([port] + ports).enumerated().map { place, port in
            var own: [String] = []
            if isCluster {
                buses.append(try FreePort.find())
                own = ["--port", "\(port)", "--cluster-enabled", "yes", "--cluster-port", "\(buses[place])"]
            }
            let folder = place == 0 ? folder : "\(folder)/m\(place)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            return try RedisProcess(
                folder: folder, program: program,
                options: [
                    "--appendonly", "yes", "--appendfsync", "no", "--aof-use-rdb-preamble", "no", "--rdbcompression",
                    "no", "--slowlog-log-slower-than", "0", "--slowlog-max-len", "512",
                ] + own + options)
        }
        if isCluster { try form(buses) }
        try beginWatching()
    }

    /// Each master takes its part of the slots, and the first meets the others.
    private func form(_ buses: [Int]) throws {
        for (place, process) in processes.enumerated() {
            let client = try own(process)
            let (first, last) = (16_384 * place / processes.count, 16_384 * (place + 1) / processes.count - 1)
            guard try client.call("CLUSTER", "ADDSLOTSRANGE", "\(first)", "\(last)") == .simple("OK"),
                try client.call("CLUSTER", "SET-CONFIG-EPOCH", "\(place + 1)") == .simple("OK")
            else { throw HarnessFailure("the server does not take the slots") }
        }
        let first = try own(processes[0])
        for (port, bus) in zip(ports, buses.dropFirst()) {
            _ = try first.call("CLUSTER", "MEET", "127.0.0.1", "\(port)", "\(bus)")
        }
    }

    /// They leave a master that a test stops where it is: no test does so for their thirty seconds.
    private static func sentinels(
        of port: Int, name: String = Sentinels.masterName, in folder: String, isRestricted: Bool
    ) throws -> Sentinels {
        let login = isRestricted ? ["sentinel auth-user \(name) test", "sentinel auth-pass \(name) test"] : []
        return try Sentinels(in: folder, master: port, name: name, login)
    }

    /// How daemons of a cluster or of Sentinels reach it by another port, which leads to it.
    public func url(by other: Int) throws -> String {
        guard topology == .sentinels else { return "cluster://127.0.0.1:\(other)" }
        let three = try Self.sentinels(
            of: other, name: "by\(other)", in: "\(folder)/by\(other)", isRestricted: isRestricted)
        sentinels.withLock { $0.append(three) }
        return three.url
    }

    /// Starts it on the data that is there and waits until it has them.
    public func start() throws {
        for process in processes { try process.start() }
        try beginWatching()
    }

    private func beginWatching() throws {
        for process in processes {
            _ = try eventually("redis-server has its data") { () throws -> Bool? in
                // Whoever daemons are may have lost their rights.
                let client = try? own(process)
                return try? client?.call("PING") == .simple("PONG") ? true : nil
            }
        }
        for process in processes where topology.isCluster {
            // A master waits for two seconds after its start.
            let client = try own(process)
            _ = try eventually("the cluster is whole") {
                try client.call("CLUSTER", "INFO").text?.hasPrefix("cluster_state:ok") == true ? true : nil
            }
        }
        try witnesses.withLock { witnesses in
            for process in processes.dropFirst(witnesses.count) {
                witnesses.append(
                    try RedisWitness(
                        socket: process.socket, folder: process.folder, name: "redis",
                        login: isRestricted ? RedisRights.login : []))
            }
        }
    }

    /// The test's own way to it, with all rights; to all masters of a cluster.
    public func client() throws -> RESPClient {
        let mates = try zip(ports, processes.dropFirst()).map { ($0, try own($1)) }
        return try own(processes[0], mates: Dictionary(uniqueKeysWithValues: mates))
    }

    private func own(_ process: RedisProcess, mates: [Int: RESPClient] = [:]) throws -> RESPClient {
        let client = try RESPClient(path: process.socket, book: book, mates: mates)
        if isRestricted { _ = try client.call(RedisRights.login) }
        return client
    }

    public var isRunning: Bool { processes.allSatisfy(\.isRunning) }

    public func signal(_ number: Int32) { for process in processes { process.signal(number) } }

    /// Still there, connected, and silent.
    public func pause() { signal(SIGSTOP) }
    public func resume() { signal(SIGCONT) }

    public func kill9() { for process in processes { process.kill9() } }

    public func restart() throws {
        kill9()
        try start()
    }

    /// Ends it cleanly and returns what was wrong with the keys it held.
    func stop(prefix: String) throws -> [String] {
        for three in sentinels.withLock({ $0 }) { three.stop() }
        guard isRunning else {
            try witnesses.withLock { for witness in $0 { try witness.stop() } }
            return []
        }
        resume()
        let violations = try witnesses.withLock { try $0.flatMap { try $0.finish(prefix: prefix) } }
        return try violations
            + processes.compactMap { process in
                guard let end = try process.stop(), end != .exited(0) else { return nil }
                return "redis-server ended with \(end)"
            }
    }
}
