internal import EmbeddedRedis
internal import EventLoop
internal import Host
public import Logging
internal import RedisLink
internal import TokenCache
internal import Tokens
internal import WireProtocol

/// Every key of the configuration, by section, in the order of the manual.
///
/// A new key is a row here and a paragraph in `conf/tokencached.yaml` and in the manual page; tests hold them together. Its
/// value is then `settings.section.key`, and whoever needs it asks for that.
public struct SettingKeys: Sendable {
    let socket = SocketKeys()
    let redis = RedisKeys()
    let rotation = RotationKeys()
    let session = SessionKeys()
    let guest = GuestKeys()
    let csrf = CSRFKeys()
    let captcha = CaptchaKeys()
    let keyring = KeyringKeys()
    let binding = BindingKeys()
    let nearCache = NearCacheKeys()
    let janitor = JanitorKeys()
    let http = HTTPKeys()
    let limits = LimitKeys()
    let stateDirectory = SettingKey(
        "state-dir",
        .path(empty: "$STATE_DIRECTORY, \(Product.stateFolder) or tokencached in $XDG_STATE_HOME"), default: "",
        .restart,
        "folder for what must survive a restart")
    let drainTimeout = SettingKey(
        "drain-timeout", .duration(.zero...(.minutes(10))), default: .seconds(5), .reload,
        "how long the daemon finishes requests before it ends")
    public let log = LogKeys()
    let audit = AuditKeys()
    let access = AccessKeys()
}

/// A part of ``SettingKeys``: its properties are keys.
public protocol KeySection: Sendable {}

/// A year and a little more: what browsers keep a cookie for.
private let longest = Duration.days(400)

/// The RESP listener.
struct SocketKeys: KeySection {
    let path = SettingKey(
        "socket.path",
        .path(
            empty: "\(Product.socketName) in $RUNTIME_DIRECTORY, \(Product.socketFolder) or $XDG_RUNTIME_DIR",
            maxBytes: SocketPath.maxBytes),
        default: "", .restart, "the Unix socket that the daemon listens on")
    let mode = SettingKey("socket.mode", .mode, default: 0o660, .restart, "permission bits of the socket")
    let group = SettingKey(
        "socket.group", .text(allowed: "name or number of a group, or empty") { $0.isEmpty || HostNames.isName($0) },
        default: "", .restart, "group that owns the socket")
}

/// `redis.sentinel-quorum`.
enum SentinelQuorum: String, CaseIterable, Sendable {
    case require, ignore
}

/// The link to Redis.
struct RedisKeys: KeySection {
    let url = SettingKey(
        "redis.url", .redisURL, default: .embedded, .restart, disclosure: .redacted, "where Redis is")
    let passwordFile = SettingKey(
        "redis.password-file", .path(empty: "none"), default: "", .restart, disclosure: .pathOnly,
        "file whose first line is the password for Redis")
    let passwordCommand = SettingKey(
        "redis.password-command",
        .text(allowed: "an absolute path and arguments, separated by spaces, at most 1024 bytes, or empty for none") {
            $0.isEmpty || ($0.hasPrefix("/") && $0.utf8.count <= 1024 && !$0.utf8.contains { $0 < 0x20 || $0 == 0x7f })
        },
        default: "", .restart, disclosure: .pathOnly, "program that writes the password for Redis")
    let passwordLifetime = SettingKey(
        "redis.password-lifetime", .duration(.zero...(.days(30)), zeroMeans: "for good"), default: .zero, .restart,
        "how long a password of redis.password-command is good")
    let sentinelQuorum = SettingKey(
        "redis.sentinel-quorum", .choice, default: SentinelQuorum.require, .restart,
        "whether nothing is served without most Sentinels' word that Redis is still the master")
    let sentinelUser = SettingKey(
        "redis.sentinel-user",
        .text(allowed: "at most 256 printable ASCII characters without space, or empty") { text in
            text.utf8.count <= 256 && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
        },
        default: "", .restart, "who the daemon is at the Sentinels")
    let sentinelPasswordFile = SettingKey(
        "redis.sentinel-password-file", .path(empty: "none"), default: "", .restart, disclosure: .pathOnly,
        "file whose first line is the password for the Sentinels")
    let tlsAuthorities = SettingKey(
        "redis.tls-ca-cert-file", .path(empty: "those of the system"), default: "", .reload,
        "certificates of the authorities that may have signed Redis's")
    let tlsCertificate = SettingKey(
        "redis.tls-cert-file", .path(empty: "none"), default: "", .reload,
        "the certificate that the daemon shows to Redis")
    let tlsKey = SettingKey(
        "redis.tls-key-file", .path(empty: "none"), default: "", .reload, disclosure: .pathOnly,
        "the private key of redis.tls-cert-file")
    let tlsServerName = SettingKey(
        "redis.tls-server-name",
        .text(allowed: "a host name or address of at most 253 characters, or empty for the one in redis.url") { text in
            text.utf8.count <= 253 && !text.hasPrefix(".")
                && text.utf8.allSatisfy {
                    (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
                        || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ":")
                }
        },
        default: "", .reload, "whose name Redis's certificate must have")
    let prefix = SettingKey(
        "redis.prefix",
        .text(allowed: "1 to 64 printable ASCII characters without space, { and }") { text in
            (1...64).contains(text.utf8.count)
                && text.utf8.allSatisfy {
                    (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "{") && $0 != UInt8(ascii: "}")
                }
        },
        default: "tc:", .restart, "what every key of this daemon in Redis starts with")
    let timeout = SettingKey(
        "redis.timeout", .duration(.milliseconds(10)...(.seconds(10))), default: .milliseconds(250), .restart,
        "how long a request waits for Redis")
    let waitReplicas = SettingKey(
        "redis.wait-replicas", .integer(0...16, zeroMeans: "none"), default: 0, .restart,
        "how many replicas must have a change before it is acknowledged")
    let executable = SettingKey(
        "redis.executable",
        .text(allowed: "name of a program or absolute path") { text in
            let isName = !text.isEmpty && !text.contains("/")
            return (isName || text.hasPrefix("/")) && text.utf8.count <= 1024 && !text.utf8.contains(0)
        },
        default: "redis-server", .restart, "the program for redis.url: embedded")
    let appendfsync = SettingKey(
        "redis.appendfsync", .choice(EmbeddedRedis.AppendFsync.everysec, .always), default: .everysec, .restart,
        "when the embedded Redis brings its log to the disk")
}

