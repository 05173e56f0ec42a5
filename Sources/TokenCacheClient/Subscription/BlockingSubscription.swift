/// Tells when sessions end, to a program that waits for it: what was opened for visitors is closed when they log out, on
/// whatever host.
///
/// ```swift
/// let subscription = try BlockingSubscription()
/// try subscription.add([sid])
/// while let end = try subscription.next(timeout: .seconds(60)) { close(end.session) }
/// ```
///
/// What holds of ``AsyncSubscription`` holds here; only that the daemon is watched while ``next(timeout:)`` or
/// ``add(_:)`` waits, and at no other time. **Not thread-safe**: it belongs to one thread at a time.
public final class BlockingSubscription {
    private var channel: SubscriptionChannel?
    private var failure = TokenCacheError.connection(reason: "the subscription was closed")
    private var ends = FIFO<SessionEnd>()

    /// Connects.
    ///
    /// - Parameters:
    ///   - socketPath: The daemon's Unix socket; by default where a daemon of this host listens.
    ///   - timeout: How long the daemon may take for an answer; taken into 1 ms to 1 day.
    /// - Throws: ``TokenCacheError/connection(reason:)``.
    public init(socketPath: String = SocketPath.standard, timeout: Duration = .seconds(2)) throws(TokenCacheError) {
        channel = try SubscriptionChannel(path: socketPath, timeout: Timeout.bounded(timeout))
    }

    /// Subscribes to sessions, all or none of them; when it returns, nothing that happens to them goes untold.
    ///
    /// - Parameter sids: At most ``AsyncSubscription/maximumSessions``; more of them in several calls.
    /// - Throws: As ``AsyncSubscription/add(_:)``.
    public func add(_ sids: [SessionID]) throws(TokenCacheError) {
        try AsyncSubscription.check(sids)
        guard !sids.isEmpty else { return }
        let number = try use { channel throws(TokenCacheError) in try channel.subscribe(to: sids) }
        while true {
            switch try step(until: nil, for: number) {
            case .confirmed: return
            case .refused(_, let error): throw error
            default: break
            }
        }
    }

    /// Leaves sessions: nothing more is told of them.
    public func remove(_ sids: [SessionID]) {
        ends.removeAll { sids.contains($0.session) }
        // Where the connection is gone, the next call says so.
        for start in stride(from: 0, to: sids.count, by: AsyncSubscription.maximumSessions) {
            let some = Array(sids[start...].prefix(AsyncSubscription.maximumSessions))
            try? use { channel throws(TokenCacheError) in try channel.unsubscribe(from: some) }
        }
    }

    /// Waits for the next end.
    ///
    /// - Parameter timeout: How long; taken into 1 ms to 1 day.
    /// - Returns: `nil` where there was none in that time.
    /// - Throws: That the daemon cannot be heard any more, now and from now on: make a new subscription, and add every
    ///   session to it.
    public func next(timeout: Duration) throws(TokenCacheError) -> SessionEnd? {
        let limit = ContinuousClock.now + Timeout.bounded(timeout)
        repeat {
            if let end = ends.removeFirst() { return end }
            _ = try step(until: limit, for: nil)
        } while !ends.isEmpty || ContinuousClock.now < limit
        return nil
    }

    /// Ends the connection; ends that were told and not taken are gone.
    public func close() {
        channel = nil
        _ = ends.removeAll()
    }

    /// - Returns: The answer to the SUBSCRIBE of that number, if it has come.
    private func step(
        until limit: ContinuousClock.Instant?, for number: SubscriptionMachine.Number?
    ) throws(TokenCacheError) -> SubscriptionMachine.Event {
        var answer = SubscriptionMachine.Event.none
        for event in try use({ channel throws(TokenCacheError) in try channel.wait(until: limit) }) {
            switch event {
            case .ended(let end, _): ends.append(end)
            case .confirmed(number), .refused(number, _): answer = event
            case .none, .confirmed, .refused: break
            }
        }
        return answer
    }

    private func use<R>(_ body: (SubscriptionChannel) throws(TokenCacheError) -> R) throws(TokenCacheError) -> R {
        guard let channel else { throw failure }
        do throws(TokenCacheError) {
            return try body(channel)
        } catch {
            self.channel = nil
            failure = error
            throw error
        }
    }
}
