/// One key of the configuration: a row of ``SettingKeys``. Its name, type, range, default, text and when a change takes
/// effect are written there, once; messages, `CONFIG GET`, reload and the tests of the manual read them.
public struct SettingKey<Value: Equatable & Sendable>: Sendable {
    /// All of it that does not depend on the type of the value.
    let row: SettingRow
    /// The value with nothing set.
    let standard: Value

    /// A key with one value.
    init(
        _ name: String, _ type: SettingType<Value>, default standard: Value, _ change: SettingRow.Change,
        disclosure: SettingRow.Disclosure = .open, _ meaning: String
    ) {
        self.standard = standard
        row = SettingRow(
            name: name, meaning: meaning, typeName: type.name, allowed: type.allowed, examples: type.examples,
            change: change, disclosure: disclosure, isMap: false, memberAllowed: "", isStructured: type.isStructured,
            memberKind: "", isMemberName: { _ in false },
            take: { values, _, text in
                switch type.parse(text) {
                case .success(let value):
                    values[name, default: standard] = value
                    return nil
                case .failure(let fault): return fault
                }
            },
            show: { type.show($0[name, default: standard]) },
            isEqual: { $0[name, default: standard] == $1[name, default: standard] },
            copy: { $0[name, default: standard] = $1[name, default: standard] })
    }

    /// A key with a value per name, empty by default.
    /// - Parameter names: what the names are, for people.
    init<Member: Equatable & Sendable>(
        map name: String, of names: String, _ type: SettingType<Member>, _ change: SettingRow.Change,
        memberNames isMemberName: @escaping @Sendable (String) -> Bool = HostNames.isName, _ meaning: String
    ) where Value == [String: Member] {
        standard = [:]
        row = SettingRow(
            name: name, meaning: meaning, typeName: "map", allowed: "\(names), each with one of \(type.allowed)",
            examples: "", change: change, disclosure: .open, isMap: true, memberAllowed: type.allowed,
            isStructured: type.isStructured, memberKind: names, isMemberName: isMemberName,
            take: { values, member, text in
                switch type.parse(text) {
                case .success(let value):
                    values[name, default: Value()][member] = value
                    return nil
                case .failure(let fault): return fault
                }
            },
            show: { values in
                values[name, default: Value()].sorted { $0.key < $1.key }.map { "\($0.key)=\(type.show($0.value))" }
                    .joined(separator: ",")
            },
            isEqual: { $0[name, default: Value()] == $1[name, default: Value()] },
            copy: { $0[name, default: Value()] = $1[name, default: Value()] })
    }
}

/// Values of keys; one that was never set has its default.
struct SettingValues: Sendable {
    /// Name → value, of the type of its key.
    private var values: [String: any Sendable] = [:]

    subscript<Value: Sendable>(name: String, default standard: Value) -> Value {
        get { values[name] as? Value ?? standard }
        set { values[name] = newValue }
    }

    subscript<Value>(key: SettingKey<Value>) -> Value {
        get { self[key.row.name, default: key.standard] }
        set { self[key.row.name, default: key.standard] = newValue }
    }
}
