public import UnixTime

/// What to do when a retired token comes back (`rotation.on-replay`).
public enum ReplayPolicy: String, Sendable, CaseIterable {
    /// Refuse it, count it, log it.
    case reject
    /// End the session as well, once `rotation.replay-grace` has passed since the token was retired.
    case revoke
}

/// What to do when the previous token comes back after its overlap: its successor was used, and may be lost since
/// (`rotation.lost-successor`).
public enum LostSuccessorPolicy: String, Sendable, CaseIterable {
    /// Refuse it.
    case refuse
    /// Tell it its successor again: for clients whose cookie jar may lose a cookie that they used already.
    case recover
}

/// What happens where a subject has as many sessions as it may have, and logs in (`session.on-limit`).
public enum SessionLimitPolicy: String, Sendable, CaseIterable {
    /// Those that logged in first are ended.
    case endOldest = "end-oldest"
    /// The login is refused.
    case refuse
}

/// The operator's rules for every session of a daemon.
public struct TokenPolicy: Sendable, Equatable {
    /// Age of a token, from its confirmation, past which an access rotates it. > 0.
    public var rotationAfter: Milliseconds
    /// How long the previous token is still accepted once its successor was used. ≥ 0.
    public var rotationOverlap: Milliseconds
    public var onReplay: ReplayPolicy
    public var lostSuccessor: LostSuccessorPolicy
    /// How long after its retirement a token may come back without ending the session. ≥ 0.
    public var replayGrace: Milliseconds
    /// Limits of a session that asks for none of its own. > 0.
    public var idle: Milliseconds
    public var absolute: Milliseconds
    /// The most that a command may ask for. > 0.
    public var maxAbsolute: Milliseconds
    /// How old the recorded access must be before an access is recorded again. > 0.
    public var touchInterval: Milliseconds
    /// How long an ended session is remembered. > 0.
    public var tombstone: Milliseconds
    /// Names and values of a session's data together, bytes.
    public var maxData: Int
    /// Sessions that a subject may have; 0: any number.
    public var maxPerSubject: Int
    public var onLimit: SessionLimitPolicy

    public init(
        rotationAfter: Milliseconds = 15 * 60_000, rotationOverlap: Milliseconds = 2 * 60_000,
        onReplay: ReplayPolicy = .reject, lostSuccessor: LostSuccessorPolicy = .refuse,
        replayGrace: Milliseconds = 10 * 60_000,
        idle: Milliseconds = 2 * 3_600_000, absolute: Milliseconds = 24 * 3_600_000,
        maxAbsolute: Milliseconds = 400 * 86_400_000, touchInterval: Milliseconds = 60_000,
        tombstone: Milliseconds = 10 * 60_000, maxData: Int = 65_536, maxPerSubject: Int = 0,
        onLimit: SessionLimitPolicy = .endOldest
    ) {
        self.rotationAfter = rotationAfter
        self.rotationOverlap = rotationOverlap
        self.onReplay = onReplay
        self.lostSuccessor = lostSuccessor
        self.replayGrace = replayGrace
        self.idle = idle
        self.absolute = absolute
        self.maxAbsolute = maxAbsolute
        self.touchInterval = touchInterval
        self.tombstone = tombstone
        self.maxData = maxData
        self.maxPerSubject = maxPerSubject
        self.onLimit = onLimit
    }
}

extension TokenPolicy {
    /// The touch interval of a session with this idle limit: the configured one, at most a tenth of the limit, at least
    /// 1 ms.
    @inlinable
    public func touchInterval(idle: Milliseconds) -> Milliseconds { max(1, min(touchInterval, idle / 10)) }
}
