/// Finds commands by name. The rows are in `CommandTable+Rows.swift`.
public enum CommandTable {
    /// No name is longer, in bytes: a test holds the rows to it.
    static var longestName: Int { 16 }

    /// Finds a command by its name, in one word (`TOKEN.VALIDATE`) or in two (`TOKEN VALIDATE`, for client libraries
    /// that cannot send a dot), in any case.
    ///
    /// Goes through the rows in their order, the most frequent command first, and compares lengths before names. For
    /// a table this short that is as fast as a hash (1 to 15 ns, most of them for the names that come last), and
    /// nothing has to be built before the first lookup.
    ///
    /// - Parameters:
    ///   - first: the request's first argument.
    ///   - second: its second, if there is one.
    /// - Returns: the command and how many words its name took, or nil if there is no such command.
    public static func lookup(
        first: UnsafeRawBufferPointer, second: UnsafeRawBufferPointer?
    ) -> (command: Command, words: Int)? {
        if let name = PackedName(first), let command = find(name) { return (command, 1) }
        if let second, let name = PackedName(first, second), let command = find(name) { return (command, 2) }
        return nil
    }

    @inline(__always)
    private static func find(_ name: PackedName) -> Command? {
        var index = 0
        while index < rows.count {
            let row = rows[index].name
            if row.utf8CodeUnitCount == name.length, PackedName(upperCase: row) == name { return rows[index].command }
            index += 1
        }
        return nil
    }
}

/// A name of 1 to 16 bytes in upper case, in two words: its first and its last eight bytes, which overlap in the middle
/// if it is shorter than 16. Together with the length they are the name, and compare in three instructions.
private struct PackedName: Equatable {
    let length: Int
    let head: UInt64
    let tail: UInt64

    /// nil if no command can have this name.
    @inline(__always)
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0, bytes.count <= CommandTable.longestName else { return nil }
        let (head, tail) = Self.load(base, bytes.count)
        self.head = ASCII.upper(head)
        self.tail = ASCII.upper(tail)
        length = bytes.count
    }

    /// The name of a row, which is in upper case already.
    @inline(__always)
    init(upperCase text: StaticString) {
        let (head, tail) = Self.load(UnsafeRawPointer(text.utf8Start), text.utf8CodeUnitCount)
        self.head = head
        self.tail = tail
        length = text.utf8CodeUnitCount
    }

    /// The two words joined by a dot; nil if that is too long for a name.
    init?(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) {
        let length = first.count + 1 + second.count
        guard first.count > 0, second.count > 0, length <= CommandTable.longestName else { return nil }
        var joined = (UInt64(0), UInt64(0))
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
