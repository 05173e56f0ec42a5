/// The options of the daemon's command line, one row each.
enum Option: CaseIterable {
    case config, socket, redis, stateDir, set, checkConfig, json, version, help

    struct Row {
        /// As it is written.
        let name: String
        /// What it takes, as `--help` calls it; nil for an option that takes nothing.
        var value: String? = nil
        /// What it is for, one or two lines.
        let help: [String]
    }

    var row: Row {
        switch self {
        case .config:
            Row(
                name: "--config", value: "file",
                help: [
                    "The configuration file. Without it: TOKENCACHED_CONFIG, or", "\(Self.defaultFile) if it exists.",
                ])
        case .socket: Row(name: "--socket", value: "path", help: ["The Unix socket to listen on."])
        case .redis:
            Row(name: "--redis", value: "url", help: ["Where Redis is: embedded, unix:///path, redis://host:port, …."])
        case .stateDir:
            Row(name: "--state-dir", value: "dir", help: ["The folder for what must survive a restart."])
        case .set: Row(name: "--set", value: "key=value", help: ["Set any configuration key; may be repeated."])
        case .checkConfig:
            Row(name: "--check-config", help: ["Check the configuration, say what is wrong with it, and exit."])
        case .json: Row(name: "--json", help: ["With --check-config: say it as a JSON object on standard output."])
        case .version: Row(name: "--version", help: ["Show the version."])
        case .help: Row(name: "--help", help: ["Show this."])
        }
    }

    /// Read if `--config` and TOKENCACHED_CONFIG do not say otherwise, and if it exists.
    static let defaultFile = "/etc/tokencached/tokencached.yaml"

    /// - Parameter name: as it was written; `-h` is `--help`.
    init?(_ name: some StringProtocol) {
        guard let option = Self.allCases.first(where: { $0.row.name == name || ($0 == .help && name == "-h") }) else {
            return nil
        }
        self = option
    }

    /// `--config <file>`.
    var usage: String { row.name + (row.value.map { " <\($0)>" } ?? "") }

    /// One line.
    static let synopsis =
        "tokencached "
        + allCases.filter { $0 != .version && $0 != .help }
        .map { "[\($0.usage)\($0 == .set ? " ..." : "")]" }.joined(separator: " ")

    /// What `--help` shows.
    static var manual: String {
        let column = 24
        let rows = allCases.map { option in
            let start = "  \(option.usage)"
            let gap = String(repeating: " ", count: max(2, column - start.count))
            let next = "\n" + String(repeating: " ", count: column)
            return start + gap + option.row.help.joined(separator: next) + "\n"
        }
        return """
            A token cache daemon in front of Redis, behind a Unix socket that speaks RESP.

            USAGE: \(synopsis)

            \(rows.joined())
            Options win over the environment (TOKENCACHED_ and the key, upper case, dots and
            dashes as underscores), which wins over the file. Every key is explained in
            tokencached.yaml(5).

            Exit status: 0 after a clean shutdown, 64 for a wrong command line, 78 for a
            wrong configuration; tokencached(8) has the others.

            """
    }
}
