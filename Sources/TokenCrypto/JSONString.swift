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

/// Text as a JSON string, quotes and all. `text` must be UTF-8.
public func jsonString(_ text: some Sequence<UInt8>) -> [UInt8] {
    var output = [UInt8(ascii: "\"")]
    for byte in text {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): output += [UInt8(ascii: "\\"), byte]
        case 0..<0x20: output += Array("\\u00".utf8) + withUnsafeBytes(of: byte) { Hex.encode($0) }
        default: output.append(byte)
        }
    }
    output.append(UInt8(ascii: "\""))
    return output
}
