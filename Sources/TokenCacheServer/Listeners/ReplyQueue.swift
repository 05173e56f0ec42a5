internal import DequeModule

/// Keeps the replies of one connection in the order of their requests.
///
/// A value without input or output: a reply that is not the next one waits here, encoded, for those before it.
struct ReplyQueue {
    /// Names the place of one reply in the order of its connection.
    typealias Ticket = UInt64

    private enum Slot {
        /// Redis has not answered yet.
        case waiting
        /// Encoded; waits for the replies before it.
        case ready([UInt8])
    }

    private var slots = Deque<Slot>()
    private var firstTicket: Ticket = 0

    /// Replies that wait for Redis, or for such a one.
    var count: Int { slots.count }
    /// Bytes of those that are encoded already.
    private(set) var bytes = 0
    var isEmpty: Bool { slots.isEmpty }

    /// Reserves the next place for a reply that comes later.
    mutating func reserve() -> Ticket {
        slots.append(.waiting)
        return firstTicket &+ Ticket(slots.count - 1)
    }

    /// Puts a reply that is known already behind those that are not.
    mutating func append(_ reply: [UInt8]) {
        slots.append(.ready(reply))
        bytes += reply.count
    }

    /// Gives up the place of a reply that is the next one, and goes out at once.
    /// - Returns: false where replies before it are still owed.
    mutating func takeNext(_ ticket: Ticket) -> Bool {
        guard ticket == firstTicket, case .waiting? = slots.first else { return false }
        slots.removeFirst()
        firstTicket &+= 1
        return true
    }

    /// Fills a place. A ticket that was filled before is ignored.
    mutating func fill(_ ticket: Ticket, with reply: [UInt8]) {
        let index = Int(truncatingIfNeeded: ticket &- firstTicket)
        guard slots.indices.contains(index), case .waiting = slots[index] else { return }
        slots[index] = .ready(reply)
        bytes += reply.count
    }

    /// Takes the next reply, if it is known.
    mutating func next() -> [UInt8]? {
        guard case .ready(let reply) = slots.first else { return nil }
        slots.removeFirst()
        bytes -= reply.count
        firstTicket &+= 1
        return reply
    }
}
