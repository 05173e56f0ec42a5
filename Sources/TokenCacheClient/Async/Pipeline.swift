internal import ReplyScanner

/// The requests of one connection that wait for their replies, and the bytes in both directions. It has no socket and
/// no clock: bytes and times come in, bytes and the fate of calls go out.
///
/// The n-th reply belongs to the n-th request, whoever still waits for it: that is why a slot stays when its call is
/// cancelled or expires.
struct Pipeline: ~Copyable {
    /// A call that may be sent.
    struct Ticket {
        let call: AsyncCall
        /// It has been on a connection that ended; it is not sent a third time.
        var isSecond = false
    }

    /// Why a connection ended.
    enum Ending {
        /// The daemon hung up, or the system reports an error.
        case hungUp(TokenCacheError)
        /// The replies cannot be trusted, or do not come.
        case untrusted(TokenCacheError)
    }

    private struct Slot {
        let ticket: Ticket
        /// Where its request ends in the stream of all bytes sent.
        let end: UInt64
    }

    /// More bytes than this wait as calls and not as bytes, so that those that are settled meanwhile are never sent.
    static let maximumBacklog = 256 * 1024

    private let reader: ReplyReader
    private var slots = FIFO<Slot>()
    private var output: [UInt8] = []
    private var outputStart = 0
    private var added: UInt64 = 0
    private var written: UInt64 = 0
    private var farewell: TokenCacheError?
    /// Whether the daemon has ever answered a request here.
    private(set) var hasAnswered = false

    init() throws(ReplyReader.Failure) {
        reader = try ReplyReader()
    }

    /// Requests that wait for their reply.
    var count: Int { slots.count }
    /// Bytes that are still to be sent.
    var backlog: Int { output.count - outputStart }
    /// Until when the reply that is due next is wanted.
    var nextDeadline: ContinuousClock.Instant? { slots.first?.ticket.call.deadline }

    /// Adds a request behind the others.
    mutating func add(_ ticket: Ticket) {
        let request = ticket.call.request
        if backlog == 0 {
            output.removeAll(keepingCapacity: true)
            outputStart = 0
        }
        request.withBytes { output.append(contentsOf: $0) }
        added += UInt64(request.count)
        slots.append(Slot(ticket: ticket, end: added))
    }

    /// The bytes to send, for the time of the call.
    func withOutput<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try output.withUnsafeBytes { bytes in
            Result { () throws(E) in try body(UnsafeRawBufferPointer(rebasing: bytes[outputStart...])) }
        }.get()
    }

    /// So many of them have been sent.
    mutating func wrote(_ count: Int) {
        let count = min(max(count, 0), backlog)
        outputStart += count
        written += UInt64(count)
    }

    /// Takes bytes as they come, in pieces of any size, and hands every whole reply to its call.
    ///
    /// - Parameter answered: Calls that have got a reply are added here; they are to be resumed, whatever is thrown.
    /// - Throws: Why the connection has to be ended.
    mutating func received(
        _ bytes: UnsafeRawBufferPointer, answered: inout [AsyncCall]
    ) throws(TokenCacheError) {
        do throws(ReplyReader.Failure) {
            try reader.feed(bytes)
        } catch {
            throw TokenCacheError(error)
        }
        while let reply = try next() {
            // It turns a connection away as soon as it is made, never later.
            farewell = hasAnswered ? nil : reply.farewell
            guard let slot = slots.removeFirst() else { throw farewell ?? .protocolViolation }
            hasAnswered = hasAnswered || farewell == nil
            answered.append(slot.ticket.call)
            guard slot.ticket.call.take(reply) else { throw .protocolViolation }
        }
    }

    /// Settles those whose time is up; their replies are still waited for.
    ///
    /// - Returns: The earliest deadline of those that are left.
    func expire(at now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        var earliest: ContinuousClock.Instant?
        slots.forEach { slot in
            let call = slot.ticket.call
            if call.deadline <= now {
                call.expire()
            } else if !call.isSettled {
                earliest = min(earliest ?? call.deadline, call.deadline)
            }
        }
        return earliest
    }

    /// The connection is gone. Every call fails, but those that are safe to send once more: not sent as a whole, or
    /// repeatable, without a byte of their reply, and for the first time.
    ///
    /// - Returns: What may be sent again, in order.
    mutating func end(_ ending: Ending) -> [Ticket] {
        let error: TokenCacheError
        let isTrusted: Bool
        switch ending {
        case .hungUp(let reason): (error, isTrusted) = (farewell ?? reason, farewell == nil)
        case .untrusted(let reason): (error, isTrusted) = (reason, false)
        }
        var isBegun = !reader.isEmpty
        var again: [Ticket] = []
        for slot in slots.removeAll() {
            let call = slot.ticket.call
            let isUnsent = slot.end > written
            let isSafe = isTrusted && !isBegun && (isUnsent || call.isRepeatable)
            isBegun = false
            if isSafe, !slot.ticket.isSecond, !call.isSettled {
                again.append(Ticket(call: call, isSecond: true))
            } else {
                call.fail(error)
            }
        }
        return again
    }

    private mutating func next() throws(TokenCacheError) -> Reply? {
        do throws(ReplyReader.Failure) {
            return try reader.next()
        } catch {
            throw TokenCacheError(error)
        }
    }
}
