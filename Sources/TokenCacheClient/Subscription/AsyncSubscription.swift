/// Tells when sessions end, for servers that hold a WebSocket or an event stream open for a visitor: it is closed when the
/// visitor logs out, on whatever host.
///
/// ```swift
/// let subscription = try AsyncSubscription()
/// try await subscription.add([sid])                  // then validate the token: so nothing can happen in between
/// for try await end in subscription { sockets.close(end.session, end.fate) }
/// ```
///
/// Share one: a thread of its own keeps one connection, over which any number of sessions are told of. Each session that
/// was added is told of once: at once where it is over already, within 50 ms of a logout, within 2 s of its limit, after an
/// outage of Redis all the same. Then it is not subscribed to any more; ``SessionFate/replaced(_:)`` is a reason to add it
/// again.
///
/// **It connects once.** When the connection is lost, because the daemon was restarted or stands still, the sequence throws,
/// and so does everything after it. Make a new subscription and add every session whose socket is still open: what ended
/// meanwhile is told then. Only a replacement is not: where that matters, close the sockets, or validate their tokens again.
///
/// ```swift
/// while !Task.isCancelled {
///     do {
///         let subscription = try AsyncSubscription()
///         try await sockets.added(to: subscription)
///         for try await end in subscription { await sockets.close(end.session, end.fate) }
///     } catch {
///         log.warning("nobody tells of logouts at the moment: \(error)")
///         try await Task.sleep(for: .seconds(1))
///     }
/// }
/// ```
///
/// When the last reference goes, iterators included, it closes itself.
public final class AsyncSubscription: AsyncSequence, Sendable {
    public typealias Element = SessionEnd
    public typealias Failure = TokenCacheError

    /// Sessions that one ``add(_:)`` takes.
    public static let maximumSessions = 1_000

    private let inbox: SubscriptionInbox

    /// Starts the thread, which connects.
    ///
    /// - Parameters:
    ///   - socketPath: The daemon's Unix socket; by default where a daemon of this host listens.
    ///   - timeout: How long the daemon may take for an answer; taken into 1 ms to 1 day. One that says nothing is asked every
    ///     five seconds whether it is there.
    /// - Throws: ``TokenCacheError/connection(reason:)`` if the system has no thread or descriptor left. Where nobody
    ///   listens, ``add(_:)`` and the sequence say so.
    public init(socketPath: String = SocketPath.standard, timeout: Duration = .seconds(2)) throws(TokenCacheError) {
        let inbox = try SubscriptionInbox()
        self.inbox = inbox
        let timeout = Timeout.bounded(timeout)
        try IOThread.start { inbox.serve(socketPath: socketPath, timeout: timeout) }
    }

    deinit {
        inbox.finish(nil)
    }

    /// Subscribes to sessions, all or none of them; when it returns, nothing that happens to them goes untold.
    ///
    /// A session that is subscribed to already stays so, and is told of once.
    ///
    /// - Parameter sids: At most ``maximumSessions``; more of them in several calls.
    /// - Throws: ``TokenCacheError/unavailable(reason:)`` while Redis does not tell the daemon of changes, and
    ///   ``TokenCacheError/overloaded(reason:)`` where the daemon has no room (`limits.max-subscriptions`): what was added
    ///   before stands. ``TokenCacheError/connection(reason:)`` where the daemon cannot be heard any more.
    public func add(_ sids: [SessionID]) async throws(TokenCacheError) {
        try Self.check(sids)
        guard !sids.isEmpty else { return }
        let inbox = inbox
        let result = await withCheckedContinuation { continuation in
            inbox.put(.subscribe(sids) { continuation.resume(returning: $0) })
        }
        try result.get()
    }

    /// Leaves sessions: no iterator gives their ends from now on.
    public func remove(_ sids: [SessionID]) {
        for start in Swift.stride(from: 0, to: sids.count, by: Self.maximumSessions) {
            inbox.leave(Array(sids[start...].prefix(Self.maximumSessions)))
        }
    }

    /// Ends the sequence, without an error, and the connection.
    public func close() {
        inbox.finish(nil)
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }

    /// Of several iterators each end is given to one.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let subscription: AsyncSubscription

        /// Waits for the next end.
        ///
        /// - Returns: `nil` where the subscription was closed or the task is cancelled.
        /// - Throws: That the daemon cannot be heard any more.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(TokenCacheError) -> SessionEnd? {
            try await subscription.inbox.next().get()
        }
    }

    /// Whether so many can be asked for at once.
    static func check(_ sids: [SessionID]) throws(TokenCacheError) {
        guard sids.count <= maximumSessions else {
            throw .badArgument(reason: "at most \(maximumSessions) sessions are added at once")
        }
    }
}
