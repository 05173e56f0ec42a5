internal import Tokens
internal import UnixTime

/// What can be said of a guest's token without asking Redis.
enum GuestStanding {
    /// No session was made of the guest.
    case guest
    /// One was, here or as Redis has told when it was asked.
    case session
    /// Redis told of a change of the guest's session. Rarely of another one's: the memory of it is not exact.
    case changed
    /// A session may have been made of it when nobody told this daemon.
    case unknown
}

/// What Redis told of guests that became sessions.
///
/// A guest's token needs no question where every change since it was issued was told: none of them was its. Of an older
/// one Redis is asked once.
struct GuestKnowledge {
    /// By how much daemons may differ in their estimates of Redis's clock, and a change may come late.
    static let clockMargin: Seconds = 2

    private var changes: ChangeFilter
    /// Guests whom Redis knew nothing of when asked; whatever changed since was taken out again.
    private var cleared = RecentSessions()

    init(changes: ChangeFilter) { self.changes = changes }

    /// Every change is told from now on; what was cleared before may have been changed in between.
    mutating func begin(at now: UnixSeconds) {
        changes.begin(at: now)
        cleared.removeAll()
    }

    /// - Parameter now: asked for now and then.
    mutating func noteChange(of sid: SessionID, now: @autoclosure () -> UnixSeconds) {
        cleared.remove(sid)
        changes.insert(sid, now: now())
    }

    /// Whether a token is from before what is remembered, or may be.
    func isOlder(_ guest: Guest) -> Bool { guest.issued - Self.clockMargin <= changes.since }

    /// No session was made of this guest: Redis was asked, or it was just issued here; and changes are told since.
    mutating func clear(_ sid: SessionID) { cleared.insert(sid) }

    /// - Parameter isTold: whether every change is being told at the moment.
    func standing(of guest: Guest, isTold: Bool) -> GuestStanding {
        let isChanged = changes.contains(guest.sid)
        if isTold, !isChanged, !isOlder(guest) { return .guest }
        if isTold, cleared.contains(guest.sid) { return .guest }
        return isChanged ? .changed : .unknown
    }
}
