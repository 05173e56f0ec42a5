internal import Tokens

/// The ends and forced rotations that this daemon is carrying out. A request with a token of such a session waits while
/// one is under way, until its fate is known.
///
/// One waits only for the changes that were under way when it came, so that a stream of them holds nobody up for ever.
/// Bounded by the requests that clients may have under way.
struct ForcedChanges<Waiter> {
    /// Of one change, in the order of their beginning.
    typealias Number = UInt64

    private struct Session {
        var open: [Number]
        var waiting: [(last: Number, waiter: Waiter)] = []
    }

    private var sessions: [SessionID: Session] = [:]
    private var latest: Number = 0

    func contains(_ sid: SessionID) -> Bool { !sessions.isEmpty && sessions[sid] != nil }

    mutating func begin(_ sid: SessionID) -> Number {
        latest += 1
        sessions[sid, default: Session(open: [])].open.append(latest)
        return latest
    }

    /// - Returns: those who waited for this change and for no other.
    mutating func end(_ number: Number, of sid: SessionID) -> [Waiter] {
        guard var session = sessions.removeValue(forKey: sid) else { return [] }
        session.open.removeAll { $0 == number }
        guard let first = session.open.first else { return session.waiting.map(\.waiter) }
        let released = session.waiting.filter { $0.last < first }
        session.waiting.removeAll { $0.last < first }
        sessions[sid] = session
        return released.map(\.waiter)
    }

    /// Keeps a waiter until what is under way now has ended.
    /// - Returns: whether anything is; else the waiter is not kept.
    mutating func wait(for sid: SessionID, _ waiter: @autoclosure () -> Waiter) -> Bool {
        guard contains(sid) else { return false }
        sessions[sid]?.waiting.append((latest, waiter()))
        return true
    }
}
