internal import TokenCrypto
public import Tokens
public import UnixTime

/// What the caller of a command is told about a session that is good.
public struct SessionView: Sendable {
    public var sid: SessionID
    public var subject: [UInt8]
    public var generation: Int64
    /// By Redis's clock, as all times of a session.
    public var created: UnixSeconds
    /// Last access on record.
    public var modified: UnixSeconds
    /// When the subject last proved who they are; nil if nobody did.
    public var authTime: UnixSeconds?
    /// Whole seconds until the idle limit, or the absolute one where that comes first; rounded down.
    public var expiresIn: Seconds
    /// Whole seconds until the absolute limit, rounded down.
    public var absoluteIn: Seconds
    /// The token to hand to the client from now on, where it changed.
    public var newToken: HandedToken?
    /// The session's data; nil where it was not asked for, or was too much to keep.
    public var data: [RecordField]?
    /// Answered while Redis is out of reach.
    public var isStale = false
    /// Nothing is stored of the holder.
    public var isGuest = false
    /// Signals that differ from what the token is bound to, where that is only told.
    public var differs: [Signal] = []
    /// Whether the client's cookie is to outlive the browser.
    public var isPersistent = false
    /// For whom forms are made, and by whom they are judged.
    var formHolder: FormHolder

    init(
        _ record: SessionRecord, sid: SessionID, now: UnixMilliseconds, newToken: SessionToken?, data: [RecordField]
    ) {
        self.sid = sid
        subject = record.subject
        generation = record.generation
        created = record.created.seconds
        modified = record.lastAccess.seconds
        authTime = record.authTime?.seconds
        expiresIn = max(0, record.expireAt - now) / 1_000
        absoluteIn = max(0, record.absoluteEnd - now) / 1_000
        self.newToken = newToken.map(HandedToken.session)
        self.data = data
        isPersistent = record.isPersistent == true
        formHolder = FormHolder(record, sid: sid)
    }
}

/// A token for its holder. A secret.
public enum HandedToken: Sendable {
    case session(SessionToken)
    /// A compact JWS.
    case guest([UInt8])

    /// The secret itself, for the reply to its holder only.
    public var secretText: [UInt8] {
        switch self {
        case .session(let token): token.secretText
        case .guest(let text): text
        }
    }
}

/// A session's token for its holder, and how long the cookie is to live where that is longer than the browser's life.
public struct HandedSession: Sendable {
    public var token: SessionToken
    public var maxAge: Seconds?

    init(_ token: SessionToken, of record: SessionRecord, now: UnixMilliseconds) {
        self.token = token
        maxAge = record.isPersistent == true ? max(0, record.absoluteEnd - now) / 1_000 : nil
    }
}

/// Why a token is not accepted.
public enum Refusal: Equatable, Sendable {
    case unknown
    case replayed
    case revoked(EndReason)
    /// A guest's token whose time is over. (Of a stored session past its limits nothing is left: `unknown`.)
    case expired
    /// It is bound to another client, or the call did not say to which.
    case mismatch
}

/// An answer about a token: what is so where it is accepted, or why it is not.
public enum Judged<Value> {
    /// Boxed: it is handed on several times.
    indirect case accepted(Value)
    case refused(Refusal)

    public func map<Other, Fault: Error>(_ transform: (Value) throws(Fault) -> Other) throws(Fault) -> Judged<Other> {
        switch self {
        case .accepted(let value): .accepted(try transform(value))
        case .refused(let refusal): .refused(refusal)
        }
    }

    var accepted: Value? { if case .accepted(let value) = self { value } else { nil } }
}

extension Judged: Sendable where Value: Sendable {}

/// What a token is worth.
public typealias Verdict = Judged<SessionView>

/// What an access answers about a holder.
public struct Page: Sendable {
    public var holder: SessionView
    /// Of the form that was sent back, where asked for.
    public var check: CSRFCheck?
    /// For the form that will be shown, where asked for.
    public var csrf: [UInt8]?

    init(_ holder: consuming SessionView) { self.holder = holder }
}

/// What VISIT answers: the verdict on the token presented, and a holder in any case.
public struct VisitAnswer: Sendable {
    public var presented: PresentedToken
    public var page: Page

    public enum PresentedToken: Sendable {
        case none
        case accepted
        case refused(Refusal)
    }
}

/// What INSPECT tells.
public struct Inspection: Sendable {
    public var session: SessionView
    public var successor: SuccessorState
    public var dataFields: Int

    public enum SuccessorState: String, Sendable {
        case none, pending, confirmed
    }
}

