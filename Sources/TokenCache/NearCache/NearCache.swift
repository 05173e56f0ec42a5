internal import Glibc
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// Sessions in the daemon's own memory, bounded, evicted by SIEVE.
///
/// It knows nothing of Redis or of time: what is put in, found and thrown out is decided by `SessionReader` and the
/// token service. SIEVE (Zhang et al., NSDI 2024): a hit sets a mark and nothing else; one hand goes from the oldest
/// entry to the newest, spares and unmarks those that were found, and evicts the first that was not.
final class NearCache {
    static let none = UInt32.max

    private let table: EntryTable
    private let maxBytes: Int
    private let allocate: (Int) -> UnsafeMutableRawPointer?
    /// Bytes of all details.
    private var detailBytes = 0
    private var newest = NearCache.none
    private var oldest = NearCache.none
    private var hand = NearCache.none
    private(set) var evictions: UInt64 = 0

    /// Nil where `maxBytes` has no room for an entry, or memory is not to be had.
    /// - Parameter allocate: memory for details, of the C library's heap; nil where there is none.
    init?(maxBytes: Int, allocate: @escaping (Int) -> UnsafeMutableRawPointer? = { malloc($0) }) {
        guard maxBytes >= EntryTable.bytesPerEntry,
            let table = EntryTable(capacity: maxBytes / EntryTable.bytesPerEntry)
        else { return nil }
        self.table = table
        self.maxBytes = maxBytes
        self.allocate = allocate
    }

    var count: Int { table.count }
    /// Bytes in use: entries with their share of the slots, and details.
    var bytes: Int { table.count * EntryTable.bytesPerEntry + detailBytes }

    /// The entry of a session; marks it as found.
    func find(_ sid: SessionID) -> UInt32? {
        guard let index = table.find(sid) else { return nil }
        if !table[index].wasFound { table[index].wasFound = true }
        return index
    }

    /// Whether there is an entry; no access, so without a mark.
    func contains(_ sid: SessionID) -> Bool { table.find(sid) != nil }

    /// As `find`, for a hit: what it asks of the entry is read where it stands. Valid until the cache is changed.
    ///
    /// Not inlined: the caller would count references to the cache and its table.
    @inline(never)
    func entry(_ sid: SessionID) -> UnsafeMutablePointer<NearCacheEntry>? {
        guard let entry = table.entry(sid) else { return nil }
        if !entry.pointee.wasFound { entry.pointee.wasFound = true }
        return entry
    }

    subscript(_ index: UInt32) -> NearCacheEntry {
        _read { yield table[index] }
        _modify { yield &table[index] }
    }

    /// Puts a session in, in place of what was known of it.
    /// - Parameter slot: of its key, in a cluster.
    func insert(
        _ record: SessionRecord, sid: SessionID, verifier: Verifier?, data: [RecordField], policy: TokenPolicy,
        now: UnixMilliseconds, slot: UInt16 = 0
    ) {
        var verifier = verifier
        if let known = table.find(sid) {
            // The verifier of a generation never changes: it need not be presented again after a touch.
            if verifier == nil, table[known].generation == record.generation { verifier = table[known].verifier }
            remove(known)
        }
        let details: NearCacheDetails?
        do throws(NearCacheDetails.OutOfMemory) {
            details = try NearCacheDetails(record: record, data: data, policy: policy, now: now, allocate: allocate)
        } catch {
            return
        }
        put(NearCacheEntry(record, sid: sid, verifier: verifier, details: details), details, slot)
    }

    /// Puts in what is left of an ended session, in place of what was known of it.
    func insert(_ tombstone: Tombstone, sid: SessionID, slot: UInt16 = 0) {
        drop(sid)
        put(NearCacheEntry(tombstone, sid: sid), nil, slot)
    }

    private func put(_ entry: NearCacheEntry?, _ details: NearCacheDetails?, _ slot: UInt16) {
        let size = EntryTable.bytesPerEntry + (details?.bytes ?? 0)
        guard var entry, size <= maxBytes else {
            details?.free()
            return
        }
        entry.slot = slot
        while table.count > 0, bytes + size > maxBytes || table.count == table.capacity { evict() }
        guard let index = table.insert(entry) else {
            details?.free()
            return
        }
        detailBytes += details?.bytes ?? 0
        link(index)
    }

    /// - Returns: whether there was something to drop.
    @discardableResult
    func drop(_ sid: SessionID) -> Bool {
        guard let index = table.find(sid) else { return false }
        remove(index)
        return true
    }

    /// Drops all sessions whose slot is such a one. Looks at every entry.
    func dropSlots(where isMeant: (Int) -> Bool) {
        var next = oldest
        while next != Self.none {
            let index = next
            next = table[index].newer
            if isMeant(Int(table[index].slot)) { remove(index) }
        }
    }

    func dropAll() {
        table.removeAll()
        detailBytes = 0
        newest = Self.none
        oldest = Self.none
        hand = Self.none
    }

    // MARK: Order of insertion

    private func evict() {
        var candidate = hand == Self.none ? oldest : hand
        while candidate != Self.none, table[candidate].wasFound {
            table[candidate].wasFound = false
            let next = table[candidate].newer
            candidate = next == Self.none ? oldest : next
        }
        guard candidate != Self.none else { return }
        // `remove` moves the hand on from the entry it stands at.
        hand = candidate
        remove(candidate)
        evictions &+= 1
    }

    private func remove(_ index: UInt32) {
        detailBytes -= table[index].details?.bytes ?? 0
        unlink(index)
        table.remove(index)
    }

    private func link(_ index: UInt32) {
        table[index].older = newest
        if newest == Self.none { oldest = index } else { table[newest].newer = index }
        newest = index
    }

    private func unlink(_ index: UInt32) {
        let (newer, older) = (table[index].newer, table[index].older)
        if hand == index { hand = newer }
        if newer == Self.none { newest = older } else { table[newer].older = older }
        if older == Self.none { oldest = newer } else { table[older].newer = newer }
    }
}
