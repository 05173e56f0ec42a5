public import EventLoop

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
