public import Logging

/// The configuration of one daemon: whole, checked, and with every name and default resolved. A value: a reload builds a
/// new one aside and swaps it in. The table of all keys (``SettingKey/all``) says defaults, ranges and meaning.
public struct Settings: Sendable, Equatable {
    public var socket = Socket()
    public var redis = Redis()
    /// Folder for what must survive a restart (embedded Redis), an absolute path. It may not exist yet.
    public var stateDirectory = ""
    public var rotation = Rotation()
    public var session = Session()
    public var guest = Guest()
    public var csrf = CSRF()
    public var captcha = Captcha()
    public var keyring = Keyring()
    public var binding = Binding()
    public var nearCache = NearCache()
    public var limits = Limits()
    /// How long a drain may take at shutdown.
    public var drainTimeout = Duration.zero
    public var log = Log()
    public var audit = Audit()
    public var access = Access()

    /// Everything zero or empty: only the table's defaults make it valid.
    init() {}

    /// Every key at its default; paths still empty, as no environment is looked at. For tests and for parts of the
    /// daemon that are started without a configuration.
    public static let defaults: Settings = {
        var settings = Settings()
        for key in SettingKey.all { key.applyDefault(&settings) }
        return settings
    }()

    /// What is wrong with the files that these settings name, as far as that can be seen without starting: the key ring,
    /// and the audit trail.
    public var fileProblem: String? { DaemonKeys.problem(self) ?? AuditTrail.problem(self) }

    /// The RESP listener.
    public struct Socket: Sendable, Equatable {
        /// Absolute path, at most ``SocketPath/maxBytes`` bytes. Its folder may not exist yet; one level may be made.
        public var path = ""
        /// Permission bits of the socket, 0…0o777.
        public var mode: UInt32 = 0
        /// The name or number of the group that owns the socket, as written; empty leaves it as it is made.
        public var group = ""
        /// The same as a number, or nil if empty.
        public var groupID: UInt32?
    }

    /// The link to Redis.
    public struct Redis: Sendable, Equatable {
        public var url = RedisURL.embedded
        /// Absolute path of a file whose first line is the password, or empty. Read again whenever Redis refuses it.
        public var passwordFile = ""
        /// It lies among systemd's credentials: who may read it is systemd's business.
        public var isPasswordCredential = false
        /// Before every key; 1–64 printable ASCII characters without space, `{` or `}`.
        public var prefix = ""
        /// From sending a request to its reply; then the answer is `UNAVAILABLE`.
        public var timeout = Duration.zero
        /// Name or absolute path of the program for `embedded`.
        public var executable = ""
        public var appendfsync = AppendFsync.everysec
    }

    /// When the embedded Redis brings its log to the disk.
    public enum AppendFsync: String, Sendable, Equatable, CaseIterable {
        /// Once a second: a crash of the host may lose that second.
        case everysec
        /// Before every reply to a write.
        case always
    }

    /// Token rotation (session-model.md).
    public struct Rotation: Sendable, Equatable {
        /// Age of a token, from its confirmation, at which an access rotates it.
        public var after = Duration.zero
        /// How long the old token is accepted after its successor was first used.
        public var overlap = Duration.zero
        public var onReplay = OnReplay.reject
        public var lostSuccessor = LostSuccessor.refuse
        /// Under `revoke`: a retired token ends its session only this long after its retirement.
        public var replayGrace = Duration.zero
    }

    /// What a retired token that comes back does.
    public enum OnReplay: String, Sendable, Equatable, CaseIterable {
        /// It is refused, counted and logged.
        case reject
        /// It also ends the session.
        case revoke
    }

    /// What the token before does when its successor was used, and its overlap is over.
    public enum LostSuccessor: String, Sendable, Equatable, CaseIterable {
        /// It is refused.
        case refuse
        /// It is told its successor again.
        case recover
    }

    public struct Session: Sendable, Equatable {
        /// A session without an access for this long is over.
        public var idle = Duration.zero
        /// A session is over this long after its issue or login, whatever happens.
        public var absolute = Duration.zero
        /// The most that ISSUE and LOGIN may ask for, as idle and as absolute limit.
        public var maxAbsolute = Duration.zero
        /// An access is written down only if the recorded one is older; the service takes at most a tenth of the idle
        /// limit of the session at hand.
        public var touchInterval = Duration.zero
        /// How long an ended session is remembered with its reason.
        public var tombstone = Duration.zero
        /// Bytes of data (names and values) in one session.
        public var maxData = 0
    }

    /// Visitors that nothing is stored of.
    public struct Guest: Sendable, Equatable {
        /// A token's; a visit in its second half renews it.
        public var lifetime = Duration.zero
        /// From the first token on, whatever happens.
        public var absolute = Duration.zero
    }

