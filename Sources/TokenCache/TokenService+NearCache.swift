public import EventLoop
internal import TokenCrypto
public import Tokens

/// Answers from the near cache: synchronously, without Redis.
extension TokenService {
    /// The verdict on a token whose session is here and asks for nothing to be written before the reply; nil leaves
    /// the question to `validate`, which counts the miss. No refusal but that of a tombstone: the cache and this host's
    /// clock may raise a question, not answer no.
    /// - Parameters:
    ///   - needsData: an answer without the session's data would be none.
    ///   - instant: when the request was read.
    public func cachedAccess(
        _ token: SessionToken, _ signals: Signals = Signals(), needsData: Bool = false, at instant: MonotonicInstant
    ) -> CachedAnswer? {
        guard let sessions, sessions.isFresh(at: instant), let now = store.clock(at: instant) else {
            return nil
        }
        guard let entry = sessions.cache.entry(token.sid) else { return nil }
        if let session = hit(token.verifier, signals, entry, needsData: needsData, now: now) {
            sessions.countHit()
            counters.valid &+= 1
            return .accepted(session)
        }
        if let tombstone = entry.pointee.tombstone(at: now) {
            sessions.countHit()
            count(.revoked(tombstone.reason))
            return .revoked(tombstone.reason)
        }
        return nil
    }

    /// The current token, confirmed, within its limits and not due to rotate.
    @inline(__always)
    private func hit(
        _ verifier: Verifier, _ signals: Signals, _ entry: UnsafeMutablePointer<NearCacheEntry>, needsData: Bool,
        now: Milliseconds
    ) -> CachedSession? {
        guard entry.pointee.isConfirmedCurrent(verifier), !needsData || entry.pointee.keepsData else { return nil }
        var session = CachedSession(entry, now: now)
        guard session.untilIdle > 0, now &- entry.pointee.confirmedAt < policy.rotationAfter else { return nil }
        if let details = entry.pointee.details, details.isBound {
            // Anything but a match is for Redis to judge.
            guard let bindings = matching(details.bindings, signals) else { return nil }
            session.note(bindings.differs)
        }
        let interval = policy.touchInterval(idle: entry.pointee.idle)
        if now &- session.lastAccess >= interval {
            // Little of the idle limit remains: the access is recorded before it is granted.
            guard session.untilIdle >= interval else { return nil }
            if !entry.pointee.isTouching {
                entry.pointee.isTouching = true
                touchLater(session.sid, interval: interval)
            }
        }
        return session
    }

    /// The verdict on bindings that need no write and refuse nothing; nil else.
    private func matching(_ bindings: Bindings, _ signals: Signals) -> BindingVerdict? {
        guard let verdict = try? stateless.check(bindings, signals, now: guestSeconds), !verdict.isMismatch,
            verdict.renewed == nil
        else { return nil }
        return verdict
    }

    /// The tombstone of a session that was ended, for a question that is not answered at once.
    func cachedTombstone(_ sid: SessionID) -> Tombstone? {
        guard let sessions, sessions.isFresh(at: store.instant), let now = store.clock,
            let index = sessions.cache.find(sid)
        else { return nil }
        return sessions.cache[index].tombstone(at: now)
    }

    /// Records the access, once for all hits until that is done. What is sent now leaves after the reply.
    private func touchLater(_ sid: SessionID, interval: Milliseconds) {
        counters.touches &+= 1
        store.touch(sid, interval: interval) { [self] result in
            if case .success = result { return forget(sid) }
            // Not recorded: the next access tries again.
            if let sessions, let index = sessions.cache.find(sid) { sessions.cache[index].isTouching = false }
        }
    }

    /// The data of a session that is here, for a command that is no access; nil, which is counted as a miss, where
    /// Redis has to be asked.
    public func cachedData(
        _ token: SessionToken, _ signals: Signals, at instant: MonotonicInstant
    ) -> [RecordField]? {
        guard let entry = current(token, signals, at: instant), entry.pointee.keepsData else {
            sessions?.countMiss()
            return nil
        }
        sessions?.countHit()
        return entry.pointee.details?.data ?? []
    }

    /// Who holds the current token of a session that is here; nil, which is counted as a miss, where Redis has to be
    /// asked.
    func cachedHolder(_ token: SessionToken, _ signals: Signals, at instant: MonotonicInstant) -> CSRFHolder? {
        guard let entry = current(token, signals, at: instant) else {
            sessions?.countMiss()
            return nil
        }
        sessions?.countHit()
        return CSRFHolder(sid: token.sid, salt: entry.pointee.details?.csrfSalt)
    }

    /// Where the session of a current token is kept, for commands that are no access.
    private func current(
        _ token: SessionToken, _ signals: Signals, at instant: MonotonicInstant
    ) -> UnsafePointer<NearCacheEntry>? {
        guard let sessions, sessions.isFresh(at: instant), let now = store.clock(at: instant),
            let entry = sessions.cache.entry(token.sid), entry.pointee.isCurrent(token.verifier),
            now < entry.pointee.expireAt
        else { return nil }
        if let details = entry.pointee.details, details.isBound, matching(details.bindings, signals) == nil {
            return nil
        }
        return UnsafePointer(entry)
    }

    /// What is known here of the session, enough to decide an access and to write its rotation or confirmation in one
    /// round trip; nil where Redis has to be asked.
    /// - Parameter needsData: else the copy comes without the session's data.
    func warmCopy(_ token: SessionToken, digest: Digest, needsData: Bool) throws -> StoredCopy? {
        guard let sessions, sessions.isFresh(at: store.instant), let now = store.clock,
            let index = sessions.cache.find(token.sid), now < sessions.cache[index].expireAt
        else { return nil }
        sessions.cache[index].learn(token.verifier, digest: digest)
        guard let record = try sessions.cache[index].record(presented: token.verifier, digest: digest, crypto: crypto)
        else { return nil }
        guard needsData, let details = sessions.cache[index].details else {
            return StoredCopy(session: .live(record), data: [])
        }
        // Data that is not kept here cannot be served from here.
        return details.data.map { StoredCopy(session: .live(record), data: $0) }
    }

