internal import Glibc
internal import Host

/// The programs that a comparison starts.
public struct Programs: Sendable {
    /// This program, which launches the others.
    public var launcher: String
    public var daemon: String
    public var redisServer: String
    /// Nil where it is not installed.
    public var memcached: String?

    /// Looks for them: the daemon beside this program, then all on the search path.
    ///
    /// - Parameters: a name or a path each; nil stands for the usual name.
    public static func find(
        daemon: String? = nil, redisServer: String? = nil, memcached: String? = nil, searchPath: String
    ) throws(LoadTestError) -> Programs {
        let own = ProgramFile.path
        let beside = own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        guard let daemonPath = locate(daemon ?? "tokencached", in: [beside] + folders(searchPath)) else {
            throw .unavailable("there is no \(daemon ?? "tokencached") beside this program or on PATH: use --daemon")
        }
        guard let redisPath = locate(redisServer ?? "redis-server", in: folders(searchPath)) else {
            throw .unavailable("there is no \(redisServer ?? "redis-server") on PATH: install it or use --redis-server")
        }
        let memcachedPath = locate(memcached ?? "memcached", in: folders(searchPath))
        if let memcached, memcachedPath == nil { throw .unavailable("there is no \(memcached)") }
        return Programs(launcher: own, daemon: daemonPath, redisServer: redisPath, memcached: memcachedPath)
    }

    private static func folders(_ searchPath: String) -> [String] { searchPath.split(separator: ":").map(String.init) }

    private static func locate(_ name: String, in folders: [String]) -> String? {
        if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
        return folders.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }
}
