import Foundation
import Synchronization

/// A real redis-server on a Unix socket of its own, with an append-only file that is kept, and watched by MONITOR.
public final class RedisServer: Sendable {
    private let process: RedisProcess
    private let witness = Mutex<RedisWitness?>(nil)
    private let book: SecretBook
    private let isRestricted: Bool

    public var socket: String { process.socket }
    public var folder: String { process.folder }
    /// How daemons reach it: its Unix socket, or TLS.
    public let url: String
    /// What a daemon must be told besides.
    public let settings: [String: String]

    /// `options` as on redis-server's command line, after ours, so that they win: `["--maxmemory", "1"]`. What it has
    /// answered is in its file, also after `kill -9`; nothing waits for the disk.
    /// - Parameters:
    ///   - isRestricted: `options` name a file of users in which the test has a name of its own.
    ///   - authority: it speaks TLS as well, to clients with a certificate of this authority, and daemons do.
    init(
        folder: String, program: String, options: [String], isRestricted: Bool, authority: CertificateAuthority?,
        book: SecretBook
    ) throws {
        self.book = book
        self.isRestricted = isRestricted
        var options = options
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
            url = "unix://\(folder)/r.sock"
            settings = [:]
        }
        process = try RedisProcess(
            folder: folder, program: program,
            options: [
                "--appendonly", "yes", "--appendfsync", "no", "--aof-use-rdb-preamble", "no", "--rdbcompression", "no",
                "--slowlog-log-slower-than", "0", "--slowlog-max-len", "512",
            ] + options)
        try beginWatching()
    }

    /// Starts it on the data that is there and waits until it has them.
    public func start() throws {
        try process.start()
        try beginWatching()
    }

    private func beginWatching() throws {
        _ = try eventually("redis-server has its data") { () throws -> Bool? in
            let client = try? RESPClient(path: socket, limit: .seconds(1))
            return try? client?.call("PING") == .simple("PONG") ? true : nil
        }
        try witness.withLock { witness in
            if witness == nil {
                witness = try RedisWitness(
                    socket: socket, folder: folder, name: "redis", login: isRestricted ? RedisRights.login : [])
            }
        }
    }

    /// The test's own way to it, with all rights.
    public func client() throws -> RESPClient {
        let client = try RESPClient(path: socket, book: book)
        if isRestricted { _ = try client.call(RedisRights.login) }
        return client
    }

    public var isRunning: Bool { process.isRunning }

    public func signal(_ number: Int32) { process.signal(number) }

    /// Still there, connected, and silent.
    public func pause() { signal(SIGSTOP) }
    public func resume() { signal(SIGCONT) }

    public func kill9() { process.kill9() }

    public func restart() throws {
        kill9()
        try start()
    }

    /// Ends it cleanly and returns what was wrong with the keys it held.
    func stop(prefix: String) throws -> [String] {
        guard isRunning else {
            try witness.withLock { try $0?.stop() }
            return []
        }
        resume()
        let violations = try witness.withLock { try $0?.finish(prefix: prefix) } ?? []
        guard let end = try process.stop(), end != .exited(0) else { return violations }
        return violations + ["redis-server ended with \(end)"]
    }
}