struct RotationKeys: KeySection {
    let after = SettingKey(
        "rotation.after", .duration(.milliseconds(1)...longest), default: .minutes(15), .reload,
        "age at which an access replaces a token")
    let overlap = SettingKey(
        "rotation.overlap", .duration(.zero...(.hours(1))), default: .minutes(2), .reload,
        "how long an old token is accepted after its successor was used")
    let onReplay = SettingKey(
        "rotation.on-replay", .choice, default: ReplayPolicy.reject, .reload,
        "what a retired token that comes back does")
    let lostSuccessor = SettingKey(
        "rotation.lost-successor", .choice, default: LostSuccessorPolicy.refuse, .reload,
        "what the token before does when its successor was used, and is lost")
    let replayGrace = SettingKey(
        "rotation.replay-grace", .duration(.zero...longest), default: .minutes(10), .reload,
        "how long after its retirement a token ends no session")
}

struct SessionKeys: KeySection {
    let idle = SettingKey(
        "session.idle", .duration(.milliseconds(1)...longest), default: .hours(2), .reload,
        "a session without an access for this long is over")
    let absolute = SettingKey(
        "session.absolute", .duration(.milliseconds(1)...longest), default: .hours(24), .reload,
        "a session is over this long after issue or login")
    let maxAbsolute = SettingKey(
        "session.max-absolute", .duration(.milliseconds(1)...longest), default: longest, .reload,
        "the most that a command may ask for")
    let touchInterval = SettingKey(
        "session.touch-interval", .duration(.milliseconds(1)...(.days(1))), default: .seconds(60), .reload,
        "how old the recorded access must be before it is written again")
    let tombstone = SettingKey(
        "session.tombstone", .duration(.milliseconds(1)...(.days(30))), default: .minutes(10), .reload,
        "how long an ended session is remembered with its reason")
    let maxData = SettingKey(
        "session.max-data", .byteSize(0...(1 << 20)), default: 64 << 10, .reload,
        "bytes of data, names and values, in one session")
    let maxPerSubject = SettingKey(
        "session.max-per-subject", .integer(0...TokenService.maxListed, zeroMeans: "any number"), default: 0, .reload,
        "sessions that a subject may have at a time")
    let onLimit = SettingKey(
        "session.on-limit", .choice, default: SessionLimitPolicy.endOldest, .reload,
        "what a login past session.max-per-subject does")
}

/// Visitors that nothing is stored of.
struct GuestKeys: KeySection {
    let lifetime = SettingKey(
        "guest.lifetime", .duration(.seconds(1)...longest), default: .hours(24), .reload,
        "how long a guest token is good; past half of it a page view renews it")
    let absolute = SettingKey(
        "guest.absolute", .duration(.seconds(1)...longest), default: .days(30), .reload,
        "a guest is over this long after its first token")
}

struct CSRFKeys: KeySection {
    let lifetime = SettingKey(
        "csrf.lifetime", .duration(.seconds(1)...(.days(30))), default: .hours(12), .reload,
        "how long a CSRF token is good")
    let enforce = SettingKey(
        "csrf.enforce", .choice, default: Enforcement.token, .reload, "what a form must show besides its token")

    enum Enforcement: String, Sendable, CaseIterable {
        /// Its token; a request that the browser itself calls `cross-site` fails even so.
        case token
        /// Besides the token, `same-origin` or `none` in `Sec-Fetch-Site` where the browser sends it.
        case sameOrigin = "same-origin"
    }
}

