public import TokenCrypto
public import UnixTime

/// When an access has to be recorded, so that the idle limit starts anew.
public enum Touch: Equatable, Sendable {
    /// The recorded access is recent enough.
    case none
    /// After the reply.
    case afterReply
    /// Before the reply: less than a touch interval of the idle limit remains.
    case beforeReply
}

/// What an access (VISIT, VALIDATE) of a live session comes to.
public enum AccessDecision: Equatable, Sendable {
    case accept(Touch)
    /// Accepted, and the client is to be given the pending successor again.
    case acceptAwaitingSuccessor(Touch)
    /// The same for a successor that was used, and is lost (`rotation.lost-successor: recover`).
    case acceptRecovering(Touch)
    /// Write the confirmation first, then decide again.
    case confirm
    /// Write a rotation first, then decide again.
    case rotate
    case refuseReplayed
    /// Refuse, and end the session first.
    case endReplayed
    case refuseUnknown

    /// What it comes to where nothing may change: whoever would be let in is, and nothing is written.
    public var withoutChange: AccessDecision {
        if isAcceptance { return .accept(.none) }
        return self == .endReplayed ? .refuseReplayed : self
    }

    /// Whether it lets the bearer in, sooner or later: what the token is bound to is asked before.
    public var isAcceptance: Bool {
        switch self {
        case .accept, .acceptAwaitingSuccessor, .acceptRecovering, .confirm, .rotate: true
        case .refuseReplayed, .endReplayed, .refuseUnknown: false
        }
    }
}

extension SessionRecord {
    /// Decides an access.
    /// - Parameters:
    ///   - digest: of the presented verifier.
    ///   - isNavigation: a page that a browser goes to, or what may be one; anything else rotates later.
    ///   - now: by Redis's clock.
    public func decideAccess(
        digest: Digest, isNavigation: Bool = true, policy: TokenPolicy, now: UnixMilliseconds
    ) -> AccessDecision {
        switch standing(of: digest, policy: policy, now: now) {
        case .current:
            let times = times(now: now)
            return times.isRotationDue(policy, isNavigation: isNavigation, now: now)
                ? .rotate : .accept(times.touch(policy, now: now))
        case .pending: return .confirm
        case .awaitingSuccessor: return .acceptAwaitingSuccessor(times(now: now).touch(policy, now: now))
        case .overlapping: return .accept(times(now: now).touch(policy, now: now))
        case .retired where policy.lostSuccessor == .recover && previous?.digest == digest:
            return .acceptRecovering(times(now: now).touch(policy, now: now))
        case .retired(let punishable): return punishable && policy.onReplay == .revoke ? .endReplayed : .refuseReplayed
        case .forged: return .refuseUnknown
        }
    }

    /// The touch interval of this session.
    public func touchInterval(policy: TokenPolicy) -> Milliseconds { policy.touchInterval(idle: idle) }

    /// - Parameter now: stands for the confirmation of a token that is pending.
    private func times(now: UnixMilliseconds) -> AccessTimes {
        AccessTimes(confirmedAt: confirmedAt ?? now, lastAccess: lastAccess, idle: idle, absoluteEnd: absoluteEnd)
    }
}
