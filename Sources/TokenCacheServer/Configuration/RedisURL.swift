/// Where Redis is, as `redis.url` says it. Printing it never shows the password.
public struct RedisURL: Sendable, Equatable {
    /// One host and port. `host` is a name, an IPv4 address, or an IPv6 address without brackets.
    public struct Endpoint: Sendable, Equatable {
        public var host: String
        public var port: UInt16
    }

    public enum Target: Sendable, Equatable {
        /// A private `redis-server` that the daemon starts and supervises.
        case embedded
        /// A server behind a Unix socket: its absolute path.
        case unix(path: String)
        /// One server over TCP.
        case standalone(Endpoint)
        /// The Sentinels, and the name under which they know the master.
        case sentinel([Endpoint], master: String)
        /// Nodes of a cluster to start from.
        case cluster([Endpoint])
    }

    public var target: Target
    /// The ACL user; nil is Redis's default user. With `unix://`, they stand before the path. For Sentinel: the user at master and replicas.
    public var user: String?
    public var password: SecretText?
    /// The database of a standalone server, 0…9999.
    public var database = 0
    /// TLS to Redis (`rediss://`, or `?tls=true` with Sentinel and Cluster).
    public var tls = false

    public static let embedded = RedisURL(target: .embedded)

    static let allowed =
        "embedded, unix://[user:password@]/path, redis://[user:password@]host:port[/db], rediss://…, "
        + "sentinel://[user:password@]host:port,…/master, cluster://[user:password@]host:port,… (both with ?tls=true)"

    static let maxBytes = 2048
    static let maxEndpoints = 64
}

extension RedisURL: CustomStringConvertible {
    /// The URL with `<secret>` in place of the password.
    public var description: String {
        let scheme: String
        var place = ""
        switch target {
        case .embedded: return "embedded"
        case .unix(let path):
            scheme = "unix"
            place = PrintableText.escaped(path)
        case .standalone(let endpoint):
            scheme = tls ? "rediss" : "redis"
            place = "\(endpoint)" + (database == 0 ? "" : "/\(database)")
        case .sentinel(let endpoints, let master):
            scheme = "sentinel"
            place = endpoints.map(\.description).joined(separator: ",") + "/\(master)" + (tls ? "?tls=true" : "")
        case .cluster(let endpoints):
            scheme = "cluster"
            place = endpoints.map(\.description).joined(separator: ",") + (tls ? "?tls=true" : "")
        }
        var credentials = ""
        if user != nil || password != nil {
            credentials = PrintableText.escaped(user ?? "") + (password == nil ? "@" : ":\(SecretText.placeholder)@")
        }
        return "\(scheme)://\(credentials)\(place)"
    }
}

extension RedisURL.Endpoint: CustomStringConvertible {
    public var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
