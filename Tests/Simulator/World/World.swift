import EventLoop
import SeededRandom
import TokenCrypto
import Tokens

@testable import RedisLink
@testable import TokenCache

/// One run: daemons, a Redis, the network between them, those who ask, and what may go wrong.
final class World {
    let setup: Setup
    let agenda = Agenda()
    let network: SimulatedNetwork
    /// Whom writes go to; before a failover the one that all daemons know.
    var redis: ModelRedis
    /// Of the failover that made it that.
    var epochOfRedis: Int64 = 0
    /// Several servers, and Sentinels that say which is the master; nil where there is one.
    private(set) var fleet: SentinelFleet?
    /// Nil where there is none.
    private(set) var cluster: ModelCluster?
    var group: (any ServerGroup)? { fleet ?? cluster }
    /// What it was before, demoted.
    private(set) var former: ModelRedis?
    private let routes = Routes()
    private(set) var daemons: [SimulatedDaemon] = []
    let browsers: [Browser]
    var thieves: [Int: Thief] = [:]
    let checker: Checker
    let rule: RemovedRule?
    /// What happened, a line each, where somebody wants to read it.
    private(set) var log: [String] = []
    private let keepsLog: Bool
    private(set) var logDigest: UInt64 = 0xcbf2_9ce4_8422_2325
    private(set) var requests: [Request] = []
    private(set) var faultCount = 0
    let crypto: CryptoContext
    /// Words that the answer to the event at hand must have.
    private(set) var expected: [String] = []

    init(_ setup: Setup, removing rule: RemovedRule? = nil, keepsLog: Bool = false) throws {
        self.setup = setup
        self.rule = rule
        self.keepsLog = keepsLog
        crypto = try CryptoContext()
        let agenda = agenda
        let make = { (number: Int) in
            let redis = ModelRedis(
                agenda: agenda, number: number, seed: setup.seed,
                scripts: TokenService.scripts + [RedisNode.beatScript, ReplicaWait.script], clockOffset: 137)
            if setup.number("password") == 1 { redis.password = bytes("open sesame") }
            redis.bent = rule?.bentStore ?? []
            return redis
        }
        let redis = make(0)
        self.redis = redis
        routes.first = redis
        network = SimulatedNetwork(agenda: agenda, seed: setup.seed) { [routes] path, address in
            if let group = routes.group { return group.server(at: address) }
            if path.role == .feed, let copy = routes.copies[path.daemon] { return copy }
            return routes.byDaemon[path.daemon] ?? routes.first ?? redis
        }
        if setup.number("sentinels") > 0 {
            fleet = SentinelFleet(
                agenda: agenda, network: network, setup: setup, bent: rule?.bentSentinels ?? [],
                make: { $0 == 0 ? redis : make($0) })
            routes.group = fleet
        }
        if setup.number("cluster") > 0 {
            cluster = ModelCluster(
                agenda: agenda, network: network, setup: setup, make: { $0 == 0 ? redis : make($0) })
            routes.group = cluster
        }
        browsers = (0..<setup.browsers).map(Browser.init)
        checker = Checker(setup: setup, agenda: agenda, crypto: crypto, offset: redis.clockOffset)
        if let fleet {
            watch(fleet)
        } else if let cluster {
            watch(cluster)
        } else {
            watch(redis)
        }
        network.onSend = { [checker] path, bytes in checker.sent(bytes, on: path) }
        network.onCut = { [checker, agenda] path in checker.endImpairments("cut", of: path.daemon, at: agenda.now) }
        network.lens = rule?.networkLens(of: network)
        daemons = try (0..<setup.daemons).map {
            try SimulatedDaemon(number: $0, setup: setup, network: network, rule: rule)
        }
        for daemon in daemons { daemon.checker = checker }
        checker.onViolation = { [unowned self] in note("VIOLATION \($0)") }
    }

    private func watch(_ redis: ModelRedis) {
        checker.redis = redis
        redis.onChange = { [checker] key, entry, source in checker.changed(key, entry, source) }
        redis.onArgument = { [checker] argument in checker.received(argument) }
        redis.onLoss = { [checker] keys in checker.lost(keys) }
    }

