/// One blocking connection to the daemon.
///
/// Not thread-safe: one thread uses it at a time. It speaks RESP2 and never reconnects by itself: whatever is
/// thrown, the connection is closed by then and every later call throws. So a reply that comes late can never
/// be taken for the answer to another command. A caller that wants to go on opens a new one.
///
/// The time-out must be longer than the daemon's `redis.timeout` (250 ms unless configured), or a slow Redis
/// looks like a dead daemon.
public final class TokenCacheConnection {
    /// Commands that one ``exchange(_:)`` may carry: beyond the socket's buffers both sides would wait for
    /// each other.
    public static let maximumPipeline = 1_000
    /// The daemon's limit on the elements of a command.
    public static let maximumArguments = 1_024

    private static let shortestTimeout = Duration.milliseconds(1)
    private static let longestTimeout = Duration.seconds(86_400)
    private static let receiveSize = 16 * 1024

    /// What an open connection owns; dropped as a whole.
    private final class Stream {
        let socket: UnixSocket
        var reader: ReplyReader

        init(socket: consuming UnixSocket, reader: consuming ReplyReader) {
            self.socket = socket
            self.reader = reader
        }
    }

    private var stream: Stream?
    private let timeout: Duration

    /// Connects.
    ///
    /// - Parameters:
    ///   - socketPath: The daemon's Unix socket, see ``SocketPath/standard(environment:)``.
    ///   - timeout: The most that connecting, and each later call as a whole, may take; taken into 1 ms to 1 day.
    /// - Throws: ``TokenCacheError/connection(reason:)``.
    public init(socketPath: String, timeout: Duration) throws(TokenCacheError) {
        let timeout = min(max(timeout, Self.shortestTimeout), Self.longestTimeout)
        self.timeout = timeout
        do throws(UnixSocket.Failure) {
            let socket = try UnixSocket(path: socketPath, timeout: timeout)
            guard let reader = try? ReplyReader() else { throw UnixSocket.Failure.system(code: 12) }
            stream = Stream(socket: socket, reader: reader)
        } catch {
            throw .connection(reason: error.reason)
        }
    }

    /// Ends the connection. Closing twice does nothing.
    public func close() {
        stream = nil
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
        guard let stream else { throw .connection(reason: "already closed") }
        do throws(TokenCacheError) {
            guard commands.count <= Self.maximumPipeline else {
                throw .badArgument(reason: "at most \(Self.maximumPipeline) commands at once")
            }
            let deadline = ContinuousClock.now + timeout
            for command in commands {
                try Self.send(command, on: stream, until: deadline)
            }
            // The socket's own time-out spares a poll(2) where nearly all the time is left, as it nearly always is.
            let isFresh = commands.count == 1 && ContinuousClock.now.duration(to: deadline) > timeout * 0.9
            return try Self.receive(commands.count, on: stream, until: deadline, isFresh: isFresh)
        } catch {
            close()
            throw error
        }
    }

    private static func send(
        _ command: [[UInt8]], on stream: Stream, until deadline: ContinuousClock.Instant
    ) throws(TokenCacheError) {
        guard !command.isEmpty, command.count <= maximumArguments else {
            throw .badArgument(reason: "a command has 1 to \(maximumArguments) parts")
        }
        do throws(UnixSocket.Failure) {
            let isFormatted = try ReplyReader.withFormatted(command) { bytes throws(UnixSocket.Failure) in
                try stream.socket.send(bytes, until: deadline)
            }
            guard isFormatted else { throw UnixSocket.Failure.system(code: 12) }
        } catch {
            throw .connection(reason: error.reason)
        }
    }

    private static func receive(
        _ count: Int, on stream: Stream, until deadline: ContinuousClock.Instant, isFresh: Bool
    ) throws(TokenCacheError) -> [ReplyValue] {
        var replies: [ReplyValue] = []
        replies.reserveCapacity(count)
        var isFresh = isFresh
        while replies.count < count {
            if let reply = try nextReply(stream) {
                replies.append(reply)
                continue
            }
            let result = withUnsafeTemporaryAllocation(byteCount: receiveSize, alignment: 1) { buffer in
                Result { () throws(TokenCacheError) in
                    try fill(stream, with: buffer, until: isFresh ? nil : deadline)
                }
            }
            try result.get()
            isFresh = false
        }
        // RESP2 clients never receive what they did not ask for: more would be taken for the next command's answer.
        guard stream.reader.isEmpty else { throw .protocolViolation }
        return replies
    }

    private static func fill(
        _ stream: Stream, with buffer: UnsafeMutableRawBufferPointer, until deadline: ContinuousClock.Instant?
    ) throws(TokenCacheError) {
        let received: Int
        do throws(UnixSocket.Failure) {
            received = try stream.socket.receive(into: buffer, until: deadline)
        } catch {
            throw .connection(reason: error.reason)
        }
        do throws(ReplyReader.Failure) {
            try stream.reader.feed(UnsafeRawBufferPointer(rebasing: buffer[..<received]))
        } catch {
            throw error == .memory ? .connection(reason: "out of memory") : .protocolViolation
        }
    }

    private static func nextReply(_ stream: Stream) throws(TokenCacheError) -> ReplyValue? {
        do throws(ReplyReader.Failure) {
            return try stream.reader.next()
        } catch {
            throw error == .memory ? .connection(reason: "out of memory") : .protocolViolation
        }
    }
}
