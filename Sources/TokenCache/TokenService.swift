public import EventLoop
public import Logging
public import RedisLink
public import TokenCrypto
public import Tokens
public import UnixTime

/// Carries out the session commands: asks the store, lets `Tokens` decide, writes what was decided.
///
/// Owned by the loop's thread. Every completion is called exactly once, never before the method has returned. Where a
/// method may return an answer, it has that at once, from the near cache or a guest's token, and then makes no use of the
/// completion; which of the two it is, is for the service to know.
///
/// A change is written only over the revision it was decided on. Where another change came first, the script hands
/// back what stands there now, and the same question is decided again on that: all who raced get the same answer.
public final class TokenService {
    public typealias Completion<Answer> = (Result<Answer, ServiceFault>) -> Void

    public private(set) var policy: TokenPolicy
    public internal(set) var counters = TokenCounters()

    let store: SessionStore
    /// Tells of the end of sessions.
    public let watch: SessionWatch
    /// Nil where the near cache is off.
    let sessions: CachedSessions?
    let crypto: CryptoContext
    /// Guests, CSRF tokens, captchas, bindings.
    let stateless: StatelessTokens
    let logger: Logger
    var faults: FaultReports
    /// Takes what an auditor wants to know of; nil where nobody does.
    public var audit: ((AuditEvent) -> Void)?
    /// Whose request is being carried out.
    public var asking: AuditPeer?
    private var random: any RandomSource
    private let prefix: [UInt8]
    /// What is known of a session beside the near cache. Who waits is told the fault where the fate of the change that it
    /// waited for last is not known.
    var ledger: Ledger<(ServiceFault?) -> Void>
    /// `redis.timeout`: every request is answered so long after its arrival.
    let timeout: Duration
    private(set) lazy var deadlines = RunQueue(self, store.scheduler)
    let turns = Turns()
    private(set) lazy var repetition = Repetition(self)
    /// When the epoch was last asked for because of a guest.
    var epochReadAt = MonotonicInstant.earliest
    private var epochTimer: (any SchedulerTimer)?

    /// Writes that one request tries: it decides anew after each that was overtaken. Each time somebody else's change was
    /// written, so this bounds work, not progress.
    static let maxWrites = 32

    /// The near cache that a service is to have.
    public struct NearCacheOptions {
        /// `near-cache.max-memory`.
        public var maxBytes: Int
        /// `near-cache.serve-stale`.
        public var serveStale: Duration

        public init(maxBytes: Int, serveStale: Duration) {
            self.maxBytes = maxBytes
            self.serveStale = serveStale
        }
    }

    /// - Parameters:
    ///   - router: leads to the servers, each with a feed where there is a near cache. Started and closed by the owner.
    ///   - prefix: of every key, `redis.prefix`.
    ///   - timeout: `redis.timeout`.
    ///   - keys: the key ring; nil where there is none: guests, CSRF tokens and captchas are `noKeys` then.
    ///   - nearCache: nil leaves it off: every question goes to Redis.
    public init(
        router: RedisRouter, scheduler: any Scheduler, prefix: [UInt8], timeout: Milliseconds, policy: TokenPolicy,
        statelessPolicy: StatelessPolicy = StatelessPolicy(), keys: KeyRing? = nil,
        nearCache: NearCacheOptions? = nil, random: any RandomSource = BufferedRandom(), logger: Logger
    ) throws(CryptoError) {
        let store = SessionStore(router: router, scheduler: scheduler, prefix: prefix, timeout: timeout)
        self.store = store
        let sessions = nearCache.flatMap { options in
            CachedSessions(
                store: store, router: router, maxBytes: options.maxBytes,
                serveStale: options.serveStale)
        }
        self.sessions = sessions
        watch = SessionWatch(store: store, sessions: sessions)
        crypto = try CryptoContext()
        stateless = StatelessTokens(
            policy: statelessPolicy,
            sealer: try keys.map { ring throws(CryptoError) in try Sealer(ring: ring, prefix: prefix) },
            random: random)
        self.prefix = prefix
        self.policy = policy
        var random = random
        ledger = Ledger(GuestKnowledge(changes: ChangeFilter(key: try ChangeFilter.Key(&random))))
        self.timeout = .milliseconds(timeout)
        self.random = random
        self.logger = logger
        faults = FaultReports(logger: logger)
        sessions?.onChange = { [unowned self] sid in
            ledger.told(sid, now: guestSeconds)
            watch.changed(sid)
        }
        sessions?.onArmed = { [unowned self] in
            ledger.beginTelling(at: guestSeconds)
            store.epoch.askWhereUnread()
            watch.changedAll()
        }
        sessions?.onFlush = { [unowned self] in
            store.epoch.doubt()
            watch.changedAll()
        }
        sessions?.onEpoch = { [unowned store] key in store.epochChanged(key) }
        store.epoch.isTold = { [unowned self] node in self.sessions?.isFresh(node, at: store.instant) ?? false }
        store.longestLife = { [unowned self] in longestLife }
        router.onSuccession = { [unowned self] gap in
            switch gap {
            case .everything: repetition.begin { _ in true }
            case .slots(let slots): repetition.begin { slots.contains($0) }
            }
        }
        store.epoch.onChange = { [unowned self] moment in
            counters.everyoneEndedAt = Int(clamping: moment.sinceEpoch)
            self.sessions?.dropAll()
            watch.changedAll()
        }
        store.epoch.onTold = { node in
            logger.notice(
                "a Redis that did not know that everyone was logged out knows it now",
                metadata: ["redis": "\(node.endpoint)"])
        }
        epochTimer = scheduler.makeTimer { [unowned self] in
            mindEpoch()
            epochTimer?.start(after: Self.epochInterval)
        }
        epochTimer?.start(after: Self.epochInterval)
    }

    /// The scripts that the link must have loaded.
    public static var scripts: [RedisScript] { SessionScripts.all }

    /// Takes over what a reload may change. Sessions keep the limits they were made with.
    /// - Parameter keys: nil leaves the ring that is there.
    public func apply(
        _ policy: TokenPolicy, _ statelessPolicy: StatelessPolicy, keys: KeyRing?, serveStale: Duration
    ) throws(CryptoError) {
        if let keys { try stateless.replace(keys, prefix: prefix) }
        self.policy = policy
        stateless.policy = statelessPolicy
        sessions?.serveStale = serveStale
    }

    // MARK: What every command needs

    func randomBytes<Value: FixedBytes>() throws(CryptoError) -> Value { try random.bytes() }

    /// Begins a flow whose making may fail; what it throws is the answer.
    func begin<F: Flow>(
        at arrival: MonotonicInstant?, _ done: @escaping Completion<F.Answer>, _ flow: () throws -> F
    ) {
        do { run(try flow(), at: arrival, done) } catch {
            let fault = ServiceFault(error)
            if case .unavailable(let reason) = fault { reportUnavailable(reason) }
            store.later { done(.failure(fault)) }
        }
    }

    /// Redis's time now: known from the first answer of Redis on.
    func now() throws(Unavailable) -> UnixMilliseconds {
        guard let now = store.clock else { throw store.outage }
        return now
    }
}
