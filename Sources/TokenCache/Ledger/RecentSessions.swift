internal import Tokens

/// A set of sessions of which the latest few are kept, exactly.
struct RecentSessions {
    /// Bytes: 16 for each, and twice that in the table.
    static let capacity = 65_536

    private var known: Set<SessionID> = []
    /// In order of arrival; once full, `next` is the oldest.
    private var arrivals: [SessionID] = []
    private var next = 0

    func contains(_ sid: SessionID) -> Bool { !known.isEmpty && known.contains(sid) }

    mutating func insert(_ sid: SessionID) {
        guard known.insert(sid).inserted else { return }
        if arrivals.count < Self.capacity {
            arrivals.append(sid)
        } else {
            known.remove(arrivals[next])
            arrivals[next] = sid
            next = (next + 1) % Self.capacity
        }
    }

    /// Its place in the order stays: put in again, it may be forgotten early.
    mutating func remove(_ sid: SessionID) {
        if !known.isEmpty { known.remove(sid) }
    }

    mutating func removeAll() { self = RecentSessions() }
}
