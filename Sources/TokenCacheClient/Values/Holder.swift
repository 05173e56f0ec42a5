/// Who presents a token: what the daemon knows of an accepted session or guest.
///
/// It is never handed out alone: ``Visit``, ``Validation`` and the others put it beside the ``TokenChange`` that
/// belongs to it.
public struct Holder: Sendable, Equatable {
    /// What kind of token stands for it.
    public enum Kind: Sendable, Equatable {
        /// A session, stored in Redis.
        case session
        /// A guest: sealed into its token, stored nowhere.
        case guest
    }

    /// Session or guest.
    public let kind: Kind
    /// The public name of the session.
    public let sid: SessionID
    /// Whose session it is; `nil` for an anonymous session and for a guest.
    public let subject: String?
    /// 1 for a session's first token, one more with each rotation; 0 for a guest.
    public let generation: Int64
    /// When the session was made.
    public let created: UnixTime
    /// The last access on record; accesses are recorded at most once per `session.touch-interval`.
    public let modified: UnixTime
    /// When the subject last proved who they are; `nil` if nobody did.
    public let authTime: UnixTime?
    /// How long it lives without another access. Whole seconds, rounded down.
    public let expiresIn: Duration
    /// How long it lives in any case. Whole seconds, rounded down.
    public let absoluteIn: Duration
    /// The signals in `log` mode that differ from those the token was made with.
    public let differing: Set<Signal>
    /// Whether this was answered from the daemon's memory while Redis is out of reach.
    public let isStale: Bool
    /// Whether this is a guest for this page only, without a cookie of its own: the browser holds, or is about to hold, a
    /// newer token than the one that came.
    ///
    /// Forms and captchas of the page work with the token that came, and so does a login; such a guest stores nothing. A
    /// navigation is best answered with a redirect to itself, once (a mark in the query): it comes back with the newer
    /// token. An API answers "try again".
    public let isPageOnly: Bool
}

/// A point in time as the daemon's replies have it.
public struct UnixTime: Sendable, Hashable, Comparable {
    /// Whole seconds since 1970-01-01 00:00 UTC, by Redis's clock.
    public let seconds: Int64

    /// That many seconds since 1970.
    public init(seconds: Int64) {
        self.seconds = seconds
    }

    /// Whether one is earlier than the other.
    public static func < (one: UnixTime, other: UnixTime) -> Bool { one.seconds < other.seconds }
}

extension FieldCursor {
    /// The fields of an accepted token, `kind` to `absolute_in`, and those that are there only at times.
    mutating func holder(isPageOnly: Bool = false) throws(TokenCacheError) -> Holder {
        let kind: Holder.Kind
        switch try text("kind") {
        case "session": kind = .session
        case "guest": kind = .guest
        default: throw .protocolViolation
        }
        let sid = try sid()
        let subject = try subject()
        return Holder(
            kind: kind, sid: sid, subject: subject, generation: try number("generation"), created: try time("created"),
            modified: try time("modified"), authTime: try authTime(), expiresIn: try duration("expires_in"),
            absoluteIn: try duration("absolute_in"), differing: try differing(),
            isStale: try optionalNumber("stale") == 1, isPageOnly: isPageOnly)
    }

    /// `sid`, as the daemon writes it.
    mutating func sid() throws(TokenCacheError) -> SessionID {
        guard let digits = try optionalBytes("sid"), let sid = SessionID(digits: digits, isStrict: true) else {
            throw .protocolViolation
        }
        return sid
    }

    /// `auth_time`, 0 standing for never.
    mutating func authTime() throws(TokenCacheError) -> UnixTime? {
        let time = try time("auth_time")
        return time.seconds == 0 ? nil : time
    }

    /// Repaired UTF-8 could make one subject of two: what is not UTF-8 is no subject that this library wrote.
    mutating func subject() throws(TokenCacheError) -> String? {
        guard let bytes = try optionalBytes("subject"), let text = String(validating: bytes, as: UTF8.self) else {
            throw .protocolViolation
        }
        return text.isEmpty ? nil : text
    }

    /// A signal that a later daemon adds is none that this version knows.
    private mutating func differing() throws(TokenCacheError) -> Set<Signal> {
        guard let names = try optionalText("differs") else { return [] }
        return Set(names.split(separator: " ").compactMap { Signal(rawValue: String($0)) })
    }
}
