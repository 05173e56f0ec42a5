/// A server in the comparison, with what it is asked.
public enum Contender: String, CaseIterable, SpeedSubject {
    public static let member = "contender"

    case limit
    case tokencached
    case redisGet = "redis-get"
    case redisEvalsha = "redis-evalsha"
    case memcached

    /// As tables name it.
    public var title: String {
        switch self {
        case .limit: "bare epoll loop, the limit"
        case .tokencached: "tokencached VALIDATE"
        case .redisGet: "redis-server GET"
        case .redisEvalsha: "redis-server EVALSHA"
        case .memcached: "memcached get"
        }
    }

    /// As pictures name it.
    public var shortTitle: String {
        switch self {
        case .limit: "the limit"
        case .tokencached: "tokencached"
        case .redisGet: "redis GET"
        case .redisEvalsha: "redis EVALSHA"
        case .memcached: "memcached get"
        }
    }

    /// What it does for a request.
    public var meaning: String {
        switch self {
        case .limit: "answers without looking, always the same"
        case .tokencached: "validates a session token from its near cache and answers the whole map"
        case .redisGet: "looks up a key of 128 characters, validates nothing"
        case .redisEvalsha: "validates the same session by a script: equal work"
        case .memcached: "looks up a key of 128 characters, validates nothing; one thread"
        }
    }
}

/// How the clients come.
public enum ClientForm: String, CaseIterable, Codable, Sendable {
    case oneInFlight = "one-in-flight"
    case sixteenInFlight = "sixteen-in-flight"
    case connectionEach = "connection-per-request"

    public var title: String {
        switch self {
        case .oneInFlight: "1 in flight"
        case .sixteenInFlight: "16 in flight"
        case .connectionEach: "a connection per request"
        }
    }

    var pipeline: Int { self == .sixteenInFlight ? 16 : 1 }
}
