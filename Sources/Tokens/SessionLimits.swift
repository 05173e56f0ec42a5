public import UnixTime

/// Limits that a command gives a session that lives; nil: as they are.
public struct SessionLimits: Equatable, Sendable {
    public var idle: Milliseconds?
    /// Counts from now.
    public var absolute: Milliseconds?

    public init(idle: Milliseconds? = nil, absolute: Milliseconds? = nil) {
        self.idle = idle
        self.absolute = absolute
    }

    public var isEmpty: Bool { idle == nil && absolute == nil }
}

extension SessionRecord {
    /// Gives the session new limits. The absolute end comes at most `maxAbsolute` after the session was made, or after the
    /// last LOGIN; one that is later already may stay. An idle limit is cut to what is left. The cookie of a session with
    /// limits of its own outlives the browser, unless it was said that it does not.
    public mutating func apply(_ limits: SessionLimits, policy: TokenPolicy, now: UnixMilliseconds) {
        guard !limits.isEmpty else { return }
        isPersistent = isPersistent ?? true
        if let absolute = limits.absolute {
            let latest = max((renewedByLogin ?? created) + policy.maxAbsolute, absoluteEnd)
            absoluteEnd = min(now + absolute, latest)
        }
        if let idle = limits.idle { self.idle = max(1, min(idle, absoluteEnd - now)) }
    }
}
