/// One reply, as it stood on the wire. RESP2 and RESP3 kinds are kept apart, because which one is sent is part of the
/// contract.
public indirect enum RESPValue: Equatable, Sendable {
    case simple(String)
    case error(String)
    case integer(Int)
    case bulk([UInt8])
    /// `$-1`, `*-1` or `_`.
    case null
    case array([RESPValue])
    case map([Entry])
    case set([RESPValue])
    case push([RESPValue])
    case boolean(Bool)
    case double(String)
    case bigNumber(String)
    case verbatim([UInt8])

    public struct Entry: Equatable, Sendable {
        public let key: RESPValue
        public let value: RESPValue
    }

    /// What it says as text: status lines, bulk and verbatim strings; nil for everything else.
    public var text: String? {
        switch self {
        case .simple(let line): line
        case .bulk(let bytes), .verbatim(let bytes): String(decoding: bytes, as: UTF8.self)
        default: nil
        }
    }

    public var integer: Int? {
        if case .integer(let number) = self { number } else { nil }
    }

    public var elements: [RESPValue]? {
        switch self {
        case .array(let elements), .set(let elements), .push(let elements): elements
        default: nil
        }
    }

    /// The text after the `-` of an error reply.
    public var errorText: String? {
        if case .error(let line) = self { line } else { nil }
    }

    /// The word that callers branch on: `ERR`, `UNAVAILABLE`, …
    public var errorCode: String? {
        errorText.flatMap { $0.split(separator: " ").first.map(String.init) }
    }

    /// Every byte string in it, at any depth.
    var strings: [[UInt8]] {
        switch self {
        case .simple(let line), .error(let line), .double(let line), .bigNumber(let line): [Array(line.utf8)]
        case .bulk(let bytes), .verbatim(let bytes): [bytes]
        case .array(let elements), .set(let elements), .push(let elements): elements.flatMap(\.strings)
        case .map(let entries): entries.flatMap { $0.key.strings + $0.value.strings }
        case .integer, .null, .boolean: []
        }
    }
}

/// A domain reply: named fields in the order in which they came, from a RESP3 map or RESP2's flat array.
public struct Fields: Equatable, Sendable, CustomStringConvertible {
    public let entries: [RESPValue.Entry]

    public init(_ value: RESPValue) throws {
        switch value {
        case .map(let entries):
            self.entries = entries
        case .array(let flat) where flat.count.isMultiple(of: 2):
            entries = stride(from: 0, to: flat.count, by: 2).map { .init(key: flat[$0], value: flat[$0 + 1]) }
        default:
            throw HarnessFailure("expected named fields, got \(value)")
        }
        guard entries.allSatisfy({ if case .bulk = $0.key { true } else { false } }) else {
            throw HarnessFailure("a field's name is not a bulk string: \(value)")
        }
    }

    public var names: [String] { entries.map { $0.key.text ?? "?" } }

    public subscript(_ name: String) -> RESPValue? {
        entries.first { $0.key.text == name }?.value
    }

    public func text(_ name: String) -> String? { self[name]?.text }
    public func integer(_ name: String) -> Int? { self[name]?.integer }

    public var status: String { text("status") ?? "(none)" }
    public var isAccepted: Bool { integer("accepted") == 1 }
    public var reason: String? { text("reason") }
    public var sid: String? { text("sid") }
    public var sessionToken: String? { text("sessiontoken") }
    public var generation: Int? { integer("generation") }

    /// The new token that this reply must hold.
    public func newToken() throws -> String {
        guard let token = sessionToken else { throw HarnessFailure("no sessiontoken in \(self)") }
        return token
    }

    /// The map under `data`, as text.
    public func data() throws -> [String: String] {
        guard let value = self["data"] else { throw HarnessFailure("no data in \(self)") }
        return try Dictionary(
            uniqueKeysWithValues: Fields(value).entries.compactMap { entry in
                entry.key.text.flatMap { key in entry.value.text.map { (key, $0) } }
            })
    }

    public var description: String {
        entries.map { entry in
            let name = entry.key.text ?? "?"
            if let text = entry.value.text { return "\(name)=\(text)" }
            if let number = entry.value.integer { return "\(name)=\(number)" }
            return "\(name)=\(entry.value)"
        }.joined(separator: " ")
    }
}
