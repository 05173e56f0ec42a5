internal import Synchronization

/// A call on its way through an ``AsyncClient``, without the type of its answer.
///
/// It may be settled (answered, failed, expired, cancelled) long before its way ends: its request may have been sent,
/// and then its reply has to be waited for and dropped in its position. The way ends with one ``take(_:)`` or
/// ``fail(_:)``, by the I/O thread.
protocol QueuedCall: AnyObject, Sendable {
    var request: Request { get }
    /// See ``TokenCommand``.
    var isRepeatable: Bool { get }
    var deadline: ContinuousClock.Instant { get }
    /// Whether nobody waits for it any more.
    var isSettled: Bool { get }
    /// Ends it with its reply, which is dropped if the call is settled.
    ///
    /// - Throws: ``TokenCacheError/protocolViolation`` if the reply is none to this call.
    func take(_ reply: Reply) throws(TokenCacheError)
    /// Ends it without a reply.
    func fail(_ error: TokenCacheError)
    /// Settles it because its time is up; its way goes on.
    func expire()
}

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

/// A call and the task that waits for it.
final class AsyncCall<Answer: Sendable>: QueuedCall {
    private enum State {
        /// Its task does not wait yet.
        case fresh
        case waiting(CheckedContinuation<Answer, any Error>)
        case settled
    }

    let deadline: ContinuousClock.Instant
    private let command: TokenCommand<Answer>
    private let places: Places
    private let state = Mutex(State.fresh)

    /// Takes a place, which it gives back when its way ends.
    init(_ command: TokenCommand<Answer>, deadline: ContinuousClock.Instant, places: Places) throws(TokenCacheError) {
        if let refusal = command.request.refusal { throw refusal }
        try places.enter(command.request)
        self.command = command
        self.deadline = deadline
        self.places = places
    }

    var request: Request { command.request }
    var isRepeatable: Bool { command.isRepeatable }

    var isSettled: Bool {
        state.withLock { if case .settled = $0 { true } else { false } }
    }

    /// The task waits from now on. False if it was cancelled before: then nothing will resume the continuation.
    func begin(_ continuation: CheckedContinuation<Answer, any Error>) -> Bool {
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

    func expire() {
        settle()?.resume(throwing: TokenCacheError.connection(reason: "no answer in time"))
    }

    func fail(_ error: TokenCacheError) {
        // Before the task goes on: its next call finds this place free.
        places.leave(request)
        settle()?.resume(throwing: error)
    }

    func take(_ reply: Reply) throws(TokenCacheError) {
        places.leave(request)
        guard let continuation = settle() else { return }
        do throws(TokenCacheError) {
            continuation.resume(returning: try command.answer(from: reply))
        } catch {
            continuation.resume(throwing: error)
            if error == .protocolViolation { throw error }
        }
    }

    private func settle() -> CheckedContinuation<Answer, any Error>? {
        state.withLock { state in
            defer { state = .settled }
            if case .waiting(let continuation) = state { return continuation }
            return nil
        }
    }
}
