internal import Glibc

/// Zeroed memory from the kernel, reserved whole and touched as it is used, given back at the end. Kept out of core
/// dumps (`MADV_DONTDUMP`).
///
/// A large block stands on huge pages where the kernel has them (`MADV_HUGEPAGE`): who reads anywhere in it would spend
/// most of the time on finding small ones.
final class MappedMemory {
    let start: UnsafeMutableRawPointer
    private let base: UnsafeMutableRawPointer
    private let mappedCount: Int

    private static let hugePage = 2 << 20

    /// Nil where the address space is not to be had.
    init?(byteCount: Int) {
        let isLarge = byteCount >= Self.hugePage
        let mappedCount = isLarge ? byteCount + Self.hugePage : byteCount
        let flags = Int32(MAP_PRIVATE) | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE)
        guard let base = mmap(nil, mappedCount, PROT_READ | PROT_WRITE, flags, -1, 0), base != MAP_FAILED else {
            return nil
        }
        self.base = base
        self.mappedCount = mappedCount
        start = isLarge ? base.alignedUp(toMultipleOf: Self.hugePage) : base
        madvise(base, mappedCount, Int32(MADV_DONTDUMP))
        if isLarge { madvise(start, byteCount, Int32(MADV_HUGEPAGE)) }
    }

    deinit { munmap(base, mappedCount) }
}
