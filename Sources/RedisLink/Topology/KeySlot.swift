/// Which of a cluster's 16,384 slots a key belongs to. Source: redis.io/docs/reference/cluster-spec, "Key distribution
/// model" and "Hash tags".
public enum KeySlot {
    public static let count = 16_384

    /// - Returns: 0 to 16,383.
    public static func of(_ key: some Collection<UInt8>) -> Int { Int(crc(hashed(key)) % UInt16(count)) }

    /// What of a key decides: what stands between the first `{` and the next `}`, where anything does; else all of it.
    private static func hashed<Key: Collection<UInt8>>(_ key: Key) -> Key.SubSequence {
        guard let open = key.firstIndex(of: UInt8(ascii: "{")) else { return key[...] }
        let rest = key[key.index(after: open)...]
        guard let close = rest.firstIndex(of: UInt8(ascii: "}")), close != rest.startIndex else { return key[...] }
        return rest[..<close]
    }

    /// A short text that belongs to a slot, for a key that is to stand there: always the same.
    static func tag(of slot: Int) -> [UInt8] {
        // Of letters and digits, counted up: four of them reach every slot, after 16,384 tries on average.
        let digits = Array("0123456789abcdefghijklmnopqrstuvwxyz".utf8)
        var tag: [UInt8] = []
        var counts = [0]
        while counts.count <= 4 {
            tag.removeAll(keepingCapacity: true)
            for count in counts.reversed() { tag.append(digits[count]) }
            if of(tag) == slot { return tag }
            var place = 0
            while place < counts.count, counts[place] == digits.count - 1 {
                counts[place] = 0
                place += 1
            }
            if place == counts.count { counts.append(1) } else { counts[place] += 1 }
        }
        return []
    }

    /// CRC-16/XMODEM: polynomial 0x1021, from zero, not reflected.
    private static func crc(_ bytes: some Sequence<UInt8>) -> UInt16 {
        bytes.reduce(0) { sum, byte in sum << 8 ^ table[Int(UInt8(truncatingIfNeeded: sum >> 8) ^ byte)] }
    }

    private static let table: [UInt16] = (0..<256).map { byte in
        (0..<8).reduce(UInt16(byte) << 8) { sum, _ in sum & 0x8000 == 0 ? sum << 1 : sum << 1 ^ 0x1021 }
    }
}

/// Some of the 16,384 slots: a bit each, 2 KiB.
public struct SlotSet: Equatable, Sendable {
    private var words = [UInt64](repeating: 0, count: KeySlot.count / 64)

    public init() {}

    public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }
    var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
    /// The highest; nil where there is none.
    var highest: Int? {
        words.indices.last { words[$0] != 0 }.map { $0 * 64 + 63 - words[$0].leadingZeroBitCount }
    }

    /// - Parameter slot: 0 to 16,383; no other is in any set.
    public func contains(_ slot: Int) -> Bool {
        words.indices.contains(slot >> 6) && words[slot >> 6] & 1 << UInt64(slot & 63) != 0
    }

    mutating func insert(_ slot: Int) {
        guard words.indices.contains(slot >> 6) else { return }
        words[slot >> 6] |= 1 << UInt64(slot & 63)
    }

    mutating func insert(_ slots: Range<Int>) { for slot in slots { insert(slot) } }

    mutating func formUnion(_ other: SlotSet) {
        for index in words.indices { words[index] |= other.words[index] }
    }

    func subtracting(_ other: SlotSet) -> SlotSet {
        var result = self
        for index in words.indices { result.words[index] &= ~other.words[index] }
        return result
    }

    /// The slots, as `0-5460 5462`.
    var ranges: String {
        var parts: [String] = []
        var start: Int?
        for slot in 0...KeySlot.count {
            switch (contains(slot), start) {
            case (true, nil): start = slot
            case (false, let first?):
                parts.append(first == slot - 1 ? "\(first)" : "\(first)-\(slot - 1)")
                start = nil
            default: break
            }
        }
        return parts.joined(separator: " ")
    }
}

extension SlotSet: Sequence {
    /// From the lowest to the highest.
    public func makeIterator() -> Iterator { Iterator(words: words) }

    public struct Iterator: IteratorProtocol {
        fileprivate let words: [UInt64]
        /// Of the word that is looked at, what was not seen yet.
        private var rest: UInt64 = 0
        private var upcoming = 0

        fileprivate init(words: [UInt64]) { self.words = words }

        public mutating func next() -> Int? {
            while rest == 0 {
                guard words.indices.contains(upcoming) else { return nil }
                rest = words[upcoming]
                upcoming += 1
            }
            let bit = rest.trailingZeroBitCount
            rest &= rest - 1
            return (upcoming - 1) * 64 + bit
        }
    }
}
