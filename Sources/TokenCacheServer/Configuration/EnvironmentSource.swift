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
            } else if isOfContainers(name, text) {
                layer.warnings.append(
                    "\(SettingLayer.shown(name)) is ignored: a container platform sets it for a service of that name")
            } else {
                layer.problems.append(problem(unknown: name))
            }
        }
        return layer
    }

    /// Whether a container platform tells by it where a service is whose name begins with ours: `TOKENCACHED_PORT`,
    /// `TOKENCACHED_SERVICE_HOST`, `TOKENCACHED_REDIS_PORT_6379_TCP_ADDR`. Source: Kubernetes, "Accessing the Service"; Docker,
    /// legacy container links.
    private static func isOfContainers(_ name: String, _ text: String) -> Bool {
        if name.hasSuffix("_SERVICE_HOST") || name.hasSuffix("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
            return true
        }
        let schemes = ["tcp://", "udp://", "sctp://"]
        if name.hasSuffix("_PORT"), schemes.contains(where: text.hasPrefix) { return true }
        // …_PORT_6379_TCP, and that with _PROTO, _PORT, _ADDR.
        let words = name.split(separator: "_")
        return words.indices.contains { at in
            words[at] == "PORT" && words.count > at + 2 && UInt16(words[at + 1]) != nil
                && ["TCP", "UDP", "SCTP"].contains(words[at + 2])
        }
    }

    /// The names of the variables in `environment` that give a key, sorted.
    public static func variables(_ environment: [String: String]) -> [String] {
        environment.keys.filter { keysByVariable[$0] != nil }.sorted()
    }

    /// Variable → key.
    private static let keysByVariable = Dictionary(SettingRow.all.map { ($0.environmentName, $0) }) { first, _ in first
    }

    private static func problem(unknown name: String) -> SettingsProblem {
        let origin = SettingOrigin.environment(SettingLayer.shown(name))
        for key in SettingRow.all where key.isMap && name.hasPrefix(key.environmentName + "_") {
            // A variable's name cannot say whether it means www-data or WWW_DATA.
            let message = "unknown variable; write \(key.environmentName)=name=role,name=role"
            return SettingsProblem(key: nil, origin: origin, message)
        }
        let known = SettingRow.all.map(\.environmentName) + [fileVariable]
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
