/// A key that forgot the type of its value, so that all of them stand in one list.
struct SettingRow: Sendable {
    /// When a changed value takes effect.
    enum Change: Sendable, Equatable {
        /// With the next reload (SIGHUP, `RELOAD`).
        case reload
        /// With the next start only.
        case restart
    }

    /// What of a value may be printed.
    enum Disclosure: Sendable, Equatable {
        case open
        /// What `show` prints is free of secrets; the text as given is not.
        case redacted
        /// A value that was refused is not printed: somebody may have put the password where its file belongs.
        case pathOnly
    }

    /// Dotted, lower case: `session.idle`. For a map, the part before the members' names.
    let name: String
    /// One line.
    let meaning: String
    let typeName: String
    /// The values that are taken, for people.
    let allowed: String
    let examples: String
    let change: Change
    let disclosure: Disclosure
    /// Keys of the form `name.member`; the text of `name` itself is a list `member=value,…`.
    let isMap: Bool
    /// Of a map: what each member may be.
    let memberAllowed: String
    /// A value, or a member's, may be a list or a map: it is taken as text that reads as such.
    let isStructured: Bool
    /// Of a map: what its members are called, for people, and whether one may be called so.
    let memberKind: String
    let isMemberName: @Sendable (String) -> Bool
    /// Reads a text into the values (of a map: into one member) and says why if it cannot.
    let take: @Sendable (inout SettingValues, _ member: String, _ text: String) -> ValueFault?
    /// The effective value, fit to be shown; parses as the same value again unless it is redacted.
    let show: @Sendable (SettingValues) -> String
    let isEqual: @Sendable (SettingValues, SettingValues) -> Bool
    /// Takes the value over from the second.
    let copy: @Sendable (inout SettingValues, SettingValues) -> Void

    /// The value with nothing set.
    var defaultText: String { show(SettingValues()) }

    /// `TOKENCACHED_SESSION_IDLE` for `session.idle`.
    var environmentName: String {
        EnvironmentSource.prefix + name.uppercased().map { $0 == "." || $0 == "-" ? "_" : "\($0)" }.joined()
    }

    /// The line of the manual that says type, range, default and when a change takes effect.
    var summary: String {
        let standard = defaultText.isEmpty ? (isMap ? "{}" : "empty") : defaultText
        let effect = change == .reload ? "reload" : "restart"
        return "\(typeName): \(allowed); default \(standard); changes with \(effect)"
    }

    /// Why `text` is no value of this key, or nil.
    func fault(in text: String) -> ValueFault? {
        var scratch = SettingValues()
        return take(&scratch, "", text)
    }

    /// The sentence for a refused value: `"2x" is not a duration; allowed: 1ms to 400d, e.g. 90s, 15m, 2h`.
    func message(_ text: String, _ fault: ValueFault) -> String {
        let allowed = isMap ? memberAllowed : allowed
        return "\(shown(text)) \(fault.text); allowed: \(allowed)" + (examples.isEmpty ? "" : ", e.g. \(examples)")
    }

    /// `text` between quotes as far as it may be shown.
    func shown(_ text: String) -> String {
        switch disclosure {
        case .open: PrintableText.quoted(text)
        case .redacted: redacted(text)
        case .pathOnly: fault(in: text) == nil ? PrintableText.quoted(text) : SecretText.placeholder
        }
    }

    private func redacted(_ text: String) -> String {
        var scratch = SettingValues()
        return take(&scratch, "", text) == nil ? PrintableText.quoted(show(scratch)) : SecretText.placeholder
    }
}

extension SettingRow {
    /// Every key of the configuration, in the order of the manual: what ``SettingKeys`` holds, found by looking through it
    /// once, so that there is no second list.
    static let all: [SettingRow] = rows(in: Settings.keys)

    /// The parts before the last dot of every key: `session`, `access`.
    static let sections: Set<String> = {
        var sections = Set<String>()
        for row in all {
            var name = row.name[...]
            while let dot = name.lastIndex(of: ".") {
                name = name[..<dot]
                sections.insert(String(name))
            }
        }
        return sections
    }()

    /// Name → key.
    static let byName = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }

    private static func rows(in keys: Any) -> [SettingRow] {
        Mirror(reflecting: keys).children.flatMap { child in
            switch child.value {
            case let key as any RowHolder: [key.row]
            case let section as any KeySection: rows(in: section)
            default: [SettingRow]()
            }
        }
    }
}

/// A ``SettingKey`` of whatever type.
private protocol RowHolder {
    var row: SettingRow { get }
}

extension SettingKey: RowHolder {}
