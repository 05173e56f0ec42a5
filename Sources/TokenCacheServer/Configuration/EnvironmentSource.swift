/// Settings from the environment: `TOKENCACHED_` and the key, upper case, dots and dashes as underscores.
public enum EnvironmentSource {
    static let prefix = "TOKENCACHED_"
    /// The path of the configuration file, read before anything else; the only variable that is no key.
    public static let fileVariable = "TOKENCACHED_CONFIG"

    /// The values in `environment`. A variable with our prefix that is no key is refused: it is a typing error.
    static func read(_ environment: [String: String]) -> SettingLayer {
        var layer = SettingLayer("environment")
        for (name, text) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix(prefix) {
            if name == fileVariable { continue }
            if let key = keysByVariable[name] {
                layer.take(key.name, text, .environment(name))
            } else {
                layer.problems.append(problem(unknown: name))
            }
        }
        return layer
    }

    /// The names of the variables in `environment` that give a key, sorted.
    public static func variables(_ environment: [String: String]) -> [String] {
        environment.keys.filter { keysByVariable[$0] != nil }.sorted()
    }

    /// Variable → key.
    private static let keysByVariable = Dictionary(SettingKey.all.map { ($0.environmentName, $0) }) { first, _ in first
    }

    private static func problem(unknown name: String) -> SettingsProblem {
        let origin = SettingOrigin.environment(SettingLayer.shown(name))
        for key in SettingKey.all where key.isMap && name.hasPrefix(key.environmentName + "_") {
            // A variable's name cannot say whether it means www-data or WWW_DATA.
            let message = "unknown variable; write \(key.environmentName)=name=role,name=role"
            return SettingsProblem(key: nil, origin: origin, message)
        }
        let known = SettingKey.all.map(\.environmentName) + [fileVariable]
        let meant = NearestName.of(name, in: known).map { "; did you mean \($0)?" } ?? ""
        return SettingsProblem(key: nil, origin: origin, "unknown variable\(meant)")
    }
}

/// Settings from the command line.
enum FlagSource {
    /// The values in the order given; the last of one key wins.
    static func read(_ overrides: [(key: String, value: String, origin: String)]) -> SettingLayer {
        var layer = SettingLayer("flags")
        for (key, value, origin) in overrides {
            layer.take(key, value, .flag(origin))
        }
        return layer
    }
}
