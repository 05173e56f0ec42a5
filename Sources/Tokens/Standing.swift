public import TokenCrypto

/// What a presented verifier is to a live session.
public enum Standing: Equatable, Sendable {
    /// The current token, confirmed.
    case current
    /// The current token, presented for the first time: to be confirmed.
    case pending
    /// The previous token while its successor is pending: accepted, and told its successor, however often.
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

    /// Whether the session once gave this token out: such a token may end it (logout in an old tab).
    public var isOwn: Bool { self != .forged }
}

extension SessionRecord {
    /// Recognises a verifier by its digest. Whole digests are compared in constant time; the short ones of remembered
    /// tokens are not: they accept nothing.
    public func standing(of digest: Digest, policy: TokenPolicy, now: Milliseconds) -> Standing {
        if digest == current { return confirmedAt == nil ? .pending : .current }
        if let previous, digest == previous.digest {
            guard let confirmedAt else { return .awaitingSuccessor }
            let end = confirmedAt.adding(policy.rotationOverlap)
            if now < end { return .overlapping }
            // Its generation is at least the forced one: a forced rotation leaves no previous token.
            // A guest's token (generation 0) ends no session: one renewed while its session was made comes back honestly.
            return .retired(punishable: generation > 1 && now >= end.adding(policy.replayGrace))
        }
        let prefix = digest.prefix
        for (index, token) in remembered.enumerated() where token.prefix == prefix {
            return .retired(punishable: isPunishable(token, at: index, policy: policy, now: now))
        }
        return .forged
    }

    private func isPunishable(
        _ token: RememberedToken, at index: Int, policy: TokenPolicy, now: Milliseconds
    ) -> Bool {
        let newestRemembered = generation - (previous == nil ? 1 : 2)
        guard newestRemembered - Int64(index) >= max(forcedGeneration, 1) else { return false }
        return now >= max(token.retiredAt.adding(policy.replayGrace), token.overlapEnd)
    }
}
