import SeededRandom

/// A Sentinel of a simulation: it looks at the servers over the network, votes, promotes, and says in RESP who the master is.
///
/// Like the real one it starts a failover where the quorum sees the master down and a majority gives it this epoch; one that
/// is asked for needs no vote. It learns of others' failovers by their messages, seconds later. Times are shorter than the
/// real ones. Source: redis.io/docs/management/sentinel.
final class ModelSentinel: SimulatedServer {
    let number: Int
    let host: String
    var isDown = false
    unowned let fleet: SentinelFleet
    /// Whom it takes for the master, and of which failover that is.
    private(set) var config: (master: Int, epoch: Int64) = (0, 0)
    /// The highest epoch that it knows, and the last that it has voted in.
    private var epoch: Int64 = 0
    private var votedEpoch: Int64 = 0
    private var masterSeenAt: SimulatedTime = 0
    private var triedAt: SimulatedTime = -.milliseconds(10_000)
    private var saysHelloAt: SimulatedTime
    /// Those who want to be told of a new master.
    private var subscribers: [Connection] = []
    /// Since when a server is another than it should be.
    private var wrongSince: [Int: SimulatedTime] = [:]
    private var random: SeededRandom

    private static let tick = SimulatedTime.milliseconds(100)
    private static let helloInterval = SimulatedTime.milliseconds(2_000)
    /// How long a promoted server takes at most to say that it is master.
    private static let promotionTime = SimulatedTime.milliseconds(1_100)
    /// After a vote or an attempt none is made again before its outcome is told to all: else each new master is replaced
    /// before the others know of it. The real ones wait twice `failover-timeout`, minutes.
    private static let retryInterval = promotionTime + helloInterval + .milliseconds(100)
    /// A failover that is asked for waits for the one that is under way only.
    private static let askedInterval = SimulatedTime.milliseconds(1_500)

    init(number: Int, fleet: SentinelFleet, seed: UInt64) {
        self.number = number
        self.fleet = fleet
        host = "h\(number)"
        random = SeededRandom(seed: seed ^ 0x5e47_1e00 ^ UInt64(number) << 24)
        saysHelloAt = .milliseconds(Int64.random(in: 0...2_000, using: &random))
        fleet.agenda.after(.milliseconds(Int64.random(in: 0...100, using: &random))) { [unowned self] in look() }
    }

    private var now: SimulatedTime { fleet.agenda.now }
    private var others: [ModelSentinel] {
        fleet.sentinels.filter { $0 !== self && !$0.isDown && fleet.isWay(host, $0.host) }
    }
    private var majority: Int { fleet.sentinels.count / 2 + 1 }

    /// Whether it sees the master down.
    private var seesMasterDown: Bool { now - masterSeenAt > fleet.downAfter }

    // MARK: What it sees

    private func look() {
        fleet.agenda.after(Self.tick + .milliseconds(Int64.random(in: 0...10, using: &random))) { [weak self] in
            self?.look()
        }
        guard !isDown else { return }
        let master = fleet.servers[config.master]
        if sees(master), master.faults.role == .master { masterSeenAt = now }
        if now >= saysHelloAt {
            saysHelloAt = now + Self.helloInterval
            for other in others {
                fleet.agenda.after(.microseconds(Int64.random(in: 200...5_000, using: &random))) { [self] in
                    if !other.isDown { other.learn(config) }
                }
            }
        }
        correct()
        guard seesMasterDown, now - triedAt > Self.retryInterval else { return }
        let agreeing = others.count { $0.seesMasterDown && $0.config.master == config.master } + 1
        if agreeing >= fleet.quorum { elect() }
    }

    private func sees(_ server: ModelRedis) -> Bool {
        !server.isDown && !server.faults.isPaused && fleet.isWay(host, server.host)
    }

    private func learn(_ other: (master: Int, epoch: Int64)) {
        epoch = max(epoch, other.epoch)
        guard other.epoch > config.epoch else { return }
        let former = fleet.servers[config.master].host
        config = other
        fleet.named(config, by: number)
        let port = SentinelFleet.redisPort
        tell("\(SentinelFleet.masterName) \(former) \(port) \(fleet.servers[config.master].host) \(port)")
        masterSeenAt = now
        wrongSince = [:]
    }

    /// Servers that are masters, or follow one, of which it knows better follow its own.
    private func correct() {
        for server in fleet.servers where server.number != config.master && sees(server) {
            let isMaster = server.faults.role == .master
            guard isMaster || fleet.replication.master(of: server.number) != config.master else {
                wrongSince[server.number] = nil
                continue
            }
            let since = wrongSince[server.number] ?? now
            wrongSince[server.number] = since
            guard now - since > (isMaster ? fleet.demotesAfter : .milliseconds(300)), !seesMasterDown else { continue }
            wrongSince[server.number] = nil
            fleet.demote(server.number, under: config.master)
        }
    }

    // MARK: Failover

    private func elect() {
        triedAt = now + .milliseconds(Int64.random(in: 0...800, using: &random))
        epoch += 1
        votedEpoch = epoch
        let votes = others.count { $0.votes(in: epoch) } + 1
        if votes >= majority { promote() }
    }

    private func votes(in asked: Int64) -> Bool {
        guard asked > votedEpoch, asked >= epoch else { return false }
        (epoch, votedEpoch, triedAt) = (asked, asked, now)
        return true
    }

