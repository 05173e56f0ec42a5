import Foundation
import Synchronization

/// A redis-server of one test on a Unix socket, which keeps nothing on disk unless its options say so. It ends with this
/// object, and with the tests.
public final class RedisProcess: Sendable {
    public let socket: String
    public let folder: String
    private let program: String
    private let options: [String]
    private let ownFolder: TemporaryFolder?
    private let child = Mutex<ChildProcess?>(nil)

    /// In a folder of its own. `options` as on redis-server's command line, after ours, so that they win.
    public convenience init(_ options: String...) throws { try self.init(options) }

    public convenience init(_ options: [String]) throws {
        let folder = try TemporaryFolder()
        try self.init(folder: folder.path, ownFolder: folder, options: options)
    }

    /// Of another version than the system's.
    public convenience init(program: String, _ options: [String]) throws {
        let folder = try TemporaryFolder()
        try self.init(folder: folder.path, ownFolder: folder, program: program, options: options)
    }

    /// - Parameter program: another version than the system's.
    init(
        folder: String, ownFolder: TemporaryFolder? = nil, program: String = "redis-server", options: [String]
    ) throws {
        self.folder = folder
        self.ownFolder = ownFolder
        self.program = program
        socket = "\(folder)/r.sock"
        self.options =
            [
                "--port", "0", "--unixsocket", socket, "--dir", folder, "--daemonize", "no", "--save", "",
                "--maxmemory-policy", "noeviction", "--enable-debug-command", "yes",
            ] + options
        try start()
    }

    deinit { kill9() }

    /// Starts it on the data that is there and waits until it answers, be it that it is loading them.
    public func start(_ more: String...) throws {
        let child = try ChildProcess(program, options + more, name: "redis", folder: folder)
        self.child.withLock { $0 = child }
        _ = try eventually("redis-server answers") { () throws -> Bool? in
            if let end = child.ended { throw HarnessFailure("redis-server: \(end): \(child.output.suffix(500))") }
            guard let client = try? RESPClient(path: socket, limit: .seconds(1)) else { return nil }
            // One that takes a single client is free for it again.
            defer { client.quit() }
            return (try? client.call("PING")).map { _ in true }
        }
    }

    public var isRunning: Bool { child.withLock { $0?.ended == nil && $0 != nil } }

    public func signal(_ number: Int32) { child.withLock { $0?.signal(number) } }

    public func kill9() { child.withLock { $0?.kill9() } }

    /// Ends it cleanly.
    func stop() throws -> ProcessEnd? {
        signal(SIGTERM)
        return try child.withLock { $0 }?.wait()
    }
}
