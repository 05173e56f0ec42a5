public import EventLoop
internal import TokenCrypto
internal import Tokens

/// VALIDATE: the access that renews, rotates and confirms.
extension TokenService {
    /// Is the token good?
    /// - Parameters:
    ///   - needsData: an answer without the session's data would be none.
    ///   - arrival: when the request was read.
    ///   - done: asked for where Redis has to be asked.
    /// - Returns: the answer where the near cache or a guest's token has it: the session is here and asks for nothing to be
    ///   written before the reply. No refusal but that of a tombstone, or of what can be no token: the cache and this
    ///   host's clock may raise a question, not answer no.
    public func validate(
        _ presented: Presented, needsData: Bool = false, at arrival: MonotonicInstant,
        _ done: @autoclosure () -> Completion<Verdict>
    ) throws(ServiceFault) -> Judged<KnownHolder>? {
        var found = Found()
        if let answer = try look(presented, needsData: needsData, at: arrival, &found) { return answer }
        let (flow, first) = try question(presented, needsData: needsData, found)
        run(flow, at: arrival, first: first, done())
        return nil
    }

    /// Where the near cache keeps the session of a token, and Redis's time then.
    struct Found {
        var entry: UnsafeMutablePointer<NearCacheEntry>?
        var now: Milliseconds = 0
    }

    /// The one look into the near cache.
    /// - Returns: the answer where it is known at once.
    @inline(__always)
    func look(
        _ presented: Presented, needsData: Bool, at arrival: MonotonicInstant, _ found: inout Found
    ) throws(ServiceFault) -> Judged<KnownHolder>? {
        guard case .session(let token) = presented.credential else {
            return try lookAtGuest(presented, needsData: needsData, at: arrival, &found)
        }
        guard let sessions, sessions.freshness.isFresh(at: arrival), let now = store.clock(at: arrival),
            let entry = sessions.cache.entry(token.sid)
        else { return nil }
        if let session = hit(token.verifier, presented.signals, entry, needsData: needsData, now: now) {
            sessions.countHit()
            counters.valid &+= 1
            return .accepted(.cached(session))
        }
        found = Found(entry: entry, now: now)
        return tombstone(found).map(Judged.refused)
    }

    private func tombstone(_ found: Found) -> Refusal? {
        guard let tombstone = found.entry?.pointee.tombstone(at: found.now) else { return nil }
        let refusal = Refusal.revoked(tombstone.reason)
        sessions?.countHit()
        count(refusal)
        return refusal
    }

    /// The same for what is no session's token.
    @inline(never)
    private func lookAtGuest(
        _ presented: Presented, needsData: Bool, at arrival: MonotonicInstant, _ found: inout Found
    ) throws(ServiceFault) -> Judged<KnownHolder>? {
        switch presented.credential {
        case .session: return nil
        case .refused(let refusal):
            count(refusal)
            return .refused(refusal)
        case .guest(let guest):
            if !mustAsk(standing(of: guest, at: arrival)) {
                return try verdict(on: guest, presented.signals).map(KnownHolder.view)
            }
            guard let sessions, sessions.freshness.isFresh(at: arrival), let now = store.clock(at: arrival),
                let entry = sessions.cache.entry(guest.sid)
            else { return nil }
            found = Found(entry: entry, now: now)
            guard let refusal = tombstone(found) else { return nil }
            ledger.noteSession(guest.sid)
            return .refused(refusal)
        }
    }

    /// The flow of a token that is not answered at once, and what it begins with: the copy that the near cache has, where
    /// that is enough to decide.
    @inline(never)
    func question(
        _ presented: Presented, needsData: Bool, _ found: Found
    ) throws(ServiceFault) -> (flow: AccessFlow, first: FlowEvent) {
        do {
            guard case .accepted(let claim) = try claim(presented) else { throw UnexpectedEvent() }
            let flow = AccessFlow(claim, needsData: needsData)
            guard let entry = found.entry,
                let copy = try warmCopy(claim, entry, needsData: needsData, now: found.now)
            else { return (flow, .begin) }
            return (flow, .read(copy, .memory))
        } catch {
            let fault = ServiceFault(error)
            if case .unavailable = fault { counters.unavailable += 1 }
            throw fault
        }
    }

    /// The current token, confirmed, within its limits and not due to rotate.
    @inline(__always)
    private func hit(
        _ verifier: Verifier, _ signals: Signals, _ entry: UnsafeMutablePointer<NearCacheEntry>, needsData: Bool,
        now: Milliseconds
    ) -> CachedSession? {
        guard entry.pointee.isConfirmedCurrent(verifier), !needsData || entry.pointee.keepsData else { return nil }
        var session = CachedSession(entry, now: now)
        let times = entry.pointee.times
        guard now < times.expireAt, !times.isRotationDue(policy, now: now) else { return nil }
        if let details = entry.pointee.details, details.isBound {
            // Anything but a match is for Redis to judge.
            guard let bindings = matching(details.bindings, signals) else { return nil }
            session.note(bindings.differs)
        }
        switch times.touch(policy, now: now) {
        case .none: break
        case .beforeReply: return nil
        case .afterReply:
            if !entry.pointee.isTouching {
                entry.pointee.isTouching = true
                touchLater(session.sid, interval: policy.touchInterval(idle: entry.pointee.idle))
            }
        }
        return session
    }

    /// What is known here of the session, enough to decide an access and to write its rotation or confirmation in one
    /// round trip; nil where Redis has to be asked.
    /// - Parameter needsData: else the copy comes without the session's data.
    private func warmCopy(
        _ claim: Claim, _ entry: UnsafeMutablePointer<NearCacheEntry>, needsData: Bool, now: Milliseconds
    ) throws -> StoredCopy? {
        // Nothing is kept of a session while its end is under way.
        guard now < entry.pointee.times.expireAt, !ledger.isUnderWay(claim.sid) else { return nil }
        entry.pointee.learn(claim.token.verifier, digest: claim.digest)
        guard
            let record = try entry.pointee.record(
                presented: claim.token.verifier, digest: claim.digest, crypto: crypto)
        else { return nil }
        guard needsData, let details = entry.pointee.details else {
            return StoredCopy(session: .live(record), data: [])
        }
        // Data that is not kept here cannot be served from here.
        return details.data.map { StoredCopy(session: .live(record), data: $0) }
    }

    /// Records the access, once for all hits until that is done. What is sent now leaves after the reply.
    private func touchLater(_ sid: SessionID, interval: Milliseconds) {
        touch(sid, interval: interval, arrival: store.instant) { [self] result in
            // Not recorded: the next access tries again.
            guard case .failure = result, let sessions, let index = sessions.cache.find(sid) else { return }
            sessions.cache[index].isTouching = false
        }
    }
}

/// Who holds a token, as it is known at once.
public enum KnownHolder {
    /// Of the near cache: valid until the service is called again or returns to its loop.
    case cached(CachedSession)
    case view(SessionView)
}
