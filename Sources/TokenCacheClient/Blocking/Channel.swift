internal import ReplyScanner

/// One connection that sends a request and waits for its reply. What is thrown ends it: whoever owns it lets go of it,
/// so that a reply that comes late can never be taken for the answer to another request.
final class Channel {
    /// Why there is no answer, and what became of the request.
    struct Failure: Error {
        let error: TokenCacheError
        let fate: Fate
    }

    /// What is known of a request that failed.
    enum Fate {
        /// The daemon never had the whole of it, so it was not carried out.
        case notSent
        /// It was sent, the connection ended, and not one byte came back.
        case unanswered
        /// The time is up, or something came back: nothing more is to be tried.
        case over
    }

    private static let receiveSize = 16 * 1024

    private let socket: UnixSocket
    private let reader: ReplyReader
    /// Whether a byte of the reply that is waited for has come.
    private var hasBegun = false

    /// Connects.
    ///
    /// - Parameters:
    ///   - connecting: The most that it may take.
    ///   - timeout: How long a fresh ``receive(until:isFresh:)`` waits.
    init(path: String, connecting: Duration, timeout: Duration) throws(TokenCacheError) {
        do throws(UnixSocket.Failure) {
            socket = try UnixSocket(path: path, waits: UnixSocket.Waits(connecting: connecting, usual: timeout))
        } catch {
            throw TokenCacheError(error)
        }
        do throws(ReplyReader.Failure) {
            reader = try ReplyReader()
        } catch {
            throw TokenCacheError(error)
        }
    }

    /// Sends one request.
    func send(_ request: Request, until deadline: ContinuousClock.Instant) throws(Failure) {
        if let refusal = request.refusal { throw Failure(error: refusal, fate: .over) }
        do throws(UnixSocket.Failure) {
            try request.withBytes { bytes throws(UnixSocket.Failure) in try socket.send(bytes, until: deadline) }
        } catch .closed {
            // What the daemon said before it hung up can still be read, and says why it did.
            if let farewell = (try? receive(until: deadline, isFresh: false))?.farewell {
                throw Failure(error: farewell, fate: .over)
            }
            throw Failure(error: TokenCacheError(UnixSocket.Failure.closed), fate: .notSent)
        } catch {
            throw Failure(error: TokenCacheError(error), fate: .over)
        }
    }

    /// Waits for one reply.
    ///
    /// - Parameter isFresh: Whether the socket's own time-out is right for the first wait, which spares a poll(2).
    func receive(until deadline: ContinuousClock.Instant, isFresh: Bool) throws(Failure) -> Reply {
        hasBegun = false
        var isFresh = isFresh
        while true {
            do throws(ReplyReader.Failure) {
                if let reply = try reader.next() { return reply }
            } catch {
                throw Failure(error: TokenCacheError(error), fate: .over)
            }
            try fill(until: isFresh ? nil : deadline)
            isFresh = false
        }
    }

    /// RESP2 clients never receive what they did not ask for: more would be taken for the next request's answer.
    func demandSilence() throws(Failure) {
        guard reader.isEmpty else { throw Failure(error: .protocolViolation, fate: .over) }
    }

    private func fill(until deadline: ContinuousClock.Instant?) throws(Failure) {
        let result = withUnsafeTemporaryAllocation(byteCount: Self.receiveSize, alignment: 1) { buffer in
            Result { () throws(Failure) in
                let received: Int
                do throws(UnixSocket.Failure) {
                    received = try socket.receive(into: buffer, until: deadline)
                } catch .closed {
                    let hungUp = TokenCacheError(UnixSocket.Failure.closed)
                    throw Failure(error: hungUp, fate: hasBegun ? .over : .unanswered)
                } catch {
                    throw Failure(error: TokenCacheError(error), fate: .over)
                }
                hasBegun = hasBegun || received > 0
                do throws(ReplyReader.Failure) {
                    try reader.feed(UnsafeRawBufferPointer(rebasing: buffer[..<received]))
                } catch {
                    throw Failure(error: TokenCacheError(error), fate: .over)
                }
            }
        }
        try result.get()
    }
}
