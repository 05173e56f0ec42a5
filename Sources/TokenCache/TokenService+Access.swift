public import EventLoop
internal import TokenCrypto
public import Tokens
internal import UnixTime

/// VALIDATE: the access that renews, rotates and confirms.
extension TokenService {
    /// Is the token good?
    /// - Parameters:
    ///   - text: the token as the client sent it.
    ///   - signals: what the call says of the client.
    ///   - isNavigation: a page that a browser goes to, or what may be one.
    ///   - arrival: when the request was read.
    ///   - done: asked for where Redis has to be asked.
    /// - Returns: the answer where the near cache or a guest's token has it: the session is here and asks for nothing to be
    ///   written before the reply. No refusal but that of a tombstone, or of what can be no token: the cache and this
    ///   host's clock may raise a question, not answer no.
    public func validate(
        _ text: UnsafeRawBufferPointer, _ signals: Signals, isNavigation: Bool = true, at arrival: MonotonicInstant,
        _ done: @autoclosure () -> Completion<Verdict>
    ) throws(ServiceFault) -> KnownAnswer {
        var found = Found()
        if let session = hit(digits: text, signals, isNavigation: isNavigation, at: arrival, &found) {
            return .hit(session)
        }
        guard let token = SessionToken(text: text) else {
            return try validate(
                Presented(try credential(text), signals), isNavigation: isNavigation, at: arrival, done())
        }
        if let entry = found.entry, entry.pointee.isConfirmedCurrent(token.verifier),
            let session = accepted(signals, entry, needsData: false, isNavigation: isNavigation, now: found.now)
        {
            return .hit(session)
        }
        return try ask(Presented(.session(token), signals), isNavigation: isNavigation, at: arrival, found, done())
    }

    /// The same for a token that was read before.
    func validate(
        _ presented: Presented, isNavigation: Bool = true, at arrival: MonotonicInstant,
        _ done: @autoclosure () -> Completion<Verdict>
    ) throws(ServiceFault) -> KnownAnswer {
        var found = Found()
        let request = AccessRequest(isNavigation: isNavigation)
        let known = try look(presented, request, at: arrival, usesTombstones: true, &found)
        guard case .asked = known else { return known }
        return try ask(presented, isNavigation: isNavigation, at: arrival, found, done())
    }

    @inline(never)
    private func ask(
        _ presented: Presented, isNavigation: Bool, at arrival: MonotonicInstant, _ found: Found,
        _ done: @autoclosure () -> Completion<Verdict>
    ) throws(ServiceFault) -> KnownAnswer {
        if let refusal = tombstone(found) { return .refused(refusal) }
        let (flow, first) = try question(presented, AccessRequest(isNavigation: isNavigation), found)
        run(flow, at: arrival, first: first, done())
        return .asked
    }

    /// Where the near cache keeps the session of a token, and Redis's time then.
    struct Found {
        var entry: UnsafeMutablePointer<NearCacheEntry>?
        var now = UnixMilliseconds(0)
    }

    /// The one look into the near cache.
    /// - Parameter usesTombstones: whether an ended session is refused from here.
    /// - Returns: the answer where it is known at once. It is counted here: a hit costs least so.
    func look(
        _ presented: Presented, _ request: AccessRequest, at arrival: MonotonicInstant, usesTombstones: Bool,
        _ found: inout Found
    ) throws(ServiceFault) -> KnownAnswer {
        guard case .session(let token) = presented.credential else {
            return try lookAtGuest(presented, request, at: arrival, usesTombstones: usesTombstones, &found)
        }
        if request.isLook {
            // A hit may record the access.
            _ = entry(token.sid, at: arrival, &found)
        } else if let session = hit(
            token, presented.signals, needsData: request.needsData, isNavigation: request.isNavigation, at: arrival,
            &found)
        {
            return .hit(session)
        }
        guard usesTombstones else { return .asked }
        return tombstone(found).map(KnownAnswer.refused) ?? .asked
    }

