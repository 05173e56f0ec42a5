internal import EventLoop
public import Logging
internal import RedisLink
internal import Tokens
public import UnixTime

/// What the janitor of this daemon did since the start, for INFO.
public struct JanitorCounters: Sendable, Equatable {
    /// Whether it is on a round now: one daemon of all before a Redis is.
    public var isWalking = false
    /// Rounds that it brought to their end.
    public var rounds: UInt64 = 0
    public var indexes: UInt64 = 0
    /// Members that it read.
    public var members: UInt64 = 0

    public init() {}
}

/// Walks over the indexes of all subjects at a bounded rate, so that dead members of those leave who never come back.
///
/// One daemon of the fleet does: the one that put its name under a key with a short TTL, and renews it on its round. At the
/// end of a round it leaves the key for `janitor.interval`: until then there is no other.
public final class Janitor {
    public private(set) var counters = JanitorCounters()

    private let service: TokenService
    private let name: [UInt8]
    private var interval: Milliseconds
    /// Members a second.
    private var rate: Int
    private let logger: Logger
    private var timer: (any SchedulerTimer)?
    /// Holds on to the key while a round goes on.
    private var renewal: (any SchedulerTimer)?
    /// Counts what may not go on: what is still under way of an earlier round ends.
    private var round = 0
    /// Of the walk over all keys; nil where its last page was read.
    private var cursor: [UInt8]?
    /// Which start of the server the cursor is of.
    private var serverRun: String?
    /// How often slots had changed their master when the walk began; in a cluster a walk may not see the keys of those.
    private var handovers: UInt64 = 0
    private var isRepeated = false
    /// When the walk over a cluster was over.
    private var walkedAt: MonotonicInstant?
    /// Indexes of that page that are still to be walked.
    private var indexes: [SubjectIndex] = []
    /// Tries of the last of them that failed.
    private var failures = 0
    /// What may still be read now; below zero after a large index.
    private var budget = 0
    private var budgetUntil = MonotonicInstant.earliest

    /// After so long it is known which slots changed their master: the map of a cluster is asked for every five seconds.
    private static let mapAge = Duration.seconds(6)
    /// How long a round outlives its daemon.
    static let lease: Milliseconds = 30_000
    /// What may be read in a second comes in so many parts: visitors wait for little at a time.
    private static let parts = 20
    /// After something could not be read, and how often that is tried: an index that this daemon cannot read is another's,
    /// or will be found the next time.
    private static let pause = Duration.seconds(1)
    private static let mostTries = 5

    /// - Parameters:
    ///   - name: of this daemon, no other's.
    ///   - interval: from the end of a round to the next; zero: never.
    ///   - rate: members that are read a second.
    public init(service: TokenService, name: String, interval: Milliseconds, rate: Int, logger: Logger) {
        self.service = service
        self.name = Array(name.utf8)
        self.interval = interval
        self.rate = rate
        self.logger = logger
        let scheduler = service.store.scheduler
        timer = scheduler.makeTimer { [unowned self] in wake() }
        renewal = scheduler.makeTimer { [unowned self] in renew() }
        rest()
    }

    /// Takes over what a reload changed.
    public func apply(interval: Milliseconds, rate: Int) {
        self.rate = rate
        guard interval != self.interval else { return }
        self.interval = interval
        rest()
    }

    // MARK: Between rounds

    /// Ends what is under way, and looks again when a tenth of the interval has passed, at most a minute.
    private func rest() {
        round += 1
        counters.isWalking = false
        renewal?.cancel()
        timer?.cancel()
        if interval > 0 { timer?.start(after: .milliseconds(min(interval / 10, 60_000))) }
    }

    private func wake() {
        if counters.isWalking { goOn(round) } else { seekRound(round) }
    }

    private func seekRound(_ round: Int) {
        guard service.store.isReady else { return rest() }
        service.store.lease(to: name, for: Self.lease, takes: true) { [self] result in
            guard round == self.round else { return }
            guard case .success(true) = result else { return rest() }
            counters.isWalking = true
            isRepeated = false
            restart()
            logger.info("the janitor begins a round over the indexes of all subjects")
            renewal?.start(after: .milliseconds(Self.lease / 3))
            goOn(round)
        }
    }

