/// Writes numbers in as few bytes as they need: seven bits a byte, lowest first, the eighth says that more follow
/// (LEB128); signed ones with the sign in the lowest bit.
struct CompactBytes {
    private(set) var content: [UInt8] = []

    mutating func number(_ value: UInt64) {
        var rest = value
        while rest > 0x7F {
            content.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        content.append(UInt8(truncatingIfNeeded: rest))
    }

    /// A number from −2⁶¹ to 2⁶¹ − 1, and a bit.
    mutating func signed(_ value: Int64, flag: Bool) {
        let folded = UInt64(bitPattern: value &<< 1 ^ value &>> 63)
        number(folded &<< 1 | (flag ? 1 : 0))
    }

    mutating func bytes(of word: UInt64) { withUnsafeBytes(of: word) { append($0) } }
    mutating func append(_ bytes: UnsafeRawBufferPointer) { content.append(contentsOf: bytes) }

    /// A length and so many bytes.
    mutating func text(_ bytes: [UInt8]) {
        number(UInt64(bytes.count))
        content += bytes
    }
}

/// Reads what `CompactBytes` wrote. Past the end everything is zero or empty: nothing traps.
struct CompactReader {
    private var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func number() -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while let byte = rest.first, shift < 64 {
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst())
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 { break }
            shift &+= 7
        }
        return value
    }

    mutating func signed() -> (value: Int64, flag: Bool) {
        let all = number()
        let folded = all &>> 1
        return (Int64(bitPattern: folded &>> 1 ^ (0 &- (folded & 1))), all & 1 == 1)
    }

    mutating func word() -> UInt64 {
        let bytes = take(8)
        return bytes.count == 8 ? bytes.loadUnaligned(as: UInt64.self) : 0
    }

    mutating func text() -> [UInt8] { Array(take(Int(clamping: number()))) }

    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let taken = UnsafeRawBufferPointer(rebasing: rest.prefix(count))
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(taken.count))
        return taken
    }
}
