internal import Glibc
internal import RedisLink
internal import TokenCache
internal import Tokens

extension TokenPolicy {
    init(_ settings: Settings) {
        let rotation = settings.rotation
        let session = settings.session
        self.init(
            rotationAfter: rotation.after.wholeMilliseconds, rotationOverlap: rotation.overlap.wholeMilliseconds,
            onReplay: rotation.onReplay, lostSuccessor: rotation.lostSuccessor,
            replayGrace: rotation.replayGrace.wholeMilliseconds, idle: session.idle.wholeMilliseconds,
            absolute: session.absolute.wholeMilliseconds, maxAbsolute: session.maxAbsolute.wholeMilliseconds,
            touchInterval: session.touchInterval.wholeMilliseconds, tombstone: session.tombstone.wholeMilliseconds,
            maxData: session.maxData, maxPerSubject: session.maxPerSubject, onLimit: session.onLimit)
    }
}

extension StatelessPolicy {
    init(_ settings: Settings) {
        self.init(
            guestLifetime: settings.guest.lifetime.components.seconds,
            guestAbsolute: settings.guest.absolute.components.seconds,
            csrfLifetime: settings.csrf.lifetime.components.seconds,
            requiresSameOrigin: settings.csrf.enforce == .sameOrigin,
            captchaLifetime: settings.captcha.lifetime.components.seconds, captchaLength: settings.captcha.length,
            bindings: BindingPolicy(
                ip: settings.binding.ip, userAgent: settings.binding.userAgent, prefix4: settings.binding.prefix4,
                prefix6: settings.binding.prefix6),
            captchaBinding: settings.captcha.binding)
    }
}

extension AccessRules {
    init(_ settings: Settings) {
        self.init(
            everyone: settings.access.defaultRole, users: settings.resolved.users, groups: settings.resolved.groups,
            ownUserID: geteuid())
    }
}

extension Settings {
    /// `limits.…` for the socket, which asks for them with each request.
    struct Limits: Sendable, Equatable {
        let maxClients: Int
        /// Of one user that is no admin; zero is no limit.
        let maxClientsPerUser: Int
        /// Bytes of one bulk string of a request.
        let maxBulk: Int
        /// Memory for the incomplete requests of all clients together.
        let maxInput: Int
        let requestTimeout: Duration
        /// Zero keeps a connection without a command.
        let idleTimeout: Duration
        /// Bytes of unread replies past which a client's input is not read any more.
        let maxOutput: Int
        let writeTimeout: Duration
        /// Of all connections together.
        let maxSubscriptions: Int

        init(_ settings: Settings) {
            let limits = settings.limits
            maxClients = limits.maxClients
            maxClientsPerUser = limits.maxClientsPerUser
            maxBulk = limits.maxBulk
            maxInput = limits.maxInput
            requestTimeout = limits.requestTimeout
            idleTimeout = limits.idleTimeout
            maxOutput = limits.maxOutput
            writeTimeout = limits.writeTimeout
            maxSubscriptions = limits.maxSubscriptions
        }

        /// The longest request, all its arguments together: room for the largest SET, and for a few large values.
        var maxRequest: Int { max(1 << 20, maxBulk &* 4) }
    }

    /// The Sentinels to ask; nil where Redis is named itself.
    var sentinels: SentinelWatch.Settings? {
        guard case .sentinel(let endpoints, let master) = self.redis.url.target else { return nil }
        var sentinels = SentinelWatch.Settings()
        sentinels.sentinels = endpoints.map { ($0.host, $0.port) }
        sentinels.masterName = master
        sentinels.login.user = self.redis.sentinelUser.isEmpty ? nil : self.redis.sentinelUser
        sentinels.masterLogin = redisEndpoint?.login ?? RedisLogin()
        sentinels.requiresQuorum = self.redis.sentinelQuorum == .require
        return sentinels
    }

    /// The cluster's servers to ask first; nil where Redis is none.
    var cluster: ClusterWatch.Settings? {
        guard case .cluster(let endpoints) = self.redis.url.target else { return nil }
        var cluster = ClusterWatch.Settings()
        cluster.seeds = endpoints.map { ($0.host, $0.port) }
        cluster.login = redisEndpoint?.login ?? RedisLogin()
        cluster.prefersNames = self.redis.url.tls
        cluster.timeout = self.redis.timeout
        return cluster
    }

    /// Where to connect; nil for the embedded server.
    var redisEndpoint: RedisEndpoint? {
        let url = self.redis.url
        let login = RedisLogin(
            user: url.user, password: url.password.map { RedisPassword($0.reveal()) }, database: url.database)
        switch url.target {
        case .embedded: return nil
        case .sentinel, .cluster: return .sought(login: login)
        case .unix(let path): return .unix(path: path, login: login)
        case .standalone(let endpoint): return .tcp(host: endpoint.host, port: endpoint.port, login: login)
        }
    }
}