/// A session as LIST and SCAN show it: never its tokens.
public struct ListedSession: Sendable {
    public var sid: SessionID
    public var subject: [UInt8]
    public var generation: Int64
    /// By Redis's clock, as all times of a session.
    public var created: UnixSeconds
    /// Last access on record.
    public var modified: UnixSeconds
    /// When the subject last proved who they are; nil if nobody did.
    public var authTime: UnixSeconds?
    /// Whole seconds until the idle limit, or the absolute one where that comes first; rounded down.
    public var expiresIn: Seconds
    /// Whole seconds until the absolute limit, rounded down.
    public var absoluteIn: Seconds
    /// The data that was asked for.
    public var data: [RecordField]

    init(_ sid: SessionID, _ facts: SessionFacts, _ data: [RecordField], now: UnixMilliseconds) {
        self.sid = sid
        subject = facts.subject
        generation = facts.generation
        created = facts.created.seconds
        modified = facts.lastAccess.seconds
        authTime = facts.authTime?.seconds
        expiresIn = max(0, facts.expireAt - now) / 1_000
        absoluteIn = max(0, facts.absoluteEnd - now) / 1_000
        self.data = data
    }
}

/// What LIST found.
public struct SessionPage: Sendable {
    public var sessions: [ListedSession]
    /// Where a walk goes on; nil at its end, and where the newest were asked for.
    public var next: IndexCursor?
}

/// What SCAN found.
public struct ScannedSessions: Sendable {
    public var sessions: [ListedSession]
    /// Redis's cursor, `0` at the end.
    public var next: [UInt8]
}

/// What GET found.
public struct HeldData: Sendable {
    public var sid: SessionID
    /// All fields; the caller picks what was asked for.
    public var fields: [RecordField]

    public init(sid: SessionID, fields: [RecordField]) {
        self.sid = sid
        self.fields = fields
    }
}

/// What SET, INCR or GETDEL did.
public struct ChangedData: Sendable {
    public var sid: SessionID
    public var outcome: DataOutcome
    /// Where a guest's token was presented, of the session that it became.
    public var handed: HandedSession?
}

/// What LOGIN and ISSUE did.
public enum LoginAnswer: Sendable {
    /// - Parameter ended: sessions of the subject that were ended because it had more than it may have; nil where there is
    ///   no limit, or one that refuses.
    case issued(SessionView, ended: Int?)
    /// The subject has as many sessions as it may have: nothing was changed, or later logins have taken the place.
    /// - Parameter count: of its sessions.
    case refused(count: Int)
}

public enum RevokeAnswer: Equatable, Sendable {
    /// The session is ended, by this call or before it.
    case revoked(EndReason)
    case unknown
    /// A token from before a LOGIN or ROTATE ends nothing: an attacker who planted it must not log the victim out.
    case replayed
}

/// Why a command was not carried out.
public enum ServiceFault: Error, Equatable, Sendable {
    /// Nobody knows; keep the cookie.
    case unavailable(String)
    /// The session's data would exceed `session.max-data`. In bytes.
    case dataTooLarge(bytes: Int64, limit: Int)
    /// What was to be added to holds no integer of 64 bits, or the sum would be none.
    case notAnInteger
    /// The key ring is missing, and this cannot be done without one.
    case noKeys

    init(_ error: any Error) {
        self =
            switch error {
            case let fault as ServiceFault: fault
            case let error as CryptoError: .unavailable(error.description)
            case let unavailable as Unavailable: .unavailable(unavailable.reason)
            default: .unavailable("an internal fault: \(error)")
            }
    }
}

/// What a command may ask of a new session or a login.
public struct SessionRequest: Sendable {
    /// Empty for an anonymous session.
    public var subject: [UInt8] = []
    /// Nil takes the daemon's default.
    public var idle: Milliseconds?
    public var absolute: Milliseconds?
    /// Whether the client's cookie is to outlive the browser; nil: where limits are given.
    public var isPersistent: Bool?
    /// When the subject proved who they are; nil: now; `neverProven` for somebody who acts in their name.
    public var authTime: UnixMilliseconds?
    /// Sessions that the subject may have, 0 for any number; nil takes `session.max-per-subject`.
    public var maxSessions: Int?
    /// Fields to set; an empty value removes the field. No name twice.
    public var data: [RecordField] = []
    /// What the new token is bound to, as far as the daemon binds tokens.
    public var signals = Signals()
    /// The page-only guest of the token presented, where there is a key ring.
    public var pageGuest: SessionID?

    public init() {}
}

/// Which session a command speaks of: the one of a token that is checked, or one that a worker already knows.
public enum SessionReference: Sendable {
    case token(Presented)
    /// - Parameter of: whose it must be; nil: anybody's.
    case sid(SessionID, of: [UInt8]?)
}
