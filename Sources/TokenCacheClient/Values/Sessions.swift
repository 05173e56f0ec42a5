/// A new session, login or guest: who it is and the token, **which the response must carry**.
public struct Issued: Sendable {
    /// The holder that the token stands for.
    public let holder: Holder
    /// The new token.
    public let token: Token

    /// The same as a change, for ``SessionCookie/header(_:for:)``.
    public var change: TokenChange { .replace(token) }
}

/// What `TOKEN.ROTATE` did.
public enum Rotation: Sendable {
    /// The old token is dead; this one takes its place, and the response must carry it.
    case rotated(Holder, token: Token)
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

/// One living session of a subject, as `TOKEN.LIST` shows it. It never holds a token.
public struct ListedSession: Sendable {
    /// The public name of the session, for `TOKEN.REVOKE SID`.
    public let sid: String
    /// When it was made.
    public let created: UnixTime
    /// The last access on record.
    public let modified: UnixTime
    /// How long it lives without another access.
    public let expiresIn: Duration
    /// How long it lives in any case.
    public let absoluteIn: Duration
    /// 1 for its first token, one more with each rotation.
    public let generation: Int64
    /// The fields asked for that it has; empty if none were asked for.
    public let data: SessionData
}

/// How long a new session may live. What is `nil` is the daemon's default.
public struct SessionLimits: Sendable, Equatable {
    /// Without an access: `session.idle`, 2 h unless configured.
    public var idle: Duration?
    /// In any case: `session.absolute`, 24 h unless configured.
    public var absolute: Duration?

    /// Both from 1 ms to `session.max-absolute` (400 d); sent in whole milliseconds.
    public init(idle: Duration? = nil, absolute: Duration? = nil) {
        self.idle = idle
        self.absolute = absolute
    }
}

/// The signals of a request that a token may be bound to. What is `nil` is not sent.
public struct Bindings: Sendable, Equatable {
    /// The client's address, as text.
    public var ip: String?
    /// The `User-Agent` header.
    public var userAgent: String?

    /// Whether they have an effect is the daemon's configuration (`binding.ip`, `binding.ua`).
    public init(ip: String? = nil, userAgent: String? = nil) {
        self.ip = ip
        self.userAgent = userAgent
    }
}
