import Synchronization

/// A server of a site on a loopback port, a Redis or a Sentinel: it can be killed and started again.
public final class SiteMember: Sendable {
    public let port: Int
    private let arguments: [String]
    private let name: String
    private let folder: String
    private let child: Mutex<ChildProcess>

    /// Starts it.
    /// - Parameters:
    ///   - arguments: of redis-server; they name the port.
    ///   - name: of the files that it writes.
    ///   - folder: where it works.
    init(port: Int, _ arguments: [String], name: String = "redis", folder: String) throws {
        (self.port, self.arguments, self.name, self.folder) = (port, arguments, name, folder)
        child = Mutex(try ChildProcess("redis-server", arguments, name: name, folder: folder))
    }

    public var hasEnded: Bool { child.withLock { $0.ended != nil } }
    public func signal(_ number: Int32) { child.withLock { $0.signal(number) } }
    public func kill9() { child.withLock { $0.kill9() } }

    /// Starts it once more, in its folder, after its end. What `more` says wins.
    public func restart(_ more: String...) throws {
        let next = try ChildProcess("redis-server", arguments + more, name: name, folder: folder)
        child.withLock { $0 = next }
    }
}
