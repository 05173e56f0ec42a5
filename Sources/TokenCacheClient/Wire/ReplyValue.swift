/// One reply, or one element of a reply, as RESP2 carries it.
///
/// Domain replies are maps; in RESP2 they arrive as the flat array `[field, value, …]`, which ``fields`` reads.
/// A reply may carry a token, therefore it prints only its shape.
public indirect enum ReplyValue: Sendable, Equatable {
    /// A whole number.
    case integer(Int64)
    /// A bulk string or a simple string, byte for byte.
    case text([UInt8])
    /// An array, or a map in its flat form.
    case array([ReplyValue])
    /// The absent value.
    case null
    /// An error reply: its first word, and the rest of the line made fit for a terminal and a log.
    case error(code: String, message: String)

    /// The text as UTF-8 (invalid sequences replaced), `nil` if this is not text.
    public var string: String? {
        if case .text(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil }
    }

    /// The number, `nil` if this is not an integer.
    public var number: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// The elements, `nil` if this is not an array.
    public var elements: [ReplyValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    /// The fields of a map in the order of the reply; `nil` if this is not a flat `[field, value, …]` array.
    public var fields: ReplyFields? {
        guard case .array(let values) = self, values.count.isMultiple(of: 2) else { return nil }
        var pairs: [(name: String, value: ReplyValue)] = []
        pairs.reserveCapacity(values.count / 2)
        for index in stride(from: 0, to: values.count, by: 2) {
            guard let name = values[index].string else { return nil }
            pairs.append((name, values[index + 1]))
        }
        return ReplyFields(pairs: pairs)
    }
}

extension ReplyValue: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The shape without the content, for example `<array of 4>`.
    public var description: String {
        switch self {
        case .integer: "<integer>"
        case .text(let bytes): "<text of \(bytes.count) bytes>"
        case .array(let values): "<array of \(values.count)>"
        case .null: "<null>"
        case .error(let code, _): "<error \(code)>"
        }
    }
    /// As ``description``.
    public var debugDescription: String { description }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The fields of one domain reply, in the daemon's order: name → value.
public struct ReplyFields: Sendable, CustomStringConvertible, CustomReflectable {
    /// The fields as they came.
    public let pairs: [(name: String, value: ReplyValue)]

    init(pairs: [(name: String, value: ReplyValue)]) {
        self.pairs = pairs
    }

    /// The first field of that name, `nil` if the reply does not have it.
    public subscript(name: String) -> ReplyValue? {
        pairs.first { $0.name == name }?.value
    }

    /// `status`, the word every domain reply begins with.
    public var status: String? { self["status"]?.string }

    /// Whether `accepted` is 1. Absent counts as not accepted.
    public var isAccepted: Bool { self["accepted"]?.number == 1 }

    /// The names without the values, which may be secret.
    public var description: String { "<fields \(pairs.map(\.name).joined(separator: " "))>" }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
