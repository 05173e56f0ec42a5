public import Tokens

/// What a command makes of a session's data. No name stands twice.
public enum DataChange: Sendable, Equatable {
    /// SET: an empty value removes the field. Only where each field of `conditions` has its value; an empty one: there is no
    /// such field.
    case set([RecordField], if: [RecordField] = [])
    /// INCR: a field that is not there counts as 0.
    case add(Int64, to: [UInt8])
    /// GETDEL: the fields are told, and gone.
    case take([[UInt8]])
}

/// What became of it.
public enum DataOutcome: Sendable, Equatable {
    /// So many fields really changed.
    case changed(Int)
    /// What INCR made of the field.
    case sum(Int64)
    /// What stood there, in the order asked.
    case taken([RecordField])
    /// A condition does not hold, nothing was changed; those of its fields that are there, in the order asked.
    case conflict([RecordField])
}

extension DataChange {
    /// No change.
    static let none = DataChange.set([])

    /// What its names and values take in memory, about.
    var byteCount: Int {
        switch self {
        case .set(let fields, let conditions):
            (fields + conditions).reduce(0) { $0 + 64 + $1.name.count + $1.value.count }
        case .add(_, let name): name.count
        case .take(let names): names.reduce(0) { $0 + $1.count }
        }
    }

    /// What it comes to over this data where that needs no write; nil where something is to be written.
    func outcomeUnwritten(over data: [RecordField]) throws(ServiceFault) -> DataOutcome? {
        switch self {
        case .set(let fields, let conditions):
            guard conditions.allSatisfy({ data.value(of: $0.name) == $0.value }) else {
                return .conflict(data.picked(conditions.map(\.name)))
            }
            return fields.allSatisfy { data.value(of: $0.name) == $0.value } ? .changed(0) : nil
        case .add(0, let name):
            let text = data.value(of: name)
            guard !text.isEmpty else { return .sum(0) }
            guard let number = Int64(strict: text) else { throw .notAnInteger }
            return .sum(number)
        case .add: return nil
        case .take(let names):
            return data.contains { names.contains($0.name) } ? nil : .taken([])
        }
    }

    /// The fields of a session that has no data yet, and what comes of that; where something is to be written.
    var first: (fields: [RecordField], outcome: DataOutcome) {
        switch self {
        case .set(let fields, _):
            let kept = fields.filter { !$0.value.isEmpty }
            return (kept, .changed(kept.count))
        case .add(let number, let name):
            return ([RecordField(name: name, value: decimal(number))], .sum(number))
        case .take: return ([], .taken([]))
        }
    }

    /// Whether a full Redis should refuse it.
    var needsMemory: Bool {
        switch self {
        case .set(let fields, _): !fields.isEmpty
        case .add: true
        case .take: false
        }
    }

    /// Whether it may be sent again where nobody knows if it was carried out: a second time SET without a condition leaves
    /// what the first time left.
    var isRepeatable: Bool { if case .set(_, if: []) = self { true } else { false } }
}

extension [RecordField] {
    /// Empty where there is no such field.
    func value(of name: [UInt8]) -> [UInt8] { first { $0.name == name }?.value ?? [] }

    /// Those of these names that there are, in the order of the names.
    public func picked(_ names: [[UInt8]]) -> [RecordField] {
        names.compactMap { name in first { $0.name == name } }
    }
}

extension Int64 {
    /// Reads a number as Redis writes it, and nothing else: no plus, no blank, no zero in front.
    public init?(strict text: some Collection<UInt8>) {
        guard let number = Int64(String(decoding: text, as: UTF8.self)),
            decimal(number).elementsEqual(text)
        else { return nil }
        self = number
    }
}
