public import Tokens
internal import UnixTime

/// What became of a watched session, as a subscriber is told it.
public enum SessionFate: Equatable, Sendable {
    case revoked(EndReason)
    case expired
    /// Not there: never issued, deleted by somebody else, or over for so long that nobody knows why.
    case unknown
    /// It lives on under another token: a LOGIN or ROTATE.
    case replaced(Replacement)

    public enum Replacement: String, Sendable {
        case login, rotate
    }

    /// Status and reason.
    public var text: String {
        switch self {
        case .revoked(let reason): "revoked \(reason.rawValue)"
        case .expired: "expired"
        case .unknown: "unknown"
        case .replaced(let replacement): "replaced \(replacement.rawValue)"
        }
    }
}

/// What a read of Redis showed of a watched session.
enum SessionSight: Equatable {
    case living(Living)
    case ended(EndReason)
    case absent
    /// Nothing: Redis did not answer.
    case failed

    struct Living: Equatable {
        /// When Redis removes it by itself.
        var end: UnixMilliseconds
        /// Generation made by its last LOGIN or ROTATE.
        var forcedGeneration: Int64
        var renewedByLogin: UnixMilliseconds?

        /// How it got a new token by force since `before`; nil where it did not.
        func replacement(since before: Living) -> SessionFate.Replacement? {
            guard forcedGeneration != before.forcedGeneration else { return nil }
            return renewedByLogin != before.renewedByLogin ? .login : .rotate
        }
    }
}
