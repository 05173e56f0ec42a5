/// A client for a worker that serves one request at a time, such as a FastCGI process.
///
/// It keeps one connection open from request to request and makes it when it is needed, so that a worker may start
/// before the daemon. **Not thread-safe**: it belongs to one thread at a time. A server that serves many requests at
/// once uses ``AsyncClient``.
///
/// ```swift
/// let client = BlockingClient()
/// let visit = try client.call(.visit(cookie.token(inHeader: header)))
/// response.setCookie = visit.setCookie(cookie)      // nil: the cookie stays
/// ```
///
/// After anything that is thrown the connection is closed and the next call makes a new one: a late reply cannot be
/// taken for another's. Where a connection turns out to be dead, such as after a restart of the daemon, the call is
/// repeated on a new one, once, and only if that is safe: not a byte of a reply has come, and the command either was
/// not sent or does no harm when it is carried out twice.
public final class BlockingClient {
    /// The most that a call may take unless it says otherwise.
    public let timeout: Duration
    private let socketPath: String
    private var channel: Channel?

    /// Does not connect yet.
    ///
    /// - Parameters:
    ///   - socketPath: The daemon's Unix socket; by default where a daemon of this host listens.
    ///   - timeout: For each call as a whole, connecting included; taken into 1 ms to 1 day. It must be longer than the
    ///     daemon's `redis.timeout` (250 ms unless configured), or a slow Redis looks like a dead daemon.
    public init(socketPath: String = SocketPath.standard, timeout: Duration = .seconds(2)) {
        self.socketPath = socketPath
        self.timeout = Timeout.bounded(timeout)
    }

    /// Asks the daemon.
    ///
    /// - Parameters:
    ///   - command: What to ask, such as `.visit(token)`.
    ///   - timeout: The most that this call may take, in place of ``timeout``.
    /// - Throws: That nobody knows the answer. **Keep the visitor's cookie and answer 503.**
    public func call<Answer>(
        _ command: TokenCommand<Answer>, timeout: Duration? = nil
    ) throws(TokenCacheError) -> Answer {
        let limit = timeout.map(Timeout.bounded) ?? self.timeout
        let deadline = ContinuousClock.now + limit
        do throws(Channel.Failure) {
            return try ask(command, until: deadline, isUsual: limit == self.timeout)
        } catch {
            channel = nil
            let isSafe =
                switch error.fate {
                case .notSent: true
                case .unanswered: command.isRepeatable
                case .over: false
                }
            guard isSafe, ContinuousClock.now < deadline else { throw error.error }
        }
        do throws(Channel.Failure) {
            return try ask(command, until: deadline, isUsual: false)
        } catch {
            channel = nil
            throw error.error
        }
    }

    /// Ends the connection; a later call makes a new one.
    public func close() {
        channel = nil
    }

    /// - Parameter isUsual: Whether the deadline is ``timeout`` away, which is the socket's own limit.
    private func ask<Answer>(
        _ command: TokenCommand<Answer>, until deadline: ContinuousClock.Instant, isUsual: Bool
    ) throws(Channel.Failure) -> Answer {
        let isOpen = channel != nil
        let channel = try connected(until: deadline)
        try channel.send(command.request, until: deadline)
        let reply = try channel.receive(until: deadline, isFresh: isOpen && isUsual)
        try channel.demandSilence()
        do throws(TokenCacheError) {
            return try command.answer(from: reply)
        } catch {
            throw Channel.Failure(error: error, fate: .over)
        }
    }

    private func connected(until deadline: ContinuousClock.Instant) throws(Channel.Failure) -> Channel {
        if let channel { return channel }
        do throws(TokenCacheError) {
            let rest = ContinuousClock.now.duration(to: deadline)
            let new = try Channel(path: socketPath, connecting: Timeout.bounded(rest), timeout: timeout)
            channel = new
            return new
        } catch {
            throw Channel.Failure(error: error, fate: .over)
        }
    }
}
