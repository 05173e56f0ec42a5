internal import Glibc
internal import TokenCacheServer

/// What the command line says. It is read here and not by a library, because a daemon needs little of one: the parser that
/// the other programs use brings a fifth of the daemon's size with it.
struct Arguments {
    private var config: String?
    private var socket: String?
    private var redis: String?
    private var stateDir: String?
    private var assignments: [String] = []
    private(set) var checkConfig = false
    private(set) var json = false

    /// What is asked for instead of a daemon.
    enum Request { case version, help }
    private(set) var request: Request?

    /// A wrong command line. What an option was given is not repeated: it may be a password.
    struct Misuse: Error {
        let message: String
    }

    /// - Parameter words: what follows the program's name.
    init(_ words: [String]) throws(Misuse) {
        var words = words[...]
        while let word = words.popFirst() {
            let name = word.prefix { $0 != "=" }
            guard name.hasPrefix("-") else { throw Misuse(message: "Unexpected argument '\(word)'") }
            guard let option = Option(name) else { throw Misuse(message: "Unknown option '\(name)'") }
            let attached = name.endIndex < word.endIndex ? String(word[name.endIndex...].dropFirst()) : nil
            guard option.row.value != nil else {
                guard attached == nil else { throw Misuse(message: "\(option.row.name) takes no value") }
                set(option)
                continue
            }
            // What looks like an option is one: a value that begins with a dash is written with `=`.
            if let value = attached ?? (words.first?.hasPrefix("-") == false ? words.popFirst() : nil) {
                set(option, to: value)
            } else {
                throw Misuse(message: "Missing value for '\(option.usage)'")
            }
        }
        guard checkConfig || !json || request != nil else { throw Misuse(message: "--json goes with --check-config") }
        for assignment in assignments where assignment.prefix(while: { $0 != "=" }).isEmpty || !assignment.contains("=")
        {
            throw Misuse(message: "--set takes KEY=VALUE, for example --set session.idle=2h")
        }
    }

    private mutating func set(_ option: Option, to value: String = "") {
        switch option {
        case .config: config = value
        case .socket: socket = value
        case .redis: redis = value
        case .stateDir: stateDir = value
        case .set: assignments.append(value)
        case .checkConfig: checkConfig = true
        case .json: json = true
        case .version: request = .version
        case .help: request = .help
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
        if access(Option.defaultFile, F_OK) == 0 { return Option.defaultFile }
        // Anything but its absence is for the loader to report.
        return errno == ENOENT || errno == ENOTDIR ? nil : Option.defaultFile
    }

    func load(environment: [String: String]) -> Result<Settings, SettingsErrors> {
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
