public import TokenCrypto
public import UnixTime

extension SessionRecord {
    /// The record once the pending token was presented: confirmed, the previous one's overlap begins.
    public func confirmed(now: UnixMilliseconds) -> SessionRecord {
        var next = self
        next.revision &+= 1
        next.confirmedAt = now
        next.lastAccess = now
        return next
    }

    /// The record after a rotation on access: `successor` is pending, the presented current token the previous one.
    /// - Parameter sealed: the successor sealed under the presented token.
    public func rotated(
        to successor: Digest, sealed: SealedVerifier, policy: TokenPolicy, now: UnixMilliseconds
    ) -> SessionRecord {
        var next = self
        next.revision &+= 1
        next.generation &+= 1
        next.rememberPrevious(policy: policy, now: now)
        next.previous = PreviousToken(digest: current, sealedSuccessor: sealed, rotatedAt: now)
        next.current = successor
        next.confirmedAt = nil
        next.lastAccess = now
        return next
    }

    /// The record after LOGIN or ROTATE: `successor` is current and confirmed, all other tokens are retired at once.
    /// - Parameters:
    ///   - csrfSalt: 32 fresh random bytes; every CSRF token made before is outdated with the old salt.
    ///   - pageGuest: that of the token presented, where there is a key ring.
    public func forced(
        to successor: Digest, csrfSalt: Digest, pageGuest: SessionID?, policy: TokenPolicy, now: UnixMilliseconds
    ) -> SessionRecord {
        var next = self
        next.revision &+= 1
        next.generation &+= 1
        next.rememberPrevious(policy: policy, now: now)
        next.previous = nil
        next.remember(RememberedToken(prefix: current.prefix, retiredAt: now, overlapEnd: now))
        next.current = successor
        next.confirmedAt = now
        next.forcedGeneration = next.generation
        next.login = nil
        next.formerSalt = self.csrfSalt
        next.csrfSalt = csrfSalt
        next.pageGuest = pageGuest
        next.lastAccess = now
        return next
    }

    /// The same record with a previous token whose overlap is over moved to the remembered ones: for decisions no
    /// different, and smaller to keep. Under `recover` it keeps the previous token, which still leads to its successor.
    public func compacted(policy: TokenPolicy, now: UnixMilliseconds) -> SessionRecord {
        guard policy.lostSuccessor == .refuse, previous != nil, let confirmedAt,
            now >= confirmedAt + policy.rotationOverlap
        else { return self }
        var compacted = self
        compacted.rememberPrevious(policy: policy, now: now)
        compacted.previous = nil
        return compacted
    }

    /// Retires the previous token: its overlap ended by itself, or ends now, cut short.
    private mutating func rememberPrevious(policy: TokenPolicy, now: UnixMilliseconds) {
        guard let previous else { return }
        let overlapEnd = (confirmedAt ?? now) + policy.rotationOverlap
        remember(
            RememberedToken(
                prefix: previous.digest.prefix, retiredAt: min(overlapEnd, now), overlapEnd: overlapEnd))
    }

    private mutating func remember(_ token: RememberedToken) {
        remembered.insert(token, at: 0)
        if remembered.count > Self.maxRemembered { remembered.removeLast(remembered.count - Self.maxRemembered) }
    }
}