    public struct CSRF: Sendable, Equatable {
        public var lifetime = Duration.zero
        public var enforce = EnforceCSRF.token
    }

    /// What a form must show.
    public enum EnforceCSRF: String, Sendable, Equatable, CaseIterable {
        /// Its token; a request that the browser itself calls `cross-site` fails even so.
        case token
        /// Besides the token, `same-origin` or `none` in `Sec-Fetch-Site` where the browser sends it.
        case sameOrigin = "same-origin"
    }

    public struct Captcha: Sendable, Equatable {
        public var lifetime = Duration.zero
        /// Characters of a solution.
        public var length = 0
        public var binding = BindCaptcha.inherit
    }

    /// Whether a captcha is bound to the network it was made for.
    public enum BindCaptcha: String, Sendable, Equatable, CaseIterable {
        /// As all tokens are.
        case inherit
        case off
        case strict
    }

    public struct Keyring: Sendable, Equatable {
        /// Absolute path, or empty where there is none.
        public var file = ""
        /// It came as a systemd credential: its mode is systemd's business.
        public var isCredential = false
        /// A missing file is made: with an embedded Redis no other host needs the same keys.
        public var isMadeIfMissing = false
    }

    /// What of the client a token is bound to.
    public struct Binding: Sendable, Equatable {
        public var ip = BindingMode.off
        public var userAgent = BindingMode.off
        /// Bits of an address that count.
        public var prefix4 = 0
        public var prefix6 = 0
    }

    /// What a signal that differs does.
    public enum BindingMode: String, Sendable, Equatable, CaseIterable {
        /// Nothing: the token is not bound.
        case off
        /// It is named in the reply's `differs`.
        case log
        /// The token is not accepted.
        case strict
    }

    /// Validated sessions in the daemon's own memory.
    public struct NearCache: Sendable, Equatable {
        /// Bytes for all entries; zero turns it off.
        public var maxMemory = 0
        /// How long a session that was known is still accepted while Redis does not answer at all; zero turns that off.
        public var serveStale = Duration.zero
    }

    /// Bounds of one daemon at its socket.
    public struct Limits: Sendable, Equatable {
        /// Connections at a time.
        public var maxClients = 0
        /// Of one user that is no admin; zero is no limit.
        public var maxClientsPerUser = 0
        /// Bytes of one bulk string of a request.
        public var maxBulk = 0
        /// The longest request, all its arguments together: room for the largest SET, and for a few large values.
        var maxRequest: Int { max(1 << 20, maxBulk &* 4) }
        /// Memory for the incomplete requests of all clients together.
        public var maxInput = 0
        /// Age at which an incomplete command closes its connection.
        public var requestTimeout = Duration.zero
        /// A connection without a command for this long is closed; zero keeps it.
        public var idleTimeout = Duration.zero
        /// Bytes of unread replies past which a client's input is not read any more.
        public var maxOutput = 0
        /// Such a client is closed after this long without progress.
        public var writeTimeout = Duration.zero
    }

    public struct Log: Sendable, Equatable {
        public var level = Logger.Level.info
        public var format = LogFormat.text
    }

    /// Where events go that an auditor wants to know of.
    public struct Audit: Sendable, Equatable {
        public var target = AuditTarget.off
    }

    public enum AuditTarget: Sendable, Equatable {
        case off
        /// The daemon's own log.
        case log
        /// An absolute path.
        case file(String)
    }

    /// Who may do what, by the peer's user and groups.
    public struct Access: Sendable, Equatable {
        /// The role of whoever is not named below.
        public var defaultRole = AccessRole.none
        /// Name or number as written → role.
        public var users: [String: AccessRole] = [:]
        /// Name or number as written → role.
        public var groups: [String: AccessRole] = [:]
        /// uid → role: `users`, resolved.
        public var userIDs: [UInt32: AccessRole] = [:]
        /// gid → role: `groups`, resolved.
        public var groupIDs: [UInt32: AccessRole] = [:]
    }
}

/// What a peer may do; each role includes the one before it.
public enum AccessRole: String, Sendable, CaseIterable, Comparable {
    /// Nothing: the connection is refused.
    case none
    /// Validate and inspect tokens, check forms.
    case validator
    /// Every domain command.
    case worker
    /// Everything.
    case admin

    public static func < (a: AccessRole, b: AccessRole) -> Bool {
        a.rank < b.rank
    }

    private var rank: Int {
        switch self {
        case .none: 0
        case .validator: 1
        case .worker: 2
        case .admin: 3
        }
    }
}

/// Bounds of a Unix socket's address.
public enum SocketPath {
    /// `sun_path` of unix(7) without the terminating zero.
    public static let maxBytes = 107
}
