internal import DequeModule

/// What the incomplete requests of all clients take together, and which of them is the oldest.
///
/// A value without input or output: who has to go is named, the server closes it.
struct IncompleteInput {
    private struct Held {
        var bytes: Int
        /// Of its entry in `order`.
        let ticket: UInt64
    }

    /// `limits.max-input`.
    var limit: Int
    /// Memory that they take now.
    private(set) var bytes = 0
    /// Connection → its incomplete request.
    private var held: [UInt64: Held] = [:]
    /// Oldest first. Entries of requests that are complete by now are passed over.
    private var order: Deque<(connection: UInt64, ticket: UInt64)> = []
    private var nextTicket: UInt64 = 0

    init(limit: Int) { self.limit = limit }

    var count: Int { held.count }

    /// Takes down that a connection's request, which is incomplete, takes so much memory now.
    mutating func hold(_ bytes: Int, of connection: UInt64) {
        if let before = held[connection] {
            self.bytes += bytes - before.bytes
            held[connection]?.bytes = bytes
            return
        }
        held[connection] = Held(bytes: bytes, ticket: nextTicket)
        order.append((connection, nextTicket))
        nextTicket &+= 1
        self.bytes += bytes
        forgetComplete()
    }

    /// It became complete, or the connection is gone.
    mutating func release(_ connection: UInt64) {
        guard let before = held.removeValue(forKey: connection) else { return }
        bytes -= before.bytes
    }

    /// The connection that has to go, if all together take more than they may.
    mutating func oldestPastLimit() -> UInt64? {
        guard bytes > limit else { return nil }
        forgetComplete()
        return order.first?.connection
    }

    /// A client that completes one request after the other leaves an entry each time: at most as many as live ones stay.
    private mutating func forgetComplete() {
        while let first = order.first, held[first.connection]?.ticket != first.ticket { order.removeFirst() }
        if order.count > 2 * held.count + 64 { order.removeAll { held[$0.connection]?.ticket != $0.ticket } }
    }
}
