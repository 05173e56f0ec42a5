public import Tokens

/// What the caller of a command is told about a session that is good.
public struct SessionView: Sendable {
    public var sid: SessionID
    public var subject: [UInt8]
    public var generation: Int64
    /// Unix seconds by Redis's clock.
    public var created: Int64
    /// Last access on record, Unix seconds.
    public var modified: Int64
    /// Whole seconds until the idle limit, or the absolute one where that comes first; rounded down.
    public var expiresIn: Int64
    /// Whole seconds until the absolute limit, rounded down.
    public var absoluteIn: Int64
    /// The token to hand to the client from now on, where it changed.
    public var newToken: SessionToken?
    /// The session's data as far as it is known with it; nil where it was too much to keep.
    public var data: [RecordField]?
    /// Answered while Redis is out of reach.
    public var isStale = false

    init(_ record: SessionRecord, sid: SessionID, now: Milliseconds, newToken: SessionToken?, data: [RecordField]) {
        self.sid = sid
        subject = record.subject
        generation = record.generation
        created = record.created / 1_000
        modified = record.lastAccess / 1_000
        expiresIn = max(0, record.expireAt &- now) / 1_000
        absoluteIn = max(0, record.absoluteEnd &- now) / 1_000
        self.newToken = newToken
        self.data = data
    }
}

/// Why a token is not accepted.
public enum Refusal: Equatable, Sendable {
    case unknown
    case replayed
    case revoked(EndReason)
}

/// What a token is worth.
public enum Verdict: Sendable {
    case accepted(SessionView)
    case refused(Refusal)
}

/// What VISIT answers: the verdict on the token presented, and a holder in any case.
public struct VisitAnswer: Sendable {
    public var presented: PresentedToken
    public var holder: SessionView

    public init(presented: PresentedToken, holder: SessionView) {
        self.presented = presented
        self.holder = holder
    }

    public enum PresentedToken: Sendable {
        case none
        case accepted
        case refused(Refusal)
    }
}

public enum InspectAnswer: Sendable {
    case live(SessionView, successor: SuccessorState, dataFields: Int)
    case refused(Refusal)

    public enum SuccessorState: String, Sendable {
        case none, pending, confirmed
    }
}

public enum SetAnswer: Sendable {
    case accepted(changed: Int)
    case refused(Refusal)
}

public enum GetAnswer: Sendable {
    case accepted(data: [RecordField])
    case refused(Refusal)
}

public enum RevokeAnswer: Equatable, Sendable {
    /// The session is ended, by this call or before it.
    case revoked(EndReason)
    case unknown
}

public enum RevokeAllAnswer: Sendable {
    case revoked(count: Int)
    /// The EXCEPT token is not accepted; nothing was changed.
    case refused(Refusal)
}

/// Why a command was not carried out.
public enum ServiceFault: Error, Equatable, Sendable {
    /// Nobody knows; keep the cookie.
    case unavailable(String)
    /// The session's data would exceed `session.max-data`. In bytes.
    case dataTooLarge(bytes: Int64, limit: Int)

    init(_ error: any Error) {
        self =
            switch error {
            case let fault as ServiceFault: fault
            case let unavailable as Unavailable: .unavailable(unavailable.reason)
            default: .unavailable("an internal fault: \(error)")
            }
    }
}

/// What a command may ask of a new session or a login.
public struct SessionRequest: Sendable {
    /// Empty for an anonymous session.
    public var subject: [UInt8] = []
    /// Milliseconds; nil takes the daemon's default.
    public var idle: Milliseconds?
    public var absolute: Milliseconds?
    /// Fields to set; an empty value removes the field.
    public var data: [RecordField] = []

    public init() {}
}

/// Which session a command speaks of: the one of a token that is checked, or one that a worker already knows.
public enum SessionReference: Sendable {
    /// Nil where the text cannot be a token: unknown.
    case token(SessionToken?)
    case sid(SessionID)
}
