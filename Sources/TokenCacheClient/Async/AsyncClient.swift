/// A client for servers that serve many requests at once. Share one: calls from any number of tasks are pipelined over
/// one connection, or a few, by a thread of its own.
///
/// ```swift
/// let client = try AsyncClient()
/// let answer = try await client.call(.validate(token))
/// ```
///
/// - A call ends by its deadline at the latest, and at once when its task is cancelled. Its reply, should it still come,
///   is taken in its position and dropped: another call never gets it.
/// - A connection that ends is made again when a call needs it, after growing pauses if it cannot be made. A call that
///   was not sent, or does no harm when it is carried out twice, is sent again once; other calls in flight fail.
/// - At most `maximumCalls` wait at a time; one more fails with ``TokenCacheError/overloaded(reason:)``.
///
/// It connects when it is first needed. When the last reference goes it closes itself, without waiting for its thread.
public final class AsyncClient: Sendable {
    /// What a call gets from a client that was closed.
    static let closed = TokenCacheError.connection(reason: "the client was closed")
    /// Connections that one client may have: one daemon is one thread.
    public static let maximumConnections = 16

    /// The most that a call may take unless it says otherwise.
    public let timeout: Duration
    private let inbox: Inbox
    private let places: Places

    /// Starts the thread; does not connect yet.
    ///
    /// - Parameters:
    ///   - socketPath: The daemon's Unix socket; by default where a daemon of this host listens.
    ///   - connections: How many it may open, 1 to ``maximumConnections``. One is enough, unless replies are large.
    ///   - timeout: For each call as a whole, taken into 1 ms to 1 day. It must be longer than the daemon's
    ///     `redis.timeout` (250 ms unless configured), or a slow Redis looks like a dead daemon.
    ///   - maximumCalls: How many calls may wait for their answer at a time.
    ///   - reconnectPauses: The first and the longest pause before a connection is tried again.
    /// - Throws: ``TokenCacheError/connection(reason:)`` if the system has no thread or descriptor left.
    public init(
        socketPath: String = SocketPath.standard, connections: Int = 1, timeout: Duration = .seconds(2),
        maximumCalls: Int = 10_000, reconnectPauses: ClosedRange<Duration> = .milliseconds(10) ... .seconds(1)
    ) throws(TokenCacheError) {
        self.timeout = Timeout.bounded(timeout)
        inbox = try Inbox()
        places = Places(maximumCalls: max(1, maximumCalls))
        let settings = IOLoop.Settings(
            socketPath: socketPath, connections: min(max(connections, 1), Self.maximumConnections),
            patience: self.timeout,
            pauses: Timeout.bounded(reconnectPauses.lowerBound)...Timeout.bounded(reconnectPauses.upperBound))
        let inbox = inbox
        try IOThread.start { IOLoop(inbox: inbox, settings: settings).run() }
    }

    deinit {
        inbox.close()
    }

    /// Asks the daemon.
    ///
    /// - Parameters:
    ///   - command: What to ask, such as `.visit(token)`.
    ///   - timeout: The most that this call may take, in place of ``timeout``.
    /// - Throws: ``TokenCacheError``: nobody knows the answer, **keep the visitor's cookie and answer 503**. Or
    ///   `CancellationError`; then the command may have been carried out all the same.
    public func call<Answer>(_ command: TokenCommand<Answer>, timeout: Duration? = nil) async throws -> Answer {
        let deadline = ContinuousClock.now + (timeout.map(Timeout.bounded) ?? self.timeout)
        let call = try AsyncCall(command, deadline: deadline, places: places)
        let reply = try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { (continuation: AsyncCall.Continuation) in
                guard call.begin(continuation) else {
                    call.abandon()
                    continuation.resume(throwing: CancellationError())
                    return
                }
                if !inbox.put(call) { call.fail(Self.closed) }
            }
        } onCancel: {
            call.cancel()
        }
        return try command.answer(from: reply)
    }

    /// How many calls wait for their answer now, those included whose task has given up while the reply is still due.
    public var waitingCalls: Int { places.occupied }

    /// Ends everything: calls that wait fail, connections are closed, and when this returns the thread is done.
    /// Closing twice does nothing.
    public func close() async {
        inbox.close()
        await inbox.waitForEnd()
    }
}
