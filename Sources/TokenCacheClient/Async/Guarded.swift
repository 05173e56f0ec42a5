internal import Glibc

/// A value behind a lock, a POSIX mutex: the thread sanitizer does not see what the standard library's `Mutex` orders on
/// Linux, and would report every use of it.
struct Guarded<Value>: ~Copyable, @unchecked Sendable {
    private struct Cell {
        var mutex = pthread_mutex_t()
        var value: Value
    }

    /// A mutex must not move.
    private let cell: UnsafeMutablePointer<Cell>

    init(_ value: sending Value) {
        cell = .allocate(capacity: 1)
        cell.initialize(to: Cell(value: value))
        pthread_mutex_init(&cell.pointee.mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(&cell.pointee.mutex)
        cell.deinitialize(count: 1).deallocate()
    }

    /// Nobody else touches the value meanwhile.
    func withLock<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
        pthread_mutex_lock(&cell.pointee.mutex)
        defer { pthread_mutex_unlock(&cell.pointee.mutex) }
        return try body(&cell.pointee.value)
    }
}