    /// Which Redis a daemon takes for the one.
    private final class Routes {
        var first: ModelRedis?
        var byDaemon: [Int: ModelRedis] = [:]
        /// What a daemon's feed finds instead.
        var copies: [Int: ModelRedis] = [:]
        var group: (any ServerGroup)?
    }

    /// Another Redis with all that this one holds.
    private func makeCopy(_ number: Int) -> ModelRedis {
        let copy = ModelRedis(
            agenda: agenda, number: number, seed: setup.seed,
            scripts: TokenService.scripts + [RedisNode.beatScript, ReplicaWait.script],
            clockOffset: redis.clockOffset)
        copy.password = redis.password
        copy.bent = redis.bent
        copy.take(redis.keys)
        return copy
    }

    /// Another Redis has been promoted, with all that this one holds, and some daemons know of it. The old one answers, and
    /// takes no writes: it is read-only, or has only lost its replicas. That it says where its disk is good: else it says so
    /// first, and reads go on.
    func split(_ moved: [Int], isDemoted: Bool) {
        let promoted = makeCopy(1)
        if isDemoted { redis.faults.role = .slave } else { redis.faults.lacksReplicas = true }
        redis.faults.cannotSave = false
        redis.onChange = { _, _, _ in }
        former = redis
        redis = promoted
        watch(promoted)
        for daemon in moved { move(daemon, to: promoted) }
    }

    /// The name has two addresses: a daemon's feed comes to a copy of Redis, which others take for the master and send their
    /// beats, and which hears of nothing that is written here.
    func misleadFeed(of daemon: Int, until end: SimulatedTime) {
        let copy = makeCopy(2)
        copy.beats(until: end)
        routes.copies[daemon] = copy
        redis.kill { $0.path == SimulatedNetwork.PathName(daemon: daemon, role: .feed) }
        agenda.at(end) { [routes] in
            if routes.copies[daemon] === copy { routes.copies[daemon] = nil }
            copy.kill { _ in true }
        }
    }

    private func move(_ daemon: Int, to redis: ModelRedis) {
        routes.byDaemon[daemon] = redis
        former?.kill { $0.path.daemon == daemon }
    }

    /// Runs all of the plan, and then until everything has had time to heal.
    func run() throws {
        for (index, event) in setup.events.enumerated() {
            agenda.at(event.at) { [self] in
                let parts = event.words.split(separator: "->", maxSplits: 1)
                expected = parts.count == 2 ? Array(parts[1]) : []
                do { try carryOut(Array(parts[0]), index) } catch {
                    checker.fail("scenario", "\(event.text): \(error)")
                }
            }
        }
        agenda.run(until: setup.end)
        recover()
        let healing = SimulatedTime.milliseconds(faultCount == 0 ? 300 : group == nil ? 4_000 : 9_000)
        agenda.run(until: setup.end + healing)
        probe()
        agenda.run(until: setup.end + healing + .milliseconds(1_300))
        checker.finish(requests)
        for daemon in daemons { daemon.close() }
    }

    func note(_ line: @autoclosure () -> String) {
        let line = "\(agenda.now / 1_000) \(line())"
        for byte in line.utf8 { logDigest = (logDigest ^ UInt64(byte)) &* 0x100_0000_01b3 }
        if keepsLog { log.append(line) }
    }

    // MARK: The end

    /// Whatever is still wrong ends.
    private func recover() {
        for path in network.paths.keys { network.paths[path] = PathState() }
        if setup.number("moving") == 1 { undoMove() }
        if let group { heal(group) } else { heal(redis) }
        if former != nil { for daemon in daemons { move(daemon.number, to: redis) } }
        for copy in routes.copies.values { copy.kill { _ in true } }
        routes.copies = [:]
        for daemon in daemons where daemon.loop.isPaused { daemon.loop.resume(requestsFirst: false) }
        checker.endImpairments()
    }

