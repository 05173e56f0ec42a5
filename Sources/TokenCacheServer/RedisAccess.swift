internal import EventLoop
internal import Logging
internal import RedisLink
internal import TokenCache

/// The way to Redis that the settings name: the servers, or those who say which they are; TLS; and whoever gives the
/// password.
struct RedisAccess {
    let router: RedisRouter
    /// Finds out which servers there are; nil where one is named.
    let topology: (any RedisTopology)?
    /// Nil where Redis is not spoken to over TLS.
    let tls: TLSStreams?
    /// Nil without `redis.password-command`.
    let passwordCommand: PasswordCommand?
    /// Makes a node for a server that need not be a master, for questions only; not started.
    let makeFollower: (RedisEndpoint) -> RedisNode

    /// - Parameters:
    ///   - endpoint: of the embedded server, or what the settings name.
    ///   - environment: the daemon's, for `redis.password-command`.
    ///   - scripts: that are run there.
    ///   - adjust: what is to be otherwise at each server than a daemon has it.
    init(
        _ settings: Settings, endpoint: RedisEndpoint, isEmbedded: Bool, loop: EventLoop, environment: [String: String],
        log: LogOutput, logger: Logger, scripts: [RedisScript] = TokenService.scripts,
        adjust: (inout RedisNode.Settings) -> Void = { _ in }
    ) throws {
        tls = try RedisCertificates.load(settings).map {
            TLSStreams(over: loop, scheduler: loop, context: $0, serverName: settings.redis.tlsServerName)
        }
        let host = LinkHost(loop: loop, streams: tls)
        let quiet = log.limitedLogger(label: "tokencached")
        let redis = settings.redis
        let password: PasswordSource?
        if isEmbedded || redis.passwordCommand.isEmpty {
            passwordCommand = nil
            password = Self.passwords(
                "redis.password-file", redis.passwordFile, isCredential: settings.resolved.isPasswordCredential, quiet)
        } else {
            let command = PasswordCommand(
                loop: loop, command: redis.passwordCommand, lifetime: redis.passwordLifetime, environment: environment,
                logger: quiet)
            passwordCommand = command
            password = { [unowned command] in command.password }
        }
        var node = Self.nodeSettings(settings, password: password, isEmbedded: isEmbedded)
        adjust(&node)
        let makeNode = { [node] endpoint, activity in
            RedisNode(
                host: host, endpoint: endpoint, settings: node, scripts: scripts, activity: activity, logger: logger)
        }
        makeFollower = { [node] endpoint in
            var settings = node
            (settings.link.requiresMaster, settings.hasFeed, settings.waitReplicas) = (false, false, 0)
            return RedisNode(host: host, endpoint: endpoint, settings: settings, scripts: [], logger: logger)
        }
        if var cluster = settings.cluster {
            cluster.password = password
            cluster.timeout = node.link.timeout
            let watch = ClusterWatch(host: host, settings: cluster, logger: logger, makeNode: makeNode)
            (router, topology) = (watch.router, watch)
        } else {
            let node = makeNode(endpoint, RequestActivity())
            router = RedisRouter(node: node)
            topology = settings.sentinels.map { sentinels in
                var sentinels = sentinels
                sentinels.password = Self.passwords(
                    "redis.sentinel-password-file", redis.sentinelPasswordFile,
                    isCredential: settings.resolved.isSentinelPasswordCredential, quiet)
                return SentinelWatch(host: host, node: node, settings: sentinels, logger: logger)
            }
        }
    }

    /// Begins to connect. Where a program gives the password, it does so first.
    /// - Parameter isWanted: whether that still is, when the program has ended.
    func start(isWanted: @escaping () -> Bool) {
        let start = { [topology, router] in if let topology { topology.start() } else { router.first.start() } }
        guard let passwordCommand else { return start() }
        router.onLoginRefused = { [weak passwordCommand] in passwordCommand?.refused() }
        passwordCommand.onChange = { [weak router] in router?.authenticateAgain() }
        passwordCommand.start { if isWanted() { start() } }
    }

    func stop() {
        passwordCommand?.stop()
        topology?.close()
        router.close()
    }

    private static func nodeSettings(
        _ settings: Settings, password: PasswordSource?, isEmbedded: Bool
    ) -> RedisNode.Settings {
        var node = RedisNode.Settings()
        node.link.timeout = settings.redis.timeout
        node.link.password = password
        node.prefix = Array(settings.redis.prefix.utf8)
        node.hasFeed = settings.hasNearCache
        node.heedsMoves = true
        // The embedded server has no replicas.
        node.waitReplicas = isEmbedded ? 0 : settings.redis.waitReplicas
        // The embedded server is nobody else's: it cannot be demoted, and no beat need cost its disk a write.
        node.proof = isEmbedded ? .ping : .beat
        return node
    }

    /// Reads a file with a password each time it is asked.
    private static func passwords(
        _ key: String, _ file: String, isCredential: Bool, _ logger: Logger
    ) -> PasswordSource? {
        guard !file.isEmpty else { return nil }
        return {
            switch PasswordFile.read(file, isCredential: isCredential) {
            case .success(let password): return .success(RedisPassword(password))
            case .failure(let fault):
                logger.error("\(key) \(fault.text)", metadata: ["file": "\(file)"])
                return nil
            }
        }
    }
}

extension Settings {
    var hasNearCache: Bool { self.nearCache.maxMemory > 0 }
}
