/// Reads the fields of a map, `[field, value, …]`, by name.
///
/// The daemon sends fields in a fixed order: looking goes on where the last field was found, so that fields asked for
/// in that order are found at once, and those in another order are still found.
struct FieldCursor {
    private let reply: Reply
    /// The position of the first name.
    private let first: Int
    private let count: Int
    private var next: Int
    private var passed = 0

    /// Reads the map at `position`.
    ///
    /// - Throws: ``TokenCacheError/protocolViolation`` if there is none.
    init(_ reply: Reply, at position: Int = 0) throws(TokenCacheError) {
        guard case .array(let elements) = reply[position], elements.isMultiple(of: 2) else { throw .protocolViolation }
        self.reply = reply
        first = position + 1
        next = first
        count = Int(elements) / 2
    }

    /// The position of a field's value, `nil` if the map does not have the field.
    mutating func position(of name: StaticString) -> Int? {
        for _ in 0..<count {
            if passed == count { (passed, next) = (0, first) }
            let nameAt = next
            next = reply.after(nameAt + 1)
            passed += 1
            if reply.isText(at: nameAt, name) { return nameAt + 1 }
        }
        return nil
    }

    /// The map that is a field's value.
    func nested(at position: Int) throws(TokenCacheError) -> FieldCursor {
        try FieldCursor(reply, at: position)
    }

    /// The bytes of a text.
    func bytes(at position: Int) throws(TokenCacheError) -> [UInt8] {
        guard case .text = reply[position] else { throw .protocolViolation }
        return Array(reply.bytes(at: position))
    }

    /// Every field in order: name and the position of its value.
    func forEach(_ body: (ArraySlice<UInt8>, Int) throws(TokenCacheError) -> Void) throws(TokenCacheError) {
        var nameAt = first
        for _ in 0..<count {
            guard case .text = reply[nameAt] else { throw .protocolViolation }
            try body(reply.bytes(at: nameAt), nameAt + 1)
            nameAt = reply.after(nameAt + 1)
        }
    }

    /// A text that may be missing.
    mutating func optionalText(_ name: StaticString) throws(TokenCacheError) -> String? {
        guard let position = position(of: name) else { return nil }
        guard let text = reply.string(at: position) else { throw .protocolViolation }
        return text
    }

    /// The bytes of a text that may be missing.
    mutating func optionalBytes(_ name: StaticString) throws(TokenCacheError) -> ArraySlice<UInt8>? {
        guard let position = position(of: name) else { return nil }
        guard case .text = reply[position] else { throw .protocolViolation }
        return reply.bytes(at: position)
    }

    /// A text.
    mutating func text(_ name: StaticString) throws(TokenCacheError) -> String {
        guard let text = try optionalText(name) else { throw .protocolViolation }
        return text
    }

    /// A number that may be missing.
    mutating func optionalNumber(_ name: StaticString) throws(TokenCacheError) -> Int64? {
        guard let position = position(of: name) else { return nil }
        guard case .integer(let value) = reply[position] else { throw .protocolViolation }
        return value
    }

    /// A number.
    mutating func number(_ name: StaticString) throws(TokenCacheError) -> Int64 {
        guard let number = try optionalNumber(name) else { throw .protocolViolation }
        return number
    }

    /// A token that may be missing.
    mutating func optionalToken(_ name: StaticString) throws(TokenCacheError) -> SessionToken? {
        guard let position = position(of: name) else { return nil }
        guard case .text = reply[position], let token = SessionToken(bytes: Array(reply.bytes(at: position))) else {
            throw .protocolViolation
        }
        return token
    }

    /// A time.
    mutating func time(_ name: StaticString) throws(TokenCacheError) -> UnixTime {
        UnixTime(seconds: try number(name))
    }

    /// A duration, never below zero.
    mutating func duration(_ name: StaticString) throws(TokenCacheError) -> Duration {
        .seconds(max(0, try number(name)))
    }
}
