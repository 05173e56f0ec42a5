import EventLoop
import Logging
import SeededRandom
import TokenCrypto
import Tokens
import UnixTime

@testable import RedisLink
@testable import TokenCache

/// One daemon below its listeners, in virtual time: the service with its way to Redis, as `RedisAccess` makes it.
final class SimulatedDaemon {
    let number: Int
    let setup: Setup
    private let network: SimulatedNetwork
    private let rule: RemovedRule?
    private(set) var loop: SimulatedLoop
    private(set) var router: RedisRouter
    /// Finds out which server is the one; nil where there is one.
    private(set) var topology: (any RedisTopology)?
    private(set) var service: TokenService
    /// For lenses: what is known outside, and when Redis told of a session last.
    weak var checker: Checker?
    var toldAt: [SessionID: SimulatedTime] = [:]
    /// And how often a server of a cluster has sent it on with ASK that it has not taken note of.
    var asks = 0
    /// When the last word came that it has dated anew.
    var wordAt: MonotonicInstant?
    /// What it repeats late.
    var repetitions: [SimulatedLoop.Timer] = []
    private var starts = 0
    var hostOffset: Int64 = 0

    static let prefix = bytes("tc:")
    static let timeout = Duration.milliseconds(250)
    static let endpoint = RedisEndpoint.tcp(host: "redis", port: 6379)

    init(number: Int, setup: Setup, network: SimulatedNetwork, rule: RemovedRule?) throws {
        self.number = number
        self.setup = setup
        self.network = network
        self.rule = rule
        (loop, router, topology, service) = try Self.make(number, 0, setup, network, rule)
        begin()
    }

    /// The process dies, with all that it knew, and another one begins.
    func restart() throws {
        loop.kill()
        starts += 1
        asks = 0
        (wordAt, repetitions) = (nil, [])
        // What it had open is closed by its host's kernel.
        close()
        (loop, router, topology, service) = try Self.make(number, starts, setup, network, rule)
        begin()
    }

    func close() {
        topology?.close()
        router.close()
    }

    /// The server that is asked where any may be.
    var node: RedisNode { router.first }

    private func begin() {
        loop.hostOffset = hostOffset
        loop.enter { [topology, node] in if let topology { topology.start() } else { node.start() } }
        guard let rule else { return }
        rule.bend(self)
        loop.onTurn = { [unowned self] in rule.afterTurn(of: self) }
    }

    /// All that depends on how the parts are put together.
    private static func make(
        _ number: Int, _ start: Int, _ setup: Setup, _ network: SimulatedNetwork, _ rule: RemovedRule?
    ) throws -> (SimulatedLoop, RedisRouter, (any RedisTopology)?, TokenService) {
        let seed = setup.seed &* 64 &+ UInt64(number) &* 8 &+ UInt64(start)
        let logger = Logger(label: "simulated") { _ in SwiftLogNoOpLogHandler() }
        let loop = SimulatedLoop(
            agenda: network.agenda, bootOffset: .milliseconds(10_000_000 + Int64(number) * 777_777))
        loop.forgetsPauses = rule?.forgetsPauses ?? false
        var settings = RedisNode.Settings()
        settings.link.timeout = timeout
        settings.prefix = prefix
        settings.hasFeed = setup.number("near-cache") == 1
        settings.waitReplicas = Int(setup.number("wait-replicas"))
        settings.heedsMoves = setup.number("moving") == 1 && rule?.heedsMoves ?? true
        settings.link.requiresMaster = rule?.requiresMaster ?? true
        var endpoint = setup.number("sentinels") > 0 ? RedisEndpoint.sought() : endpoint
        if setup.number("password") == 1 { endpoint.login = RedisLogin(password: RedisPassword("open sesame")) }
        let host = LinkHost(
            scheduler: loop, streams: network.maker(daemon: number, role: .data, loop: loop),
            feedStreams: network.maker(daemon: number, role: .feed, loop: loop), seed: seed)
        let makeNode = { [settings] (endpoint: RedisEndpoint, activity: RequestActivity) in
            RedisNode(
                host: host, endpoint: endpoint, settings: settings, scripts: TokenService.scripts, activity: activity,
                logger: logger)
        }
        let watchHost = LinkHost(
            scheduler: loop, streams: network.maker(daemon: number, role: .watch, loop: loop), seed: seed &+ 3)
        let router: RedisRouter
        var topology: (any RedisTopology)?
        if setup.number("cluster") > 0 {
            var cluster = ClusterWatch.Settings()
            cluster.seeds = (0..<ModelCluster.masters).map { ("h\($0)", ModelCluster.port) }
            cluster.login = endpoint.login
            cluster.timeout = timeout
            let watch = ClusterWatch(host: watchHost, settings: cluster, logger: logger, makeNode: makeNode)
            (router, topology) = (watch.router, watch)
        } else {
            let node = makeNode(endpoint, RequestActivity())
            router = RedisRouter(node: node)
            if setup.number("sentinels") > 0 {
                topology = SentinelWatch(
                    host: watchHost, node: node, settings: sentinels(rule, endpoint.login), logger: logger)
            }
        }
        let nearCache = TokenService.NearCacheOptions(
            maxBytes: Int(setup.number("cache-bytes")),
            serveStale: .milliseconds(rule?.serveStale ?? setup.number("serve-stale")))
        let service = try TokenService(
            router: router, scheduler: loop, prefix: prefix, timeout: 250,
            policy: rule?.policy(setup.policy, of: number) ?? setup.policy,
            statelessPolicy: StatelessPolicy(
                guestLifetime: setup.number("guest-lifetime") / 1_000,
                guestAbsolute: setup.number("guest-absolute") / 1_000),
            keys: try ring(), nearCache: settings.hasFeed ? nearCache : nil,
            random: SharedRandom(seed: seed ^ 0xda3_0000), logger: logger)
        return (loop, router, topology, service)
    }

    private static func sentinels(_ rule: RemovedRule?, _ login: RedisLogin) -> SentinelWatch.Settings {
        var sentinels = SentinelWatch.Settings()
        // With one of them the others are learned from it.
        sentinels.sentinels = (0..<(rule?.sentinels ?? SentinelFleet.hosts)).map {
            ("h\($0)", SentinelFleet.sentinelPort)
        }
        sentinels.masterName = SentinelFleet.masterName
        sentinels.masterLogin = login
        sentinels.requiresQuorum = rule?.requiresQuorum ?? true
        return sentinels
    }

    private static func ring() throws -> KeyRing {
        var random = SeededRandom(seed: 11)
        return try KeyRing(keys: [
            RingKey(
                kid: "k1", secret: try .random(count: 32, from: &random), created: UnixSeconds(0),
                activeFrom: UnixSeconds(0))
        ])
    }
}

/// One sequence for all who draw, as the daemon's own source is: a copy of a value would say the same again.
private final class SharedRandom: RandomSource {
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(CryptoError) { try random.fill(buffer) }
}
