import SeededRandom

/// Redis servers of which some follow others, each some time behind: what a master does is known to its replicas a while
/// later, in its order, and not at all while nothing goes between them. So whoever takes its place may lack what it did last.
final class ModelReplication {
    private struct Following {
        /// A replica that follows another one, or the same one anew, has nothing to do with what was on its way.
        var master: Int
        var waiting: [(at: SimulatedTime, key: String, entry: ModelEntry?)] = []
        /// It has all that its master had at some moment.
        var isSynchronised = true
        /// How much of its master it knows.
        var offset: Int = 0
        /// Of all that its master wrote, what that one knows it to have.
        var acknowledged: Int = 0
    }

    let agenda: Agenda
    let servers: [ModelRedis]
    private let network: SimulatedNetwork
    private let lag: SimulatedTime
    private var random: SeededRandom
    /// By replica.
    private var followings: [Int: Following] = [:]
    private var rounds: [Int: Int] = [:]
    /// How much each server has written.
    private var written: [Int: Int] = [:]

    /// - Parameters:
    ///   - masters: those that are masters at first.
    ///   - following: replica → master.
    init(
        agenda: Agenda, network: SimulatedNetwork, servers: [ModelRedis], following: [Int: Int], lag: SimulatedTime,
        seed: UInt64
    ) {
        self.agenda = agenda
        self.network = network
        self.servers = servers
        self.lag = lag
        random = SeededRandom(seed: seed ^ 0x7ea1)
        for (replica, master) in following.sorted(by: { $0.key < $1.key }) {
            servers[replica].demote()
            followings[replica] = Following(master: master)
        }
        for server in servers { server.replication = self }
    }

    /// Whom a server follows; nil: nobody.
    func master(of replica: Int) -> Int? { followings[replica]?.master }

    /// How much of what its master did a replica knows; of replicas of one master the higher one knows more.
    func offset(of replica: Int) -> Int { followings[replica].map { $0.isSynchronised ? $0.offset : -1 } ?? 0 }

    /// How much a server has written.
    func written(by server: Int) -> Int { written[server, default: 0] }

    /// Those who follow a server, and how much of what it wrote each of them said to have.
    func followers(of server: Int) -> [(number: Int, isOnline: Bool, offset: Int)] {
        followings.sorted { $0.key < $1.key }.filter { $0.value.master == server }.map {
            ($0.key, $0.value.isSynchronised, $0.value.acknowledged)
        }
    }

    /// A key of a server was changed.
    func changed(_ server: ModelRedis, _ key: String, _ entry: ModelEntry?) {
        written[server.number, default: 0] += 1
        for (replica, following) in followings.sorted(by: { $0.key < $1.key }) where following.master == server.number {
            // What it takes over as a whole has it.
            guard following.isSynchronised else { continue }
            followings[replica]?.waiting.append((agenda.now, key, entry))
            if following.waiting.isEmpty { schedule(replica, after: delay()) }
        }
    }

    private func delay() -> SimulatedTime { lag + .microseconds(Int64.random(in: 50...900, using: &random)) }

    private func schedule(_ replica: Int, after delay: SimulatedTime) {
        let round = rounds[replica, default: 0]
        agenda.after(delay) { [self] in if rounds[replica, default: 0] == round { deliver(replica) } }
    }

    /// What is long enough on its way arrives.
    private func deliver(_ replica: Int) {
        guard var following = followings[replica] else { return }
        guard isWay(from: following.master, to: replica) else { return schedule(replica, after: .milliseconds(20)) }
        let due = following.waiting.prefix { $0.at <= agenda.now - lag }
        following.waiting.removeFirst(due.count)
        following.offset += due.count
        following.acknowledged = written(by: following.master) - following.waiting.count
        followings[replica] = following
        servers[replica].follow(due.map { ($0.key, $0.entry) })
        if !following.waiting.isEmpty { schedule(replica, after: delay()) }
    }

    private func isWay(from master: Int, to replica: Int) -> Bool {
        let (from, to) = (servers[master], servers[replica])
        return !from.isDown && !to.isDown && !from.faults.isPaused && !to.faults.isPaused
            && network.cutOff(from.host, to.host) == 0
    }

    // MARK: Others lead

    /// Whether a master that becomes a replica ends its connections: a Sentinel has it do so, a cluster does not.
    var endsConnections = true

    /// REPLICAOF NO ONE.
    func promote(_ server: Int) {
        followings[server] = nil
        rounds[server, default: 0] += 1
        servers[server].promote()
    }

    /// REPLICAOF another one: until it has all that that one has, it has what it had.
    func follow(_ replica: Int, _ master: Int) {
        guard followings[replica]?.master != master else { return }
        if followings[replica] == nil { servers[replica].demote(endsConnections: endsConnections) }
        followings[replica] = Following(master: master, isSynchronised: false)
        rounds[replica, default: 0] += 1
        synchronise(replica)
    }

    private func synchronise(_ replica: Int) {
        let round = rounds[replica, default: 0]
        agenda.after(.milliseconds(Int64.random(in: 40...400, using: &random))) { [self] in
            guard rounds[replica, default: 0] == round, let following = followings[replica] else { return }
            guard isWay(from: following.master, to: replica), servers[following.master].faults.role == .master else {
                return synchronise(replica)
            }
            followings[replica]?.isSynchronised = true
            followings[replica]?.acknowledged = written(by: following.master)
            servers[replica].synchronise(with: servers[following.master].keys)
        }
    }
}
