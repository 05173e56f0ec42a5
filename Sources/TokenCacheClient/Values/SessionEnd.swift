/// That a session which was subscribed to is over, or goes on under another token: what ``AsyncSubscription`` and
/// ``BlockingSubscription`` tell.
public struct SessionEnd: Sendable, Equatable {
    /// Whose end it is.
    public let session: SessionID
    /// What became of it.
    public let fate: SessionFate

    public init(session: SessionID, fate: SessionFate) {
        self.session = session
        self.fate = fate
    }
}

/// What became of a session that was subscribed to.
public enum SessionFate: Sendable, Equatable {
    /// It was ended; `nil` for a reason that this version does not know.
    case revoked(EndReason?)
    /// Its idle or its absolute limit has passed.
    case expired
    /// It is not there: never issued, a guest's, deleted by somebody else, or over for longer than is remembered.
    case unknown
    /// It lives, and a LOGIN or ROTATE gave it a new token: what was opened with the old one is to be closed, or validated
    /// again and subscribed to again. `nil` for a command that this version does not know.
    case replaced(Replacement?)

    /// What gives a session a new token and leaves nothing of the old one.
    public enum Replacement: String, Sendable {
        case login, rotate
    }

    /// Reads `status reason`.
    init?(_ message: some StringProtocol) {
        let words = message.split(separator: " ", maxSplits: 1)
        let reason = words.dropFirst().first.map { String($0) }
        switch words.first {
        case "revoked": self = .revoked(reason.flatMap { EndReason(rawValue: $0) })
        case "expired": self = .expired
        case "unknown": self = .unknown
        case "replaced": self = .replaced(reason.flatMap { Replacement(rawValue: $0) })
        default: return nil
        }
    }
}
