import EventLoop
import SeededRandom

/// Three hosts, on each a Redis and a Sentinel: the first Redis is the master at first.
final class SentinelFleet: ServerGroup {
    let agenda: Agenda
    let network: SimulatedNetwork
    let servers: [ModelRedis]
    let replication: ModelReplication
    private(set) var sentinels: [ModelSentinel] = []
    /// What a removed rule does to what Sentinels say.
    let bent: Set<BentSentinel>
    /// What was said to be the master, by epoch: the first of a majority, or one alone.
    private(set) var history: [(master: Int, epoch: Int64)] = [(0, 0)]
    /// Of the failover that made a server the master.
    private(set) var epochs: [Int: Int64] = [0: 0]
    /// A Sentinel that does not hear of the master for so long sees it down.
    let downAfter: SimulatedTime
    /// So long a server is left a master of which it is known that it is none.
    let demotesAfter: SimulatedTime
    let quorum = 2
    /// Until when a Sentinel does not answer a daemon: by Sentinel, by daemon.
    private var ignored: [Int: [Int: SimulatedTime]] = [:]

    static let hosts = 3
    static let masterName = "sessions"
    static let redisPort: UInt16 = 6379
    static let sentinelPort: UInt16 = 26379

    init(
        agenda: Agenda, network: SimulatedNetwork, setup: Setup, bent: Set<BentSentinel>,
        make: (Int) -> ModelRedis
    ) {
        self.agenda = agenda
        self.network = network
        self.bent = bent
        servers = (0..<Self.hosts).map(make)
        replication = ModelReplication(
            agenda: agenda, network: network, servers: servers, following: [1: 0, 2: 0],
            lag: .milliseconds(setup.number("lag")), seed: setup.seed)
        var random = SeededRandom(seed: setup.seed ^ 0xf1ee7)
        downAfter = .milliseconds(Int64.random(in: 300...1_000, using: &random))
        demotesAfter = .milliseconds(Int64.random(in: 1_000...5_000, using: &random))
        sentinels = (0..<Self.hosts).map { ModelSentinel(number: $0, fleet: self, seed: setup.seed) }
    }

    func server(at address: StreamAddress) -> (any SimulatedServer)? {
        guard case .tcp(let host, let port) = address, let number = servers.firstIndex(where: { $0.host == host })
        else {
            return nil
        }
        return port == Self.sentinelPort ? sentinels[number] : servers[number]
    }

    func isWay(_ one: String, _ other: String) -> Bool { network.cutOff(one, other) == 0 }

    /// Whether nothing holds up what Sentinels say to a daemon.
    func isHeard(by daemon: Int) -> Bool {
        let path = network.paths[SimulatedNetwork.PathName(daemon: daemon, role: .watch)] ?? PathState()
        return max(path.upHeldUntil, path.downHeldUntil, path.slowUntil) <= agenda.now
    }

    /// A daemon is not answered by a Sentinel for a while, and everybody else is.
    func ignore(_ daemon: Int, at sentinel: Int, until end: SimulatedTime) {
        ignored[sentinel, default: [:]][daemon] = end
    }
    func ignores(_ sentinel: Int, _ daemon: Int) -> Bool { ignored[sentinel]?[daemon].map { $0 > agenda.now } ?? false }
    func answerAll() { ignored = [:] }

    func promote(_ server: Int, in epoch: Int64) {
        replication.promote(server)
        epochs[server] = epoch
        onPromotion(server, epoch)
    }

    /// Called when a server was told to be master, and when a Sentinel takes one for it.
    var onPromotion: (Int, _ epoch: Int64) -> Void = { _, _ in }
    var onNamed: (_ sentinel: Int, Int, _ epoch: Int64) -> Void = { _, _, _ in }

    /// Called before a server that was master takes over what another one has.
    var onDemotion: (ModelRedis, _ under: ModelRedis) -> Void = { _, _ in }

    func demote(_ server: Int, under master: Int) {
        if servers[server].faults.role == .master { onDemotion(servers[server], servers[master]) }
        onFollow(server, master)
        replication.follow(server, master)
    }

    /// Called when a server is told to follow another one.
    var onFollow: (Int, _ master: Int) -> Void = { _, _ in }

    func named(_ config: (master: Int, epoch: Int64), by sentinel: Int) {
        if !history.contains(where: { $0.epoch == config.epoch }) { history.append(config) }
        onNamed(sentinel, config.master, config.epoch)
    }

    func former(before epoch: Int64) -> (master: Int, epoch: Int64) {
        history.last { $0.epoch < epoch } ?? history[0]
    }

    /// Everybody agrees, and the one that they agree on can be asked.
    var isSettled: Bool {
        let first = sentinels[0].config
        let master = servers[first.master]
        return sentinels.allSatisfy { !$0.isDown && $0.config == first } && master.faults.role == .master
            && !servers.contains { $0.isDown || $0.faults.isPaused || ($0.faults.role == .master && $0 !== master) }
            && network.partitions.allSatisfy { $0.until <= agenda.now }
            && ignored.values.allSatisfy { $0.values.allSatisfy { $0 <= agenda.now } }
    }
}

/// The ways in which what Sentinels say can be bent.
enum BentSentinel: String, Hashable {
    /// None says of how many it is one, so that each is a majority.
    case eachKnowsOnlyItself
    /// What one alone knows is not said before a majority knows it.
    case oneNamesNobody
}