    func heal(_ redis: ModelRedis) {
        if group == nil { redis.faults.role = .master }
        redis.faults.lacksReplicas = false
        redis.faults.cannotSave = false
        redis.faults.isFull = false
        redis.faults.refusesClients = false
        redis.faults.busyUntil = 0
        if redis.isDown { redis.start(loadingFor: 0) }
        redis.resume()
    }

    /// Each daemon issues a session, and the next one accepts it.
    private func probe() {
        for daemon in daemons {
            start(.issue, by: .admin, bringing: .nothing, wish: Wish(subject: bytes("probe")), at: daemon.number) {
                [self] request in
                guard let token = request.outcome?.newSession else {
                    return checker.fail("S10", "daemon \(daemon.number) issues nothing, seconds after all faults")
                }
                let next = (daemon.number + 1) % daemons.count
                start(.validate, by: .admin, bringing: .session(token), at: next) { [self] request in
                    if request.outcome?.isAccepted != true {
                        checker.fail("S10", "daemon \(next) accepts nothing, seconds after all faults")
                    }
                }
            }
        }
    }

    // MARK: Requests

    func check(_ request: Request, has expected: [String]) {
        guard let outcome = request.outcome else { return }
        let said = Asking.describe(outcome).split { " ()".contains($0) }.map {
            String($0.split(separator: ".").last ?? $0)
        }
        for word in expected {
            let isWanted = !word.hasPrefix("no-")
            guard said.contains(isWanted ? word : String(word.dropFirst(3))) != isWanted else { continue }
            checker.fail("scenario", "#\(request.number) was answered \(said.joined(separator: " "))")
        }
    }

    /// A request arrives at a daemon.
    func start(
        _ operation: Operation, by actor: Actor, bringing brought: Brought, wish: Wish = Wish(),
        sent: SimulatedTime? = nil, at number: Int, then: @escaping (Request) -> Void
    ) {
        let daemon = daemons[number % daemons.count]
        let loop = daemon.loop
        loop.enter(isRequest: true) { [self] in
            guard loop === daemon.loop else { return }
            do {
                let request = try describe(operation, actor, brought, wish, sent ?? agenda.now, daemon)
                requests.append(request)
                checker.began(request)
                note("#\(request.number) \(actor) \(operation.rawValue) \(request.name) at \(daemon.number)")
                Asking.ask(request, daemon) { [self] outcome in
                    guard request.finished == nil else {
                        return checker.fail("S10", "#\(request.number) was answered twice")
                    }
                    request.finished = agenda.now
                    request.outcome = outcome
                    note("#\(request.number) \(Asking.describe(outcome))")
                    checker.finished(request, daemon)
                    then(request)
                }
            } catch { checker.fail("run", "\(error)") }
        }
    }

    private func describe(
        _ operation: Operation, _ actor: Actor, _ brought: Brought, _ wish: Wish, _ sent: SimulatedTime,
        _ daemon: SimulatedDaemon
    ) throws -> Request {
        var sid: SessionID?
        var digest: Digest?
        var guest: Guest?
        switch brought {
        case .nothing: break
        case .sid(let named): sid = named
        case .session(let token):
            sid = token.sid
            digest = try crypto.digest(token.verifier)
        case .guest(let text):
            if case .guest(let opened) = try text.withUnsafeBytes({ try daemon.service.credential($0) }) {
                guest = opened
                sid = opened.sid
                digest = try daemon.service.claim(opened, text, Signals()).digest
            }
        }
        return Request(
            number: requests.count, actor: actor, operation: operation, daemon: daemon.number, brought: brought,
            wish: wish, sid: sid, digest: digest, guest: guest, sent: sent, began: agenda.now)
    }

    func restart(_ number: Int) throws {
        for request in requests where request.daemon == number && request.finished == nil { request.isAbandoned = true }
        checker.restarted(number)
        try daemons[number].restart()
    }

    func noteFault(_ words: [String]) {
        faultCount += 1
        watchSettling()
        note("FAULT \(words.joined(separator: " "))")
    }
}
