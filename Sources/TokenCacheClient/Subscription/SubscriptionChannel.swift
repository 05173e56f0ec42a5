internal import Glibc

/// A connection that is subscribed to sessions: moves bytes between a ``SubscriptionMachine`` and a socket, and watches
/// that the daemon is there. What is thrown ends it. Not thread-safe.
final class SubscriptionChannel {
    /// What has come.
    typealias Event = SubscriptionMachine.Event

    /// How often a daemon that says nothing is asked whether it is there: one that stands still closes no connection.
    static let silence = Duration.seconds(5)
    private static let receiveSize = 16 * 1024

    private let socket: UnixSocket
    private let reader: ReplyReader
    private let timeout: Duration
    private let silence: Duration
    private var machine = SubscriptionMachine()
    /// When the daemon was last heard, or began to owe a reply.
    private var heard = ContinuousClock.now
    /// What ended the connection, where something had come before it.
    private var failure: TokenCacheError?

    init(path: String, timeout: Duration, silence: Duration = silence) throws(TokenCacheError) {
        self.timeout = timeout
        self.silence = silence
        do throws(UnixSocket.Failure) {
            socket = try UnixSocket(path: path, waits: UnixSocket.Waits(connecting: timeout, usual: timeout))
        } catch {
            throw TokenCacheError(error)
        }
        do throws(ReplyReader.Failure) {
            reader = try ReplyReader()
        } catch {
            throw TokenCacheError(error)
        }
    }

    /// Sends a SUBSCRIBE, whose number is in the event that answers it.
    func subscribe(to sids: [SessionID]) throws(TokenCacheError) -> SubscriptionMachine.Number {
        begin()
        let (request, number) = machine.subscribe(to: sids)
        try send(request)
        return number
    }

    /// Leaves sessions.
    func unsubscribe(from sids: [SessionID]) throws(TokenCacheError) {
        begin()
        if let request = machine.unsubscribe(from: sids) { try send(request) }
    }

    /// Waits for something to happen.
    ///
    /// - Parameters:
    ///   - until: Not longer than this.
    ///   - waker: A descriptor that ends the wait when it is readable.
    /// - Returns: What has come; nothing where the wait has ended otherwise.
    func wait(until limit: ContinuousClock.Instant?, waker: Int32? = nil) throws(TokenCacheError) -> [Event] {
        if let failure { throw failure }
        let now = ContinuousClock.now
        let due = heard + (machine.isWaiting ? timeout : silence)
        let rest = now.duration(to: min(limit ?? due, due))
        var entries = [pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)]
        if let waker { entries.append(pollfd(fd: waker, events: Int16(POLLIN), revents: 0)) }
        let count = poll(&entries, nfds_t(entries.count), max(.zero, rest).pollMilliseconds)
        guard count >= 0 || errno == EINTR else { throw TokenCacheError(UnixSocket.Failure.system(code: errno)) }
        if count > 0, entries[0].revents != 0 { return try receive() }
        if ContinuousClock.now >= due {
            guard !machine.isWaiting else { throw TokenCacheError(UnixSocket.Failure.timedOut) }
            begin()
            try send(machine.ping())
        }
        return []
    }

    /// The daemon is about to owe a reply, if it does not yet.
    private func begin() {
        if !machine.isWaiting { heard = .now }
    }

    private func send(_ request: Request) throws(TokenCacheError) {
        if let refusal = request.refusal { throw refusal }
        do throws(UnixSocket.Failure) {
            let deadline = ContinuousClock.now + timeout
            try request.withBytes { bytes throws(UnixSocket.Failure) in try socket.send(bytes, until: deadline) }
        } catch {
            throw TokenCacheError(error)
        }
    }

    private func receive() throws(TokenCacheError) -> [Event] {
        let result = withUnsafeTemporaryAllocation(byteCount: Self.receiveSize, alignment: 1) { buffer in
            Result { () throws(TokenCacheError) in
                let count: Int
                do throws(UnixSocket.Failure) {
                    count = try socket.receive(into: buffer, until: nil)
                } catch {
                    throw TokenCacheError(error)
                }
                do throws(ReplyReader.Failure) {
                    try reader.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                } catch {
                    throw TokenCacheError(error)
                }
            }
        }
        try result.get()
        heard = .now
        var events: [Event] = []
        do throws(TokenCacheError) {
            while let reply = try next() {
                let event = try machine.received(reply)
                events.append(event)
                if case .ended(_, let leave?) = event { try send(leave) }
            }
        } catch {
            failure = error
        }
        return events
    }

    private func next() throws(TokenCacheError) -> Reply? {
        do throws(ReplyReader.Failure) {
            return try reader.next()
        } catch {
            throw TokenCacheError(error)
        }
    }
}