    /// SENTINEL FAILOVER. The others learn the epoch at once, so that none is used twice.
    func failOver() {
        guard !isDown, others.count == fleet.sentinels.count - 1, now - triedAt > Self.askedInterval else { return }
        epoch = max(epoch, others.map(\.epoch).max() ?? 0) + 1
        for other in others { _ = other.votes(in: epoch) }
        votedEpoch = epoch
        triedAt = now
        promote()
    }

    /// The one that knows most is told to be master; when it says that it is, it is so.
    private func promote() {
        let (epoch, former) = (epoch, config.master)
        let candidates = fleet.servers.filter { $0.number != former && sees($0) }
        let best = candidates.max { one, other in
            let (first, second) = (
                fleet.replication.offset(of: one.number), fleet.replication.offset(of: other.number)
            )
            return first != second ? first < second : one.number > other.number
        }
        guard let best else { return }
        fleet.promote(best.number, in: epoch)
        let milliseconds = Int64.random(in: 20...Self.promotionTime / 1_000_000, using: &random)
        fleet.agenda.after(.milliseconds(milliseconds)) { [self] in
            guard !isDown, epoch > config.epoch, sees(best), best.faults.role == .master else { return }
            learn((best.number, epoch))
            // It says so with one of its next messages.
            saysHelloAt = now + .milliseconds(Int64.random(in: 5...2_000, using: &random))
        }
    }

    // MARK: What it says

    func accept(_ stream: SimulatedStream) -> any SimulatedPeer { Connection(self, stream) }

    private var id: [UInt8] { Self.id(number) }
    private static func id(_ number: Int) -> [UInt8] { Array(repeating: UInt8(ascii: "a") + UInt8(number), count: 40) }

    /// What it says: with a removed rule what all of them could agree on, and no sooner.
    private var said: (master: Int, epoch: Int64) {
        guard fleet.bent.contains(.oneNamesNobody), fleet.sentinels.count(where: { $0.config == config }) < majority
        else { return config }
        return fleet.former(before: config.epoch)
    }

    private static let switches = "+switch-master"

    private func tell(_ message: String) {
        guard !isDown else { return }
        for subscriber in subscribers { subscriber.tell(.words("message", Self.switches, message)) }
    }

    fileprivate func answer(_ words: [[UInt8]], to connection: Connection) -> ModelReply {
        let name = words.first.map { text($0).uppercased() } ?? ""
        if name == "PING" { return .status("PONG") }
        if name == "SUBSCRIBE", words.count == 2, text(words[1]) == Self.switches {
            subscribers.append(connection)
            return .array([.bulk(Array("subscribe".utf8)), .bulk(words[1]), .integer(1)])
        }
        guard name == "SENTINEL", words.count > 1 else { return .error("ERR unknown command '\(name)'") }
        let about = text(words[1]).uppercased()
        if about == "MYID" { return .bulk(id) }
        guard words.count > 2, text(words[2]) == SentinelFleet.masterName else {
            return .error("ERR No such master with that name")
        }
        switch about {
        case "GET-MASTER-ADDR-BY-NAME":
            return .words(fleet.servers[said.master].host, String(SentinelFleet.redisPort))
        case "MASTER":
            let others = fleet.bent.contains(.eachKnowsOnlyItself) ? 0 : fleet.sentinels.count - 1
            return .words(
                "name", SentinelFleet.masterName, "ip", fleet.servers[said.master].host, "port",
                String(SentinelFleet.redisPort), "config-epoch", String(said.epoch), "num-other-sentinels",
                String(others), "quorum", String(fleet.quorum))
        case "REPLICAS":
            return .array(
                fleet.servers.filter { $0.number != said.master }.map {
                    .words("name", $0.host, "ip", $0.host, "port", String(SentinelFleet.redisPort))
                })
        case "SENTINELS":
            return .array(
                fleet.sentinels.filter { $0 !== self }.map { other in
                    .words(
                        "name", text(other.id), "ip", other.host, "port", String(SentinelFleet.sentinelPort), "runid",
                        text(other.id))
                })
        default: return .error("ERR Unknown sentinel subcommand '\(about)'")
        }
    }

    fileprivate final class Connection: SimulatedPeer {
        private unowned let sentinel: ModelSentinel
        private let stream: SimulatedStream
        private var reader = CommandReader()

        init(_ sentinel: ModelSentinel, _ stream: SimulatedStream) {
            self.sentinel = sentinel
            self.stream = stream
        }

        func receive(_ bytes: [UInt8]) {
            guard !sentinel.isDown else { return stream.closedByServer() }
            guard !sentinel.fleet.ignores(sentinel.number, stream.path.daemon) else { return }
            reader.feed(bytes)
            var output: [UInt8] = []
            while let words = reader.next() { sentinel.answer(words, to: self).encode(into: &output, isRESP3: false) }
            if !output.isEmpty { stream.deliver(output) }
        }

        func tell(_ message: ModelReply) {
            guard !sentinel.fleet.ignores(sentinel.number, stream.path.daemon) else { return }
            var output: [UInt8] = []
            message.encode(into: &output, isRESP3: false)
            stream.deliver(output)
        }

        func closedByClient() { sentinel.subscribers.removeAll { $0 === self } }
    }
}
