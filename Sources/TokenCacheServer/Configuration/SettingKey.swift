/// One key of the configuration: everything that is known about it, written once. Parsing, checking, `CONFIG GET`, the
/// messages, and the tests of the manual read it.
struct SettingKey: Sendable {
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
    /// Reads a text into a setting (of a map: into one member) and says why if it cannot.
    let apply: @Sendable (inout Settings, _ member: String, _ text: String) -> ValueFault?
    let applyDefault: @Sendable (inout Settings) -> Void
    /// The effective value, fit to be shown; parses as the same value again unless it is redacted.
    let show: @Sendable (Settings) -> String
    let isEqual: @Sendable (Settings, Settings) -> Bool
    /// Takes the value over from the second.
    let copy: @Sendable (inout Settings, Settings) -> Void

    /// A key with one value.
    init<Value: Equatable & Sendable>(
        _ name: String, _ place: any WritableKeyPath<Settings, Value> & Sendable, _ type: SettingType<Value>,
        default value: Value, _ change: Change, disclosure: Disclosure = .open, _ meaning: String
    ) {
        self.name = name
        self.meaning = meaning
        typeName = type.name
        allowed = type.allowed
        examples = type.examples
        self.change = change
        self.disclosure = disclosure
        isMap = false
        apply = { settings, _, text in
            switch type.parse(text) {
            case .success(let value):
                settings[keyPath: place] = value
                return nil
            case .failure(let fault): return fault
            }
        }
        applyDefault = { $0[keyPath: place] = value }
        show = { type.show($0[keyPath: place]) }
        isEqual = { $0[keyPath: place] == $1[keyPath: place] }
        copy = { $0[keyPath: place] = $1[keyPath: place] }
    }

    /// A key with a value per name, empty by default.
    init<Value: Equatable & Sendable>(
        map name: String, _ place: any WritableKeyPath<Settings, [String: Value]> & Sendable,
        _ type: SettingType<Value>,
        allowed: String, _ change: Change, _ meaning: String
    ) {
        self.name = name
        self.meaning = meaning
        typeName = "map"
        self.allowed = allowed
        examples = ""
        self.change = change
        disclosure = .open
        isMap = true
        apply = { settings, member, text in
            switch type.parse(text) {
            case .success(let value):
                settings[keyPath: place][member] = value
                return nil
            case .failure(let fault): return fault
            }
        }
        applyDefault = { $0[keyPath: place] = [:] }
        show = { settings in
            settings[keyPath: place].sorted { $0.key < $1.key }.map { "\($0.key)=\(type.show($0.value))" }
                .joined(separator: ",")
        }
        isEqual = { $0[keyPath: place] == $1[keyPath: place] }
        copy = { $0[keyPath: place] = $1[keyPath: place] }
    }

    /// The value with nothing set.
    var defaultText: String { show(.defaults) }

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
        var scratch = Settings()
        return apply(&scratch, "", text)
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
        var scratch = Settings()
        return apply(&scratch, "", text) == nil ? PrintableText.quoted(show(scratch)) : SecretText.placeholder
    }

    /// The sentence for a refused value: `"2x" is not a duration; allowed: 1ms to 400d, e.g. 90s, 15m, 2h`.
    func message(_ text: String, _ fault: ValueFault) -> String {
        "\(shown(text)) \(fault.text); allowed: \(allowed)" + (examples.isEmpty ? "" : ", e.g. \(examples)")
    }
}
