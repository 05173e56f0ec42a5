internal import Glibc

/// Where the daemon's socket is when nobody says so.
public enum SocketPath {
    // What the daemon's `Product` says, written once more: this library goes into programs of others, whose packages
    // may have a target `Host` of their own. A test holds the two together.

    /// The socket's name in whichever folder it is.
    static let fileName = "tokencached.sock"
    /// The folder of the system-wide daemon.
    static let systemFolder = "/run/tokencached"

    /// The default path in this process's environment.
    public static var standard: String { standard { name in getenv(name).map { String(cString: $0) } } }

    /// The default path, by the daemon's own rule seen from the client's side.
    ///
    /// The daemon listens in `$RUNTIME_DIRECTORY` under systemd, else in `/run/tokencached` if that folder is
    /// writable, else in `$XDG_RUNTIME_DIR`. A client is another process: its own `$RUNTIME_DIRECTORY` may be
    /// that of a web server, and a member of the socket's group may connect without being able to write to the
    /// folder. Hence a variable counts only if a socket is really there, and `/run/tokencached` counts where it
    /// exists; where nothing exists the answer is the path at which a daemon started here would listen.
    ///
    /// - Parameter environment: Looks up an environment variable.
    /// - Returns: An absolute path. It need not exist.
    public static func standard(environment: (String) -> String?) -> String {
        standard(
            environment: environment,
            exists: { access($0, F_OK) == 0 },
            isWritable: { access($0, W_OK) == 0 })
    }

    /// The rule itself; the file system comes in as two questions.
    static func standard(
        environment: (String) -> String?, exists: (String) -> Bool, isWritable: (String) -> Bool
    ) -> String {
        let system = "\(systemFolder)/\(fileName)"
        // systemd separates several folders by colons; the first one is the service's main one.
        let service = folder(environment("RUNTIME_DIRECTORY")?.split(separator: ":").first.map(String.init))
        if let service, exists(service) { return service }
        if isWritable(systemFolder) { return system }
        let user = folder(environment("XDG_RUNTIME_DIR"))
        if let user, exists(user) { return user }
        if exists(systemFolder) { return system }
        return user ?? system
    }

    private static func folder(_ path: String?) -> String? {
        guard let path, path.hasPrefix("/") else { return nil }
        return path.hasSuffix("/") ? path + fileName : "\(path)/\(fileName)"
    }
}
