/// A new token at once, of an issue, a login, a rotation or a new guest: who it is for, and the token itself, **which the
/// response must carry**.
public struct Issued: Sendable {
    /// The holder that the token stands for.
    public let holder: Holder
    /// The new token: the newest that the request knows.
    public let token: SessionToken
    /// How long the cookie outlives the browser; `nil` if it ends with it.
    public let maxAge: Duration?
    /// The token for the form that the page shows next; `nil` if none was asked for, or if none could be made: then
    /// ``TokenCommand/issueCSRF(_:form:signals:)``.
    public let csrf: CSRFToken?
    /// Of a login under a limit: how many sessions of the subject were ended for it; else `nil`.
    public let ended: Int64?

    /// The same as a change.
    public var change: TokenChange { .replace(token, maxAge: maxAge) }

    /// The value of the response's `Set-Cookie` header.
    public func setCookie(_ cookie: SessionCookie) -> String? { cookie.header(change) }
}

/// What `TOKEN.LOGIN` and `TOKEN.ISSUE` did.
public enum Admission: Sendable {
    /// There is a session, and its token.
    case issued(Issued)
    /// The subject has as many sessions as it may have, so many: offer to end them
    /// (``TokenCommand/revokeAll(subject:except:signals:)``) and log in again. The cookie stays as it is.
    case refused(count: Int64)

    /// The session; `nil` if it was refused.
    public var issued: Issued? { if case .issued(let issued) = self { issued } else { nil } }

    /// What the response does with the visitor's token.
    public var change: TokenChange { issued?.change ?? .keep }
}

/// What `TOKEN.ROTATE` did.
public enum Rotation: Sendable {
    /// The old token is dead; this one takes its place.
    case rotated(Issued)
    /// Not accepted; nothing was changed.
    case refused(Refusal)
}

/// What `TOKEN.EXPIRE` did.
public enum LimitChange: Sendable {
    /// The session has the new limits. A guest becomes a session by it: then the response must carry its new token.
    case changed(Holder, change: TokenChange)
    /// Not accepted; nothing was changed.
    case refused(Refusal)
}

/// What `TOKEN.REVOKEALL` did.
public enum MassRevocation: Sendable, Equatable {
    /// So many sessions were ended by this call.
    case ended(Int64)
    /// The token whose session was to be spared is not accepted; nothing was changed.
    case refused(Refusal)
}

/// One living session, as `TOKEN.LIST` and `TOKEN.SCAN` show it. It never holds a token.
public struct ListedSession: Sendable {
    /// The public name of the session, for ``TokenCommand/revoke(sid:subject:)``.
    public let sid: SessionID
    /// Whose it is; `nil` for an anonymous one.
    public let subject: String?
    /// When it was made.
    public let created: UnixTime
    /// The last access on record.
    public let modified: UnixTime
    /// When the subject last proved who they are; `nil` if nobody did.
    public let authTime: UnixTime?
    /// How long it lives without another access.
    public let expiresIn: Duration
    /// How long it lives in any case.
    public let absoluteIn: Duration
    /// 1 for its first token, one more with each rotation.
    public let generation: Int64
    /// The fields asked for that it has; empty if none were asked for.
    public let data: SessionData
}

/// A page of a subject's sessions, or of everybody's.
public struct SessionPage: Sendable {
    /// In no useful order; may be empty before the end.
    public let sessions: [ListedSession]
    /// Where the next page begins; `nil` at the end.
    public let next: String?
}

/// How long a new session may live, and beside how many. What is `nil` is the daemon's default.
public struct SessionLimits: Sendable, Equatable {
    /// How long its cookie lives.
    public enum CookieLife: String, Sendable {
        /// As long as the browser.
        case session
        /// As long as the session.
        case persistent
    }

    /// Without an access: `session.idle`, 2 h unless configured.
    public var idle: Duration?
    /// In any case: `session.absolute`, 24 h unless configured.
    public var absolute: Duration?
    /// `nil`: the cookie outlives the browser if one of the two limits is given ("remember me"), else it does not.
    public var cookie: CookieLife?
    /// How many sessions the subject may have, this one among them: 0 to 1000, 0 for any number. `nil`:
    /// `session.max-per-subject`.
    public var sessionsPerSubject: Int?

    /// Both durations from 1 ms to `session.max-absolute` (400 d); sent in whole milliseconds.
    public init(
        idle: Duration? = nil, absolute: Duration? = nil, cookie: CookieLife? = nil, sessionsPerSubject: Int? = nil
    ) {
        self.sessionsPerSubject = sessionsPerSubject
        self.idle = idle
        self.absolute = absolute
        self.cookie = cookie
    }
}
