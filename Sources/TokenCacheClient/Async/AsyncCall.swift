internal import Synchronization

/// How many calls an ``AsyncClient`` holds, and how many bytes of requests. Both are bounded.
final class Places: Sendable {
    static let maximumBytes = 64 * 1024 * 1024

    private let calls = Atomic<Int>(0)
    private let bytes = Atomic<Int>(0)
    private let maximumCalls: Int

    init(maximumCalls: Int) {
        self.maximumCalls = maximumCalls
    }

    var occupied: Int { calls.load(ordering: .relaxed) }

    func enter(_ request: Request) throws(TokenCacheError) {
        let calls = calls.wrappingAdd(1, ordering: .relaxed).newValue
        let bytes = bytes.wrappingAdd(request.count, ordering: .relaxed).newValue
        guard calls <= maximumCalls, bytes <= Self.maximumBytes else {
            leave(request)
            throw .overloaded(reason: "as many calls as this client holds are waiting for the daemon")
        }
    }

    func leave(_ request: Request) {
        calls.wrappingSubtract(1, ordering: .relaxed)
        bytes.wrappingSubtract(request.count, ordering: .relaxed)
    }
}

/// A call of an ``AsyncClient``, and the task that waits for its reply.
///
/// It may be settled (answered, failed, expired, cancelled) long before the I/O thread is done with it: its request may
/// have been sent, and then its reply has to be waited for and dropped in its position. The I/O thread ends with one
/// ``take(_:)`` or ``fail(_:)``. The task turns the reply into the answer: so only it knows the answer's type, and the work
/// is done there.
final class AsyncCall: Sendable {
    /// Unchecked: the state below lets it be resumed once and no more, and a check costs an allocation for each call.
    typealias Continuation = UnsafeContinuation<Reply, any Error>

    private enum State {
        /// Its task does not wait yet.
        case fresh
        case waiting(Continuation)
        /// Its reply is there; nothing else can happen to it.
        case answered(Continuation, Reply)
        case settled
    }

    let request: Request
    /// See ``TokenCommand``.
    let isRepeatable: Bool
    let deadline: ContinuousClock.Instant
    private let expectation: Expectation
    private let places: Places
    private let state = Guarded(State.fresh)

    /// Takes a place, which it gives back when the I/O thread is done with it.
    init(
        _ command: TokenCommand<some Sendable>, deadline: ContinuousClock.Instant, places: Places
    ) throws(TokenCacheError) {
        request = command.request
        isRepeatable = command.isRepeatable
        expectation = command.expectation
        self.deadline = deadline
        self.places = places
        if let refusal = command.request.refusal { throw refusal }
        try places.enter(command.request)
    }

    /// Whether nobody waits for it any more.
    var isSettled: Bool {
        state.withLock { state in
            switch state {
            case .fresh, .waiting: false
            case .answered, .settled: true
            }
        }
    }

    /// Whether its task waits for it.
    var isWaiting: Bool {
        state.withLock { if case .waiting = $0 { true } else { false } }
    }

    // MARK: The task

    /// The task waits from now on. False if it was cancelled before: then nothing will resume the continuation.
    func begin(_ continuation: Continuation) -> Bool {
        state.withLock { state in
            guard case .fresh = state else { return false }
            state = .waiting(continuation)
            return true
        }
    }

    /// The task does not want it any more.
    func cancel() {
        settle()?.resume(throwing: CancellationError())
    }

    /// It was never handed to the I/O thread.
    func abandon() {
        places.leave(request)
    }

    // MARK: The I/O thread

    /// Settles it because its time is up; its reply may still come.
    func expire() {
        settle()?.resume(throwing: TokenCacheError(UnixSocket.Failure.timedOut))
    }

    /// Ends it without a reply.
    func fail(_ error: TokenCacheError) {
        // Before the task goes on: its next call finds this place free.
        places.leave(request)
        settle()?.resume(throwing: error)
    }

    /// Ends it with its reply, which is dropped if the call is settled. ``resume()`` must follow.
    ///
    /// - Returns: False if this cannot be the reply to this call.
    func take(_ reply: Reply) -> Bool {
        places.leave(request)
        state.withLock { state in
            if case .waiting(let continuation) = state { state = .answered(continuation, reply) }
        }
        return expectation.isMet(by: reply)
    }

    /// Lets the task go on with what was taken. Apart from ``take(_:)``, so that the tasks of many replies are resumed
    /// together: resumed one by one, each would wake a thread.
    func resume() {
        let answer = state.withLock { state -> (Continuation, Reply)? in
            guard case .answered(let continuation, let reply) = state else { return nil }
            state = .settled
            return (continuation, reply)
        }
        if let (continuation, reply) = answer { continuation.resume(returning: reply) }
    }

    /// The continuation, if it still waits without a reply.
    private func settle() -> Continuation? {
        state.withLock { state in
            switch state {
            case .answered, .settled: return nil
            case .fresh:
                state = .settled
                return nil
            case .waiting(let continuation):
                state = .settled
                return continuation
            }
        }
    }
}
