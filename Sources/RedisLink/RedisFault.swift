/// Why nobody knows the answer: becomes `UNAVAILABLE <description>` for the client.
///
/// The description is made of fixed words and, at most, Redis's error code. It never holds a key, an argument, a
/// token or a password: Redis's own texts quote arguments and are not passed on.
public struct RedisFault: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable, CaseIterable {
        /// No connection can be made.
        case unreachable
        /// No answer before the request's deadline. Whether it was carried out is unknown.
        case timeout
        /// The connection ended with the request in flight. Whether it was carried out is unknown.
        case closed
        /// `LOADING`: Redis reads its data from disk.
        case loading
        /// `BUSY`: a script runs too long.
        case busy
        /// `OOM`: the memory limit is reached.
        case outOfMemory
        /// `READONLY`, or a replica where a master was expected.
        case readOnly
        /// `MASTERDOWN`: a replica that has lost its master.
        case masterDown
        /// `NOREPLICAS`: fewer replicas than `min-replicas-to-write`.
        case noReplicas
        /// `MISCONF`, protected mode: Redis refuses because of its own configuration or disk.
        case misconfigured
        /// `NOAUTH`, `WRONGPASS`, `NOPERM`.
        case credentials
        case maxClients
        /// `MOVED`, `ASK`, `TRYAGAIN`, `CLUSTERDOWN`, `CROSSSLOT`.
        case cluster
        /// Bytes that are no reply, or a reply past a limit.
        case protocolError
        /// A script failed or cannot be loaded.
        case scriptError
        /// The daemon's own bound of waiting requests is reached; nothing was sent.
        case overloaded
        case other
    }

    public let kind: Kind
    public let description: String

    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

extension RedisFault {
    /// What the link does about an error reply, apart from failing its request.
    enum Consequence: Equatable {
        /// Nothing: the connection is good.
        case none
        /// The connection leads to a server that cannot serve now: close, and look again.
        case reconnect
        /// The script is not in the server's cache: load it and repeat.
        case loadScript
    }

    /// Reads an error reply. Source: Redis 7.0, `createSharedObjects` and `processCommand` in server.c.
    static func classify(error text: String) -> (fault: RedisFault, consequence: Consequence) {
        let code = text.prefix { ("A"..."Z").contains($0) }
        switch code {
        case "NOSCRIPT": return (RedisFault(.scriptError, "Redis does not keep its scripts"), .loadScript)
        case "LOADING": return (RedisFault(.loading, "Redis is loading its data"), .reconnect)
        case "BUSY", "UNKILLABLE": return (RedisFault(.busy, "Redis is busy with a long script"), .none)
        case "OOM": return (RedisFault(.outOfMemory, "Redis has reached its memory limit"), .none)
        case "READONLY": return (RedisFault(.readOnly, "Redis is a read-only replica"), .reconnect)
        case "MASTERDOWN":
            return (RedisFault(.masterDown, "Redis is a replica and has lost its master"), .reconnect)
        case "NOREPLICAS", "NOGOODSLAVE", "NOREPLICASOK":
            return (RedisFault(.noReplicas, "Redis has too few replicas to accept writes"), .none)
        case "MISCONF":
            return (RedisFault(.misconfigured, "Redis refuses writes because it cannot save to disk"), .none)
        case "DENIED": return (RedisFault(.misconfigured, "Redis is in protected mode"), .reconnect)
        case "NOAUTH": return (RedisFault(.credentials, "Redis asks for a password (NOAUTH)"), .reconnect)
        case "WRONGPASS":
            return (RedisFault(.credentials, "Redis refuses user or password (WRONGPASS)"), .reconnect)
        case "NOPERM":
            return (RedisFault(.credentials, "the Redis user lacks a permission (NOPERM)"), .none)
        case "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "CROSSSLOT":
            return (RedisFault(.cluster, "Redis is a cluster node and refuses (\(code))"), .none)
        default: return (classifyPlain(text, code: code), .none)
        }
    }

    private static func classifyPlain(_ text: String, code: Substring) -> RedisFault {
        if text.hasPrefix("ERR max number of clients") {
            return RedisFault(.maxClients, "Redis has reached its limit of clients")
        }
        if text.hasPrefix("ERR The user executing the script can't") || text.hasPrefix("ERR AUTH <password> called")
            || text.hasPrefix("ERR invalid password") || text.hasPrefix("ERR Client sent AUTH")
        {
            return RedisFault(.credentials, "the Redis user lacks a permission or has no password")
        }
        if text.contains("script") || text.contains("user_function") || text.hasPrefix("ERR Error compiling") {
            return RedisFault(.scriptError, "a Redis script failed\(code.isEmpty ? "" : " (\(code.prefix(24)))")")
        }
        return RedisFault(.other, "Redis refused the command\(code.isEmpty ? "" : " (\(code.prefix(24)))")")
    }
}
