import Foundation
import Synchronization

/// Everything one test runs: a folder, redis-servers, daemons, the secrets that passed through its clients. Nothing of
/// it is shared with another test.
public final class Stage: Sendable {
    public let folder: TemporaryFolder
    public let book = SecretBook()
    /// Of every key, so that a key outside of it is noticed.
    public let prefix: String
    private let state = Mutex<(servers: [RedisServer], daemons: [Daemon])>(([], []))

    /// A generous `redis.timeout`, because a busy build machine is not the fault under test. Tests of that limit set it.
    public static let settings = ["redis.timeout": "2s"]

    /// Whether daemons have a near cache where a test does not say; `TEST_NEAR_CACHE=0` runs every test without.
    public static let hasNearCache = ProcessInfo.processInfo.environment["TEST_NEAR_CACHE"] != "0"

    /// Whether daemons speak TLS to the redis-servers of a test where it does not say; `TEST_TLS=1` has it so.
    private static let speaksTLS = ProcessInfo.processInfo.environment["TEST_TLS"] == "1"

    /// Whether its daemons have the rights at Redis that conf/redis-users.acl gives, and no others.
    public let isRestricted: Bool

    /// - Parameter isRestricted: nil leaves it to the environment: `TEST_ACL=1` runs every test so.
    public init(isRestricted: Bool? = nil) throws {
        self.isRestricted = isRestricted ?? (ProcessInfo.processInfo.environment["TEST_ACL"] == "1")
        folder = try TemporaryFolder()
        prefix = "t\(UInt32.random(in: 0...UInt32.max)):"
    }

    /// - Parameters:
    ///   - program: another version than the system's.
    ///   - speaksTLS: nil leaves it to the environment.
    ///   - topology: what it is to daemons; one that speaks TLS is by itself.
    public func addRedis(
        _ options: [String] = [], program: String = OtherServer.inPlaceOfRedis ?? "redis-server",
        speaksTLS: Bool? = nil, topology: Topology = .ofTests
    ) throws -> RedisServer {
        let number = state.withLock { $0.servers.count + 1 }
        let folder = try folder.folder("r\(number)")
        let rights =
            isRestricted
            ? ["--aclfile", try RedisRights.write(into: folder, prefix: prefix, file: topology.rights)]
                + RedisRights.ofReplica : []
        // One for each: the certificate of one says nothing of another.
        let authority =
            speaksTLS ?? Self.speaksTLS
            ? try CertificateAuthority(in: certificates(), name: "authority\(number)") : nil
        let server = try RedisServer(
            folder: folder, program: program, options: rights + options, isRestricted: isRestricted,
            topology: topology, authority: authority, book: book)
        state.withLock { $0.servers.append(server) }
        return server
    }

    /// - Parameter launcher: a program, with its arguments, that becomes the daemon (prlimit, setpriv).
    public func addDaemon(
        _ store: Daemon.Store, settings: [String: String] = [:], environment: [String: String] = [:],
        launcher: [String] = [], readiness: Daemon.Readiness = .serves
    ) throws -> Daemon {
        let number = state.withLock { $0.daemons.count + 1 }
        var all = Self.settings
        all["redis.prefix"] = prefix
        if !Self.hasNearCache { all["near-cache.max-memory"] = "0" }
        // The same keys for all daemons of a test, as on all hosts of a site; an embedded one makes its own.
        if case .embedded = store {
            if let program = OtherServer.inPlaceOfRedis { all["redis.executable"] = program }
        } else {
            all["keyring.file"] = try keyRing()
        }
        if case .redis(let server) = store { all.merge(server.settings) { _, new in new } }
        all.merge(settings) { _, new in new }
        let daemon = try Daemon(
            name: "d\(number)", folder: folder.folder("d\(number)"), store: store, settings: all,
            environment: environment, launcher: launcher, book: book, readiness: readiness)
        state.withLock { $0.daemons.append(daemon) }
        return daemon
    }

    /// The key ring of this test, made at the first call.
    public func keyRing() throws -> String {
        let path = "\(folder.path)/keyring.json"
        guard !FileManager.default.fileExists(atPath: path) else { return path }
        let key = Data((0..<32).map { _ in UInt8.random(in: 0...255) })
        try KeyRingText.write([(kid: "k1", key: key, activeFrom: 1)], to: path)
        return path
    }

    public var daemons: [Daemon] { state.withLock { $0.daemons } }
    public var servers: [RedisServer] { state.withLock { $0.servers } }

    /// For certificates and their keys.
    public func certificates() throws -> String { try folder.folder("tls") }

    /// For what clients read and write (tools' output, which holds tokens by right): not looked through for leaks.
    public func clientFolder() throws -> String { try folder.folder("client") }

    /// Ends everything and says what was wrong: unclean ends, keys without TTL, secrets found anywhere at the server's
    /// side (S7), processes left behind.
    public func finish() -> [String] {
        var problems: [String] = []
        for daemon in daemons { problems += daemon.finish(prefix: prefix) }
        for server in servers {
            do { problems += try server.stop(prefix: prefix) } catch {
                problems.append("redis-server: \(error)")
                server.kill9()
            }
        }
        problems += leaks()
        for process in Leftovers.below(folder.path) {
            problems.append("left behind: \(process.command) (\(process.pid))")
            kill(process.pid, SIGKILL)
        }
        return problems
    }

    /// Where a secret of this test occurs in what servers and daemons wrote and in the errors that they answered.
    public func leaks() -> [String] {
        let scan = book.scan
        var found = scan.leaks(in: book.errorTexts, source: "error replies")
        for path in folder.files(except: "client") {
            guard let data = FileManager.default.contents(atPath: path) else { continue }
            found += scan.leaks(in: Array(data), source: String(path.dropFirst(folder.path.count + 1)))
        }
        return found.map { "S7: \($0)" }
    }
}

/// Processes that live in a folder or were given a path in it.
public enum Leftovers {
    public static func below(_ folder: String) -> [(pid: Int32, command: String)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { name in
            guard let pid = pid_t(name), pid != getpid() else { return nil }
            let workingFolder = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(name)/cwd")) ?? ""
            let command = String(
                decoding: FileManager.default.contents(atPath: "/proc/\(name)/cmdline") ?? Data(), as: UTF8.self
            ).replacingOccurrences(of: "\0", with: " ")
            guard workingFolder == folder || workingFolder.hasPrefix(folder + "/") || command.contains(folder + "/")
            else { return nil }
            return (pid, command)
        }
    }
}
