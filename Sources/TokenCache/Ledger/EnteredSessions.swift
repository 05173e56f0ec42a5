internal import DequeModule
internal import EventLoop

/// Sessions that this daemon entered lately into their subjects' indexes, in a cluster: there an index may be lost with its
/// master while the session, on another one, is not, and nobody would find it.
///
/// Kept as long as what was acknowledged is. Bounded: past `capacity` the oldest goes.
struct EnteredSessions {
    static let capacity = 65_536

    private var order = Deque<(entry: IndexEntry, slot: Int, at: MonotonicInstant)>()

    var count: Int { order.count }

    /// - Parameter slot: of the index's key.
    mutating func insert(_ entry: IndexEntry, slot: Int, at now: MonotonicInstant) {
        if order.count >= Self.capacity { order.removeFirst() }
        order.append((entry, slot, now))
    }

    /// In the order in which they were entered.
    /// - Parameter isMeant: whether those of a slot are.
    func all(where isMeant: (_ slot: Int) -> Bool) -> [IndexEntry] {
        order.filter { isMeant($0.slot) }.map(\.entry)
    }

    /// See `AcknowledgedWrites`.
    mutating func forget(_ horizon: AcknowledgedWrites.Horizon) {
        while let first = order.first, horizon.isPast(first.at) { order.removeFirst() }
    }
}
