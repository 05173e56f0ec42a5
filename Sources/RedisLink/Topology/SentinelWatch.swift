internal import EventLoop
public import Logging

/// Asks the Sentinels, all of them, twice a second, and leads the node to whichever Redis they name.
///
/// `SentinelMachine` decides. A Sentinel that tells of a switch is asked at once: the message itself decides nothing. It is not
/// waited for: in a planned failover one comes seconds after the answers have changed. Where too few of them answer, the
/// master's replicas are asked. Belongs to its loop's thread.
public final class SentinelWatch: RedisTopology {
    public struct Settings {
        /// Of the Sentinels that are asked at first: others are learned from them.
        public var sentinels: [(host: String, port: UInt16)] = []
        /// The name under which they know the master.
        public var masterName = ""
        /// At the Sentinels.
        public var login = RedisLogin()
        /// Gives the password at the Sentinels for each new connection; nil: that of `login`.
        public var password: PasswordSource?
        /// At the master.
        public var masterLogin = RedisLogin()
        /// Whether nothing is served without a majority's word that Redis is still the master.
        public var requiresQuorum = true

        public init() {}
    }

    /// What is known of one Sentinel.
    private final class Watched {
        let link: RedisLink
        /// On which it tells of switches.
        let news: RedisLink
        let address: SentinelMachine.Address
        /// Named in `redis.url`: it is asked for ever. One that was learned goes when it is gone.
        let isConfigured: Bool
        /// When it answered last, or another one named it.
        var heardAt: MonotonicInstant
        /// Its own, 40 digits, once it told it on this connection: without it its word is not counted, as it may be known
        /// under another address as well.
        var id: String?

        init(
            _ link: RedisLink, news: RedisLink, _ address: SentinelMachine.Address, isConfigured: Bool,
            heardAt: MonotonicInstant
        ) {
            self.link = link
            self.news = news
            self.address = address
            self.isConfigured = isConfigured
            self.heardAt = heardAt
        }
    }

    /// Between two questions.
    static let interval = Duration.milliseconds(500)
    /// Where a Sentinel tells of a new master: its name, and both addresses.
    private static let switches = "+switch-master"
    private static let rights = "give the user there the rights in conf/sentinel-users.acl"
    /// Past it a master that nobody has named yet is missed, in questions: the first are answered by then.
    private static let roundsOfGrace = 2
    /// Between two questions for other Sentinels, in questions.
    private static let roundsPerSearch = 20
    /// A Sentinel that was learned, does not answer and is not named by any other is gone after so long.
    static let patience = Duration.seconds(300)

    private let host: LinkHost
    private let node: RedisNode
    private let settings: Settings
    private let logger: Logger
    private var machine: SentinelMachine
    private var watched: [Watched] = []
    private var timer: (any SchedulerTimer)?
    private var rounds = 0
    /// The replicas of the master, while they are asked.
    private var rollCall: ReplicaRollCall?

    /// - Parameter node: made with `RedisEndpoint.sought`, and not started by anybody else.
    public init(host: LinkHost, node: RedisNode, settings: Settings, logger: Logger) {
        self.host = host
        self.node = node
        self.settings = settings
        self.logger = logger
        machine = SentinelMachine(configured: settings.sentinels.count)
        timer = host.scheduler.makeTimer { [unowned self] in askAll() }
    }

    public func start() {
        if settings.requiresQuorum {
            node.confirmation = RedisNode.Confirmation(
                lifetime: SentinelMachine.answerLifetime, fault: RedisFault(.readOnly, .unconfirmed))
        }
        node.leave(RedisFault(.unreachable, .noMajority))
        for (host, port) in settings.sentinels {
            watch(SentinelMachine.Address(host: host, port: port), isConfigured: true)
        }
        timer?.start(after: Self.interval)
    }

    public var informants: [RedisInformant] {
        watched.map { sentinel in
            let named = sentinel.id.flatMap { machine.named(by: $0) }
            return RedisInformant(
                endpoint: sentinel.link.endpoint, state: sentinel.link.state,
                master: named.map { "\(RedisEndpoint.tcp(host: $0.host, port: $0.port))" })
        }
    }

    public func close() {
        timer?.cancel()
        dismissReplicas()
        for sentinel in watched { dismiss(sentinel) }
    }

