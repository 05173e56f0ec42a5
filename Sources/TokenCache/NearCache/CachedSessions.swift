internal import EventLoop
internal import Logging
internal import RedisLink
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// What the near cache did since the start, for INFO.
public struct NearCacheCounters: Sendable, Equatable {
    /// Commands about a token that were answered from memory, and those that Redis had to be asked for: each command
    /// once, also while the near cache is not armed.
    public var hits: UInt64 = 0
    public var misses: UInt64 = 0
    /// Keys that Redis told have changed, and how many of them were here.
    public var invalidations: UInt64 = 0
    public var invalidated: UInt64 = 0
    /// Times that everything was dropped: armed anew, FLUSHALL.
    public var flushes: UInt64 = 0
    /// Sessions that were dropped then; because this daemon changed them; and to make room for others.
    public var flushed: UInt64 = 0
    public var overwritten: UInt64 = 0
    public var evicted: UInt64 = 0
    public var staleAnswers: UInt64 = 0
    public var entries = 0
    public var bytes = 0
    public var maxBytes = 0
    public var isArmed = false
    /// Why it is not armed, as far as is known.
    public var fault: String?

    public init() {}
}

/// The near cache with what keeps it true: the feed of invalidations, and the reads that fill it.
final class CachedSessions {
    let cache: NearCache
    let reader: SessionReader
    /// Says whether what is here may answer.
    private let router: RedisRouter
    private let keys: KeyLayout
    private(set) var counters = NearCacheCounters()
    private let keyPrefix: [UInt8]
    private let epochKey: [UInt8]
    private var ended = EndedSubjects()
    /// Called for every session that was written, by any daemon.
    var onChange: (SessionID) -> Void = { _ in }
    /// Called when every change is told from now on.
    var onArmed: () -> Void = {}
    /// Called when everyone was logged out, perhaps, with the key that says so.
    var onEpoch: ([UInt8]) -> Void = { _ in }
    /// Called when Redis said that everything was changed.
    var onFlush: () -> Void = {}

    /// Nil where `maxBytes` leaves room for no entry.
    init?(
        store: SessionStore, router: RedisRouter, maxBytes: Int, serveStale: Duration
    ) {
        guard let cache = NearCache(maxBytes: maxBytes) else { return nil }
        self.cache = cache
        self.router = router
        router.serveStale = serveStale
        keys = store.keys
        keyPrefix = store.keys.sessionPrefix
        epochKey = store.epochKey
        let keys = keys
        reader = SessionReader(store: store) { [unowned router] sid in
            router.isCluster ? router.isArmed(keys.session(sid)) : router.first.isArmed
        }
        counters.maxBytes = maxBytes
        router.onDoubt = { [unowned self] in reader.markAll() }
        // What was kept before may have changed untold. While nothing is told it stays, but is not trusted.
        router.onGap = { [unowned self] gap in
            switch gap {
            case .everything: flush()
            case .slots(let slots):
                countFlush { cache.dropSlots { slots.contains($0) } }
            }
            onArmed()
        }
        router.onInvalidation = { [unowned self] in invalidate($0) }
    }

    /// Whether what is here of a session may answer a request that came at `now`.
    @inline(__always)
    func isFresh(_ sid: SessionID, at now: MonotonicInstant) -> Bool {
        router.isAllFresh(at: now) || (router.isCluster && router.isFresh(keys.session(sid), at: now))
    }

    /// Whether a server has told of every change up to this moment.
    func isFresh(_ node: RedisNode, at now: MonotonicInstant) -> Bool {
        router.isAllFresh(at: now) || (router.isCluster && node.isFresh(at: now))
    }

    /// Whether what is here of a session may answer although Redis does not.
    /// - Parameter isUnanswered: Redis was asked about the session just now, and said nothing.
    func mayServeStale(_ sid: SessionID, at now: MonotonicInstant, isUnanswered: Bool = false) -> Bool {
        router.mayServeStale(keys.session(sid), at: now, isUnanswered: isUnanswered)
    }

