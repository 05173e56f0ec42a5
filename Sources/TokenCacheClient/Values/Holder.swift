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
    /// The public name of the session, 32 hex digits. Not secret, fit for logs.
    public let sid: String
    /// Whose session it is; `nil` for an anonymous session and for a guest.
    public let subject: String?
    /// 1 for a session's first token, one more with each rotation; 0 for a guest.
    public let generation: Int64
    /// When the session was made.
    public let created: UnixTime
    /// The last access on record; accesses are recorded at most once per `session.touch-interval`.
    public let modified: UnixTime
    /// How long it lives without another access. Whole seconds, rounded down.
    public let expiresIn: Duration
    /// How long it lives in any case. Whole seconds, rounded down.
    public let absoluteIn: Duration
    /// The bindings in `log` mode that differ from those the token was made with, such as `ip`.
    public let differing: [String]
    /// Whether this was answered from the daemon's memory while Redis is out of reach.
    public let isStale: Bool
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
    mutating func holder() throws(TokenCacheError) -> Holder {
        let kind: Holder.Kind
        switch try text("kind") {
        case "session": kind = .session
        case "guest": kind = .guest
        default: throw .protocolViolation
        }
        guard let digits = try optionalBytes("sid"), Token.isSelector(digits) else { throw .protocolViolation }
        let sid = String(decoding: digits, as: UTF8.self)
        let subject = try subject()
        return Holder(
            kind: kind, sid: sid, subject: subject, generation: try number("generation"), created: try time("created"),
            modified: try time("modified"), expiresIn: try duration("expires_in"),
            absoluteIn: try duration("absolute_in"),
            differing: try optionalText("differs")?.split(separator: " ").map(String.init) ?? [],
            isStale: try optionalNumber("stale") == 1)
    }

    /// Repaired UTF-8 could make one subject of two: what is not UTF-8 is no subject that this library wrote.
    private mutating func subject() throws(TokenCacheError) -> String? {
        guard let bytes = try optionalBytes("subject"), let text = String(validating: bytes, as: UTF8.self) else {
            throw .protocolViolation
        }
        return text.isEmpty ? nil : text
    }
}