    /// A walk over keys means nothing to another server.
    private func restart() {
        cursor = ScanQuery.start
        indexes = []
        serverRun = service.store.serverRun
        handovers = service.store.router.handovers
        walkedAt = nil
    }

    private func renew() {
        let round = round
        service.store.lease(to: name, for: Self.lease, takes: false) { [self] result in
            guard round == self.round else { return }
            // Somebody else's, or nobody's: whoever comes first begins anew.
            if case .success(false) = result { return rest() }
            renewal?.start(after: .milliseconds(Self.lease / 3))
        }
    }

    // MARK: A round

    private func goOn(_ round: Int) {
        guard round == self.round else { return }
        let now = service.store.instant
        if now >= budgetUntil {
            let part = max(1, rate / Self.parts)
            budget = min(part, budget + part)
            budgetUntil = now + .seconds(1) * part / rate
        }
        guard budget > 0 else { return timer?.start(after: now.duration(to: budgetUntil)) ?? () }
        if serverRun != service.store.serverRun { restart() }
        if let index = indexes.last { return walk(index, round) }
        guard let cursor else {
            // Once: while a cluster is resharded slots go all the time.
            guard service.store.isCluster, !isRepeated else { return end(round) }
            let known = walkedAt ?? now
            walkedAt = known
            guard now >= known + Self.mapAge else {
                return timer?.start(after: now.duration(to: known + Self.mapAge)) ?? ()
            }
            guard handovers != service.store.router.handovers else { return end(round) }
            isRepeated = true
            restart()
            return goOn(round)
        }
        service.run(KeysFlow(ScanQuery(kind: .indexes, cursor: cursor)), at: nil, isHousekeeping: true) {
            [self] result in
            guard round == self.round else { return }
            guard case .success(let page) = result else { return pause() }
            self.cursor = page.next
            indexes = page.names.compactMap { SubjectIndex(name: $0) }
            // A page costs, too, where there is nothing on it.
            budget -= 10
            goOn(round)
        }
    }

    private func walk(_ index: SubjectIndex, _ round: Int) {
        service.run(TallyFlow(index), at: nil, isHousekeeping: true) { [self] result in
            guard round == self.round else { return }
            if case .failure = result {
                failures += 1
                if !service.store.isReady || failures < Self.mostTries { return pause() }
            }
            failures = 0
            let members = (try? result.get().members) ?? 0
            if !indexes.isEmpty { indexes.removeLast() }
            counters.indexes &+= 1
            counters.members &+= UInt64(clamping: members)
            budget -= max(1, members)
            goOn(round)
        }
    }

    private func pause() { timer?.start(after: Self.pause) }

    private func end(_ round: Int) {
        counters.rounds &+= 1
        logger.info(
            "the janitor has ended its round",
            metadata: [
                "indexes": "\(counters.indexes)", "members": "\(counters.members)",
                "removed": "\(service.counters.indexRemovals)",
            ])
        service.store.lease(to: name, for: interval, takes: false) { _ in }
        rest()
    }
}

/// A page of keys, for the janitor.
struct KeysFlow: Flow {
    private let query: ScanQuery

    init(_ query: ScanQuery) { self.query = query }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<ScanPage> {
        switch event {
        case .begin: return .scan(query)
        case .scanned(let page): return .answer(page)
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }
}

extension SessionStore {
    private var janitorsKey: [UInt8] { keys.prefix + Array("d:janitor".utf8) }

    /// - Parameters:
    ///   - takes: where nobody holds it; else it is held on to.
    ///   - done: told whether it is this daemon's now.
    func lease(
        to name: [UInt8], for span: Milliseconds, takes: Bool, _ done: @escaping (Result<Bool, Unavailable>) -> Void
    ) {
        runInTime(
            SessionScripts.lease, key: janitorsKey,
            arguments: [name, decimal(max(1, span)), takes ? [UInt8(ascii: "1")] : []], arrival: instant
        ) { done($0.map { $0.verdict == "done" }) }
    }
}
