internal import CLinux
internal import Glibc
internal import TokenCrypto
internal import Tokens

/// Entries in one block of memory, found by open addressing on the `sid`'s own random bits.
///
/// The block of entries is reserved at its full size and touched as it fills, so none is ever moved. The slots that lead
/// to them are few while entries are, so that a search finds them in the processor's cache. Both are kept out of core
/// dumps: entries hold verifiers.
final class EntryTable {
    private let block: MappedMemory
    private let entries: UnsafeMutablePointer<NearCacheEntry>
    private var slotBlock: MappedMemory
    /// Index of an entry plus one in each slot, 0 in an empty one; at least twice as many as entries.
    private var slots: UnsafeMutablePointer<UInt32>
    private var slotCount: Int
    /// As many as there will be for a full table.
    private let mostSlots: Int
    let capacity: Int
    private(set) var count = 0
    /// Entries that were given back, to be used again; the rest above `fresh` was never used.
    private var free: [UInt32] = []
    private var fresh = 0

    /// What one entry costs without its details, its share of the slots included.
    static var bytesPerEntry: Int { MemoryLayout<NearCacheEntry>.stride + 2 * MemoryLayout<UInt32>.stride }

    /// Slots at first, 16 KiB; and those from which the next step is to all of them: moving so many takes about a
    /// millisecond, once.
    private static let firstSlots = 4_096
    private static let lastSmallSlots = 65_536

    /// Nil where the address space is not to be had.
    init?(capacity: Int) {
        let capacity = max(1, min(capacity, Int(Int32.max)))
        let mostSlots = capacity * 2
        let slotCount = min(mostSlots, Self.firstSlots)
        guard let block = MappedMemory(byteCount: capacity * MemoryLayout<NearCacheEntry>.stride),
            let slotBlock = MappedMemory(byteCount: slotCount * MemoryLayout<UInt32>.stride)
        else { return nil }
        self.capacity = capacity
        self.mostSlots = mostSlots
        self.block = block
        self.slotBlock = slotBlock
        entries = block.start.bindMemory(to: NearCacheEntry.self, capacity: capacity)
        slots = slotBlock.start.bindMemory(to: UInt32.self, capacity: slotCount)
        self.slotCount = slotCount
    }

    deinit { removeAll() }

    /// For single numbers and for methods. Its `sid` is read through `entry(_:)` or from a copy: Swift 6.3.1 without
    /// optimisation reads an InlineArray that was yielded from where it is no more.
    subscript(_ index: UInt32) -> NearCacheEntry {
        _read { yield entries[Int(index)] }
        _modify { yield &entries[Int(index)] }
    }

    /// The share of the slots that the `sid` is of all there may be: any number of slots will do.
    private func home(_ sid: SessionID) -> Int {
        let bits = sid.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        return Int(truncatingIfNeeded: bits.multipliedFullWidth(by: UInt64(truncatingIfNeeded: slotCount)).high)
    }

    private func after(_ slot: Int) -> Int { slot &+ 1 == slotCount ? 0 : slot &+ 1 }

    /// Steps from one slot to another, as a search goes.
    private func steps(from slot: Int, to other: Int) -> Int {
        other >= slot ? other &- slot : other &- slot &+ slotCount
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
            slot = after(slot)
        }
        return nil
    }

    /// Adds an entry whose `sid` is not in the table, which owns its details from then on; nil if it is full.
    func insert(_ entry: NearCacheEntry) -> UInt32? {
        if (count + 1) * 2 > slotCount, !growSlots() { return nil }
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
        fill(index)
        count += 1
        return index
    }

    private func fill(_ index: UInt32) {
        var slot = home(entries[Int(index)].sid)
        while slots[slot] != 0 { slot = after(slot) }
        slots[slot] = index + 1
    }

    /// - Returns: false where there are as many as there may be, or memory is not to be had.
    private func growSlots() -> Bool {
        let old = (block: slotBlock, slots: slots, count: slotCount)
        guard old.count < mostSlots else { return false }
        let count = old.count < Self.lastSmallSlots ? min(old.count * 4, mostSlots) : mostSlots
        guard let block = MappedMemory(byteCount: count * MemoryLayout<UInt32>.stride) else { return false }
        slotBlock = block
        slots = block.start.bindMemory(to: UInt32.self, capacity: count)
        slotCount = count
        withExtendedLifetime(old.block) {
            for slot in 0..<old.count where old.slots[slot] != 0 { fill(old.slots[slot] - 1) }
        }
        return true
    }

    /// Removes an entry and closes the gap behind it, so that a search never has to pass graves.
    func remove(_ index: UInt32) {
        var gap = home(entries[Int(index)].sid)
        while slots[gap] != index + 1 {
            // Not in the table: nothing to do.
            guard slots[gap] != 0 else { return }
            gap = after(gap)
        }
        var next = after(gap)
        while slots[next] != 0 {
            let wanted = home(entries[Int(slots[next] - 1)].sid)
            // An entry may move into the gap unless its home lies behind the gap.
            if steps(from: wanted, to: next) >= steps(from: gap, to: next) {
                slots[gap] = slots[next]
                gap = next
            }
            next = after(next)
        }
        slots[gap] = 0
        wipe(index)
        free.append(index)
        count -= 1
    }

    func removeAll() {
        guard count > 0 else { return }
        for slot in 0..<slotCount where slots[slot] != 0 {
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
