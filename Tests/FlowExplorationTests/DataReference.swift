import Tokens

@testable import TokenCache

/// What the design says a session's data is, and what each command makes of it when one comes after the other; apart from
/// the code under test.
struct DataReference: Hashable {
    /// By name; no field is empty.
    private(set) var fields: [String: String]

    mutating func carryOut(_ command: DataCommand) -> DataAnswer {
        switch command {
        case .set(let field, let value, let condition):
            if let condition, fields[field] ?? "" != condition { return .conflict(fields[field]) }
            let isChanged = fields[field] ?? "" != value
            fields[field] = value.isEmpty ? nil : value
            return .changed(isChanged ? 1 : 0)
        case .incr(let field, let number):
            let sum = String((Int(fields[field] ?? "0") ?? 0) + number)
            // INCR by 0 asks, and makes nothing.
            if number != 0 { fields[field] = sum }
            return .value(sum)
        case .getDel(let field): return .value(fields.removeValue(forKey: field))
        }
    }
}

/// SET, INCR and GETDEL of one field.
enum DataCommand: Hashable {
    /// An empty value removes the field.
    case set(String, String, if: String?)
    case incr(String, by: Int)
    case getDel(String)

    var change: DataChange {
        switch self {
        case .set(let field, let value, let condition):
            .set([RecordField(field, value)], if: condition.map { [RecordField(field, $0)] } ?? [])
        case .incr(let field, let number): .add(Int64(number), to: Array(field.utf8))
        case .getDel(let field): .take([Array(field.utf8)])
        }
    }
}

enum DataAnswer: Hashable {
    /// How many fields really changed.
    case changed(Int)
    /// What the field is now, or was.
    case value(String?)
    /// What stands in the field instead.
    case conflict(String?)
    /// The token is good no longer: nothing was done.
    case refused
    /// Done once or not at all; some time, or never.
    case unavailable

    /// Other answers have other marks.
    var mark: [UInt8] {
        switch self {
        case .changed(let count): [1, UInt8(count)]
        case .value(let value): [2] + Array((value ?? "-").utf8)
        case .conflict(let value): [3] + Array((value ?? "-").utf8)
        case .refused: [4]
        case .unavailable: [5]
        }
    }

    init(_ outcome: DataOutcome) {
        func value(_ fields: [RecordField]) -> String? {
            fields.first.map { String(decoding: $0.value, as: UTF8.self) }
        }
        switch outcome {
        case .changed(let count): self = .changed(count)
        case .sum(let sum): self = .value(String(sum))
        case .taken(let fields): self = .value(value(fields))
        case .conflict(let fields): self = .conflict(value(fields))
        }
    }
}

extension RecordField {
    init(_ name: String, _ value: String) { self.init(name: Array(name.utf8), value: Array(value.utf8)) }
}

/// S14 of a whole story: some order of its commands, one after the other, explains all answers and what is left.
struct DataStory {
    struct Told {
        let command: DataCommand
        let answer: DataAnswer
        /// Commands that had been answered before this one was sent, one bit each.
        let after: UInt8
    }

    let told: [Told]
    let start: DataReference
    let end: DataReference

    var isExplained: Bool { isExplained(from: start, done: 0) }

    /// - Parameter done: commands that have had their turn, one bit each.
    private func isExplained(from data: DataReference, done: UInt8) -> Bool {
        if data == end, told.indices.allSatisfy({ !mustBeDone($0) || isIn(done, $0) }) { return true }
        return told.indices.contains { number in
            let own = told[number]
            guard own.answer != .refused, !isIn(done, number), own.after & mustBeDone & ~done == 0 else { return false }
            var next = data
            let answer = next.carryOut(own.command)
            guard answer == own.answer || own.answer == .unavailable else { return false }
            return isExplained(from: next, done: done | 1 << UInt8(number))
        }
    }

    private func isIn(_ numbers: UInt8, _ number: Int) -> Bool { numbers >> UInt8(number) & 1 == 1 }
    private func mustBeDone(_ number: Int) -> Bool {
        told[number].answer != .refused && told[number].answer != .unavailable
    }
    private var mustBeDone: UInt8 {
        told.indices.reduce(0) { mustBeDone($1) ? $0 | 1 << UInt8($1) : $0 }
    }
}
