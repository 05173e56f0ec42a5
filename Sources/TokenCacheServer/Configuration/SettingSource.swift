/// Where a value came from, as an error message names it.
enum SettingOrigin: Sendable, Equatable {
    /// Path as given, and the line if there is one.
    case file(String, line: Int?)
    /// The variable's name.
    case environment(String)
    /// `--set`, `--socket`, ….
    case flag(String)
}

extension SettingOrigin: CustomStringConvertible {
    var description: String {
        switch self {
        case .file(let path, let line): PrintableText.escaped(path, limit: 1024) + (line.map { ":\($0)" } ?? "")
        case .environment(let name): PrintableText.escaped(name)
        case .flag(let name): PrintableText.escaped(name)
        }
    }
}

/// A value that some source gives to a known key.
struct SettingEntry: Sendable {
    var key: SettingRow
    /// For a map, the member's name; otherwise empty.
    var member = ""
    var text: String
    var origin: SettingOrigin

    /// `access.users.alice`.
    var fullName: String { member.isEmpty ? key.name : "\(key.name).\(member)" }
}

/// One thing that is wrong with the configuration.
public struct SettingsProblem: Sendable, Equatable, CustomStringConvertible {
    /// The key, as far as there is one.
    public let key: String?
    /// File and line, variable or flag, as far as there is one.
    public let origin: String?
    /// The value given (if it may be shown), what is wrong with it, and what is allowed.
    public let message: String

    init(key: String?, origin: SettingOrigin?, _ message: String) {
        self.key = key
        self.origin = origin?.description
        self.message = message
    }

    /// `tokencached.yaml:12: session.idle: "2x" is not a duration; allowed: 1ms to 400d, e.g. 90s, 15m, 2h`
    public var description: String {
        [origin, key, message].compactMap { $0 }.joined(separator: ": ")
    }
}

/// Everything that is wrong with a configuration, found in one pass. Holds no secret.
public struct SettingsErrors: Error, Sendable, Equatable, CustomStringConvertible {
    /// At least one.
    public let problems: [SettingsProblem]
    /// How they are to be told: `log.format`, as far as that is valid.
    public let logFormat: LogFormat

    /// A line each.
    public var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}

/// What one source gave.
struct SettingLayer: Sendable {
    /// `flags`, `environment`, `file`.
    var name: String
    var entries: [SettingEntry] = []
    var problems: [SettingsProblem] = []
    /// What was passed over, for the log.
    var warnings: [String] = []

    init(_ name: String) {
        self.name = name
    }

    /// Takes a value that is given under a dotted name. An unknown name and a refused value become problems, and of an
    /// unknown name only the name is repeated: its value may be the password of a mistyped `redis.url`.
    mutating func take(_ name: String, _ text: String, _ origin: SettingOrigin) {
        if let key = SettingRow.byName[name] {
            if key.isMap {
                takeMembers(of: key, text, origin)
            } else {
                take(SettingEntry(key: key, text: text, origin: origin))
            }
        } else if let (key, member) = Self.member(name) {
            take(SettingEntry(key: key, member: member, text: text, origin: origin))
        } else {
            refuse(unknown: name, origin)
        }
    }

    /// Keys, and sections, which are mistyped as easily.
    private static let names = SettingRow.all.map(\.name) + SettingRow.sections.sorted()

    mutating func refuse(unknown name: String, _ origin: SettingOrigin) {
        let meant = NearestName.of(name, in: Self.names).map { "; did you mean \($0)?" } ?? ""
        problems.append(SettingsProblem(key: Self.shown(name), origin: origin, "unknown key\(meant)"))
    }

    /// Whether the value of this key, or of this member of a map, may be a list or a map itself.
    static func takesStructure(_ name: String) -> Bool {
        (SettingRow.byName[name] ?? member(name)?.0)?.isStructured == true
    }

    private mutating func take(_ entry: SettingEntry) {
        if entry.key.isMap, !entry.key.isMemberName(entry.member) {
            let name = PrintableText.quoted(entry.member)
            problems.append(
                SettingsProblem(key: entry.key.name, origin: entry.origin, "\(name) is not a \(entry.key.memberKind)"))
        } else if let fault = entry.key.fault(in: entry.text) {
            let key = PrintableText.escaped(entry.fullName)
            problems.append(SettingsProblem(key: key, origin: entry.origin, entry.key.message(entry.text, fault)))
        } else {
            entries.append(entry)
        }
    }

    /// `alice=validator,www-data=worker`, or as in the file, `{alice: validator, www-data: worker}`, or nothing.
    private mutating func takeMembers(of key: SettingRow, _ text: String, _ origin: SettingOrigin) {
        if text.hasPrefix("{") { return takeMap(of: key, text, origin) }
        for pair in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
            guard let equals = pair.firstIndex(of: "=") else {
                let shown = PrintableText.quoted(pair)
                let spelling = "write name=role,… or {name: role, …}"
                problems.append(
                    SettingsProblem(
                        key: key.name, origin: origin, "\(shown) lacks =role: \(spelling); allowed: \(key.allowed)"))
                continue
            }
            let role = pair[pair.index(after: equals)...]
            take(SettingEntry(key: key, member: String(pair[..<equals]), text: String(role), origin: origin))
        }
    }

    private mutating func takeMap(of key: SettingRow, _ text: String, _ origin: SettingOrigin) {
        guard case .mapping(let members)? = (try? YAMLReader.read(Array(text.utf8)))?.content else {
            let message = "this is no map: write {name: role, …} or name=role,…; allowed: \(key.allowed)"
            return problems.append(SettingsProblem(key: key.name, origin: origin, message))
        }
        var names: Set<String> = []
        for (name, role) in members {
            guard case .scalar(let name, _) = name.content, names.insert(name).inserted,
                let role = key.isStructured ? role.flow : role.scalar
            else {
                let message = "a name or role in the map is no single value, or a name stands there twice"
                problems.append(SettingsProblem(key: key.name, origin: origin, "\(message); allowed: \(key.allowed)"))
                continue
            }
            take(SettingEntry(key: key, member: name, text: role, origin: origin))
        }
    }

    /// The map and the member that `access.users.alice` names.
    private static func member(_ name: String) -> (SettingRow, String)? {
        for key in SettingRow.all where key.isMap && name.hasPrefix(key.name + ".") {
            return (key, String(name.dropFirst(key.name.count + 1)))
        }
        return nil
    }

    /// A name as far as it looks like a key: what follows may be a value that was written in the wrong place.
    static func shown(_ name: String) -> String {
        let end = name.unicodeScalars.firstIndex { scalar in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_", "-", ".": false
            default: true
            }
        }
        guard let end else { return PrintableText.escaped(name, limit: 64) }
        return PrintableText.escaped(name[..<end], limit: 64) + "…"
    }
}
