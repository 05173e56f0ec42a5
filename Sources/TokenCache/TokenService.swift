public import EventLoop
public import Logging
public import RedisLink
public import TokenCrypto
public import Tokens

/// Carries out the session commands: asks the store, lets `Tokens` decide, writes what was decided.
///
/// Owned by the loop's thread. Every completion is called exactly once, never before the method has returned.
///
/// A change is written only over the revision it was decided on. Where another change came first, the script hands
/// back what stands there now, and the same question is decided again on that: whoever raced gets the same answer.
public final class TokenService {
    public typealias Completion<Answer> = (Result<Answer, ServiceFault>) -> Void

    public private(set) var policy: TokenPolicy
    public internal(set) var counters = TokenCounters()

    let store: SessionStore
    /// Nil where the near cache is off.
    let sessions: CachedSessions?
    let crypto: CryptoContext
    /// Guests, CSRF tokens, captchas, bindings.
    let stateless: StatelessTokens
    let logger: Logger
    private var random: any RandomSource
    private let prefix: [UInt8]
    /// Sessions whose end or forced rotation was asked for and is not known to have happened.
    var denials = Denials()
    /// Sessions whose end or forced rotation is under way.
    var forced = ForcedChanges()
    /// Sessions that a guest's token may lead to, in a ring of their own that no other traffic empties: made of a guest,
    /// ended or given a new token here, or found where a guest's token was presented.
    var sessionsChangedHere = RecentSessions()
    /// The same of sessions that anybody wrote, as far as Redis told it.
    var guests: GuestKnowledge

