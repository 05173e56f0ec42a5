internal import CLinux
internal import Glibc
internal import TokenCrypto
internal import Tokens

/// Entries in one block of memory, found by open addressing on the `sid`'s own random bits.
///
/// The block is reserved at its full size and touched as it fills, so nothing is ever moved. It is kept out of core
/// dumps (`MADV_DONTDUMP`): it holds verifiers.
final class EntryTable {
    private let entries: UnsafeMutablePointer<NearCacheEntry>
    /// Index of an entry in each slot, `NearCache.none` in an empty one. A power of two, at least twice the entries.
    private let slots: UnsafeMutablePointer<UInt32>
    private let slotMask: Int
    private let entriesBytes: Int
    private let slotsBytes: Int
    let capacity: Int
    private(set) var count = 0
    /// Entries that were given back, to be used again; the rest above `fresh` was never used.
    private var free: [UInt32] = []
    private var fresh = 0

    /// What one entry costs without its details, its share of the slots included.
    static var bytesPerEntry: Int { MemoryLayout<NearCacheEntry>.stride + 4 * MemoryLayout<UInt32>.stride }

    /// Nil where the address space is not to be had.
    init?(capacity: Int) {
        let capacity = max(1, min(capacity, Int(Int32.max)))
        var slotCount = 2
        while slotCount < capacity * 2 { slotCount *= 2 }
        let entriesBytes = capacity * MemoryLayout<NearCacheEntry>.stride
        let slotsBytes = slotCount * MemoryLayout<UInt32>.stride
        guard let entries = Self.reserve(entriesBytes), let slots = Self.reserve(slotsBytes) else { return nil }
        self.capacity = capacity
        self.entriesBytes = entriesBytes
        self.slotsBytes = slotsBytes
        self.entries = entries.bindMemory(to: NearCacheEntry.self, capacity: capacity)
        self.slots = slots.bindMemory(to: UInt32.self, capacity: slotCount)
        slotMask = slotCount - 1
    }

    deinit {
        removeAll()
        munmap(entries, entriesBytes)
        munmap(slots, slotsBytes)
    }

    private static func reserve(_ bytes: Int) -> UnsafeMutableRawPointer? {
        let flags = Int32(MAP_PRIVATE) | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE)
        guard let block = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), block != MAP_FAILED else {
            return nil
        }
        madvise(block, bytes, Int32(MADV_DONTDUMP))
        // A search reads two places anywhere in the block: with small pages most of its time went into finding those.
        madvise(block, bytes, Int32(MADV_HUGEPAGE))
        return block
    }

    subscript(_ index: UInt32) -> NearCacheEntry {
        _read { yield entries[Int(index)] }
        _modify { yield &entries[Int(index)] }
    }

    // A slot holds an index plus one, so that memory fresh from the kernel means empty.

    private func home(_ sid: SessionID) -> Int {
        sid.withUnsafeBytes { Int(truncatingIfNeeded: $0.loadUnaligned(as: UInt64.self)) & slotMask }
    }

    func find(_ sid: SessionID) -> UInt32? {
        entry(sid).map { UInt32(truncatingIfNeeded: $0 - entries) }
    }

    /// Where the entry stands, until the table is changed.
    func entry(_ sid: SessionID) -> UnsafeMutablePointer<NearCacheEntry>? {
        var slot = home(sid)
        while slots[slot] != 0 {
            let entry = entries + Int(slots[slot] &- 1)
            prefetch_memory(entry, MemoryLayout<NearCacheEntry>.stride)
            if entry.pointee.sid == sid { return entry }
            slot = (slot &+ 1) & slotMask
        }
        return nil
    }

    /// Adds an entry whose `sid` is not in the table, which owns its details from then on; nil if it is full.
    func insert(_ entry: NearCacheEntry) -> UInt32? {
        let index: UInt32
        if let reused = free.popLast() {
            index = reused
        } else if fresh < capacity {
            index = UInt32(fresh)
            fresh += 1
        } else {
            return nil
        }
        (entries + Int(index)).initialize(to: entry)
        var slot = home(entry.sid)
        while slots[slot] != 0 { slot = (slot + 1) & slotMask }
        slots[slot] = index + 1
        count += 1
        return index
    }

    /// Removes an entry and closes the gap behind it, so that a search never has to pass graves.
    func remove(_ index: UInt32) {
        var gap = home(entries[Int(index)].sid)
        while slots[gap] != index + 1 {
            // Not in the table: nothing to do.
            guard slots[gap] != 0 else { return }
            gap = (gap + 1) & slotMask
        }
        var next = (gap + 1) & slotMask
        while slots[next] != 0 {
            let wanted = home(entries[Int(slots[next] - 1)].sid)
            // An entry may move into the gap unless its home lies behind the gap.
            if (next &- wanted) & slotMask >= (next &- gap) & slotMask {
                slots[gap] = slots[next]
                gap = next
            }
            next = (next + 1) & slotMask
        }
        slots[gap] = 0
        wipe(index)
        free.append(index)
        count -= 1
    }

    func removeAll() {
        guard count > 0 else { return }
        for slot in 0...slotMask where slots[slot] != 0 {
            wipe(slots[slot] - 1)
            slots[slot] = 0
        }
        free = []
        fresh = 0
        count = 0
    }

    /// Ends an entry's life and that of its details, and overwrites its verifier.
    private func wipe(_ index: UInt32) {
        let entry = entries + Int(index)
        entry.pointee.details?.free()
        explicit_bzero(UnsafeMutableRawPointer(entry), MemoryLayout<NearCacheEntry>.stride)
    }
}
