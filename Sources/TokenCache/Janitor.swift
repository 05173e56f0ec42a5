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
    /// Of the walk over all keys; nil where its last page was read.
    private var cursor: [UInt8]?
    /// Indexes of that page that are still to be walked.
    private var indexes: [SubjectIndex] = []
    /// What this second may still read.
    private var budget = 0
    private var budgetUntil = MonotonicInstant.earliest
    private var renewedAt = MonotonicInstant.earliest

    /// How long a round outlives its daemon.
    static let lease: Milliseconds = 30_000

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
        timer = service.store.scheduler.makeTimer { [unowned self] in wake() }
        rest()
    }

    /// Takes over what a reload changed.
    public func apply(interval: Milliseconds, rate: Int) {
        self.rate = rate
        guard interval != self.interval else { return }
        self.interval = interval
        counters.isWalking = false
        rest()
    }

    // MARK: Between rounds

    /// Looks again when a tenth of the interval has passed, at most a minute.
    private func rest() {
        guard interval > 0 else { return timer?.cancel() ?? () }
        timer?.start(after: .milliseconds(min(interval / 10, 60_000)))
    }

    private func wake() {
        guard counters.isWalking else { return seekRound() }
        goOn()
    }

    private func seekRound() {
        take(for: Self.lease) { [self] isMine in
            guard isMine else { return rest() }
            counters.isWalking = true
            cursor = ScanQuery.start
            indexes = []
            renewedAt = service.store.instant
            logger.info("the janitor begins a round over the indexes of all subjects")
            goOn()
        }
    }

    /// Puts this daemon's name under the key, where there is none.
    private func take(for lease: Milliseconds, _ done: @escaping (Bool) -> Void) {
        guard service.store.isReady else { return service.store.later { done(false) } }
        service.store.takeJanitorsKey(name, for: lease, done)
    }

    // MARK: A round

    private func goOn() {
        guard counters.isWalking else { return }
        let now = service.store.instant
        if now >= budgetUntil {
            budget = rate
            budgetUntil = now + .seconds(1)
        }
        guard budget > 0 else { return timer?.start(after: now.duration(to: budgetUntil)) ?? () }
        guard renewedAt.duration(to: now) < .milliseconds(Self.lease / 3) else { return renew() }
        if let index = indexes.popLast() { return walk(index) }
        guard let cursor else { return end() }
        service.run(KeysFlow(ScanQuery(kind: .indexes, cursor: cursor)), at: nil) { [self] result in
            guard case .success(let page) = result else { return giveUp() }
            self.cursor = page.next
            indexes = page.names.compactMap { SubjectIndex(name: $0) }
            // A page costs, too, where there is nothing on it.
            budget -= 10
            goOn()
        }
    }

    private func walk(_ index: SubjectIndex) {
        service.run(CleanFlow(index), at: nil) { [self] result in
            // What cannot be read is another's, or will be found the next time.
            let members = (try? result.get()) ?? 0
            if case .failure = result, !service.store.isReady { return giveUp() }
            counters.indexes &+= 1
            counters.members &+= UInt64(clamping: members)
            budget -= max(1, members)
            goOn()
        }
    }

    private func renew() {
        service.store.keepJanitorsKey(name, for: Self.lease) { [self] isMine in
            guard isMine else { return giveUp() }
            renewedAt = service.store.instant
            goOn()
        }
    }

    private func end() {
        counters.isWalking = false
        counters.rounds &+= 1
        logger.info(
            "the janitor has ended its round",
            metadata: [
                "indexes": "\(counters.indexes)", "members": "\(counters.members)",
                "removed": "\(service.counters.indexRemovals)",
            ])
        service.store.keepJanitorsKey(name, for: interval) { [self] _ in rest() }
    }

    /// Whoever comes first begins anew, when the key is gone: a walk over keys means nothing to another server.
    private func giveUp() {
        counters.isWalking = false
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

/// A walk over one index, which puts it right.
struct CleanFlow: Flow {
    private(set) var walk: IndexWalk
    private(set) var members = 0

    init(_ index: SubjectIndex) { walk = IndexWalk(index) }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Int> {
        var members = members
        let step = try walk.next(event, context) { walk, _ -> FlowStep<Int>? in
            members += walk.members.count
            return walk.query == nil ? .answer(members) : nil
        }
        self.members = members
        return step
    }
}

extension SessionStore {
    private var janitorsKey: [UInt8] { keys.prefix + Array("d:janitor".utf8) }

    /// - Parameter done: told whether the name stands there, now or from before.
    func takeJanitorsKey(_ name: [UInt8], for span: Milliseconds, _ done: @escaping (Bool) -> Void) {
        set(name, for: span, "NX") { reply in done(reply == .null) }
    }

    /// - Parameter done: told whether the name stood there.
    func keepJanitorsKey(_ name: [UInt8], for span: Milliseconds, _ done: @escaping (Bool) -> Void) {
        set(name, for: span, "XX") { reply in done(reply == .bulk(name)) }
    }

    private func set(
        _ name: [UInt8], for span: Milliseconds, _ condition: String, _ done: @escaping (RedisReply?) -> Void
    ) {
        let words = [
            Array("SET".utf8), janitorsKey, name, Array(condition.utf8), Array("PX".utf8), decimal(max(1, span)),
            Array("GET".utf8),
        ]
        send(RedisCommand(words, key: janitorsKey)) { done(try? $0.get()) }
    }
}