    private func dismiss(_ sentinel: Watched) {
        for link in [sentinel.link, sentinel.news] {
            link.onStateChange = nil
            link.close()
        }
        // They close their connections in the next turn.
        host.scheduler.later { _ = sentinel }
    }

    // MARK: Asking

    private func watch(_ address: SentinelMachine.Address, isConfigured: Bool = false) {
        guard watched.count < SentinelMachine.mostSentinels, !watched.contains(where: { $0.address == address }) else {
            return
        }
        var link = LinkSettings()
        link.isSentinel = true
        // What is not answered within the time that an answer would count is of no use.
        link.timeout = .seconds(1)
        link.password = settings.password
        var news = link
        news.isSubscriber = true
        // What is wrong with the Sentinel the other link says.
        var silent = logger
        silent.logLevel = .critical
        let endpoint = RedisEndpoint.tcp(host: address.host, port: address.port, login: settings.login)
        let sentinel = Watched(
            RedisLink(host: host, endpoint: endpoint, settings: link, scripts: [], logger: logger),
            news: RedisLink(host: host.forFeed, endpoint: endpoint, settings: news, scripts: [], logger: silent),
            address, isConfigured: isConfigured, heardAt: host.scheduler.now)
        sentinel.link.onStateChange = { [weak self, weak sentinel] state in
            guard let self, let sentinel else { return }
            // Another one may stand behind the next connection.
            sentinel.id = nil
            if state == .ready { ask(sentinel) }
        }
        sentinel.news.onStateChange = { [weak self, weak sentinel] state in
            if state == .ready, let self, let sentinel { subscribe(to: sentinel) }
        }
        sentinel.news.onMessage = { [weak self, weak sentinel] message in
            // The name of the master comes first.
            guard let self, let sentinel, message.starts(with: "\(settings.masterName) ".utf8) else { return }
            if sentinel.link.state == .ready { ask(sentinel) }
        }
        watched.append(sentinel)
        sentinel.link.start()
        sentinel.news.start()
    }

    private func subscribe(to sentinel: Watched) {
        sentinel.news.inquire(RedisCommand("SUBSCRIBE", Self.switches)) { [weak self, weak sentinel] result in
            guard let self, let sentinel, case .failure(let fault) = result, !fault.isSilence else { return }
            logger.warning(
                "a Sentinel does not tell of a new master (SUBSCRIBE \(Self.switches)): it is asked twice a second only",
                metadata: ["sentinel": "\(sentinel.link.endpoint)", "remedy": "\(Self.rights)"])
        }
    }

    private func askAll() {
        rounds += 1
        if rounds == Self.roundsOfGrace { node.link.missed() }
        for sentinel in watched where sentinel.link.state == .ready { ask(sentinel) }
        askReplicas()
        timer?.start(after: Self.interval)
    }

    private func identify(_ sentinel: Watched) {
        sentinel.link.send(RedisCommand("SENTINEL", "MYID"), repeatable: false) { [weak self, weak sentinel] result in
            guard let self, let sentinel else { return }
            switch result {
            case .success(.bulk(let id)) where id.count == 40: sentinel.id = String(decoding: id, as: UTF8.self)
            case .failure(let fault) where fault.isSilence: break
            case .success, .failure:
                logger.warning(
                    "a Sentinel does not tell its id (SENTINEL MYID): its word is not counted",
                    metadata: ["sentinel": "\(sentinel.link.endpoint)"])
            }
        }
    }

