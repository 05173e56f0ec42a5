internal import Tokens

/// Sessions that are known to stand in Redis, the latest few: what makes a daemon ask Redis about a guest's token,
/// which it otherwise never does. One that is forgotten is a guest again at this daemon, a nameless one, until its next
/// write leads it back to the session.
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
}
