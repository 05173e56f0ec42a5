/// Where passwords come from; asked on the loop's thread.
public typealias PasswordSource = () -> Result<RedisPassword, RedisFault>?

/// The bounds of one link to Redis.
public struct LinkSettings {
    /// How long a request may wait for its answer; past it the waiter is answered without it. `redis.timeout`.
    public var timeout: Duration = .milliseconds(250)
    /// How long connecting and preparing a connection may take together.
    public var connectTimeout: Duration = .seconds(1)
    /// The first wait after a failed attempt; it doubles from failure to failure, jittered by up to a quarter.
    public var reconnectMinimum: Duration = .milliseconds(50)
    /// The longest wait between attempts, and the wait after credentials were refused.
    public var reconnectMaximum: Duration = .seconds(2)
    /// How late the oldest reply may be before the connection is given up.
    public var lateReplyLimit: Duration = .seconds(1)
    /// How often Redis's clock is read; also what finds a connection that has silently died.
    public var heartbeat: Duration = .seconds(1)
    /// Elements of one reply, those of arrays in it included.
    public var maxReplyElements = 262_144
    /// Bytes of one reply, and of input that may wait to be read.
    public var maxReplyBytes = 16 << 20
    /// Requests that may be in flight or waiting at a time.
    public var maxPending = 65_536
    /// Bytes of requests that may be in flight or waiting at a time.
    public var maxPendingBytes = 64 << 20
    /// Whether a replica counts as down. Off only where reading stale data is harmless.
    public var requiresMaster = true
    /// A Sentinel is at the other end: it has no scripts and no clock, and whoever asks it does so all the time.
    public var isSentinel = false
    /// It subscribes: what is published comes between the replies.
    public var isSubscriber = false
    /// Gives the password for each new connection, or why there is none. Where this is nil, or gives nil, it is the
    /// endpoint's.
    public var password: PasswordSource?

    public init() {}
}
