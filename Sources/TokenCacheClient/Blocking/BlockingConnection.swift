/// One blocking connection for commands of any kind, replies as they stand. For tools and for commands that this
/// library does not know; workers use ``BlockingClient``.
///
/// Not thread-safe: one thread uses it at a time. It speaks RESP2 and never reconnects by itself: whatever is
/// thrown, the connection is closed by then and every later call throws. So a reply that comes late can never
/// be taken for the answer to another command. A caller that wants to go on opens a new one.
///
/// The time-out must be longer than the daemon's `redis.timeout` (250 ms unless configured), or a slow Redis
/// looks like a dead daemon.
public final class BlockingConnection {
    /// Commands that one ``exchange(_:)`` may carry: beyond the socket's buffers both sides would wait for
    /// each other.
    public static let maximumPipeline = 1_000
    /// The daemon's limit on the elements of a command.
    public static let maximumArguments = Request.maximumArguments

    private var channel: Channel?
    private let timeout: Duration

    /// Connects.
    ///
    /// - Parameters:
    ///   - socketPath: The daemon's Unix socket, see ``SocketPath/standard(environment:)``.
    ///   - timeout: The most that connecting, and each later call as a whole, may take; taken into 1 ms to 1 day.
    /// - Throws: ``TokenCacheError/connection(reason:)``.
    public init(socketPath: String, timeout: Duration) throws(TokenCacheError) {
        self.timeout = Timeout.bounded(timeout)
        channel = try Channel(path: socketPath, connecting: self.timeout, timeout: self.timeout)
    }

    /// Ends the connection. Closing twice does nothing.
    public func close() {
        channel = nil
    }

    /// Sends one command and waits for its reply.
    ///
    /// - Parameter arguments: The command's name and arguments, byte for byte; at least the name, at most
    ///   ``maximumArguments``.
    /// - Returns: Any reply but an error.
    /// - Throws: What an error reply stands for, or why there is none. The connection is closed then.
    public func call(_ arguments: [[UInt8]]) throws(TokenCacheError) -> ReplyValue {
        guard let reply = try exchange([arguments]).first else {
            close()
            throw .protocolViolation
        }
        if case .error(let code, let message) = reply {
            close()
            throw TokenCacheError(code: code, message: message)
        }
        return reply
    }

    /// Sends commands together and waits for all replies, in order.
    ///
    /// Error replies are values here, and since each is the complete answer to its command the connection stays
    /// open.
    ///
    /// - Parameter commands: At most ``maximumPipeline``, each as for ``call(_:)``.
    /// - Throws: If one reply did not come, whole and in time. The connection is closed then, and what became of
    ///   the commands is not known.
    public func exchange(_ commands: [[[UInt8]]]) throws(TokenCacheError) -> [ReplyValue] {
        guard let channel else { throw .connection(reason: "already closed") }
        do throws(Channel.Failure) {
            return try exchange(commands.map { RequestWriter(arguments: $0).finished() }, over: channel)
        } catch {
            close()
            throw error.error
        }
    }

    private func exchange(_ requests: [Request], over channel: Channel) throws(Channel.Failure) -> [ReplyValue] {
        guard requests.count <= Self.maximumPipeline else {
            let refusal = TokenCacheError.badArgument(reason: "at most \(Self.maximumPipeline) commands at once")
            throw Channel.Failure(error: refusal, fate: .over)
        }
        // Before anything is sent: half a pipeline would be carried out.
        for case let refusal? in requests.map(\.refusal) { throw Channel.Failure(error: refusal, fate: .over) }
        let deadline = ContinuousClock.now + timeout
        for request in requests { try channel.send(request, until: deadline) }
        var replies: [ReplyValue] = []
        replies.reserveCapacity(requests.count)
        var farewell: TokenCacheError?
        while replies.count < requests.count {
            do throws(Channel.Failure) {
                let reply = try channel.receive(until: deadline, isFresh: false)
                farewell = reply.farewell
                replies.append(ReplyValue(reply))
            } catch {
                if case .unanswered = error.fate, let farewell { throw Channel.Failure(error: farewell, fate: .over) }
                throw error
            }
        }
        try channel.demandSilence()
        return replies
    }
}