    /// All questions go out in one write: the address tells of a failover first, the epoch of which one it is. The epoch is
    /// asked first: where a failover comes between, the new address has the old epoch and means nothing.
    private func ask(_ sentinel: Watched) {
        guard sentinel.link.pendingRequests < 4 else { return }
        if sentinel.id == nil { identify(sentinel) }
        let askedAt = host.scheduler.now
        var facts: RedisReply?
        var replicas: RedisReply?
        let link = sentinel.link
        link.send(RedisCommand("SENTINEL", "MASTER", settings.masterName), repeatable: false) { result in
            if case .success(let reply) = result { facts = reply }
        }
        if settings.requiresQuorum {
            link.send(RedisCommand("SENTINEL", "REPLICAS", settings.masterName), repeatable: false) { result in
                if case .success(let reply) = result { replicas = reply }
            }
        }
        link.send(
            RedisCommand("SENTINEL", "get-master-addr-by-name", settings.masterName), repeatable: false
        ) { [weak self, weak sentinel] result in
            guard let self, let sentinel, case .success(let reply) = result else { return }
            sentinel.heardAt = host.scheduler.now
            guard let id = sentinel.id, let facts, let master = SentinelReply.address(reply),
                let answer = SentinelReply.answer(facts, master: master, replicas: replicas)
            else { return }
            perform(machine.answered(id, answer, askedAt: askedAt, now: host.scheduler.now))
        }
        guard rounds % Self.roundsPerSearch == 0 || watched.count < machine.known else { return }
        link.send(RedisCommand("SENTINEL", "SENTINELS", settings.masterName), repeatable: false) {
            [weak self] result in
            guard let self, case .success(let reply) = result else { return }
            learn(SentinelReply.others(reply))
        }
    }

    /// A Sentinel told of others: new ones are asked from now on, and who has been gone for long, by everybody's word, is
    /// not any more. While none answers nobody says so.
    private func learn(_ others: [(id: String, SentinelMachine.Address)]) {
        let now = host.scheduler.now
        for (id, address) in others {
            var isWatched = false
            for sentinel in watched where sentinel.id == id || sentinel.address == address {
                sentinel.heardAt = now
                isWatched = true
            }
            if !isWatched { watch(address) }
        }
        watched.removeAll { sentinel in
            guard !sentinel.isConfigured, sentinel.heardAt.duration(to: now) > Self.patience else { return false }
            logger.notice(
                "a Sentinel is gone, and no other names it: it is not asked any more",
                metadata: ["sentinel": "\(sentinel.link.endpoint)"])
            dismiss(sentinel)
            return true
        }
    }

    // MARK: The replicas' word

    /// Asks the master who follows it, and where too few Sentinels answer, which of those have what it writes.
    private func askReplicas() {
        guard settings.requiresQuorum else { return }
        if machine.master != nil, node.link.state == .ready, node.serverInfo.role != nil {
            node.link.inquire(RedisCommand("INFO", "replication")) { [weak self] result in
                guard let self, case .success(let reply) = result, let roll = ReplicationText.roll(reply, written: 0)
                else { return }
                machine.told(roll.listed, now: host.scheduler.now)
            }
        }
        guard machine.needsReplicas(at: host.scheduler.now) else { return dismissReplicas() }
        let call = rollCall ?? callReplicas()
        call.count = machine.promotable?.count ?? 1
    }

    private func callReplicas() -> ReplicaRollCall {
        logger.warning(
            "too few Sentinels answer: the replicas are asked whether this is still the master", metadata: place)
        let call = ReplicaRollCall(on: host, endpoint: node.endpoint, settings: node.settings, logger: logger)
        call.onRoll = { [weak self, weak call] roll, sentAt in
            guard let self, let call, let run = call.link.serverInfo.runID, run == node.serverInfo.runID else { return }
            perform(machine.told(roll, sentAt: sentAt, now: host.scheduler.now))
        }
        rollCall = call
        return call
    }

    private func dismissReplicas() {
        rollCall?.close()
        rollCall = nil
    }

    private func perform(_ decisions: [SentinelMachine.Decision]) {
        for decision in decisions {
            switch decision {
            case .leave:
                dismissReplicas()
                logger.notice("the Sentinels name another master: this one is left", metadata: place)
                node.confirm(askedAt: nil)
                node.leave(RedisFault(.readOnly, .otherMaster))
            case .lead(let address):
                dismissReplicas()
                node.confirm(askedAt: nil)
                node.lead(
                    to: .tcp(host: address.host, port: address.port, login: settings.masterLogin),
                    leaving: RedisFault(.readOnly, .otherMaster))
                logger.notice("the Sentinels name the master", metadata: place)
            case .confirmed(let askedAt):
                if settings.requiresQuorum { node.confirm(askedAt: askedAt, by: machine.confirmer) }
            }
        }
    }

    private var place: Logger.Metadata { ["redis": "\(node.endpoint)", "epoch": "\(machine.epoch)"] }
}
