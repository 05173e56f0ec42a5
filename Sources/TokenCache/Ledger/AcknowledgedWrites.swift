internal import DequeModule
internal import EventLoop
internal import Tokens

/// Ends, LOGINs and ROTATEs that this daemon acknowledged lately: a master that fails takes with it what its replicas have
/// not yet, and the daemon that said "done" remembers.
///
/// Time counts while the servers answer, so that a failover may take its time: as long as an end is remembered. Of a session
/// the last one counts. Bounded: past `capacity`, and past `maxBytes` of LOGINs' data, the oldest goes.
struct AcknowledgedWrites {
    /// Replicas that are used are never so far behind when their master was last there.
    static let memory = Duration.seconds(60)
    static let capacity = 65_536
    static let maxBytes = 64 << 20

    /// Up to when what was acknowledged is over.
    struct Horizon {
        /// When every server was last known to be there.
        var answeredAt: MonotonicInstant
        var now: MonotonicInstant
        /// How long an end is remembered: after that its `sid` may be another session's.
        var tombstone: Duration

        func isPast(_ at: MonotonicInstant) -> Bool {
            at.duration(to: answeredAt) > AcknowledgedWrites.memory
                || at.duration(to: now) > max(AcknowledgedWrites.memory, tombstone)
        }
    }

    /// What stands there since then.
    private var writes: [SessionID: (next: StoredSession, data: DataChange, slot: Int, number: UInt64)] = [:]
    private var order = Deque<(sid: SessionID, number: UInt64, at: MonotonicInstant, bytes: Int)>()
    /// Of the data; what was replaced counts until its time is over.
    private(set) var bytes = 0
    /// Those that made room for later ones before their time was over: a failover may lose them.
    private(set) var dropped: UInt64 = 0
    private var latest: UInt64 = 0

    /// How many are kept.
    var count: Int { writes.count }

    /// - Parameters:
    ///   - data: that was written with it.
    ///   - slot: of the session's key; 0 where there is one server.
    mutating func insert(
        _ next: StoredSession, of sid: SessionID, data: DataChange, slot: Int = 0, at now: MonotonicInstant
    ) {
        let added = data.byteCount
        while order.count >= Self.capacity || (bytes + added > Self.maxBytes && !order.isEmpty) {
            if removeFirst() { dropped &+= 1 }
        }
        latest += 1
        writes[sid] = (next, data, slot, latest)
        order.append((sid, latest, now, added))
        bytes += added
    }

    /// In the order in which they were acknowledged.
    /// - Parameter isMeant: whether those of a slot are.
    func all(
        where isMeant: (_ slot: Int) -> Bool = { _ in true }
    ) -> [(sid: SessionID, next: StoredSession, data: DataChange)] {
        order.compactMap { entry in
            guard let write = writes[entry.sid], write.number == entry.number, isMeant(write.slot) else { return nil }
            return (entry.sid, write.next, write.data)
        }
    }

    /// Lets go of what is over.
    mutating func forget(_ horizon: Horizon) {
        while let first = order.first, horizon.isPast(first.at) { removeFirst() }
    }

    /// - Returns: whether it was the last one of its session.
    @discardableResult
    private mutating func removeFirst() -> Bool {
        guard let first = order.popFirst() else { return false }
        bytes -= first.bytes
        guard writes[first.sid]?.number == first.number else { return false }
        writes[first.sid] = nil
        return true
    }
}
