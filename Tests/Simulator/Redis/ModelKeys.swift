import Tokens

/// What can stand under a key.
enum ModelValue: Equatable {
    case string([UInt8])
    /// In the order in which they were set, as a small hash of Redis.
    case hash([RecordField])
    /// By score, then by member.
    case sortedSet([ModelMember])
}

struct ModelMember: Equatable {
    var member: [UInt8]
    var score: Double

    func isBefore(_ other: ModelMember) -> Bool {
        score != other.score ? score < other.score : member.lexicographicallyPrecedes(other.member)
    }
}

struct ModelEntry: Equatable {
    var value: ModelValue
    /// Unix milliseconds by Redis's clock; nil: for ever.
    var expireAt: Int64?

    var fields: [RecordField] { if case .hash(let fields) = value { fields } else { [] } }
    var members: [ModelMember] { if case .sortedSet(let members) = value { members } else { [] } }

    subscript(field: [UInt8]) -> [UInt8]? { fields.first { $0.name == field }?.value }
}

/// The keys of the model, their ends, and what was changed lately.
struct ModelKeys {
    private(set) var entries: [String: ModelEntry] = [:]
    /// What stood under a key before each change of the last seconds, oldest first: what a crash may lose.
    private var undo: [(at: SimulatedTime, key: String, entry: ModelEntry?)] = []
    /// Keys that were changed since this was emptied, each once, in order.
    private(set) var changed: [String] = []

    static let undoSpan = SimulatedTime.milliseconds(2_500)

    subscript(key: String) -> ModelEntry? { entries[key] }
    var count: Int { entries.count }
    var names: [String] { entries.keys.sorted() }

    mutating func set(_ key: String, _ entry: ModelEntry?, at now: SimulatedTime) {
        undo.append((now, key, entries[key]))
        if undo.count > 4_096 {
            undo.removeFirst(undo.firstIndex { $0.at > now - Self.undoSpan } ?? undo.count)
        }
        entries[key] = entry
        if !changed.contains(key) { changed.append(key) }
    }

    mutating func takeChanged() -> [String] {
        defer { changed = [] }
        return changed
    }

    /// What stood under a key before its last change, where that was after a moment.
    func formerly(_ key: String, since moment: SimulatedTime) -> ModelEntry? {
        guard let last = undo.last(where: { $0.key == key }), last.at > moment else { return nil }
        return last.entry
    }

    /// Takes back what was changed after a moment.
    /// - Returns: the keys that stand there no longer as they did.
    mutating func lose(since moment: SimulatedTime) -> [String] {
        var lost: [String] = []
        while let last = undo.last, last.at > moment {
            undo.removeLast()
            entries[last.key] = last.entry
            if !lost.contains(last.key) { lost.append(last.key) }
        }
        return lost.sorted()
    }

    mutating func copy(from other: ModelKeys) {
        entries = other.entries
        undo = []
    }
}
