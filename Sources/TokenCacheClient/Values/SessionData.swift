/// Fields of a session's data: names and values, in order. It prints without its content, which is the visitor's.
///
/// ```swift
/// let data: SessionData = ["theme": "dark", "cart": ""]   // an empty value removes the field
/// ```
public struct SessionData: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    /// One field.
    public struct Field: Sendable, Equatable {
        /// 1 to 256 bytes.
        public let name: String
        /// Any bytes.
        public let value: [UInt8]
    }

    /// The fields in order.
    public private(set) var fields: [Field] = []

    /// No fields.
    public init() {}

    /// Fields with text.
    public init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { append(name, Array(value.utf8)) }
    }

    /// Adds a field, its value byte for byte.
    public mutating func append(_ name: String, _ value: [UInt8]) {
        fields.append(Field(name: name, value: value))
    }

    /// A field's value as UTF-8, invalid sequences replaced; `nil` if there is no such field.
    public subscript(name: String) -> String? {
        bytes(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// A field's value; `nil` if there is no such field.
    public func bytes(_ name: String) -> [UInt8]? {
        fields.first { $0.name == name }?.value
    }

    /// Whether there are none.
    public var isEmpty: Bool { fields.isEmpty }
}

extension SessionData: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// How many fields there are.
    public var description: String { "<data of \(fields.count) fields>" }
    /// As ``description``.
    public var debugDescription: String { description }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension SessionData.Field: CustomStringConvertible, CustomReflectable {
    /// The name without the value.
    public var description: String { "<field \(name)>" }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Which fields of a session's data are asked for: `.all`, or their names, `["cart", "theme"]`. No names mean all.
public struct DataSelection: Sendable, ExpressibleByArrayLiteral {
    /// The names; empty for all.
    public let names: [String]

    /// Every field.
    public static let all = DataSelection(names: [])

    /// These fields.
    public init(names: [String]) {
        self.names = names
    }

    /// These fields.
    public init(arrayLiteral elements: String...) {
        names = elements
    }
}

/// What `TOKEN.SET` did.
public enum Storing: Sendable {
    /// Stored; `changed` values really differ from before. A guest becomes a session by its first field: then the
    /// response must carry its new token.
    case stored(changed: Int64, change: TokenChange)
    /// A condition does not hold, nothing was stored: its fields as they are.
    case conflict(SessionData, change: TokenChange)
    /// Not accepted; nothing was stored.
    case refused(Refusal)
}

/// What `TOKEN.INCR` did.
public enum Counting: Sendable {
    /// The sum. A guest becomes a session by it: then the response must carry its new token.
    case value(Int64, change: TokenChange)
    /// Not accepted; nothing was added.
    case refused(Refusal)
}

/// What `TOKEN.GET` found, and `TOKEN.GETDEL` took.
public enum StoredData: Sendable, Equatable {
    /// The fields asked for that the session has.
    case data(SessionData)
    /// Not accepted.
    case refused(Refusal)
}

extension FieldCursor {
    /// The map in `data`; empty if the reply has none.
    mutating func data() throws(TokenCacheError) -> SessionData {
        var data = SessionData()
        guard let position = position(of: "data") else { return data }
        try nested(at: position).forEach { (name, value) throws(TokenCacheError) in
            data.append(String(decoding: name, as: UTF8.self), try self.bytes(at: value))
        }
        return data
    }
}