    @inline(never)
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
        _ presented: Presented, _ request: AccessRequest, at arrival: MonotonicInstant, usesTombstones: Bool,
        _ found: inout Found
    ) throws(ServiceFault) -> KnownAnswer {
        switch presented.credential {
        case .session: return .asked
        case .refused(let refusal):
            count(refusal)
            return .refused(refusal)
        case .guest(let guest):
            if !mustAsk(standing(of: guest, at: arrival)),
                request.isLook || !isRenewalDue(guest, isNavigation: request.isNavigation)
            {
                switch try verdict(on: guest, presented.signals, renews: false) {
                case .accepted(let view):
                    countAccepted(view)
                    return .accepted(view)
                case .refused(let refusal): return .refused(refusal)
                }
            }
            guard entry(guest.sid, at: arrival, &found) != nil else { return .asked }
            guard usesTombstones, let refusal = tombstone(found) else { return .asked }
            ledger.noteSession(guest.sid)
            return .refused(refusal)
        }
    }

    /// The flow of a token that is not answered at once, and what it begins with: the copy that the near cache has, where
    /// that is enough to decide.
    @inline(never)
    func question(
        _ presented: Presented, _ request: AccessRequest, _ found: Found
    ) throws(ServiceFault) -> (flow: AccessFlow, first: FlowEvent) {
        do {
            guard case .accepted(let claim) = try claim(presented) else { throw UnexpectedEvent() }
            let flow = AccessFlow(claim, request)
            guard let entry = found.entry,
                let copy = try warmCopy(claim, entry, needsData: request.needsData, now: found.now)
            else { return (flow, .begin) }
            return (flow, .read(copy, .memory))
        } catch {
            let fault = ServiceFault(error)
            if case .unavailable(let reason) = fault { reportUnavailable(reason) }
            throw fault
        }
    }

    /// A session that is here, whose current token it is.
    @inline(__always)
    private func hit(
        _ token: SessionToken, _ signals: Signals, needsData: Bool, isNavigation: Bool, at arrival: MonotonicInstant,
        _ found: inout Found
    ) -> CachedSession? {
        guard let entry = entry(token.sid, at: arrival, &found), entry.pointee.isConfirmedCurrent(token.verifier) else {
            return nil
        }
        return accepted(signals, entry, needsData: needsData, isNavigation: isNavigation, now: found.now)
    }

    /// The same for a token's text: its verifier is compared as it came, and not decoded. What is no token, or has digits in
    /// upper case, is nil.
    @inline(__always)
    private func hit(
        digits: UnsafeRawBufferPointer, _ signals: Signals, isNavigation: Bool, at arrival: MonotonicInstant,
        _ found: inout Found
    ) -> CachedSession? {
        guard digits.count == SessionToken.textLength, let base = digits.baseAddress else { return nil }
        let sidLength = SessionID.byteCount &* 2
        var sid = SessionID()
        guard
            sid.withUnsafeMutableBytes({ Hex.decode(UnsafeRawBufferPointer(start: base, count: sidLength), into: $0) }),
            let entry = entry(sid, at: arrival, &found), entry.pointee.isConfirmedCurrent(digits: base + sidLength)
        else { return nil }
        return accepted(signals, entry, needsData: false, isNavigation: isNavigation, now: found.now)
    }

    /// Where a session is, if what is here of it may be believed.
    @inline(__always)
    func entry(
        _ sid: SessionID, at arrival: MonotonicInstant, _ found: inout Found
    ) -> UnsafeMutablePointer<NearCacheEntry>? {
        guard let sessions, sessions.isFresh(sid, at: arrival), let now = store.clock(at: arrival),
            let entry = sessions.entry(sid)
        else { return nil }
        found = Found(entry: entry, now: now)
        return entry
    }

    /// The session of its current token, confirmed, if that is within its limits and not due to rotate. Counted.
    @inline(__always)
    private func accepted(
        _ signals: Signals, _ entry: UnsafeMutablePointer<NearCacheEntry>, needsData: Bool, isNavigation: Bool,
        now: UnixMilliseconds
    ) -> CachedSession? {
        guard !needsData || entry.pointee.keepsData else { return nil }
        let times = entry.pointee.times
        var session = CachedSession(entry, times, now: now)
        guard session.untilIdle > 0, !times.isRotationDue(policy, isNavigation: isNavigation, now: now) else {
            return nil
        }
        if let details = entry.pointee.details, details.isBound {
            // Anything but a match is for Redis to judge.
            guard let bindings = matching(details.bindings, signals) else { return nil }
            session.setDiffers(bindings.differs)
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
        sessions?.countHit()
        counters.valid &+= 1
        return session
    }

    /// What is known here of the session, enough to decide an access and to write its rotation or confirmation in one
    /// round trip; nil where Redis has to be asked.
    /// - Parameter needsData: else the copy comes without the session's data.
    private func warmCopy(
        _ claim: Claim, _ entry: UnsafeMutablePointer<NearCacheEntry>, needsData: Bool, now: UnixMilliseconds
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

/// What VALIDATE answers at once. No `Judged` and no optional: of a generic type a hit would pay for the parts that it
/// does not have.
public enum KnownAnswer {
    /// Of the near cache: valid until the service is called again or returns to its loop.
    case hit(CachedSession)
    /// Boxed: a hit carries no more than it has to.
    indirect case accepted(SessionView)
    case refused(Refusal)
    /// Redis is asked: the answer comes later.
    case asked
}
