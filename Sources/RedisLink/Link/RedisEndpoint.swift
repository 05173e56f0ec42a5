public import EventLoop

/// A password for Redis. It cannot be printed: every description of it is `<secret>`.
public struct RedisPassword: Equatable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The secret itself.
    public let bytes: [UInt8]

    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    public init(_ text: String) {
        bytes = Array(text.utf8)
    }

    public var description: String { "<secret>" }
    public var debugDescription: String { "<secret>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Who to be and which database to use once connected.
public struct RedisLogin: Equatable, Sendable {
    /// An ACL user; nil: the `default` user.
    public var user: String?
    public var password: RedisPassword?
    /// A database number, 0 to 2³¹−1; a Redis has 16 unless configured otherwise.
    public var database: Int

    public init(user: String? = nil, password: RedisPassword? = nil, database: Int = 0) {
        self.user = user
        self.password = password
        self.database = database
    }
}

/// One Redis to connect to. Its description holds no secret.
public enum RedisEndpoint: Equatable, Sendable, CustomStringConvertible {
    /// - Parameter route: the same socket by way of an open folder, where the folders of `path` are not to be trusted twice.
    case unix(path: String, login: RedisLogin = RedisLogin(), route: String? = nil)
    case tcp(host: String, port: UInt16, login: RedisLogin = RedisLogin())
    /// Whichever master the Sentinels name; nobody has yet.
    case sought(login: RedisLogin = RedisLogin())

    public var login: RedisLogin {
        get {
            switch self {
            case .unix(_, let login, _), .tcp(_, _, let login), .sought(let login): login
            }
        }
        set {
            switch self {
            case .unix(let path, _, let route): self = .unix(path: path, login: newValue, route: route)
            case .tcp(let host, let port, _): self = .tcp(host: host, port: port, login: newValue)
            case .sought: self = .sought(login: newValue)
            }
        }
    }

    /// Where to connect to; nil while nobody knows.
    public var address: StreamAddress? {
        switch self {
        case .sought: nil
        case .unix(let path, _, let route): .unix(path: route ?? path)
        case .tcp(let host, let port, _): .tcp(host: host, port: port)
        }
    }

    public var description: String {
        let suffix = login.database == 0 ? "" : " database \(login.database)"
        return switch self {
        case .sought: "a server that nobody has named yet"
        case .unix(let path, _, _): path + suffix
        case .tcp(let host, let port, _): (host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)") + suffix
        }
    }
}
