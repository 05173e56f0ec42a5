internal import EventLoop
internal import Tokens
internal import UnixTime

/// What this daemon knows of a session beside the near cache: ends under way, ends of unknown fate, guests that became
/// sessions, and what Redis told of changes.
///
/// A value without clock or randomness of its own. No order of a dictionary reaches what it answers.
struct Ledger<Waiter> {
    /// Ends and forced rotations that this daemon is carrying out.
    private var underWay = ForcedChanges<Waiter>()
    /// Those that were asked for and are not known to have happened.
    var denials = Denials()
    /// What another master may lack.
    var acknowledged = AcknowledgedWrites()
    var entered = EnteredSessions()
    /// Sessions that a guest's token may lead to, in a ring of their own that no other traffic empties: made of a guest,
    /// ended or given a new token here, or found where a guest's token was presented.
    var sessions = RecentSessions()
    /// The same of sessions that anybody wrote, as far as Redis told it.
    private var guests: GuestKnowledge

    init(_ guests: GuestKnowledge) { self.guests = guests }

    // MARK: Ends and forced changes

    /// An end or a forced change of the session begins: requests with its token wait for its fate from now on.
    mutating func begin(_ sid: SessionID) -> UInt64 { underWay.begin(sid) }

    /// - Returns: those who waited for this change and for no other, in the order they came.
    mutating func end(_ number: UInt64, of sid: SessionID) -> [Waiter] { underWay.end(number, of: sid) }

    /// Keeps a waiter until what is under way now has ended.
    /// - Returns: whether anything is; else the waiter is not kept.
    mutating func wait(for sid: SessionID, _ waiter: @autoclosure () -> Waiter) -> Bool {
        underWay.wait(for: sid, waiter())
    }

    func isUnderWay(_ sid: SessionID) -> Bool { underWay.contains(sid) }

    /// The fate of an end or forced change is not known.
    mutating func deny(_ sid: SessionID, at now: MonotonicInstant, for span: Duration) {
        denials.deny(sid, at: now, for: span)
    }

    /// Redis has answered a write: what stands there is known again.
    mutating func settled(_ sid: SessionID) { denials.lift(sid) }

    /// Whether the session may be called good: no end of it was asked for that Redis has not confirmed.
    mutating func mayAnswer(_ sid: SessionID, at now: @autoclosure () -> MonotonicInstant) -> Bool {
        !denials.isDenied(sid, at: now())
    }

    // MARK: Guests

    /// A session is there, or may be, that a guest's token leads to.
    mutating func noteSession(_ sid: SessionID) { sessions.insert(sid) }

    /// Every change is told from now on.
    mutating func beginTelling(at now: UnixSeconds) { guests.begin(at: now) }

    /// Redis told of a change.
    mutating func told(_ sid: SessionID, now: @autoclosure () -> UnixSeconds) { guests.noteChange(of: sid, now: now()) }

    /// No session was made of this guest: Redis was asked, or it was just issued here; and changes are told since.
    mutating func clear(_ sid: SessionID) { guests.clear(sid) }

    /// Whether a token is from before what is remembered, or may be.
    func isOlder(_ guest: Guest) -> Bool { guests.isOlder(guest) }

    /// Whether a session of this `sid` is known here.
    mutating func isSession(_ sid: SessionID, at now: @autoclosure () -> MonotonicInstant) -> Bool {
        sessions.contains(sid) || underWay.contains(sid) || denials.isDenied(sid, at: now())
    }

    /// What can be said of a guest's token without asking Redis.
    /// - Parameter isTold: whether every change is being told at the moment; nil where nobody ever tells.
    mutating func standing(
        of guest: Guest, isTold: Bool?, at now: @autoclosure () -> MonotonicInstant
    ) -> GuestStanding {
        if isSession(guest.sid, at: now()) { return .session }
        guard let isTold else { return .guest }
        return guests.standing(of: guest, isTold: isTold)
    }
}
