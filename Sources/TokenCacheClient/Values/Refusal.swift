/// Why a token is not accepted. An answer, not an error: the visitor holds nothing that counts.
public enum Refusal: Sendable, Equatable {
    /// The idle or the absolute limit has passed. The daemon tells this only where it still knows; else ``unknown``.
    case expired
    /// The session was ended; `nil` where the reply does not say why.
    case revoked(EndReason?)
    /// A retired token came back: the browser holds a newer one, or is about to. Of a logout: this token is from before a
    /// login or a change of privilege, and does not end the session.
    case replayed
    /// A binding in `strict` mode differs, or its signal was not given.
    case mismatch
    /// Never issued, malformed, or gone.
    case unknown
}

extension Refusal: CustomStringConvertible {
    /// The status in the protocol's words, with its reason: `revoked: logout`. Fit for a log.
    public var description: String {
        switch self {
        case .expired: "expired"
        case .revoked(let reason): reason.map { "revoked: \($0.rawValue)" } ?? "revoked"
        case .replayed: "replayed"
        case .mismatch: "mismatch"
        case .unknown: "unknown"
        }
    }
}

/// What ended a session.
public enum EndReason: String, Sendable {
    /// `TOKEN.REVOKE`.
    case logout
    /// `TOKEN.REVOKEALL`.
    case logoutAll = "logout-all"
    /// A login of another subject with this session's token.
    case login
    /// A retired token came back, under `rotation.on-replay: revoke`.
    case replay
    /// The subject logged in more often than it may.
    case limit
    /// An operator.
    case admin
}

extension FieldCursor {
    /// The refusal of a reply with `accepted 0`, by its `status`.
    mutating func refusal(status: String) throws(TokenCacheError) -> Refusal {
        switch status {
        case "expired": return .expired
        // A reason that a later daemon adds is none that this version knows.
        case "revoked": return .revoked(try optionalText("reason").flatMap(EndReason.init))
        case "replayed": return .replayed
        case "mismatch": return .mismatch
        case "unknown": return .unknown
        default: throw .protocolViolation
        }
    }

    /// What every reply about a token begins with: its status, and whether the token is accepted.
    mutating func standing() throws(TokenCacheError) -> (status: String, isAccepted: Bool) {
        let status = try text("status")
        switch try number("accepted") {
        case 0: return (status, false)
        case 1: return (status, true)
        default: throw .protocolViolation
        }
    }
}