struct CaptchaKeys: KeySection {
    let lifetime = SettingKey(
        "captcha.lifetime", .duration(.seconds(1)...(.days(30))), default: .minutes(10), .reload,
        "how long a captcha can be answered")
    let length = SettingKey(
        "captcha.length", .integer(1...CaptchaAlphabet.longest), default: 5, .reload,
        "characters of a captcha's solution")
    let binding = SettingKey(
        "captcha.binding", .choice, default: CaptchaBinding.inherit, .reload,
        "whether captchas are bound to the network they were made for")
}

struct KeyringKeys: KeySection {
    let file = SettingKey(
        "keyring.file",
        .path(empty: "$CREDENTIALS_DIRECTORY/keyring, or with redis.url: embedded keyring.json in state-dir"),
        default: "", .reload, "file with the keys that guest, CSRF and captcha tokens are sealed with")
}

/// What of the client a token is bound to.
struct BindingKeys: KeySection {
    let ip = SettingKey(
        "binding.ip", .choice, default: BindingMode.off, .reload,
        "whether a token is bound to the network it was made for")
    let userAgent = SettingKey(
        "binding.ua", .choice, default: BindingMode.off, .reload,
        "whether a token is bound to the browser's name it was made for")
    let prefix4 = SettingKey(
        "binding.ip-prefix4", .integer(1...32), default: 24, .reload, "bits of an IPv4 address that count")
    let prefix6 = SettingKey(
        "binding.ip-prefix6", .integer(1...128), default: 56, .reload, "bits of an IPv6 address that count")
}

struct NearCacheKeys: KeySection {
    let maxMemory = SettingKey(
        "near-cache.max-memory", .byteSize(0...(64 << 30)), default: 64 << 20, .restart,
        "memory for validated sessions; 0 turns the near cache off")
    let serveStale = SettingKey(
        "near-cache.serve-stale", .duration(.zero...(.hours(1))), default: .seconds(10), .reload,
        "how long a known session is accepted while Redis does not answer at all")
}

/// Who clears indexes of subjects who never come back.
struct JanitorKeys: KeySection {
    let interval = SettingKey(
        "janitor.interval", .duration(.zero...(.days(30)), zeroMeans: "never"), default: .days(1), .reload,
        "how long after a round over all subjects' indexes the next one begins")
    let rate = SettingKey(
        "janitor.rate", .integer(1...1_000_000), default: 1_000, .reload,
        "members of indexes that a round reads a second")
}

/// Bounds of one daemon at its socket.
struct LimitKeys: KeySection {
    let maxClients = SettingKey(
        "limits.max-clients", .integer(1...1_000_000), default: 10_000, .reload, "connections at a time")
    let maxClientsPerUser = SettingKey(
        "limits.max-clients-per-user", .integer(0...1_000_000, zeroMeans: "off"), default: 0, .reload,
        "connections of one user that is no admin")
    let maxBulk = SettingKey(
        "limits.max-bulk", .byteSize((4 << 10)...(16 << 20)), default: 128 << 10, .reload,
        "bytes of one argument of a command")
    let maxInput = SettingKey(
        "limits.max-input", .byteSize((1 << 20)...(64 << 30)), default: 64 << 20, .reload,
        "memory for the incomplete commands of all clients together")
    let requestTimeout = SettingKey(
        "limits.request-timeout", .duration(.milliseconds(10)...(.hours(1))), default: .seconds(10), .reload,
        "age at which an incomplete command closes its connection")
    let idleTimeout = SettingKey(
        "limits.idle-timeout", .duration(.zero...(.days(30)), zeroMeans: "off"), default: .zero, .reload,
        "a connection without a command for this long is closed")
    let maxOutput = SettingKey(
        "limits.max-output", .byteSize((4 << 10)...(1 << 30)), default: 1 << 20, .reload,
        "bytes of unread replies past which a client is not read any more")
    let writeTimeout = SettingKey(
        "limits.write-timeout", .duration(.milliseconds(10)...(.hours(1))), default: .seconds(10), .reload,
        "how long such a client may make no progress")
    let maxSubscriptions = SettingKey(
        "limits.max-subscriptions", .integer(1...10_000_000), default: 100_000, .reload,
        "sessions that connections are subscribed to, those of all connections together")
}

public struct LogKeys: KeySection {
    public let level = SettingKey(
        "log.level", .choice, default: Logger.Level.info, .reload, "the least important messages to log")
    public let format = SettingKey(
        "log.format", .choice, default: LogFormat.text, .reload, "how a line of the log is written")
}

struct AuditKeys: KeySection {
    let target = SettingKey(
        "audit.target", .auditTarget, default: .off, .reload, "where events go that an auditor wants to know of")
}

/// Who may do what, by the peer's user and groups. Names or numbers as written; ``Settings/Resolved`` has numbers only.
struct AccessKeys: KeySection {
    let defaultRole = SettingKey(
        "access.default", .role, default: .worker, .reload, "role of whoever can open the socket")
    let users = SettingKey(map: "access.users", of: "user name or number", .role, .reload, "roles of users")
    let groups = SettingKey(map: "access.groups", of: "group name or number", .role, .reload, "roles of groups")
}
