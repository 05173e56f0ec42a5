internal import ArgumentParser
internal import Glibc
internal import Host
internal import TokenCacheServer

/// The command line of the daemon.
struct Arguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokencached",
        abstract: "A token cache daemon in front of Redis, behind a Unix socket that speaks RESP.",
        discussion: """
            Flags win over the environment (TOKENCACHED_ and the key, upper case, dots and dashes as underscores), which \
            wins over the file. Every key is explained in tokencached.yaml(5).

            Exit status: 0 after a clean shutdown, 64 for a wrong command line, 78 for a wrong configuration.
            """,
        version: "tokencached \(Product.version)")

    /// Read if `--config` and TOKENCACHED_CONFIG do not say otherwise, and if it exists.
    static let defaultFile = "/etc/tokencached/tokencached.yaml"

    @Option(help: ArgumentHelp("The configuration file. (default: \(defaultFile), if it exists)", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The Unix socket to listen on.", valueName: "path"))
    var socket: String?

    @Option(help: ArgumentHelp("Where Redis is: embedded, unix:///path, redis://host:port, ….", valueName: "url"))
    var redis: String?

    @Option(help: ArgumentHelp("The folder for what must survive a restart.", valueName: "dir"))
    var stateDir: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("Set any configuration key; may be repeated.", valueName: "key=value"))
    var assignments: [String] = []

    @Flag(help: "Check the configuration, say what is wrong with it, and exit.")
    var checkConfig = false

    @Flag(help: "With --check-config: say it as a JSON object on standard output.")
    var json = false

    func validate() throws {
        guard checkConfig || !json else { throw ValidationError("--json goes with --check-config") }
        // What was written is not repeated: it may be a password.
        for assignment in assignments where assignment.prefix(while: { $0 != "=" }).isEmpty || !assignment.contains("=")
        {
            throw ValidationError("--set takes KEY=VALUE, for example --set session.idle=2h")
        }
    }

    /// What the flags say, for ``SettingsLoader``. A flag of its own comes after `--set` and so wins over it.
    var overrides: [(key: String, value: String, origin: String)] {
        var overrides = assignments.map { assignment in
            let key = assignment.prefix { $0 != "=" }
            return (key: String(key), value: String(assignment.dropFirst(key.count + 1)), origin: "--set")
        }
        if let socket { overrides.append(("socket.path", socket, "--socket")) }
        if let redis { overrides.append(("redis.url", redis, "--redis")) }
        if let stateDir { overrides.append(("state-dir", stateDir, "--state-dir")) }
        return overrides
    }

    /// The file to read: `--config`, else TOKENCACHED_CONFIG, else the default one unless it does not exist.
    func file(environment: [String: String]) -> String? {
        if let config { return config }
        if let path = environment[EnvironmentSource.fileVariable], !path.isEmpty { return path }
        if access(Self.defaultFile, F_OK) == 0 { return Self.defaultFile }
        // Anything but its absence is for the loader to report.
        return errno == ENOENT || errno == ENOTDIR ? nil : Self.defaultFile
    }

    func load(environment: [String: String]) -> Result<(Settings, warnings: [String]), SettingsErrors> {
        SettingsLoader.load(file: file(environment: environment), environment: environment, overrides: overrides)
    }

    /// `file /etc/tokencached/tokencached.yaml, TOKENCACHED_SESSION_IDLE, --socket`: what `--check-config` looked at.
    func sources(environment: [String: String]) -> String {
        let file = file(environment: environment).map { "file \($0)" } ?? "no file"
        let variables = EnvironmentSource.variables(environment)
        var flags: [String] = []
        for override in overrides where !flags.contains(override.origin) { flags.append(override.origin) }
        return ([file] + variables + flags).joined(separator: ", ")
    }
}