    /// The answer about a token of a session that was known when Redis fell silent; nil past `near-cache.serve-stale`.
    ///
    /// Good are the current token and, as long as it is, the previous one. Nothing is rotated, and no successor is told:
    /// it could not be confirmed, so whoever brings one waits for Redis, while the token it replaces stays good.
    func staleView(_ claim: Claim, needsData: Bool, isUnanswered: Bool) throws -> SessionView? {
        guard let sessions, sessions.mayServeStale(at: store.instant, isUnanswered: isUnanswered),
            !denials.isDenied(claim.token.sid, at: store.instant), let now = store.clock,
            let index = sessions.cache.find(claim.token.sid), now < sessions.cache[index].expireAt,
            !needsData || sessions.cache[index].keepsData,
            let record = try sessions.cache[index].record(
                presented: claim.token.verifier, digest: claim.digest, crypto: crypto)
        else { return nil }
        switch record.standing(of: claim.digest, policy: policy, now: now) {
        case .current, .awaitingSuccessor, .overlapping: break
        case .pending, .retired, .forged: return nil
        }
        guard let bindings = matching(record.bindings, claim.signals) else { return nil }
        let data = needsData ? sessions.cache[index].details?.data ?? [] : []
        sessions.countStale()
        counters.valid &+= 1
        var view = SessionView(record, sid: claim.token.sid, now: now, newToken: nil, data: data)
        view.differs = bindings.differs
        view.isStale = true
        return view
    }

    /// Keeps what was read and accepted, unless the session is just being ended.
    /// - Parameter verifier: of the current token, where that was presented.
    func keep(_ record: SessionRecord, sid: SessionID, verifier: Verifier?, data: [RecordField], now: Milliseconds) {
        guard !forced.contains(sid) else { return }
        sessions?.cache.insert(record, sid: sid, verifier: verifier, data: data, policy: policy, now: now)
    }

    /// Keeps what is left of an ended session.
    func keep(_ tombstone: Tombstone, sid: SessionID) { sessions?.cache.insert(tombstone, sid: sid) }

    /// An own write on the session: nothing known of it before may answer any more.
    func forget(_ sid: SessionID) { sessions?.forget(sid) }

    /// The end of a subject's sessions was asked for, and Redis did not say that it has come: those that are here are not
    /// served any more without it.
    func forget(subject: [UInt8], but spared: SessionID?) {
        guard let sessions, sessions.mayServeStale(at: store.instant, isUnanswered: true) else { return }
        sessions.cache.drop(subject: subject, but: spared)
    }

    /// For INFO.
    public var nearCacheCounters: NearCacheCounters { sessions?.currentCounters ?? NearCacheCounters() }
}

/// What the near cache answers.
public enum CachedAnswer {
    case accepted(CachedSession)
    /// The session was ended, and its tombstone stands.
    case revoked(EndReason)
}

/// An accepted session as it stands in the near cache: plain numbers, and views into the cache's memory that are valid
/// until the service is called again or returns to its loop.
public struct CachedSession: BitwiseCopyable {
    public let sid: SessionID
    private let details: NearCacheDetails?
    public let generation: Int64
    let created: Milliseconds
    let lastAccess: Milliseconds
    let untilIdle: Milliseconds
    private let untilEnd: Milliseconds
    private var differsInAddress = false
    private var differsInAgent = false

    @inline(__always)
    init(_ entry: UnsafePointer<NearCacheEntry>, now: Milliseconds) {
        sid = entry.pointee.sid
        details = entry.pointee.details
        generation = entry.pointee.generation
        created = entry.pointee.created
        lastAccess = entry.pointee.lastAccess
        untilEnd = entry.pointee.absoluteEnd &- now
        untilIdle = min(lastAccess &+ entry.pointee.idle &- now, untilEnd)
    }

    public var subject: UnsafeRawBufferPointer { details?.subject ?? UnsafeRawBufferPointer(start: nil, count: 0) }
    /// Nil where it was too much to keep.
    public var data: [RecordField]? { details.map { $0.data } ?? [] }

    /// Signals that differ from what the token is bound to, where that is only told.
    public var differs: [Signal] { (differsInAddress ? [.ip] : []) + (differsInAgent ? [.ua] : []) }
    public var isAsBound: Bool { !differsInAddress && !differsInAgent }
    var csrfSalt: Digest? { details?.csrfSalt }

    mutating func note(_ differs: [Signal]) {
        differsInAddress = differs.contains(.ip)
        differsInAgent = differs.contains(.ua)
    }

    // The same as in `SessionView`, in seconds.
    public var createdSeconds: Int64 { created / 1_000 }
    public var modifiedSeconds: Int64 { lastAccess / 1_000 }
    public var expiresIn: Int64 { max(0, untilIdle) / 1_000 }
    public var absoluteIn: Int64 { max(0, untilEnd) / 1_000 }
}

extension SessionView {
    /// - Parameter withData: whether the session's data is wanted. All of it is read then, so that costs what it is long.
    public init(_ cached: CachedSession, withData: Bool = false) {
        sid = cached.sid
        generation = cached.generation
        created = cached.createdSeconds
        modified = cached.modifiedSeconds
        expiresIn = cached.expiresIn
        absoluteIn = cached.absoluteIn
        subject = Array(cached.subject)
        data = withData ? cached.data : nil
        differs = cached.differs
        csrfSalt = cached.csrfSalt
    }
}
