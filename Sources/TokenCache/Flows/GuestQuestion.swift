internal import Tokens

/// Whether a session was made of a guest: Redis is asked as far as need be.
struct GuestQuestion {
    /// What was known of the guest when Redis was asked.
    private(set) var standing = GuestStanding.unknown
    /// The guest's token is to be renewed if Redis knows no session of it.
    private(set) var isRenewalDue = false

    enum Known {
        /// No session, or Redis is away and nobody knows of one.
        case guest
        case session
        /// Redis has to be asked.
        case nothing
    }

    /// - Parameter isDue: whether the guest's token is to be renewed, which no memory is enough for.
    mutating func begin(_ guest: Guest, isDue: Bool = false, _ context: some FlowContext) -> Known {
        standing = context.standing(of: guest)
        isRenewalDue = isDue
        if standing == .session { return .session }
        guard isDue || context.mustAsk(standing) else { return .guest }
        context.report(.guestAskedAbout)
        return .nothing
    }

    /// Whether a session stands there, or was made here while Redis was asked: a LOGIN may have come, for one.
    func isSession(_ copy: StoredCopy, _ origin: Origin, of guest: Guest, _ context: some FlowContext) -> Bool {
        guard case .absent = copy.session else {
            context.noteSession(ofGuest: guest.sid)
            return true
        }
        return !context.confirmAbsence(of: guest, isTold: origin.mayBeKept)
    }

    /// A guest is one still where Redis is away; not where it answered something that nobody here can read.
    /// - Throws: where that does not hold.
    func checkAbsence(_ fault: Unavailable, _ context: some FlowContext) throws(Unavailable) {
        guard standing == .unknown || standing == .guest, fault.isSilence || context.isAway else { throw fault }
    }
}
