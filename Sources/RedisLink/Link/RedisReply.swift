/// One reply of Redis, RESP2.
public enum RedisReply: Equatable, Sendable {
    case status(String)
    case integer(Int64)
    case bulk([UInt8])
    /// The null bulk and the null array.
    case null
    case array(RedisArray)
    /// An error, as Redis worded it. Only inside arrays: at the top level it is a `RedisFault`. Its text may quote
    /// arguments and is not for logs or clients.
    case error(String)

    /// What was published, where this is no reply but a message: `message`, its channel, and that.
    /// Source: redis.io/docs/manual/pubsub.
    var message: [UInt8]? {
        guard case .array(let parts) = self, parts.count == 3, parts[0] == .bulk(Array("message".utf8)),
            case .bulk(let message) = parts[2]
        else { return nil }
        return message
    }
}

/// What the link to Redis does at the moment.
public enum LinkState: Equatable, Sendable {
    /// Before `start()` and after `close()`: every request fails.
    case closed
    /// The first attempt after the start or after a loss: requests wait, up to their deadline.
    case connecting
    /// Connected, authenticated, scripts loaded, clock read.
    case ready
    /// Attempts fail: requests fail at once with this fault until one succeeds.
    case down(RedisFault)
}

/// What the link has counted since it was made, for `INFO`.
public struct LinkCounters: Equatable, Sendable {
    /// Replies received, of whatever kind.
    public var replies: UInt64 = 0
    /// Requests accepted by `send` and `run`.
    public var requests: UInt64 = 0
    /// Times the link became ready.
    public var connects: UInt64 = 0
    /// Attempts to connect that failed, and connections that were lost.
    public var failures: UInt64 = 0
    /// Requests given up at their deadline.
    public var timeouts: UInt64 = 0
    /// Replies that came after their request had been given up.
    public var lateReplies: UInt64 = 0
    /// Requests sent once more after their connection was lost.
    public var resends: UInt64 = 0
    /// Scripts loaded again because Redis had forgotten them.
    public var scriptReloads: UInt64 = 0
    /// Connections closed because of a reply that no Redis sends.
    public var protocolErrors: UInt64 = 0
    /// Requests refused because too many were waiting.
    public var overloads: UInt64 = 0
    /// The last faults that took the link down.
    public var faults = FaultHistory()
}

/// What Redis said about itself when the link became ready; nil where it would not say.
public struct RedisServerInfo: Equatable, Sendable {
    /// Changes with every start of the server.
    public var runID: String?
    /// Whether it is a node of a cluster: keys of one script must be of one slot.
    public var isCluster = false
    /// `master` or `slave`, in Redis's words.
    public var role: String?
    /// `Redis`, `Valkey`, or another one.
    public var name: String?
    /// Its own version, whatever version of Redis it speaks for.
    public var version: String?
    /// Must be `noeviction`, or sessions vanish.
    public var maxmemoryPolicy: String?
}
