public import UnixTime

/// What is told of a session to those who look at many: whose it is and until when, nothing of its tokens.
public struct SessionFacts: Equatable, Sendable {
    /// Whose session it is; empty for an anonymous one.
    public var subject: [UInt8]
    /// 1 for the first token, one more for each rotation.
    public var generation: Int64
    public var created: UnixMilliseconds
    public var lastAccess: UnixMilliseconds
    /// Span without access after which the session ends.
    public var idle: Milliseconds
    public var absoluteEnd: UnixMilliseconds
    /// When the subject last proved who they are; nil if nobody did.
    public var authTime: UnixMilliseconds?
    /// The place of its last login among its subject's, which rises; nil where no limit was kept then.
    public var loginNumber: Int64?

    /// When Redis removes the session by itself.
    public var expireAt: UnixMilliseconds { min(lastAccess + idle, absoluteEnd) }
}
