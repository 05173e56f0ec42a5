/// Finds names that are the first words of requests.
public struct NameTable: Sendable {
    /// No name is longer, in bytes.
    public static var longestName: Int { 24 }

    private let names: [PackedName]

    /// - Parameter names: in upper case, 1 to 24 bytes each, the most frequent first; one of a family is `FAMILY.NAME`.
    public init(_ names: [StaticString]) {
        self.names = names.map(PackedName.init(upperCase:))
    }

    /// Finds a name in one word (`TOKEN.VALIDATE`) or in two (`TOKEN VALIDATE`, for client libraries that cannot send a
    /// dot), in any case.
    ///
    /// Goes through the names in their order, the most frequent first. For a table this short that is as fast as a hash
    /// (1 to 15 ns, most of them for the names that come last).
    ///
    /// - Parameters:
    ///   - first: the request's first argument.
    ///   - second: its second, if there is one.
    /// - Returns: the name's place in the table and how many words it took, or nil if there is no such name.
    public func lookup(
        first: UnsafeRawBufferPointer, second: UnsafeRawBufferPointer?
    ) -> (index: Int, words: Int)? {
        if let name = PackedName(first), let index = find(name) { return (index, 1) }
        if let second, let name = PackedName(first, second), let index = find(name) { return (index, 2) }
        return nil
    }

    @inline(__always)
    private func find(_ name: PackedName) -> Int? {
        var index = 0
        while index < names.count {
            if names[index] == name { return index }
            index += 1
        }
        return nil
    }
}

/// A name of 1 to 24 bytes in upper case, in words: its first and its last eight bytes, which overlap in the middle if it
/// is shorter than 16, and what is between them if it is longer. Together with the length they are the name, and compare in a few instructions.
private struct PackedName: Equatable {
    let length: Int
    let head: UInt64
    let tail: UInt64
    let middle: UInt64

    /// nil if no command can have this name.
    @inline(__always)
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0, bytes.count <= NameTable.longestName else { return nil }
        let (head, tail) = Self.load(base, bytes.count)
        self.head = ASCII.upper(head)
        self.tail = ASCII.upper(tail)
        length = bytes.count
        middle = length > 16 ? ASCII.upper(base.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) : 0
    }

    /// The name of a row, which is in upper case already.
    @inline(__always)
    init(upperCase text: StaticString) {
        let (head, tail) = Self.load(UnsafeRawPointer(text.utf8Start), text.utf8CodeUnitCount)
        self.head = head
        self.tail = tail
        length = text.utf8CodeUnitCount
        let bytes = UnsafeRawPointer(text.utf8Start)
        middle = length > 16 ? bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self) : 0
    }

    /// The two words joined by a dot; nil if that is too long for a name.
    init?(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) {
        let length = first.count + 1 + second.count
        guard first.count > 0, second.count > 0, length <= NameTable.longestName else { return nil }
        var joined = (UInt64(0), UInt64(0), UInt64(0))
        let packed = withUnsafeMutableBytes(of: &joined) { buffer -> PackedName? in
            buffer.copyMemory(from: first)
            buffer[first.count] = ASCII.dot
            UnsafeMutableRawBufferPointer(rebasing: buffer[(first.count + 1)...]).copyMemory(from: second)
            return PackedName(UnsafeRawBufferPointer(rebasing: buffer[..<length]))
        }
        guard let packed else { return nil }
        self = packed
    }

    /// Reads within the `length` bytes at `base` only.
    @inline(__always)
    private static func load(_ base: UnsafeRawPointer, _ length: Int) -> (head: UInt64, tail: UInt64) {
        if length >= 8 {
            return (
                base.loadUnaligned(as: UInt64.self),
                base.loadUnaligned(fromByteOffset: length - 8, as: UInt64.self)
            )
        }
        if length >= 4 {
            return (
                UInt64(base.loadUnaligned(as: UInt32.self)),
                UInt64(base.loadUnaligned(fromByteOffset: length - 4, as: UInt32.self))
            )
        }
        var word: UInt64 = 0
        for index in 0..<length { word = word &<< 8 | UInt64(base.load(fromByteOffset: index, as: UInt8.self)) }
        return (word, 0)
    }
}