    /// Keeps a session that was read.
    func keep(
        _ record: SessionRecord, sid: SessionID, verifier: Verifier?, data: [RecordField], policy: TokenPolicy,
        now: UnixMilliseconds
    ) {
        cache.insert(
            record, sid: sid, verifier: verifier, data: data, policy: policy, now: now, slot: slot(of: sid))
    }

    /// Keeps what is left of an ended session.
    func keep(_ tombstone: Tombstone, sid: SessionID) { cache.insert(tombstone, sid: sid, slot: slot(of: sid)) }

    private func slot(of sid: SessionID) -> UInt16 {
        router.isCluster ? UInt16(clamping: router.slot(of: keys.session(sid))) : 0
    }

    /// `near-cache.serve-stale`.
    var serveStale: Duration {
        get { router.serveStale }
        set { router.serveStale = newValue }
    }

    var currentCounters: NearCacheCounters {
        var counters = counters
        counters.entries = cache.count
        counters.bytes = cache.bytes
        counters.evicted = cache.evictions
        counters.isArmed = router.isProved
        counters.fault = router.nearCacheFault
        return counters
    }

    /// Whether every change is being told at the moment.
    var isTold: Bool { router.isArmed }

    /// Whether a server tells of every change of its own.
    var isTelling: Bool { router.nodes.contains(where: \.isArmed) }

    /// Why it is not, as far as is known.
    var fault: String? { router.nearCacheFault }

    /// See `RedisNode`.
    func keepProving() { router.keepProving() }

    // MARK: What may answer

    /// The session's entry, where what is here of it may be believed. Valid until the cache is changed.
    @inline(__always)
    func entry(_ sid: SessionID) -> UnsafeMutablePointer<NearCacheEntry>? {
        guard let entry = cache.entry(sid) else { return nil }
        return ended.isEmpty || !isOfEnded(entry) ? entry : nil
    }

    /// All sessions of a subject but one were ended, as the index had them: one that left it before, ended elsewhere, may
    /// still be here while the feed is silent. Or they were to be ended, and Redis did not answer. Until it has told
    /// everything that was before this moment, nothing else that is here of the subject is believed. Nothing is walked over.
    func distrust(subject: [UInt8], but spared: SessionID?, at now: MonotonicInstant) {
        ended.insert(subject, but: spared, at: now)
    }

    @inline(never)
    private func isOfEnded(_ entry: UnsafeMutablePointer<NearCacheEntry>) -> Bool {
        ended.removeAll(provedAt: router.provedAt)
        guard let details = entry.pointee.details else { return false }
        return ended.contains(details.subject, entry.pointee.sid)
    }

    func countHit() { counters.hits &+= 1 }
    /// What was found is not enough.
    func takeBackHit() { counters.hits &-= 1 }
    func countMiss() { counters.misses &+= 1 }
    func countStale() { counters.staleAnswers &+= 1 }

    /// An own write on the session: what is known of it is over.
    func forget(_ sid: SessionID) {
        if cache.drop(sid) { counters.overwritten &+= 1 }
        reader.mark(sid)
    }

    /// Nothing that was read is to answer, or to be kept.
    func dropAll() {
        reader.markAll()
        flush()
    }

    private func flush() {
        countFlush { cache.dropAll() }
    }

    private func countFlush(_ drop: () -> Void) {
        let before = cache.count
        drop()
        counters.flushes &+= 1
        counters.flushed &+= UInt64(clamping: before - cache.count)
    }

    /// The one place where Redis's word enters.
    private func invalidate(_ invalidation: Invalidation) {
        switch invalidation {
        case .everything:
            dropAll()
            onFlush()
        case .keys(let keys):
            for key in keys where key.starts(with: keyPrefix) {
                counters.invalidations &+= 1
                guard let sid = SessionID(text: key.dropFirst(keyPrefix.count)) else {
                    if key.starts(with: epochKey) {
                        dropAll()
                        onEpoch(key)
                    }
                    continue
                }
                reader.mark(sid)
                onChange(sid)
                if cache.drop(sid) { counters.invalidated &+= 1 }
            }
        }
    }
}
