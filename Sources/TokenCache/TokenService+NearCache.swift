public import EventLoop
internal import TokenCrypto
public import Tokens

/// Answers from the near cache: synchronously, without Redis.
extension TokenService {
    /// The verdict on a token whose session is here and asks for nothing to be written before the reply; nil sends
    /// the question to Redis. Never a refusal: the cache and this host's clock may raise a question, not answer no.
    /// - Parameter instant: when the request was read.
    public func cachedAccess(
        _ token: SessionToken, _ signals: Signals = Signals(), at instant: MonotonicInstant
    ) -> SessionView? {
        guard let sessions, sessions.freshness.isFresh(at: instant), let now = store.clock(at: instant) else {
            return nil
        }
        guard let index = sessions.cache.find(token.sid), let view = hit(token, signals, sessions, index, now: now)
        else {
            sessions.countMiss()
            return nil
        }
        sessions.countHit()
        counters.valid &+= 1
        return view
    }

    /// The current token, confirmed, within its limits and not due to rotate.
    private func hit(
        _ token: SessionToken, _ signals: Signals, _ sessions: CachedSessions, _ index: UInt32, now: Milliseconds
    ) -> SessionView? {
        let cache = sessions.cache
        guard cache[index].hasVerifier, cache[index].verifier == token.verifier, !cache[index].isPending,
            now < cache[index].expireAt, now &- cache[index].confirmedAt < policy.rotationAfter
        else { return nil }
        var differs: [Signal] = []
        if let details = cache[index].details, !details.bindings.isEmpty {
            // Anything but a match is for Redis to judge.
            guard let bindings = matching(details.bindings, signals) else { return nil }
            differs = bindings.differs
        }
        let interval = policy.touchInterval(idle: cache[index].idle)
        if now &- cache[index].lastAccess >= interval {
            // Little of the idle limit remains: the access is recorded before it is granted.
            guard cache[index].expireAt &- now >= interval else { return nil }
            touchLater(token.sid, sessions, index, interval: interval)
        }
        var view = SessionView(cache, index, now: now)
        if !differs.isEmpty { view.differs = differs }
        return view
    }

    /// The verdict on bindings that need no write and refuse nothing; nil else.
    private func matching(_ bindings: Bindings, _ signals: Signals) -> BindingVerdict? {
        guard let verdict = try? stateless.check(bindings, signals, now: guestSeconds), !verdict.isMismatch,
            verdict.renewed == nil
        else { return nil }
        return verdict
    }

    /// Records the access, once for all hits until that is done. What is sent now leaves after the reply.
    private func touchLater(_ sid: SessionID, _ sessions: CachedSessions, _ index: UInt32, interval: Milliseconds) {
        guard !sessions.cache[index].isTouching else { return }
        sessions.cache[index].isTouching = true
        counters.touches &+= 1
        store.touch(sid, interval: interval) { [self] result in
            if case .success = result { return forget(sid) }
            // Not recorded: the next access tries again.
            if let index = sessions.cache.find(sid) { sessions.cache[index].isTouching = false }
        }
    }

    /// The data of a session that is here, for a command that is no access; nil asks Redis.
    public func cachedData(
        _ token: SessionToken, _ signals: Signals, at instant: MonotonicInstant
    ) -> [RecordField]? {
        guard let (cache, index) = current(token, signals, at: instant) else { return nil }
        guard let details = cache[index].details else { return [] }
        return details.data
    }

    /// Who holds the current token of a session that is here; nil asks Redis.
    func cachedHolder(_ token: SessionToken, _ signals: Signals, at instant: MonotonicInstant) -> CSRFHolder? {
        guard let (cache, index) = current(token, signals, at: instant) else { return nil }
        return CSRFHolder(sid: token.sid, salt: cache[index].details?.csrfSalt)
    }

    /// Where the session of a current token is kept, for commands that are no access.
    private func current(
        _ token: SessionToken, _ signals: Signals, at instant: MonotonicInstant
    ) -> (NearCache, UInt32)? {
        guard let sessions, sessions.freshness.isFresh(at: instant), let now = store.clock(at: instant),
            let index = sessions.cache.find(token.sid), sessions.cache[index].hasVerifier,
            sessions.cache[index].verifier == token.verifier, now < sessions.cache[index].expireAt
        else { return nil }
        if let bindings = sessions.cache[index].details?.bindings, !bindings.isEmpty,
            matching(bindings, signals) == nil
        {
            return nil
        }
        return (sessions.cache, index)
    }

    /// What is known here of the session, enough to decide an access and to write its rotation or confirmation in one
    /// round trip; nil where Redis has to be asked.
    func warmCopy(_ token: SessionToken, digest: Digest) -> StoredCopy? {
        guard let sessions, sessions.freshness.isFresh(at: .now()), let now = store.clock,
            let index = sessions.cache.find(token.sid), now < sessions.cache[index].expireAt,
            let record = sessions.cache[index].record(presented: token.verifier, digest: digest)
        else { return nil }
        // Data that is not kept here cannot be served from here.
        if let details = sessions.cache[index].details, details.data == nil { return nil }
        return StoredCopy(session: .live(record), data: sessions.cache[index].details?.data ?? [])
    }

    /// The current token of a session that was known when Redis fell silent; nil past `near-cache.serve-stale`.
    func staleView(_ token: SessionToken, _ signals: Signals) -> SessionView? {
        guard let sessions, sessions.freshness.mayServeStale(at: .now()), let now = store.clock,
            let index = sessions.cache.find(token.sid), sessions.cache[index].hasVerifier,
            sessions.cache[index].verifier == token.verifier, !sessions.cache[index].isPending,
            now < sessions.cache[index].expireAt
        else { return nil }
        var differs: [Signal] = []
        if let bindings = sessions.cache[index].details?.bindings, !bindings.isEmpty {
            guard let verdict = matching(bindings, signals) else { return nil }
            differs = verdict.differs
        }
        sessions.countStale()
        counters.valid &+= 1
        var view = SessionView(sessions.cache, index, now: now)
        view.differs = differs
        view.isStale = true
        return view
    }

    /// Keeps what was read and accepted.
    /// - Parameter verifier: of the current token, where that was presented.
    func keep(_ record: SessionRecord, sid: SessionID, verifier: Verifier?, data: [RecordField], now: Milliseconds) {
        sessions?.cache.insert(record, sid: sid, verifier: verifier, data: data, policy: policy, now: now)
    }

    /// An own write on the session: nothing known of it before may answer any more.
    func forget(_ sid: SessionID) { sessions?.forget(sid) }

    /// For INFO.
    public var nearCacheCounters: NearCacheCounters { sessions?.currentCounters ?? NearCacheCounters() }
}

extension SessionView {
    /// Field by field out of the table: an entry is too large to copy for every hit.
    init(_ cache: NearCache, _ index: UInt32, now: Milliseconds) {
        sid = cache[index].sid
        generation = cache[index].generation
        created = cache[index].created / 1_000
        modified = cache[index].lastAccess / 1_000
        expiresIn = max(0, cache[index].expireAt &- now) / 1_000
        absoluteIn = max(0, cache[index].absoluteEnd &- now) / 1_000
        if let details = cache[index].details {
            subject = details.subject
            data = details.data
            csrfSalt = details.csrfSalt
        } else {
            subject = []
            data = []
        }
    }
}
