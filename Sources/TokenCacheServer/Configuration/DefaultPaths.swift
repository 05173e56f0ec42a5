internal import Host

/// Where socket and state are if the configuration does not say so (protocol.md).
struct DefaultPaths {
    let environment: [String: String]
    let host: LocalHost

    /// `tokencached.sock` in `$RUNTIME_DIRECTORY`, else in `/run/tokencached` if that can be written or made, else in
    /// `$XDG_RUNTIME_DIR`.
    func socket() -> Result<String, ValueFault> {
        let folder =
            systemd("RUNTIME_DIRECTORY")
            ?? usable(Product.socketFolder)
            ?? absolute("XDG_RUNTIME_DIR")
        guard let folder else {
            return .failure(
                ValueFault(
                    "no place for the socket: RUNTIME_DIRECTORY and XDG_RUNTIME_DIR are not set, and "
                        + "\(Product.socketFolder) cannot be written; give --socket PATH"))
        }
        let path = Self.joined(folder, Product.socketName)
        guard path.utf8.count <= SocketPath.maxBytes else {
            return .failure(
                ValueFault("the default path is longer than \(SocketPath.maxBytes) bytes; give --socket PATH"))
        }
        return .success(path)
    }

    /// `$STATE_DIRECTORY`, else `/var/lib/tokencached` if that can be written or made, else `tokencached` in
    /// `$XDG_STATE_HOME` or `~/.local/state` (XDG base directories).
    func state() -> Result<String, ValueFault> {
        let folder =
            systemd("STATE_DIRECTORY")
            ?? usable(Product.stateFolder)
            ?? absolute("XDG_STATE_HOME").map { Self.joined($0, "tokencached") }
            ?? absolute("HOME").map { Self.joined($0, ".local/state/tokencached") }
        guard let folder else {
            return .failure(
                ValueFault(
                    "no place for the state: STATE_DIRECTORY, XDG_STATE_HOME and HOME are not set, and "
                        + "\(Product.stateFolder) cannot be written; give --state-dir DIR"))
        }
        return .success(folder)
    }

    /// A credential that systemd hands to the unit (systemd.exec(5), `LoadCredential=`); nil where there is none.
    func credential(_ name: String) -> String? {
        guard let folder = systemd("CREDENTIALS_DIRECTORY") else { return nil }
        let path = Self.joined(folder, name)
        return host.isReadable(path) ? path : nil
    }

    /// Whether a file lies among the credentials of the unit.
    func isCredential(_ path: String) -> Bool {
        systemd("CREDENTIALS_DIRECTORY").map { path.hasPrefix(Self.joined($0, "")) } ?? false
    }

    /// The first of the folders that systemd made for the unit (they are separated by colons, systemd.exec(5)).
    private func systemd(_ name: String) -> String? {
        guard let first = environment[name]?.split(separator: ":").first, first.hasPrefix("/") else { return nil }
        return String(first)
    }

    /// The XDG specification: a path that is not absolute is to be ignored.
    private func absolute(_ name: String) -> String? {
        environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil }
    }

    private func usable(_ path: String) -> String? {
        host.isUsableFolder(path) ? path : nil
    }

    static func joined(_ folder: String, _ name: String) -> String {
        folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
    }
}
