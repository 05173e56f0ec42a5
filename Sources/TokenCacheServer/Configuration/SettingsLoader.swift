/// Builds the configuration: command line over environment over file over the table's defaults.
public enum SettingsLoader {
    /// Reads, checks and layers all sources, and resolves names and default paths on this host. Blocks on the file and
    /// on the host's user directory; call it at start and on reload, not from the request path.
    /// - Parameters:
    ///   - file: path of the YAML file, or nil for none. A file that cannot be read is a problem.
    ///   - environment: the process's environment, whole.
    ///   - overrides: dotted key, value as text, and the flag that gave it, for messages. The last of one key wins.
    /// - Returns: the settings with warnings for the operator, or every problem that was found. No secret is in either.
    public static func load(
        file: String?, environment: [String: String], overrides: [(key: String, value: String, origin: String)]
    ) -> Result<Settings, SettingsErrors> {
        load(file: file, environment: environment, overrides: overrides, host: .real)
    }

    static func load(
        file: String?, environment: [String: String], overrides: [(key: String, value: String, origin: String)],
        host: LocalHost
    ) -> Result<Settings, SettingsErrors> {
        let sources = SettingSources(
            flags: FlagSource.read(overrides),
            environment: EnvironmentSource.read(environment),
            file: file.map { read(file: $0, host: host) } ?? SettingLayer("file"))
        let settings = sources.settings()
        var resolution = SettingsResolution(settings: settings, sources: sources, host: host)
        resolution.resolve(DefaultPaths(environment: environment, host: host))
        let problems = sources.problems + resolution.problems
        if !problems.isEmpty { return .failure(SettingsErrors(problems: problems, logFormat: settings.log.format)) }
        return .success(resolution.settings)
    }

    private static func read(file path: String, host: LocalHost) -> SettingLayer {
        switch host.readFile(path, YAMLSource.maxBytes) {
        case .success(let text): return YAMLSource.read(text, path: path)
        case .failure(let fault):
            var layer = SettingLayer("file")
            layer.problems.append(SettingsProblem(key: nil, origin: .file(path, line: nil), fault.text))
            return layer
        }
    }
}

/// The three sources, and which of them decides each key.
struct SettingSources: Sendable {
    private let layers: [SettingLayer]

    init(flags: SettingLayer, environment: SettingLayer, file: SettingLayer) {
        layers = [flags, environment, file]
    }

    /// Of all sources, in the order in which people look: file, environment, flags.
    var problems: [SettingsProblem] {
        layers.reversed().flatMap(\.problems)
    }

    var warnings: [String] { layers.reversed().flatMap(\.warnings) }

    /// The defaults with everything that was given, the strongest source last.
    func settings() -> Settings {
        var settings = Settings()
        for entry in layers.reversed().flatMap(\.entries) {
            // Checked when it was taken from its source.
            _ = entry.key.take(&settings.values, entry.member, entry.text)
        }
        return settings
    }

    /// Where the value in force was given, or nil if it is the default.
    func origin(of key: String, member: String = "") -> SettingOrigin? {
        for layer in layers {
            if let entry = layer.entries.last(where: { $0.key.name == key && $0.member == member }) {
                return entry.origin
            }
        }
        return nil
    }
}
