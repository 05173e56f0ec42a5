import EventLoop
import SeededRandom

@testable import RedisLink

/// Several servers, of whatever topology.
protocol ServerGroup: AnyObject {
    var servers: [ModelRedis] { get }
    /// Nothing is wrong with any, and everybody agrees who is who.
    var isSettled: Bool { get }
    func server(at address: StreamAddress) -> (any SimulatedServer)?
}

/// A cluster of a simulation: three masters with slots, each with a replica.
///
/// What is so is one map; each server has the one that it heard of last, and answers after it: MOVED, ASK, TRYAGAIN,
/// CLUSTERDOWN. A master that is out of the others' reach for `nodeTimeout` stops, and after that its replica takes its
/// slots. Source: redis.io/docs/reference/cluster-spec.
final class ModelCluster: ServerGroup {
    struct View: Equatable {
        /// By slot.
        var owners: [UInt8]
        /// By server, of its slots.
        var epochs: [Int64]
        /// By server; nil: it is a master.
        var masters: [Int?]
    }

    let agenda: Agenda
    let network: SimulatedNetwork
    let servers: [ModelRedis]
    let replication: ModelReplication
    /// What is so.
    private(set) var config: View
    private(set) var views: [View]
    var texts: [String?]
    /// By server: it says that the cluster is down.
    private(set) var saysDown: [Bool]
    private(set) var failingSince: [SimulatedTime?]
    private var heardAt: [SimulatedTime]
    /// When a server was last out of most masters' reach.
    private var aloneAt: [SimulatedTime]
    /// Slots on their way.
    private(set) var moves: [Int: (from: Int, to: Int)] = [:]
    private var random: SeededRandom
    let nodeTimeout: SimulatedTime
    /// Between the old master's end and the new one's beginning.
    private let electionDelay: SimulatedTime
    /// Whether all say that the cluster is down while a master is missing.
    private let requiresAll: Bool
    /// Called when a replica has taken the place of its master, with the keys that the two had not in common.
    var onTakeover: (_ lost: [String]) -> Void = { _ in }
    /// Called with each key that has gone to another master.
    var onMoved: (String) -> Void = { _ in }
    /// Called when a daemon is sent on with ASK.
    var onAsk: (_ daemon: Int) -> Void = { _ in }
    var note: (String) -> Void = { _ in }

    static let masters = 3
    private static let lookInterval = SimulatedTime.milliseconds(100)
    static let port: UInt16 = 6379

    init(agenda: Agenda, network: SimulatedNetwork, setup: Setup, make: (Int) -> ModelRedis) {
        self.agenda = agenda
        self.network = network
        let count = 2 * Self.masters
        servers = (0..<count).map(make)
        replication = ModelReplication(
            agenda: agenda, network: network, servers: servers, following: [3: 0, 4: 1, 5: 2],
            lag: .milliseconds(setup.number("lag")), seed: setup.seed)
        replication.endsConnections = false
        config = View(
            owners: (0..<KeySlot.count).map { UInt8($0 * Self.masters / KeySlot.count) },
            epochs: [1, 2, 3, 0, 0, 0], masters: [nil, nil, nil, 0, 1, 2])
        views = Array(repeating: config, count: count)
        texts = Array(repeating: nil, count: count)
        saysDown = Array(repeating: false, count: count)
        failingSince = Array(repeating: nil, count: count)
        heardAt = Array(repeating: 0, count: count)
        aloneAt = Array(repeating: 0, count: count)
        random = SeededRandom(seed: setup.seed ^ 0xc1057e4)
        nodeTimeout = .milliseconds(Int64.random(in: 500...1_000, using: &random))
        electionDelay = .milliseconds(Int64.random(in: 300...1_200, using: &random))
        requiresAll = Bool.random(using: &random)
        for server in servers { server.cluster = self }
        agenda.after(Self.lookInterval) { [weak self] in self?.look() }
    }

    func server(at address: StreamAddress) -> (any SimulatedServer)? {
        guard case .tcp(let host, _) = address else { return nil }
        return servers.first { $0.host == host }
    }

    // MARK: What is so

    private func runs(_ server: Int) -> Bool { !servers[server].isDown && !servers[server].faults.isPaused }

    private func reaches(_ one: Int, _ other: Int) -> Bool {
        runs(one) && runs(other) && network.cutOff(servers[one].host, servers[other].host) == 0
    }

    var leaders: [ModelRedis] { masters.map { servers[$0] } }

    private var masters: [Int] { servers.indices.filter { config.masters[$0] == nil } }

    private func reachesMajority(_ server: Int) -> Bool {
        masters.count { reaches(server, $0) } > Self.masters / 2
    }

    private func look() {
        agenda.after(Self.lookInterval) { [weak self] in self?.look() }
        let now = agenda.now
        for master in masters {
            failingSince[master] = reachesMajority(master) ? nil : failingSince[master] ?? now
        }
        for master in masters {
            guard let since = failingSince[master], now - since > nodeTimeout + electionDelay else { continue }
            takeOver(master)
        }
        let isMissing = masters.contains { master in failingSince[master].map { now - $0 > nodeTimeout } ?? false }
        for server in servers.indices where runs(server) {
            if reachesMajority(server) {
                if heardAt[server] < now { heardAt[server] = now }
                // A master that comes back takes no commands for a while, so that it is told meanwhile what became of its
                // slots (`rejoin_delay` in cluster_legacy.c).
                let isBackFor = now - aloneAt[server]
                let isWaiting =
                    saysDown[server] && views[server].masters[server] == nil && isBackFor < nodeTimeout
                let isToldLast = isWaiting && isBackFor + Self.lookInterval >= nodeTimeout
                if views[server] != config, Int.random(in: 0..<3, using: &random) == 0 || isToldLast { adopt(server) }
                saysDown[server] = requiresAll && isMissing || isWaiting
            } else {
                aloneAt[server] = now
                if now - heardAt[server] > nodeTimeout { saysDown[server] = true }
            }
        }
    }

