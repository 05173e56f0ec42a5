import Foundation
import Synchronization

/// The built `tokencached`, as a user would start it.
public final class Daemon: Sendable {
    /// Where its tokens live.
    public enum Store: Sendable {
        /// A redis-server that the test runs.
        case redis(RedisServer)
        /// A redis-server that the daemon runs.
        case embedded
        /// Whatever the URL says.
        case url(String)
    }

    /// When it counts as started.
    public enum Readiness: Sendable {
        /// The socket answers PING.
        case answers
        /// And commands that need Redis are not refused.
        case serves
    }

    public let name: String
    public let socket: String
    public let folder: String
    public let stateFolder: String
    private let arguments: [String]
    private let environment: [String: String]
    private let launcher: [String]
    private let store: Store
    private let book: SecretBook
    private let process = Mutex<ChildProcess?>(nil)
    private let witness = Mutex<RedisWitness?>(nil)

    public static var program: String { PackageFolder.program("tokencached") }

    init(
        name: String, folder: String, store: Store, settings: [String: String], environment: [String: String],
        launcher: [String], book: SecretBook, readiness: Readiness
    ) throws {
        self.name = name
        self.folder = folder
        self.store = store
        self.environment = environment
        self.launcher = launcher
        self.book = book
        socket = "\(folder)/t.sock"
        stateFolder = "\(folder)/state"
        var arguments = ["--socket", socket, "--state-dir", stateFolder]
        switch store {
        case .redis(let server): arguments += ["--redis", server.url]
        case .embedded: arguments += ["--redis", "embedded"]
        case .url(let url): arguments += ["--redis", url]
        }
        for (key, value) in settings.sorted(by: { $0.key < $1.key }) { arguments += ["--set", "\(key)=\(value)"] }
        self.arguments = arguments
        guard mkdir(stateFolder, 0o700) == 0 || errno == EEXIST else { throw HarnessFailure.system("mkdir") }
        try start(readiness)
    }

    public func start(_ readiness: Readiness = .serves) throws {
        let words = launcher + [Self.program] + arguments
        let child = try ChildProcess(
            words[0], Array(words.dropFirst()), name: name, folder: folder, environment: environment)
        process.withLock { $0 = child }
        _ = try eventually(within: .seconds(30), "\(name) \(readiness)") { () throws -> Bool? in
            if let end = child.ended {
                throw HarnessFailure("\(name) ended at start with \(end): \(child.errors.suffix(1000))")
            }
            guard let client = try? RESPClient(path: socket, limit: .seconds(5)) else { return nil }
            defer { client.quit() }
            guard (try? client.call("PING")) == .simple("PONG") else { return nil }
            if case .answers = readiness { return true }
            return try client.call("TOKEN.INSPECT", TokenText.random()).errorText == nil ? true : nil
        }
        guard case .embedded = store, case .serves = readiness else { return }
        try witness.withLock { witness in
            if witness == nil {
                witness = try RedisWitness(socket: embeddedSocket(), folder: folder, name: "\(name).redis")
            }
        }
    }

    public func client(limit: Duration = .seconds(20)) throws -> RESPClient {
        try RESPClient(path: socket, book: book, limit: limit)
    }

    /// The Redis behind it, whoever runs that.
    public func redis() throws -> RESPClient {
        switch store {
        case .redis(let server): try server.client()
        case .embedded: try RESPClient(path: embeddedSocket(), book: book)
        case .url(let url): throw HarnessFailure("no client for \(url)")
        }
    }

    private func embeddedSocket() throws -> String {
        guard let path = TemporaryFolder.sockets(below: stateFolder).first else {
            throw HarnessFailure("no Redis socket in the state directory")
        }
        return path
    }

    /// What it wrote to standard error so far: its log.
    public var log: String { process.withLock { $0?.errors ?? "" } }
    public var ended: ProcessEnd? { process.withLock { $0?.ended } }
    public var pid: Int32 { process.withLock { $0?.pid ?? 0 } }
    public func signal(_ number: Int32) { process.withLock { $0?.signal(number) } }
    public func kill9() { process.withLock { $0?.kill9() } }

    public func wait(_ limit: Duration = .seconds(20)) throws -> ProcessEnd {
        guard let child = process.withLock({ $0 }) else { throw HarnessFailure("\(name) was never started") }
        return try child.wait(limit)
    }

    /// Ends it as an operator does and demands exit status 0.
    public func stop() throws {
        guard ended == nil else { return }
        // What is built to be released counts references without atomic instructions.
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task").count) ?? 1
        guard threads == 1 else { throw HarnessFailure("\(name) has \(threads) threads: the daemon is built for one") }
        signal(SIGTERM)
        let end = try wait()
        guard end == .exited(0) else { throw HarnessFailure("\(name) ended with \(end): \(log.suffix(1500))") }
    }

    /// Writes down what it says about itself, ends it, and returns what was wrong.
    func finish(prefix: String) -> [String] {
        var problems: [String] = []
        do {
            if ended == nil {
                let client = try client(limit: .seconds(10))
                for command in [["INFO"], ["SLOWLOG", "GET"], ["CLIENT", "LIST"]] {
                    var text: [UInt8] = []
                    for string in try client.call(command).strings { text += string + [10] }
                    try Data(text).write(to: URL(fileURLWithPath: "\(folder)/\(name).\(command[0].lowercased())"))
                }
                if let witness = witness.withLock({ $0 }) { problems += try witness.finish(prefix: prefix) }
            } else {
                try witness.withLock { try $0?.stop() }
            }
            try stop()
        } catch {
            problems.append("\(name): \(error)")
            kill9()
        }
        if log.contains("Fatal error") { problems.append("\(name) trapped: \(log.suffix(1500))") }
        return problems
    }
}
