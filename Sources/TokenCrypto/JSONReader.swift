/// A strict reader of JSON (RFC 8259) for texts of one expected shape: the caller asks for what must come next, and
/// anything else is an error. It builds no tree, recurses nowhere and copies only strings with escapes in them.
///
/// The caller bounds the text's length, and refuses members that it does not know or that come twice.
public struct JSONReader {
    private let text: UnsafeRawBufferPointer
    /// Bytes read so far.
    public private(set) var offset = 0
    /// Whether a comma must come before the next member or element.
    private var isAfterValue = false

    /// `text` must outlive the reader and what it returns.
    public init(_ text: UnsafeRawBufferPointer) { self.text = text }

    /// An error that says where the reader is.
    public func error(_ problem: JSONError.Problem) -> JSONError { JSONError(problem: problem, offset: offset) }

    public mutating func beginObject() throws(JSONError) { try begin(with: UInt8(ascii: "{")) }

    public mutating func beginArray() throws(JSONError) { try begin(with: UInt8(ascii: "[")) }

    /// The next member's name; its value must be read next. Nil at the object's end.
    public mutating func nextMember() throws(JSONError) -> JSONString? {
        guard try hasNext(before: UInt8(ascii: "}")) else { return nil }
        let name = try string()
        guard skipSpace() == UInt8(ascii: ":") else { throw error(.syntax) }
        offset &+= 1
        return name
    }

    /// Whether there is another element, to be read next. False at the array's end.
    public mutating func nextElement() throws(JSONError) -> Bool { try hasNext(before: UInt8(ascii: "]")) }

    /// A whole number from 0 to 2⁵³ − 1 (what RFC 7493 calls interoperable): no sign, fraction or exponent.
    public mutating func integer() throws(JSONError) -> Int64 {
        guard let first = skipSpace() else { throw error(.syntax) }
        guard Self.isDigit(first) else { throw error(first == UInt8(ascii: "-") ? .number : .unexpected) }
        var number: Int64 = 0
        var digits = 0
        while offset < text.count, Self.isDigit(text[offset]) {
            // 16 digits hold 2⁵³ and cannot overflow.
            guard digits < 16 else { throw error(.number) }
            number = number &* 10 &+ Int64(text[offset] &- 0x30)
            digits &+= 1
            offset &+= 1
        }
        guard number < 1 << 53 else { throw error(.number) }
        guard digits == 1 || first != UInt8(ascii: "0") else { throw error(.syntax) }
        if offset < text.count {
            switch text[offset] {
            case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): throw error(.number)
            default: break
            }
        }
        isAfterValue = true
        return number
    }

    public mutating func string() throws(JSONError) -> JSONString {
        guard let first = skipSpace() else { throw error(.syntax) }
        guard first == UInt8(ascii: "\"") else { throw error(.unexpected) }
        offset &+= 1
        let start = offset
        var all: UInt8 = 0
        while offset < text.count {
            let byte = text[offset]
            if byte == UInt8(ascii: "\"") {
                let slice = UnsafeRawBufferPointer(rebasing: text[start..<offset])
                guard all < 0x80 || String(validating: slice, as: UTF8.self) != nil else { throw error(.text) }
                offset &+= 1
                isAfterValue = true
                return .plain(slice)
            }
            if byte == UInt8(ascii: "\\") { return try unescaped(from: start) }
            guard byte >= 0x20 else { throw error(.text) }
            all |= byte
            offset &+= 1
        }
        throw error(.syntax)
    }

    /// The whole text has been read: nothing but white space follows.
    public mutating func end() throws(JSONError) {
        guard skipSpace() == nil else { throw error(.trailing) }
    }

    // MARK: Steps

    /// The next byte that is no white space, not yet read; nil at the end.
    private mutating func skipSpace() -> UInt8? {
        while offset < text.count {
            let byte = text[offset]
            guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { return byte }
            offset &+= 1
        }
        return nil
    }

    private mutating func begin(with bracket: UInt8) throws(JSONError) {
        guard let byte = skipSpace() else { throw error(.syntax) }
        guard byte == bracket else { throw error(.unexpected) }
        offset &+= 1
        isAfterValue = false
    }

    private mutating func hasNext(before bracket: UInt8) throws(JSONError) -> Bool {
        let byte = skipSpace()
        if byte == bracket {
            offset &+= 1
            isAfterValue = true
            return false
        }
        if isAfterValue {
            guard byte == UInt8(ascii: ",") else { throw error(.syntax) }
            offset &+= 1
            isAfterValue = false
            // A comma promises more.
            guard skipSpace() != bracket else { throw error(.syntax) }
        }
        return true
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    // MARK: Escapes

    /// The string whose first byte stands at `start`, the first escape in it at `offset`.
    private mutating func unescaped(from start: Int) throws(JSONError) -> JSONString {
        var bytes = Array(text[start..<offset])
        while offset < text.count {
            let byte = text[offset]
            offset &+= 1
            switch byte {
            case UInt8(ascii: "\""):
                guard String(validating: bytes, as: UTF8.self) != nil else { throw error(.text) }
                isAfterValue = true
                return .unescaped(bytes)
            case UInt8(ascii: "\\"): try unescape(into: &bytes)
            case 0x20...: bytes.append(byte)
            default: throw error(.text)
            }
        }
        throw error(.syntax)
    }

    private mutating func unescape(into bytes: inout [UInt8]) throws(JSONError) {
        guard offset < text.count else { throw error(.syntax) }
        let letter = text[offset]
        offset &+= 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(letter)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0c)
        case UInt8(ascii: "n"): bytes.append(0x0a)
        case UInt8(ascii: "r"): bytes.append(0x0d)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"):
            var scalar = UInt32(try codeUnit())
            if scalar & 0xfc00 == 0xd800 {
                // The first half of a pair: the second must follow.
                guard offset &+ 1 < text.count, text[offset] == UInt8(ascii: "\\"),
                    text[offset &+ 1] == UInt8(ascii: "u")
                else { throw error(.text) }
                offset &+= 2
                let second = UInt32(try codeUnit())
                guard second & 0xfc00 == 0xdc00 else { throw error(.text) }
                scalar = 0x1_0000 + (scalar & 0x3ff) << 10 + second & 0x3ff
            }
            // nil for a second half alone.
            guard let character = Unicode.Scalar(scalar) else { throw error(.text) }
            bytes += Array(String(character).utf8)
        default: throw error(.syntax)
        }
    }

    /// Four hex digits.
    private mutating func codeUnit() throws(JSONError) -> UInt16 {
        guard text.count &- offset >= 4 else { throw error(.syntax) }
        var unit: UInt16 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch text[offset] {
            case let byte where Self.isDigit(byte): digit = byte &- 0x30
            case let byte where byte | 0x20 >= 0x61 && byte | 0x20 <= 0x66: digit = (byte | 0x20) &- 0x57
            default: throw error(.syntax)
            }
            unit = unit << 4 | UInt16(digit)
            offset &+= 1
        }
        return unit
    }
}
