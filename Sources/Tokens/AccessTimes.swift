public import UnixTime

/// The times by which an access with the current, confirmed token is decided, on Redis's clock. The one rule of a hit in
/// the near cache and of a decision on a record that Redis sent: plain numbers, so that a hit costs no more for it.
@frozen
public struct AccessTimes: BitwiseCopyable, Sendable {
    /// When the current token was first presented.
    public var confirmedAt: UnixMilliseconds
    public var lastAccess: UnixMilliseconds
    /// Span without access after which the session ends.
    public var idle: Milliseconds
    public var absoluteEnd: UnixMilliseconds

    @inlinable
    @inline(__always)
    public init(
        confirmedAt: UnixMilliseconds, lastAccess: UnixMilliseconds, idle: Milliseconds, absoluteEnd: UnixMilliseconds
    ) {
        self.confirmedAt = confirmedAt
        self.lastAccess = lastAccess
        self.idle = idle
        self.absoluteEnd = absoluteEnd
    }

    /// When Redis removes the session by itself: the native TTL of its key.
    @inlinable
    @inline(__always)
    public var expireAt: UnixMilliseconds { min(lastAccess + idle, absoluteEnd) }

    /// Whether the token is old enough to be replaced: by a navigation; other requests wait twice as long, so that it
    /// is most often a page whose reply sets the new cookie.
    @inlinable
    @inline(__always)
    public func isRotationDue(_ policy: TokenPolicy, isNavigation: Bool, now: UnixMilliseconds) -> Bool {
        let age = now - confirmedAt
        return age >= policy.rotationAfter && (isNavigation || age / 2 >= policy.rotationAfter)
    }

    /// When the access has to be recorded.
    @inlinable
    @inline(__always)
    public func touch(_ policy: TokenPolicy, now: UnixMilliseconds) -> Touch {
        let interval = policy.touchInterval(idle: idle)
        guard now - lastAccess >= interval else { return .none }
        // Little of the idle limit remains: recorded before it is granted.
        return lastAccess + idle - now < interval ? .beforeReply : .afterReply
    }
}
