internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// Which sessions were changed since a moment: two Bloom filters (Bloom, CACM 13 (7), 1970) that take turns. Where the
/// newer one is full, the older one is emptied and takes its place.
///
/// What is not found was not changed since then. What is found was, but for about one in a hundred thousand.
struct ChangeFilter {
    /// Sessions, each counted once, that a filter takes before the other one's turn: so many of the latest are
    /// remembered, and up to twice as many. A power of two.
    static let capacity = 524_288
    private static let bitsPerSession = 32
    private static let probes: UInt64 = 8
    /// Bytes of both filters, from their first use on.
    static let maxBytes = 2 * capacity * bitsPerSession / 8

    /// Every change since this moment is remembered; nothing is known before `begin`.
    private(set) var since = UnixSeconds.latest
    private var newerSince = UnixSeconds.latest
    private var newer = Bits()
    private var older = Bits()
    private let capacity: Int
    private let key: Key

    /// Drawn once for a filter: nobody who does not know it can choose sessions that fill the same places.
    struct Key {
        var first: UInt64
        var second: UInt64
    }

    init(key: Key, capacity: Int = Self.capacity) {
        self.key = key
        self.capacity = capacity
    }

    /// Changes are told from now on; some before may not have been. What is remembered stays true.
    mutating func begin(at now: UnixSeconds) {
        since = now
        newerSince = now
    }

    func contains(_ sid: SessionID) -> Bool {
        let probe = probe(sid)
        return newer.contains(probe) || older.contains(probe)
    }

    /// - Parameter now: asked for when a filter is full.
    mutating func insert(_ sid: SessionID, now: @autoclosure () -> UnixSeconds) {
        if newer.count >= capacity {
            swap(&newer, &older)
            newer.clear()
            since = newerSince
            newerSince = now()
        }
        newer.insert(probe(sid), size: capacity * Self.bitsPerSession)
    }

    /// Two numbers whose sums are the places of a session's bits (Kirsch and Mitzenmacher, 2006). A `sid` is random, and
    /// no client chooses one: a keyed product of its halves, folded twice, spreads what is left of order.
    private func probe(_ sid: SessionID) -> (start: UInt64, step: UInt64) {
        let (first, second) = sid.withUnsafeBytes {
            ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
        let mixed = Self.fold(first ^ key.first, second ^ key.second)
        let hash = Self.fold(mixed ^ key.second, first ^ second.byteSwapped ^ 0x9e37_79b9_7f4a_7c15)
        return (hash, hash >> 32 | 1)
    }

    private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }

    private struct Bits {
        /// Empty until something is put in.
        private var words: [UInt64] = []
        /// Sessions put in that were not found before.
        private(set) var count = 0

        func contains(_ probe: (start: UInt64, step: UInt64)) -> Bool {
            guard count > 0 else { return false }
            let mask = UInt64(words.count) &* 64 &- 1
            var place = probe.start
            for _ in 0..<ChangeFilter.probes {
                let bit = place & mask
                guard words[Int(bit >> 6)] & (1 << (bit & 63)) != 0 else { return false }
                place &+= probe.step
            }
            return true
        }

        /// - Parameter size: bits, a power of two.
        mutating func insert(_ probe: (start: UInt64, step: UInt64), size: Int) {
            if words.isEmpty { words = [UInt64](repeating: 0, count: max(1, size / 64)) }
            let mask = UInt64(words.count) &* 64 &- 1
            var place = probe.start
            var isNew = false
            for _ in 0..<ChangeFilter.probes {
                let bit = place & mask
                let flag: UInt64 = 1 << (bit & 63)
                if words[Int(bit >> 6)] & flag == 0 {
                    words[Int(bit >> 6)] |= flag
                    isNew = true
                }
                place &+= probe.step
            }
            if isNew { count += 1 }
        }

        mutating func clear() {
            words.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
            count = 0
        }
    }
}

extension ChangeFilter.Key {
    init(_ random: inout any RandomSource) throws(CryptoError) {
        let drawn: SessionID = try random.bytes()
        (first, second) = drawn.withUnsafeBytes {
            ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
    }
}
