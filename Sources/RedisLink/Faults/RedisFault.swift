/// Why nobody knows the answer: becomes `UNAVAILABLE <description>` for the client.
///
/// The description is made of fixed words and, at most, Redis's error code or an address. It never holds a key, an
/// argument, a token or a password: Redis's own texts quote arguments and are not passed on.
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
        /// `MOVED`, `ASK`, `TRYAGAIN`, `CROSSSLOT`.
        case cluster
        /// `CLUSTERDOWN`: the node is cut off, or not all slots have a master.
        case clusterDown
        /// TLS is refused, by this side or the other, or one side speaks it and the other does not.
        case tls
        /// A server, or a version of one, that lacks what the daemon needs.
        case unfit
        /// A mark at the server says that its data is or was carried to another: what it still has is no truth any more.
        case moved
        /// Bytes that are no reply, or a reply past a limit.
        case protocolError
        /// A script failed or cannot be loaded.
        case scriptError
        /// `WRONGTYPE`: the key holds something else than what belongs there.
        case wrongType
        /// It was written, and fewer replicas than `redis.wait-replicas` have it in time, as far as is known.
        case unacknowledged
        /// The daemon's own bound of waiting requests is reached; nothing was sent.
        case overloaded
        case other
    }

    public let kind: Kind
    public let description: String
    /// Where a node of a cluster sends the command to.
    public internal(set) var redirection: Redirection?
    /// `TRYAGAIN`: of the keys of one command some are here and some elsewhere, for a moment.
    public internal(set) var isPassing = false

    /// `MOVED` or `ASK`: the slot, and the node that the sender holds for its owner.
    public struct Redirection: Equatable, Sendable {
        /// Only this command, behind `ASKING`; else all of the slot from now on.
        public let isOnce: Bool
        /// 0 to 16,383.
        public let slot: Int
        /// Empty where it is the sender's own.
        public let host: String
        public let port: UInt16

        /// Reads `MOVED 3999 127.0.0.1:6381`; nil for anything else. Source: redis.io/docs/reference/cluster-spec.
        init?(error text: String) {
            let words = text.split(separator: " ", omittingEmptySubsequences: false)
            guard words.count == 3, words[0] == "MOVED" || words[0] == "ASK", let slot = Int(words[1]),
                (0..<KeySlot.count).contains(slot), let colon = words[2].lastIndex(of: ":"),
                let port = UInt16(words[2][words[2].index(after: colon)...]), port > 0
            else { return nil }
            isOnce = words[0] == "ASK"
            self.slot = slot
            host = String(words[2][..<colon])
            self.port = port
        }
    }

    /// Redis said nothing at all, or TLS failed before it could: what was asked for may have happened, or was never sent.
    public var isSilence: Bool {
        switch kind {
        case .timeout, .closed, .unreachable, .tls: true
        default: false
        }
    }

    /// It was refused before anything of it was carried out: Redis looks at these before it runs a script.
    public var isRefusal: Bool {
        switch kind {
        case .loading, .busy, .outOfMemory, .readOnly, .masterDown, .noReplicas, .misconfigured, .credentials,
            .clusterDown,
            .overloaded, .moved:
            true
        default: false
        }
    }

    /// The server must not be written to, so it is not read from either: it is no master any more, or is cut off from
    /// its replicas or its cluster.
    public var isLossOfRole: Bool {
        switch kind {
        case .readOnly, .noReplicas, .clusterDown: true
        default: false
        }
    }

    /// Trying again soon is of no use: first the operator has to change credentials, certificates or the
    /// server.
    public var needsOperator: Bool {
        switch kind {
        case .credentials, .tls, .unfit, .moved: true
        default: false
        }
    }

    /// User or password was not taken: another password may be.
    var isRefusedLogin: Bool {
        let row = KnownFault.of(description)
        return row == .noPassword || row == .wrongPassword
    }

    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

extension RedisFault {
    /// Nobody knows whether replicas have it.
    public static let unacknowledged = RedisFault(.unacknowledged, .unacknowledged)

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
        case "NOSCRIPT": return (RedisFault(.scriptError, .scriptLost), .loadScript)
        case "LOADING": return (RedisFault(.loading, .loading), .reconnect)
        case "BUSY", "UNKILLABLE": return (RedisFault(.busy, .busy), .none)
        case "OOM": return (RedisFault(.outOfMemory, .outOfMemory), .none)
        case "READONLY": return (RedisFault(.readOnly, .readOnly), .reconnect)
        case "MASTERDOWN": return (RedisFault(.masterDown, .masterDown), .reconnect)
        case "NOREPLICAS", "NOGOODSLAVE", "NOREPLICASOK":
            return (RedisFault(.noReplicas, .noReplicas), .none)
        case "MISCONF": return (RedisFault(.misconfigured, .cannotSave), .none)
        case "DENIED": return (RedisFault(.misconfigured, .protectedMode), .reconnect)
        case "NOAUTH": return (RedisFault(.credentials, .noPassword), .reconnect)
        case "WRONGPASS": return (RedisFault(.credentials, .wrongPassword, " (WRONGPASS)"), .reconnect)
        case "NOPERM": return (RedisFault(.credentials, .noPermission, " (NOPERM)"), .none)
        case "CLUSTERDOWN": return (RedisFault(.clusterDown, .clusterDown), .none)
        case "WRONGTYPE": return (RedisFault(.wrongType, .wrongType), .none)
        case "MOVED", "ASK", "TRYAGAIN", "CROSSSLOT":
            var fault = RedisFault(.cluster, .cluster, " (\(code))")
            fault.redirection = Redirection(error: text)
            fault.isPassing = code == "TRYAGAIN"
            return (fault, .none)
        default: return (classifyPlain(text, code: code), .none)
        }
    }

    private static func classifyPlain(_ text: String, code: Substring) -> RedisFault {
        if text.hasPrefix("ERR max number of clients") {
            return RedisFault(.maxClients, .maxClients)
        }
        if text.hasPrefix("ERR The user executing the script can't") || text.hasPrefix("ERR AUTH <password> called")
            || text.hasPrefix("ERR invalid password") || text.hasPrefix("ERR Client sent AUTH")
        {
            return RedisFault(.credentials, .noScriptPermission)
        }
        // Redis names the command, and quotes arguments with it.
        if text.lowercased().hasPrefix("err unknown command") || text.hasPrefix("ERR Unknown Redis command called") {
            return RedisFault(.other, .unknownCommand)
        }
        if text.contains("script") || text.contains("user_function") || text.hasPrefix("ERR Error compiling") {
            return RedisFault(.scriptError, .scriptFailed, code.isEmpty ? "" : " (\(code.prefix(24)))")
        }
        return RedisFault(.other, .refused, code.isEmpty ? "" : " (\(code.prefix(24)))")
    }
}
