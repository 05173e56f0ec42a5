internal import EventLoop
public import Logging

/// Asks the Sentinels, all of them, twice a second, and leads the node to whichever Redis they name.
///
/// `SentinelMachine` decides. Their messages about a switch are not waited for: in a planned failover one comes seconds
/// after the answers have changed. Belongs to its loop's thread.
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
        let address: SentinelMachine.Address
        /// Its own, 40 digits, once it told it on this connection: without it its word is not counted, as it may be known
        /// under another address as well.
        var id: String?

        init(_ link: RedisLink, _ address: SentinelMachine.Address) {
            self.link = link
            self.address = address
        }
    }

    /// Between two questions.
    static let interval = Duration.milliseconds(500)
    /// Between two questions for other Sentinels, in questions.
    private static let roundsPerSearch = 20

    private let host: LinkHost
    private let node: RedisNode
    private let settings: Settings
    private let logger: Logger
    private var machine: SentinelMachine
    private var watched: [Watched] = []
    private var timer: (any SchedulerTimer)?
    private var rounds = 0

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
        for (host, port) in settings.sentinels { watch(SentinelMachine.Address(host: host, port: port)) }
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
        for sentinel in watched {
            sentinel.link.onStateChange = nil
            sentinel.link.close()
        }
    }

    // MARK: Asking

    private func watch(_ address: SentinelMachine.Address) {
        guard watched.count < SentinelMachine.mostSentinels, !watched.contains(where: { $0.address == address }) else {
            return
        }
        var link = LinkSettings()
        link.isSentinel = true
        // What is not answered within the time that an answer would count is of no use.
        link.timeout = .seconds(1)
        link.password = settings.password
        let endpoint = RedisEndpoint.tcp(host: address.host, port: address.port, login: settings.login)
        let sentinel = Watched(
            RedisLink(host: host, endpoint: endpoint, settings: link, scripts: [], logger: logger), address)
        sentinel.link.onStateChange = { [weak self, weak sentinel] state in
            guard let self, let sentinel else { return }
            // Another one may stand behind the next connection.
            sentinel.id = nil
            if state == .ready { ask(sentinel) }
        }
        watched.append(sentinel)
        sentinel.link.start()
    }

    private func askAll() {
        rounds += 1
        for sentinel in watched where sentinel.link.state == .ready { ask(sentinel) }
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

    /// Both questions go out in one write: the address tells of a failover first, the epoch of which one it is. The epoch is
    /// asked first: where a failover comes between, the new address has the old epoch and means nothing.
    private func ask(_ sentinel: Watched) {
        guard sentinel.link.pendingRequests < 4 else { return }
        if sentinel.id == nil { identify(sentinel) }
        let askedAt = host.scheduler.now
        var facts: RedisReply?
        sentinel.link.send(RedisCommand("SENTINEL", "MASTER", settings.masterName), repeatable: false) { result in
            if case .success(let reply) = result { facts = reply }
        }
        sentinel.link.send(
            RedisCommand("SENTINEL", "get-master-addr-by-name", settings.masterName), repeatable: false
        ) { [weak self, weak sentinel] result in
            guard let self, let sentinel, let id = sentinel.id, let facts, case .success(let reply) = result,
                let master = SentinelReply.address(reply), let answer = SentinelReply.answer(facts, master: master)
            else { return }
            perform(machine.answered(id, answer, askedAt: askedAt, now: host.scheduler.now))
        }
        guard rounds % Self.roundsPerSearch == 0 || watched.count < machine.known else { return }
        sentinel.link.send(RedisCommand("SENTINEL", "SENTINELS", settings.masterName), repeatable: false) {
            [weak self] result in
            guard let self, case .success(let reply) = result else { return }
            for (id, address) in SentinelReply.others(reply) where !watched.contains(where: { $0.id == id }) {
                watch(address)
            }
        }
    }

    private func perform(_ decisions: [SentinelMachine.Decision]) {
        for decision in decisions {
            switch decision {
            case .leave:
                logger.notice("the Sentinels name another master: this one is left", metadata: place)
                node.confirm(askedAt: nil)
                node.leave(RedisFault(.readOnly, .otherMaster))
            case .lead(let address):
                node.confirm(askedAt: nil)
                node.lead(
                    to: .tcp(host: address.host, port: address.port, login: settings.masterLogin),
                    leaving: RedisFault(.readOnly, .otherMaster))
                logger.notice("the Sentinels name the master", metadata: place)
            case .confirmed(let askedAt): if settings.requiresQuorum { node.confirm(askedAt: askedAt) }
            }
        }
    }

    private var place: Logger.Metadata { ["redis": "\(node.endpoint)", "epoch": "\(machine.epoch)"] }
}

/// What a Sentinel answers. Source: redis.io/docs/management/sentinel.
enum SentinelReply {
    /// `get-master-addr-by-name`: host and port.
    static func address(_ reply: RedisReply) -> SentinelMachine.Address? {
        guard case .array(let parts) = reply, parts.count == 2, case .bulk(let host) = parts[0],
            case .bulk(let port) = parts[1]
        else { return nil }
        return parse(host, port)
    }

    /// `MASTER`: names and values of fields.
    static func answer(_ reply: RedisReply, master: SentinelMachine.Address) -> SentinelMachine.Answer? {
        guard case .array(let fields) = reply, let epoch = number("config-epoch", in: fields),
            let others = number("num-other-sentinels", in: fields), (0...1_000).contains(others)
        else { return nil }
        return SentinelMachine.Answer(master: master, epoch: epoch, sentinels: Int(others) + 1)
    }

    /// `SENTINELS`: the others, each with its id.
    static func others(_ reply: RedisReply) -> [(id: String, SentinelMachine.Address)] {
        guard case .array(let others) = reply else { return [] }
        return others.compactMap { other in
            guard case .array(let fields) = other, let host = value("ip", in: fields),
                let port = value("port", in: fields), let address = parse(host, port),
                let id = value("runid", in: fields), id.count == 40
            else { return nil }
            return (String(decoding: id, as: UTF8.self), address)
        }
    }

    private static func parse(_ host: [UInt8], _ port: [UInt8]) -> SentinelMachine.Address? {
        guard (1...253).contains(host.count), host.allSatisfy({ (0x21...0x7e).contains($0) }),
            let number = port.decimalNumber, let port = UInt16(exactly: number), port > 0
        else { return nil }
        return SentinelMachine.Address(host: String(decoding: host, as: UTF8.self), port: port)
    }

    private static func number(_ name: String, in fields: RedisArray) -> Int64? {
        value(name, in: fields)?.decimalNumber
    }

    private static func value(_ name: String, in fields: RedisArray) -> [UInt8]? {
        var index = 0
        while index + 1 < fields.count {
            if case .bulk(let key) = fields[index], key.elementsEqual(name.utf8),
                case .bulk(let value) = fields[index + 1]
            {
                return value
            }
            index += 2
        }
        return nil
    }
}
