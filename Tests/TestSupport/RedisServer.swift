import Foundation
import Synchronization

/// A real redis-server on a Unix socket of its own, with an append-only file that is kept, and watched by MONITOR.
public final class RedisServer: Sendable {
    public let socket: String
    public let folder: String
    private let program: String
    private let options: [String]
    private let process = Mutex<ChildProcess?>(nil)
    private let witness = Mutex<RedisWitness?>(nil)
    private let book: SecretBook
    private let isRestricted: Bool

    public var url: String { "unix://\(socket)" }

    /// `options` as on redis-server's command line, after ours, so that they win: `["--maxmemory", "1"]`. What it has
    /// answered is in its file, also after `kill -9`; nothing waits for the disk.
    /// - Parameter isRestricted: `options` name a file of users in which the test has a name of its own.
    init(folder: String, program: String, options: [String], isRestricted: Bool, book: SecretBook) throws {
        self.folder = folder
        self.program = program
        self.book = book
        self.isRestricted = isRestricted
        socket = "\(folder)/r.sock"
        self.options =
            [
                "--port", "0", "--unixsocket", socket, "--dir", folder, "--daemonize", "no", "--save", "",
                "--appendonly", "yes", "--appendfsync", "no", "--aof-use-rdb-preamble", "no",
                "--rdbcompression", "no", "--maxmemory-policy", "noeviction", "--enable-debug-command", "yes",
                "--slowlog-log-slower-than", "0", "--slowlog-max-len", "512",
            ] + options
        try start()
    }

    /// Starts it on the data that is there and waits until it answers.
    public func start() throws {
        let child = try ChildProcess(program, options, name: "redis", folder: folder)
        process.withLock { $0 = child }
        _ = try eventually("redis-server answers") { () throws -> Bool? in
            if let end = child.ended { throw HarnessFailure("redis-server: \(end): \(child.output.suffix(500))") }
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

    public var isRunning: Bool { process.withLock { $0?.ended == nil && $0 != nil } }

    public func signal(_ number: Int32) { process.withLock { $0?.signal(number) } }

    /// Still there, connected, and silent.
    public func pause() { signal(SIGSTOP) }
    public func resume() { signal(SIGCONT) }

    public func kill9() {
        process.withLock { $0?.kill9() }
    }

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
        signal(SIGTERM)
        guard let child = process.withLock({ $0 }) else { return violations }
        let end = try child.wait()
        return end == .exited(0) ? violations : violations + ["redis-server ended with \(end)"]
    }
}
