internal import Logging
internal import TokenCache

extension SettingKey {
    /// Every key of the configuration, in the order of the manual. A new key is a row here, a property in ``Settings``
    /// and a paragraph in `conf/tokencached.yaml` and in the manual page; tests hold them together.
    static let all: [SettingKey] =
        socketKeys + redisKeys + rotationKeys + sessionKeys + guestKeys + bindingKeys + nearCacheKeys + limitKeys
        + processKeys + accessKeys

    /// The parts before the last dot of every key: `session`, `access`.
    static let sections: Set<String> = {
        var sections = Set<String>()
        for key in all {
            var name = key.name[...]
            while let dot = name.lastIndex(of: ".") {
                name = name[..<dot]
                sections.insert(String(name))
            }
        }
        return sections
    }()

    /// Name → key.
    static let byName = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }

    /// A year and a little more: what browsers keep a cookie for.
    private static let longest = Duration.days(400)

    private static let socketKeys = [
        SettingKey(
            "socket.path", \.socket.path,
            .path(
                empty: "tokencached.sock in $RUNTIME_DIRECTORY, /run/tokencached or $XDG_RUNTIME_DIR",
                maxBytes: SocketPath.maxBytes),
            default: "", .restart, "the Unix socket that the daemon listens on"),
        SettingKey(
            "socket.mode", \.socket.mode, .mode, default: 0o660, .restart, "permission bits of the socket"),
        SettingKey(
            "socket.group", \.socket.group,
            .text(allowed: "name or number of a group, or empty") { $0.isEmpty || HostNames.isName($0) },
            default: "", .restart, "group that owns the socket"),
    ]

    private static let redisKeys = [
        SettingKey(
            "redis.url", \.redis.url, .redisURL, default: .embedded, .restart, disclosure: .redacted,
            "where Redis is"),
        SettingKey(
            "redis.password-file", \.redis.passwordFile, .path(empty: "none"), default: "", .restart,
            disclosure: .pathOnly, "file whose first line is the password for Redis"),
        SettingKey(
            "redis.prefix", \.redis.prefix,
            .text(allowed: "1 to 64 printable ASCII characters without space, { and }") { text in
                (1...64).contains(text.utf8.count)
                    && text.utf8.allSatisfy {
                        (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "{") && $0 != UInt8(ascii: "}")
                    }
            },
            default: "tc:", .restart, "what every key of this daemon in Redis starts with"),
        SettingKey(
            "redis.timeout", \.redis.timeout, .duration(.milliseconds(10)...(.seconds(10))),
            default: .milliseconds(250), .restart, "how long a request waits for Redis"),
        SettingKey(
            "redis.executable", \.redis.executable,
            .text(allowed: "name of a program or absolute path") { text in
                let isName = !text.isEmpty && !text.contains("/")
                return (isName || text.hasPrefix("/")) && text.utf8.count <= 1024 && !text.utf8.contains(0)
            },
            default: "redis-server", .restart, "the program for redis.url: embedded"),
        SettingKey(
            "redis.appendfsync", \.redis.appendfsync, .choice, default: .everysec, .restart,
            "when the embedded Redis brings its log to the disk"),
    ]

    private static let rotationKeys = [
        SettingKey(
            "rotation.after", \.rotation.after, .duration(.milliseconds(1)...longest), default: .minutes(15),
            .reload, "age at which an access replaces a token"),
        SettingKey(
            "rotation.overlap", \.rotation.overlap, .duration(.zero...(.hours(1))), default: .minutes(2),
            .reload, "how long an old token is accepted after its successor was used"),
        SettingKey(
            "rotation.on-replay", \.rotation.onReplay, .choice, default: .reject, .reload,
            "what a retired token that comes back does"),
        SettingKey(
            "rotation.lost-successor", \.rotation.lostSuccessor, .choice, default: .refuse, .reload,
            "what the token before does when its successor was used, and is lost"),
        SettingKey(
            "rotation.replay-grace", \.rotation.replayGrace, .duration(.zero...longest), default: .minutes(10),
            .reload, "how long after its retirement a token ends no session"),
    ]

    private static let sessionKeys = [
        SettingKey(
            "session.idle", \.session.idle, .duration(.milliseconds(1)...longest), default: .hours(2), .reload,
            "a session without an access for this long is over"),
        SettingKey(
            "session.absolute", \.session.absolute, .duration(.milliseconds(1)...longest), default: .hours(24),
            .reload, "a session is over this long after issue or login"),
        SettingKey(
            "session.max-absolute", \.session.maxAbsolute, .duration(.milliseconds(1)...longest), default: longest,
            .reload, "the most that ISSUE and LOGIN may ask for"),
        SettingKey(
            "session.touch-interval", \.session.touchInterval, .duration(.milliseconds(1)...(.days(1))),
            default: .seconds(60), .reload, "how old the recorded access must be before it is written again"),
        SettingKey(
            "session.tombstone", \.session.tombstone, .duration(.milliseconds(1)...(.days(30))),
            default: .minutes(10), .reload, "how long an ended session is remembered with its reason"),
        SettingKey(
            "session.max-data", \.session.maxData, .byteSize(0...(1 << 20)), default: 64 << 10, .reload,
            "bytes of data, names and values, in one session"),
    ]

    private static let guestKeys = [
        SettingKey(
            "guest.lifetime", \.guest.lifetime, .duration(.seconds(1)...longest), default: .hours(24), .reload,
            "how long a guest token is good; past half of it a page view renews it"),
        SettingKey(
            "guest.absolute", \.guest.absolute, .duration(.seconds(1)...longest), default: .days(30), .reload,
            "a guest is over this long after its first token"),
        SettingKey(
            "csrf.lifetime", \.csrf.lifetime, .duration(.seconds(1)...(.days(30))), default: .hours(12), .reload,
            "how long a CSRF token is good"),
        SettingKey(
            "csrf.enforce", \.csrf.enforce, .choice, default: .token, .reload,
            "what a form must show besides its token"),
        SettingKey(
            "captcha.lifetime", \.captcha.lifetime, .duration(.seconds(1)...(.days(30))), default: .minutes(10),
            .reload, "how long a captcha can be answered"),
        SettingKey(
            "captcha.length", \.captcha.length, .integer(1...CaptchaAlphabet.longest), default: 5, .reload,
            "characters of a captcha's solution"),
        SettingKey(
            "captcha.binding", \.captcha.binding, .choice, default: .inherit, .reload,
            "whether captchas are bound to the network they were made for"),
        SettingKey(
            "keyring.file", \.keyring.file,
            .path(empty: "$CREDENTIALS_DIRECTORY/keyring, or with redis.url: embedded keyring.json in state-dir"),
            default: "", .reload, "file with the keys that guest, CSRF and captcha tokens are sealed with"),
    ]

    private static let bindingKeys = [
        SettingKey(
            "binding.ip", \.binding.ip, .choice, default: .off, .reload,
            "whether a token is bound to the network it was made for"),
        SettingKey(
            "binding.ua", \.binding.userAgent, .choice, default: .off, .reload,
            "whether a token is bound to the browser's name it was made for"),
        SettingKey(
            "binding.ip-prefix4", \.binding.prefix4, .integer(1...32), default: 24, .reload,
            "bits of an IPv4 address that count"),
        SettingKey(
            "binding.ip-prefix6", \.binding.prefix6, .integer(1...128), default: 56, .reload,
            "bits of an IPv6 address that count"),
    ]

    private static let nearCacheKeys = [
        SettingKey(
            "near-cache.max-memory", \.nearCache.maxMemory, .byteSize(0...(64 << 30)), default: 64 << 20, .restart,
            "memory for validated sessions; 0 turns the near cache off"),
        SettingKey(
            "near-cache.serve-stale", \.nearCache.serveStale, .duration(.zero...(.hours(1))), default: .seconds(10),
            .reload, "how long a known session is accepted while Redis does not answer at all"),
    ]

    private static let limitKeys = [
        SettingKey(
            "limits.max-clients", \.limits.maxClients, .integer(1...1_000_000), default: 10_000, .reload,
            "connections at a time"),
        SettingKey(
            "limits.max-clients-per-user", \.limits.maxClientsPerUser, .integer(0...1_000_000, zeroMeans: "off"),
            default: 0, .reload, "connections of one user that is no admin"),
        SettingKey(
            "limits.max-bulk", \.limits.maxBulk, .byteSize((4 << 10)...(16 << 20)), default: 128 << 10, .reload,
            "bytes of one argument of a command"),
        SettingKey(
            "limits.max-input", \.limits.maxInput, .byteSize((1 << 20)...(64 << 30)), default: 64 << 20, .reload,
            "memory for the incomplete commands of all clients together"),
        SettingKey(
            "limits.request-timeout", \.limits.requestTimeout, .duration(.milliseconds(10)...(.hours(1))),
            default: .seconds(10), .reload, "age at which an incomplete command closes its connection"),
        SettingKey(
            "limits.idle-timeout", \.limits.idleTimeout, .duration(.zero...(.days(30)), zeroMeans: "off"),
            default: .zero, .reload, "a connection without a command for this long is closed"),
        SettingKey(
            "limits.max-output", \.limits.maxOutput, .byteSize((4 << 10)...(1 << 30)), default: 1 << 20, .reload,
            "bytes of unread replies past which a client is not read any more"),
        SettingKey(
            "limits.write-timeout", \.limits.writeTimeout, .duration(.milliseconds(10)...(.hours(1))),
            default: .seconds(10), .reload, "how long such a client may make no progress"),
    ]

    private static let processKeys = [
        SettingKey(
            "state-dir", \.stateDirectory,
            .path(empty: "$STATE_DIRECTORY, /var/lib/tokencached or tokencached in $XDG_STATE_HOME"),
            default: "", .restart,
            "folder for what must survive a restart"),
        SettingKey(
            "drain-timeout", \.drainTimeout, .duration(.zero...(.minutes(10))), default: .seconds(5), .reload,
            "how long the daemon finishes requests before it ends"),
        SettingKey(
            "log.level", \.log.level, .choice, default: .info, .reload, "the least important messages to log"),
        SettingKey(
            "log.format", \.log.format, .choice, default: .text, .reload, "how a line of the log is written"),
        SettingKey(
            "audit.target", \.audit.target, .auditTarget, default: .off, .reload,
            "where events go that an auditor wants to know of"),
    ]

    private static let accessKeys = [
        SettingKey(
            "access.default", \.access.defaultRole, .choice, default: .worker, .reload,
            "role of whoever can open the socket"),
        SettingKey(
            map: "access.users", \.access.users, .choice,
            allowed: "user name or number, each with one of none, validator, worker, admin", .reload,
            "roles of users"),
        SettingKey(
            map: "access.groups", \.access.groups, .choice,
            allowed: "group name or number, each with one of none, validator, worker, admin", .reload,
            "roles of groups"),
    ]
}
