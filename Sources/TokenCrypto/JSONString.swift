internal import Host

/// A string of a JSON text: where it stands there, or, if it had escapes, a copy.
public enum JSONString {
    case plain(UnsafeRawBufferPointer)
    case unescaped([UInt8])

    /// The bytes, UTF-8, as a view that lives as long as `body`.
    @inline(__always)
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch self {
        case .plain(let view): body(view)
        case .unescaped(let bytes): bytes.withUnsafeBytes { body($0) }
        }
    }

    /// A copy of the bytes.
    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    public static func == (string: JSONString, literal: StaticString) -> Bool {
        string.withUnsafeBytes { bytes in
            guard bytes.count == literal.utf8CodeUnitCount else { return false }
            var index = 0
            while index < bytes.count {
                guard bytes[index] == literal.utf8Start[index] else { return false }
                index &+= 1
            }
            return true
        }
    }

    /// For `switch`.
    public static func ~= (literal: StaticString, string: JSONString) -> Bool { string == literal }
}

/// Text as a JSON string, quotes and all (RFC 8259). Besides what JSON demands, what a terminal would obey is escaped: a
/// document may be shown as it is.
/// - Parameter maxBytes: of the escaped text; a longer one ends in `…`.
public func jsonString(_ text: some StringProtocol, maxBytes: Int = .max) -> String {
    var output = "\""
    for scalar in text.unicodeScalars {
        guard output.utf8.count < maxBytes else {
            output += "…"
            break
        }
        switch scalar {
        case "\"": output += "\\\""
        case "\\": output += "\\\\"
        case "\n": output += "\\n"
        case "\r": output += "\\r"
        case "\t": output += "\\t"
        case _ where scalar.isTerminalControl:
            let digits = String(scalar.value, radix: 16)
            output += "\\u" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
        default: output.unicodeScalars.append(scalar)
        }
    }
    return output + "\""
}

/// The same for bytes, which must be UTF-8.
public func jsonString(_ text: some Collection<UInt8>) -> [UInt8] {
    Array(jsonString(String(decoding: text, as: UTF8.self)).utf8)
}