    private func adopt(_ server: Int) {
        views[server] = config
        texts[server] = nil
        if let master = config.masters[server] {
            replication.follow(server, master)
        } else if replication.master(of: server) != nil {
            replication.promote(server)
        }
    }

    // MARK: Changes

    private func takeOver(_ master: Int) {
        guard let replica = servers.indices.first(where: { config.masters[$0] == master && reachesMajority($0) }) else {
            return
        }
        let (from, by) = (servers[master], servers[replica])
        note("h\(replica) takes the slots of h\(master)")
        var lost = Set(from.keys.names).union(by.keys.names).filter { from.keys[$0] != by.keys[$0] }
        for (slot, move) in moves.sorted(by: { $0.key < $1.key }) where move.from == master || move.to == master {
            moves[slot] = nil
            // Keys that had gone ahead of their slot.
            let target = move.to == master ? replica : move.to
            lost.formUnion(remove(keys(of: slot, at: servers[target]), from: target))
        }
        hand(from: master, to: replica)
        onTakeover(lost.sorted())
    }

    private func hand(from master: Int, to replica: Int) {
        for slot in config.owners.indices where config.owners[slot] == UInt8(master) {
            config.owners[slot] = UInt8(replica)
        }
        config.epochs[replica] = (config.epochs.max() ?? 0) + 1
        (config.masters[replica], config.masters[master]) = (nil, replica)
        failingSince[master] = nil
        adopt(replica)
    }

    /// CLUSTER FAILOVER: the master stands still until its replica has all of it.
    func failOver(_ shard: Int) {
        guard let master = masters.dropFirst(shard % Self.masters).first, isSettled, moves.isEmpty,
            let replica = servers.indices.first(where: { config.masters[$0] == master })
        else { return }
        note("h\(master) hands its slots to h\(replica)")
        servers[replica].synchronise(with: servers[master].keys)
        hand(from: master, to: replica)
        adopt(master)
    }

    /// A slot goes to another master, with its keys.
    /// - Parameter ahead: they go so much before it.
    func move(_ slot: Int, after span: SimulatedTime, ahead: SimulatedTime) {
        let from = Int(config.owners[slot])
        guard isSettled, moves[slot] == nil, let to = masters.first(where: { $0 > from }) ?? masters.first, to != from
        else { return }
        note("slot \(slot) goes from h\(from) to h\(to)")
        moves[slot] = (from, to)
        if ahead > 0 {
            agenda.after(span - ahead) { [self] in if moves[slot] != nil { moveKeys(of: slot, from, to) } }
        }
        agenda.after(span) { [self] in
            guard moves[slot] != nil else { return }
            moveKeys(of: slot, from, to)
            moves[slot] = nil
            config.owners[slot] = UInt8(to)
            config.epochs[to] = (config.epochs.max() ?? 0) + 1
            adopt(to)
            adopt(from)
            note("slot \(slot) is there")
        }
    }

    private func moveKeys(of slot: Int, _ from: Int, _ to: Int) {
        let source = servers[from]
        for name in keys(of: slot, at: source) {
            put(name, source.keys[name], at: to)
            put(name, nil, at: from)
            servers[to].promoteKey(name)
            onMoved(name)
        }
    }

    private func keys(of slot: Int, at server: ModelRedis) -> [String] {
        server.keys.names.filter { KeySlot.of(bytes($0)) == slot }
    }

    private func remove(_ names: [String], from server: Int) -> [String] {
        for name in names { put(name, nil, at: server) }
        return names
    }

    private func put(_ name: String, _ entry: ModelEntry?, at server: Int) {
        servers[server].follow([(name, entry)])
        replication.changed(servers[server], name, entry)
    }

    /// Who owns a slot, and who is to have it.
    func ends(of slot: Int) -> (owner: ModelRedis, target: ModelRedis?) {
        (servers[Int(config.owners[slot])], moves[slot].map { servers[$0.to] })
    }

    // MARK: What is where

    /// Whether what a server does with a key counts.
    func counts(_ server: ModelRedis, _ key: String) -> Bool {
        let slot = KeySlot.of(bytes(key))
        if let move = moves[slot] { return move.from == server.number || move.to == server.number }
        return Int(config.owners[slot]) == server.number
    }

    func standing(_ key: String) -> ModelEntry? {
        let slot = KeySlot.of(bytes(key))
        if let move = moves[slot], let entry = servers[move.to].keys[key] { return entry }
        return servers[Int(config.owners[slot])].keys[key]
    }

    var isSettled: Bool {
        servers.indices.allSatisfy { runs($0) && views[$0].masters == config.masters && !saysDown[$0] }
            && network.partitions.allSatisfy { $0.until <= agenda.now }
            && masters.allSatisfy { failingSince[$0] == nil }
    }
}
