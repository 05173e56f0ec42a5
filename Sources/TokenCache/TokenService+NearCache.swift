internal import EventLoop
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// What the near cache has for flows and for commands that are no access.
extension TokenService {
    /// The verdict on bindings that need no write and refuse nothing; nil else.
    func matching(_ bindings: Bindings, _ signals: Signals) -> BindingVerdict? {
        guard let verdict = try? stateless.checkBindings(bindings, signals, now: guestSeconds), !verdict.isMismatch,
            verdict.renewed == nil
        else { return nil }
        return verdict
    }

    /// Where the session of a current token is kept, for commands that are no access.
    func current(
        _ token: SessionToken, _ signals: Signals, at instant: MonotonicInstant
    ) -> UnsafePointer<NearCacheEntry>? {
        var found = Found()
        guard let entry = entry(token.sid, at: instant, &found), entry.pointee.isCurrent(token.verifier),
            found.now < entry.pointee.expireAt
        else { return nil }
        if let details = entry.pointee.details, details.isBound, matching(details.bindings, signals) == nil {
            return nil
        }
        return UnsafePointer(entry)
    }

    /// The answer about a token of a session that was known when Redis fell silent; nil past `near-cache.serve-stale`.
    ///
    /// Good are the current token and, as long as it is, the previous one. Nothing is rotated, and no successor is given out:
    /// it could not be confirmed. A pending successor waits for Redis, while the token it replaces stays good.
    func staleView(_ claim: Claim, needsData: Bool, isUnanswered: Bool) throws -> SessionView? {
        guard let sessions, sessions.mayServeStale(claim.token.sid, at: store.instant, isUnanswered: isUnanswered),
            !isDenied(claim.token.sid), let now = store.clock,
            let entry = sessions.entry(claim.token.sid), now < entry.pointee.expireAt,
            !needsData || entry.pointee.keepsData,
            let record = try entry.pointee.record(
                presented: claim.token.verifier, digest: claim.digest, crypto: crypto)
        else { return nil }
        switch record.standing(of: claim.digest, policy: policy, now: now) {
        case .current, .awaitingSuccessor, .overlapping: break
        case .pending, .retired, .forged: return nil
        }
        guard let bindings = matching(record.bindings, claim.signals) else { return nil }
        let data = needsData ? entry.pointee.details?.data ?? [] : []
        sessions.countStale()
        var view = SessionView(record, sid: claim.token.sid, now: now, newToken: nil, data: data)
        view.differs = bindings.differs
        view.isStale = true
        return view
    }

    /// A made-up verifier must not hold anybody's session: where the session is known here, its own tokens only.
    func isMadeUp(_ claim: Claim?) throws -> Bool {
        guard let claim, let cache = sessions?.cache, let index = cache.find(claim.sid), let now = store.clock else {
            return false
        }
        let record = try cache[index].record(presented: claim.token.verifier, digest: claim.digest, crypto: crypto)
        return record?.standing(of: claim.digest, policy: policy, now: now).isOwn != true
    }

    /// Keeps what was read and accepted, unless the session is just being ended.
    /// - Parameter verifier: of the current token, where that was presented.
    func keep(
        _ record: SessionRecord, sid: SessionID, verifier: Verifier?, data: [RecordField], now: UnixMilliseconds
    ) {
        guard !ledger.isUnderWay(sid) else { return }
        sessions?.keep(record, sid: sid, verifier: verifier, data: data, policy: policy, now: now)
    }

    /// Keeps what is left of an ended session.
    func keep(_ tombstone: Tombstone, sid: SessionID) { sessions?.keep(tombstone, sid: sid) }

    /// An own write on the session: nothing known of it before may answer any more.
    func forget(_ sid: SessionID) { sessions?.forget(sid) }

    /// For INFO.
    public var nearCacheCounters: NearCacheCounters { sessions?.currentCounters ?? NearCacheCounters() }
}
