internal import DequeModule
internal import EventLoop
internal import Tokens

/// What is still to be carried out once more on another master, in the order in which it is tried.
///
/// Bounded as what was acknowledged is: where masters fail one after the other, and none is there, the one that waits
/// longest goes past `AcknowledgedWrites.capacity`, and past `AcknowledgedWrites.maxBytes` of data.
struct RepeatedWrites {
    /// One that failed is tried again only when its server is there: others are not to wait for it.
    struct Item {
        let wanted: StoredSession
        let data: DataChange
        var until: MonotonicInstant
        /// Of the ledger: requests with tokens of the session wait for it.
        let hold: UInt64
        var hasFailed = false
    }

    private var items: [SessionID: Item] = [:]
    /// Each sid once.
    private var order = Deque<SessionID>()
    /// Of the data.
    private(set) var bytes = 0
    /// Those that made room for others.
    private(set) var dropped: UInt64 = 0

    var count: Int { items.count }

    subscript(sid: SessionID) -> Item? { items[sid] }

    /// Puts one behind all others, or in the place of the one of its session.
    /// - Returns: what made room, to be let go of.
    mutating func insert(_ item: Item, of sid: SessionID) -> [(sid: SessionID, hold: UInt64)] {
        if let old = items.updateValue(item, forKey: sid) { bytes -= old.data.byteCount } else { order.append(sid) }
        bytes += item.data.byteCount
        var gone: [(sid: SessionID, hold: UInt64)] = []
        while order.count > 1, order.count > AcknowledgedWrites.capacity || bytes > AcknowledgedWrites.maxBytes {
            guard let (sid, item) = popFirst() else { break }
            gone.append((sid, item.hold))
            dropped &+= 1
        }
        return gone
    }

    mutating func popFirst() -> (sid: SessionID, item: Item)? {
        guard let sid = order.popFirst(), let item = items.removeValue(forKey: sid) else { return nil }
        bytes -= item.data.byteCount
        return (sid, item)
    }
}
