internal import CLinux
internal import Glibc
internal import Synchronization

/// What the tasks of an ``AsyncSubscription`` and its thread share: what is asked, and what was told.
final class SubscriptionInbox: Sendable {
    enum Command {
        case subscribe([SessionID], Answer)
        case leave([SessionID])
    }

    typealias Answer = @Sendable (Result<Void, TokenCacheError>) -> Void
    typealias Next = Result<SessionEnd?, TokenCacheError>

    private struct State {
        var commands: [Command] = []
        var ends = FIFO<SessionEnd>()
        /// Tasks that wait for an end, by number.
        var waiting: [UInt64: CheckedContinuation<Next, Never>] = [:]
        var order = FIFO<UInt64>()
        var latest: UInt64 = 0
        /// What every task gets when the ends that were told are taken.
        var ending: Next?
    }

    private let waker: Int32
    private let state = Guarded(State())

    init() throws(TokenCacheError) {
        waker = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard waker >= 0 else { throw TokenCacheError(UnixSocket.Failure.system(code: errno)) }
    }

    deinit {
        Glibc.close(waker)
    }

    // MARK: Tasks

    /// Hands a command to the thread.
    func put(_ command: Command) {
        let ending = state.withLock { state in
            if state.ending == nil { state.commands.append(command) }
            return state.ending
        }
        if let ending { Self.refuse(command, ending) } else { wake() }
    }

    /// What was told of these sessions and not taken is forgotten, and no more is told.
    func leave(_ sids: [SessionID]) {
        state.withLock { $0.ends.removeAll { sids.contains($0.session) } }
        put(.leave(sids))
    }

    /// The next end.
    func next() async -> Next {
        let number = state.withLock { state in
            state.latest += 1
            return state.latest
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let next = state.withLock { state -> Next? in
                    if let end = state.ends.removeFirst() { return .success(end) }
                    if let ending = state.ending { return ending }
                    if Task.isCancelled { return .success(nil) }
                    state.waiting[number] = continuation
                    state.order.append(number)
                    return nil
                }
                if let next { continuation.resume(returning: next) }
            }
        } onCancel: {
            let continuation = state.withLock { $0.waiting.removeValue(forKey: number) }
            continuation?.resume(returning: .success(nil))
        }
    }

    /// Ends everything, once: with an error, or without.
    func finish(_ error: TokenCacheError?) {
        let ending: Next = error.map { .failure($0) } ?? .success(nil)
        let (commands, waiting) = state.withLock { state in
            guard state.ending == nil else { return ([Command](), [CheckedContinuation<Next, Never>]()) }
            state.ending = ending
            if error == nil { _ = state.ends.removeAll() }
            defer { (state.commands, state.waiting, state.order) = ([], [:], FIFO()) }
            return (state.commands, Array(state.waiting.values))
        }
        for command in commands { Self.refuse(command, ending) }
        for continuation in waiting { continuation.resume(returning: ending) }
        wake()
    }

    private static func refuse(_ command: Command, _ ending: Next) {
        if case .subscribe(_, let answer) = command { refuse(answer, ending) }
    }

    private static func refuse(_ answer: Answer, _ ending: Next) {
        switch ending {
        case .failure(let error): answer(.failure(error))
        case .success: answer(.failure(.connection(reason: "the subscription was closed")))
        }
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(waker, &one, MemoryLayout<UInt64>.size)
    }

    // MARK: The thread

    /// Serves the subscription until it ends.
    func serve(socketPath: String, timeout: Duration) {
        var answers: [SubscriptionMachine.Number: Answer] = [:]
        do throws(TokenCacheError) {
            let channel = try SubscriptionChannel(path: socketPath, timeout: timeout)
            while let commands = take() {
                for (index, command) in commands.enumerated() {
                    do throws(TokenCacheError) {
                        switch command {
                        case .subscribe(let sids, let answer): answers[try channel.subscribe(to: sids)] = answer
                        case .leave(let sids): try channel.unsubscribe(from: sids)
                        }
                    } catch {
                        for left in commands[index...] { Self.refuse(left, .failure(error)) }
                        throw error
                    }
                }
                for event in try channel.wait(until: nil, waker: waker) {
                    switch event {
                    case .none: break
                    case .confirmed(let number): answers.removeValue(forKey: number)?(.success(()))
                    case .refused(let number, let error): answers.removeValue(forKey: number)?(.failure(error))
                    case .ended(let end, _): tell(end)
                    }
                }
            }
        } catch {
            finish(error)
        }
        let ending = state.withLock { $0.ending } ?? .success(nil)
        for answer in answers.values { Self.refuse(answer, ending) }
    }

    /// What has come in; `nil` once it has ended.
    private func take() -> [Command]? {
        var count: UInt64 = 0
        _ = read(waker, &count, MemoryLayout<UInt64>.size)
        return state.withLock { state in
            defer { state.commands = [] }
            return state.ending == nil ? state.commands : nil
        }
    }

    private func tell(_ end: SessionEnd) {
        let continuation = state.withLock { state -> CheckedContinuation<Next, Never>? in
            guard state.ending == nil else { return nil }
            while let number = state.order.removeFirst() {
                if let continuation = state.waiting.removeValue(forKey: number) { return continuation }
            }
            state.ends.append(end)
            return nil
        }
        continuation?.resume(returning: .success(end))
    }
}