    /// How often one request decides anew after being overtaken. Each time somebody else's change was written, so
    /// this bounds work, not progress.
    static let maxAttempts = 32

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
    ///   - timeout: `redis.timeout`, milliseconds.
    ///   - keys: the key ring; nil where there is none: guests, CSRF tokens and captchas are `noKeys` then.
    ///   - nearCache: nil leaves it off: every question goes to Redis.
    public init(
        router: RedisRouter, scheduler: any Scheduler, prefix: [UInt8], timeout: Milliseconds, policy: TokenPolicy,
        statelessPolicy: StatelessPolicy = StatelessPolicy(), keys: KeyRing? = nil,
        nearCache: NearCacheOptions? = nil, random: any RandomSource = BufferedRandom(), logger: Logger
    ) throws(CryptoError) {
        let store = SessionStore(router: router, scheduler: scheduler, prefix: prefix, timeout: timeout)
        self.store = store
        sessions = nearCache.flatMap { options in
            CachedSessions(
                store: store, node: router.first, prefix: prefix, maxBytes: options.maxBytes,
                serveStale: options.serveStale)
        }
        crypto = try CryptoContext()
        stateless = StatelessTokens(
            policy: statelessPolicy,
            sealer: try keys.map { ring throws(CryptoError) in try Sealer(ring: ring, prefix: prefix) },
            random: random)
        self.prefix = prefix
        self.policy = policy
        var random = random
        guests = GuestKnowledge(changes: ChangeFilter(key: try ChangeFilter.Key(&random)))
        self.random = random
        self.logger = logger
        sessions?.onChange = { [unowned self] sid in guests.noteChange(of: sid, now: guestSeconds) }
        sessions?.onArmed = { [unowned self] in guests.begin(at: guestSeconds) }
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

    /// Runs a step that decides; what it throws is the answer.
    func attempt<Answer>(_ done: @escaping Completion<Answer>, _ step: () throws -> Void) {
        do { try step() } catch { fail(error, done) }
    }

    func fail<Answer>(_ error: any Error, _ done: @escaping Completion<Answer>) {
        let fault = ServiceFault(error)
        if case .unavailable = fault { counters.unavailable += 1 }
        answer(.failure(fault), done)
    }

    /// An answer that is known at once waits for the next turn: a caller need not be ready before its call returns.
    func answer<Answer>(_ result: Result<Answer, ServiceFault>, _ done: @escaping Completion<Answer>) {
        store.later { done(result) }
    }

    /// Goes on with the time by which a token is judged: the estimate, or, where that would refuse a previous token
    /// because its overlap is over, Redis's own, asked now. This host's clock may raise a question, never refuse.
    func judgementTime<Answer>(
        _ session: StoredSession, digest: Digest?, _ done: @escaping Completion<Answer>,
        then: @escaping (Milliseconds) throws -> Void
    ) {
        attempt(done) {
            let estimate = try now()
            guard let digest, case .live(let record) = session, record.previous?.digest == digest,
                case .retired = record.standing(of: digest, policy: policy, now: estimate)
            else { return try then(estimate) }
            store.askTime { [self] result in
                attempt(done) { try then(try result.get()) }
            }
        }
    }

    /// Redis's time now: known from the first answer of Redis on.
    func now() throws(Unavailable) -> Milliseconds {
        guard let now = store.clock else { throw store.outage }
        return now
    }

    /// Loads a session and goes on with it.
    func load<Answer>(
        _ sid: SessionID, _ done: @escaping Completion<Answer>, then: @escaping (StoredCopy) throws -> Void
    ) {
        store.load(sid) { [self] result in
            attempt(done) { try then(try result.get()) }
        }
    }

    /// Writes a change and goes on: `written` once it stands, `overtaken` with what another change left.
    func commit<Answer>(
        _ change: Change, of sid: SessionID, attempt number: Int, _ done: @escaping Completion<Answer>,
        written: @escaping (_ changedData: Int) throws -> Void, overtaken: @escaping (StoredCopy) throws -> Void
    ) {
        guard number < Self.maxAttempts else {
            return fail(Unavailable(reason: "the session is being changed faster than this request could follow"), done)
        }
        let limit = policy.maxData
        begin(change, of: sid)
        store.commit(change, of: sid, maxData: limit) { [self] result in
            settle(change, of: sid, result)
            attempt(done) {
                switch try result.get() {
                case .done(let changedData): try written(changedData)
                case .overtaken(let copy):
                    counters.overtaken += 1
                    try overtaken(copy)
                case .tooLarge(let bytes): throw ServiceFault.dataTooLarge(bytes: bytes, limit: limit)
                }
            }
        }
    }

    /// An own write is about to be sent.
    func begin(_ change: Change, of sid: SessionID) {
        // Nothing is answered from memory that this may change; reads queue up behind it.
        if !change.isAccess { forget(sid) }
        // From here on a guest's token is not accepted without asking Redis, whether Redis tells of the change or not.
        if change.mayEndGuest { sessionsChangedHere.insert(sid) }
    }

    /// Takes in the fate of an own write, before anybody is told.
    func settle(_ change: Change, of sid: SessionID, _ result: Result<ChangeOutcome, Unavailable>) {
        guard case .failure = result else {
            denials.lift(sid)
            return forget(sid)
        }
        sessions?.reader.mark(sid)
        // An access that could not be written leaves the token as good as it was; anything else may have killed it.
        guard !change.isAccess, !change.isDataOnly, !change.isPromotion else { return }
        forget(sid)
        denials.deny(
            sid, at: store.instant, for: .milliseconds(change.replacesAll ? policy.tombstone : store.scriptLifetime))
    }

    /// A token was refused without asking anybody.
    public func countRefused(_ refusal: Refusal) { count(refusal) }

    /// Refuses to call a session good whose end was asked for.
    func checkDenials(_ sid: SessionID) throws(Unavailable) {
        guard denials.isDenied(sid, at: store.instant) else { return }
        throw Unavailable(reason: "the end of this session was asked for, and Redis has not confirmed it")
    }

    func count(_ refusal: Refusal) {
        switch refusal {
        case .unknown: counters.unknown += 1
        case .replayed: counters.replayed += 1
        case .revoked: counters.revoked += 1
        case .expired: counters.expired += 1
        case .mismatch: counters.mismatch += 1
        }
    }
}

extension Change {
    /// The change from one state of a record to the next. Of a guest's, which is stored nowhere: the new record, if
    /// nobody was first.
    init(from old: SessionRecord, to new: SessionRecord) {
        if old.isStored {
            self.init(basis: .revision(old.revision))
            (set, delete) = RecordCodec.difference(from: old, to: new)
        } else {
            self.init(basis: .absent, set: RecordCodec.encode(new))
        }
        expireAt = new.expireAt
    }

    /// Confirmation or rotation by an access. Of the old record only the revision need be known.
    init(access new: SessionRecord, over revision: Int64) {
        self.init(basis: .revision(revision))
        (set, delete) = RecordCodec.accessFields(of: new)
        expireAt = new.expireAt
        isAccess = true
    }

    /// Bindings renewed by an access under a key that is there still.
    init(bindings new: SessionRecord, over revision: Int64) {
        self.init(basis: .revision(revision), set: RecordCodec.bindingFields(of: new))
        isAccess = true
    }

    /// The end of a session: a tombstone in its place.
    init(ending record: SessionRecord, _ tombstone: Tombstone, until: Milliseconds) {
        self.init(basis: .revision(record.revision))
        var tombstone = tombstone
        tombstone.until = until
        set = RecordCodec.encode(tombstone)
        expireAt = until
        replacesAll = true
    }
}
