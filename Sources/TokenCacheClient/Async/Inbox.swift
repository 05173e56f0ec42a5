internal import CLinux
internal import Glibc

/// Where tasks put calls for the I/O thread, and how they wake it.
final class Inbox: Sendable {
    private struct State {
        var calls: [AsyncCall] = []
        /// Whether the thread waits in poll(2), or is about to.
        var isAsleep = false
        var isClosed = false
        var hasEnded = false
        var endWaiters: [CheckedContinuation<Void, Never>] = []
    }

    /// For poll(2): readable when there is something to do.
    let descriptor: Int32
    private let state = Guarded(State())

    init() throws(TokenCacheError) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else {
            throw TokenCacheError(UnixSocket.Failure.system(code: errno))
        }
    }

    deinit {
        Glibc.close(descriptor)
    }

    /// Hands a call over; false once the client is closed.
    func put(_ call: AsyncCall) -> Bool {
        let (isOpen, mustWake) = state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.calls.append(call)
            defer { state.isAsleep = false }
            return (true, state.isAsleep)
        }
        if mustWake { wake() }
        return isOpen
    }

    /// No call comes in any more, and the thread ends.
    func close() {
        let mustWake = state.withLock { state in
            state.isClosed = true
            defer { state.isAsleep = false }
            return state.isAsleep
        }
        if mustWake { wake() }
    }

    /// For the thread: what has come in; false once the client is closed.
    func take(into calls: inout [AsyncCall]) -> Bool {
        calls.removeAll(keepingCapacity: true)
        return state.withLock { state in
            swap(&state.calls, &calls)
            return !state.isClosed
        }
    }

    /// For the thread: true if nothing has come in, and whatever comes wakes it from now on.
    func fallAsleep() -> Bool {
        state.withLock { state in
            state.isAsleep = state.calls.isEmpty && !state.isClosed
            return state.isAsleep
        }
    }

    /// For the thread: back from poll(2).
    func wakeUp(isSignalled: Bool) {
        state.withLock { $0.isAsleep = false }
        guard isSignalled else { return }
        var count: UInt64 = 0
        _ = read(descriptor, &count, MemoryLayout<UInt64>.size)
    }

    /// For the thread: its last step.
    func end() {
        let waiters = state.withLock { state in
            state.hasEnded = true
            defer { state.endWaiters = [] }
            return state.endWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Waits until the thread has ended.
    func waitForEnd() async {
        await withCheckedContinuation { continuation in
            let hasEnded = state.withLock { state in
                if !state.hasEnded { state.endWaiters.append(continuation) }
                return state.hasEnded
            }
            if hasEnded { continuation.resume() }
        }
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, MemoryLayout<UInt64>.size)
    }
}
