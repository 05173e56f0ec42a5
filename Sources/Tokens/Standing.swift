public import TokenCrypto
public import UnixTime

/// What a presented verifier is to a live session.
public enum Standing: Equatable, Sendable {
    /// The current token, confirmed.
    case current
    /// The current token, presented for the first time: to be confirmed.
    case pending
    /// The previous token while its successor is pending: accepted, and answered with its successor, however often.
    case awaitingSuccessor
    /// The previous token within the overlap after its successor was confirmed: accepted.
    case overlapping
    /// A former token that is no longer accepted. `punishable`: its return may end the session
    /// (`rotation.on-replay: revoke`).
    case retired(punishable: Bool)
    /// Never issued for this session: harms nothing.
    case forged

    /// S1: current, pending, or previous and not retired.
    public var isAccepted: Bool {
        switch self {
        case .current, .pending, .awaitingSuccessor, .overlapping: true
        case .retired, .forged: false
        }
    }

    /// Whether the session once gave this token out.
    public var isOwn: Bool { self != .forged }
}

extension SessionRecord {
    /// Recognises a verifier by its digest. Whole digests are compared in constant time; the short ones of remembered
    /// tokens are not: they accept nothing.
    public func standing(of digest: Digest, policy: TokenPolicy, now: UnixMilliseconds) -> Standing {
        if digest == current { return confirmedAt == nil ? .pending : .current }
        if let previous, digest == previous.digest {
            guard let confirmedAt else { return .awaitingSuccessor }
            let end = confirmedAt + policy.rotationOverlap
            if now < end { return .overlapping }
            // Its generation is at least the forced one: a forced rotation leaves no previous token.
            // A guest's token (generation 0) ends no session: one renewed while its session was made comes back honestly.
            return .retired(punishable: generation > 1 && now >= end + policy.replayGrace)
        }
        let prefix = digest.prefix
        for (index, token) in remembered.enumerated() where token.prefix == prefix {
            return .retired(punishable: isPunishable(token, at: index, policy: policy, now: now))
        }
        return .forged
    }

    /// When a former token was retired; nil for any other.
    public func retirement(of digest: Digest, policy: TokenPolicy) -> Retirement? {
        if let previous, previous.digest == digest {
            return confirmedAt.map { Retirement(at: $0 + policy.rotationOverlap, isByForce: false) }
        }
        let prefix = digest.prefix
        for (index, token) in remembered.enumerated() where token.prefix == prefix {
            return Retirement(at: token.retiredAt, isByForce: generation(at: index) < forcedGeneration)
        }
        return nil
    }

    /// Of a remembered token.
    private func generation(at index: Int) -> Int64 { generation - (previous == nil ? 1 : 2) - Int64(index) }

    private func isPunishable(
        _ token: RememberedToken, at index: Int, policy: TokenPolicy, now: UnixMilliseconds
    ) -> Bool {
        guard generation(at: index) >= max(forcedGeneration, 1) else { return false }
        return now >= max(token.retiredAt + policy.replayGrace, token.overlapEnd)
    }
}

/// How a former token came to be one.
public struct Retirement: Equatable, Sendable {
    public var at: UnixMilliseconds
    /// It is from before the last LOGIN or ROTATE.
    public var isByForce: Bool
}
