public import EventLoop
internal import TokenCrypto
public import Tokens

/// Guests: holders of sealed tokens that nothing is stored of.
extension TokenService {
    /// Seconds by Redis's clock as far as it is known, else by this host's: guests are answered without Redis.
    var guestSeconds: Int64 { store.bestClock / 1_000 }

    /// GUEST.ISSUE, and VISIT of somebody without a good token. Asks nobody.
    /// - Parameter lifetime: milliseconds, rounded up to a second; nil takes the daemon's default.
    public func issueGuest(lifetime: Milliseconds? = nil, _ signals: Signals) throws(ServiceFault) -> SessionView {
        do {
            let now = guestSeconds
            let seconds = lifetime.map { max(1, $0 / 1_000 + ($0 % 1_000 > 0 ? 1 : 0)) }
            let (guest, text) = try stateless.newGuest(lifetime: seconds, signals, now: now)
            counters.guestsIssued &+= 1
            if guests.isOlder(guest), let sessions, sessions.isFresh(at: store.instant) {
                guests.clear(guest.sid)
            }
            return SessionView(guest, now: now, newToken: text)
        } catch { throw ServiceFault(error) }
    }

    /// The verdict on a guest's token; nil where a session may have been made of it, so that Redis has to be asked.
    /// - Parameter instant: when the request was read.
    public func guestNow(
        _ guest: Guest, _ signals: Signals, at instant: MonotonicInstant
    ) throws(ServiceFault) -> Verdict? {
        let standing = standing(of: guest, at: instant)
        return mustAsk(standing) ? nil : try verdict(on: guest, signals)
    }

    /// What is known of a guest at this daemon. Without the near cache nobody tells of others' changes.
    func standing(of guest: Guest, at instant: MonotonicInstant) -> GuestStanding {
        guard !isKnownSession(guest.sid) else { return .session }
        guard let sessions else { return .guest }
        return guests.standing(of: guest, isTold: sessions.isFresh(at: instant))
    }

    private func isKnownSession(_ sid: SessionID) -> Bool {
        sessionsChangedHere.contains(sid) || denials.isDenied(sid, at: store.instant) || forced.contains(sid)
            || sessions?.cache.contains(sid) == true
    }

    /// Whether Redis has to be asked. Guests are served without it while it is away, but for those that are known to
    /// have become somebody.
    func mustAsk(_ standing: GuestStanding) -> Bool {
        switch standing {
        case .guest: false
        case .unknown: store.isReady
        case .changed, .session: true
        }
    }

    /// Asks Redis about a guest, as far as need be, and goes on with `guest`, `session` or, where Redis is away, `unknown`.
    func lookUp<Answer>(
        _ guest: Guest, _ done: @escaping Completion<Answer>, then: @escaping (GuestStanding) throws -> Void
    ) {
        let standing = standing(of: guest, at: store.instant)
        guard let reader = sessions?.reader, standing != .session, mustAsk(standing) else {
            return store.later { [self] in attempt(done) { try then(standing) } }
        }
        counters.guestsLookedUp &+= 1
        reader.read(guest.sid) { [self] result in
            attempt(done) {
                switch result {
                case .failure(let unavailable):
                    // Redis is away; not that it answered something that nobody here can read.
                    guard standing == .unknown, unavailable.isSilence || !store.isReady else { throw unavailable }
                    try then(.unknown)
                case .success(let read):
                    guard case .absent = read.copy.session else {
                        sessionsChangedHere.insert(guest.sid)
                        return try then(.session)
                    }
                    // While it was asked a LOGIN may have come, for one.
                    guard !isKnownSession(guest.sid) else { return try then(.session) }
                    if read.mayBeKept { guests.clear(guest.sid) }
                    try then(.guest)
                }
            }
        }
    }

    /// The verdict on a guest's token that no session was made of: good, perhaps renewed, or for another client.
    func verdict(on guest: Guest, _ signals: Signals) throws(ServiceFault) -> Verdict {
        do {
            let now = guestSeconds
            let bindings = try stateless.check(guest.bindings, signals, now: now)
            guard !bindings.isMismatch else {
                count(.mismatch)
                return .refused(.mismatch)
            }
            var view = SessionView(guest, now: now, newToken: nil)
            if let renewal = try stateless.renewal(of: guest, bindings: bindings.renewed, now: now) {
                counters.guestsRenewed &+= 1
                view = SessionView(renewal.guest, now: now, newToken: renewal.text)
            }
            view.differs = bindings.differs
            counters.guestsValid &+= 1
            return .accepted(view)
        } catch { throw ServiceFault(error) }
    }

    /// VALIDATE and VISIT of a guest's token.
    func validate(_ guest: Guest, _ signals: Signals, needsData: Bool, _ done: @escaping Completion<Verdict>) {
        lookUp(guest, done) { [self] standing in
            guard standing == .session else {
                return done(.success(try verdict(on: guest, signals)))
            }
            run(AccessFlow(try claim(guest, signals), needsData: needsData), done)
        }
    }

    // MARK: The first thing to remember

    /// SET of a guest that no session was made of yet: makes it, with the guest's verifier as its previous one and the
    /// successor sealed under it, so that whoever else comes with the guest's token is led to the same session.
    func promote(
        _ guest: SessionRecord, _ claim: Claim, _ data: [RecordField], attempt number: Int,
        _ done: @escaping Completion<SetAnswer>, overtaken: @escaping (StoredCopy) throws -> Void
    ) throws {
        let kept = data.filter { !$0.value.isEmpty }
        // Nothing to remember: nothing is stored.
        guard !kept.isEmpty else { return done(.success(.accepted(changed: 0, newToken: nil))) }
        let successor: Verifier = try randomBytes()
        let digest = try crypto.digest(successor)
        let sealed = try crypto.seal(successor, under: claim.token.verifier, sid: claim.sid)
        let next = guest.rotated(to: digest, sealed: sealed, policy: policy, now: try now())
        var change = Change(from: guest, to: next)
        change.data = kept
        change.isPromotion = true
        change.needsMemory = true
        let answer = SetAnswer.accepted(
            changed: kept.count, newToken: SessionToken(sid: claim.sid, verifier: successor))
        commit(change, of: claim.sid, attempt: number, done) { [self] _ in
            counters.guestsPromoted &+= 1
            done(.success(answer))
        } overtaken: { copy in
            // The same candidate stands there: an earlier try of ours was carried out after all.
            if case .live(let standing) = copy.session, standing.current == digest { return done(.success(answer)) }
            try overtaken(copy)
        }
    }
}

extension FlowContext {
    /// The pending successor, for the holder of the token that it was sealed under; nil where there is none pending.
    func pendingSuccessor(_ record: SessionRecord, for claim: Claim) throws -> SessionToken? {
        guard let previous = record.previous, record.confirmedAt == nil, previous.digest == claim.digest else {
            return nil
        }
        guard
            let verifier = try crypto.open(
                previous.sealedSuccessor, under: claim.token.verifier, sid: claim.sid, digest: record.current)
        else { throw Unavailable(reason: RecordError.damaged(field: "s").description) }
        return SessionToken(sid: claim.sid, verifier: verifier)
    }
}

extension SessionView {
    init(_ guest: Guest, now: Int64, newToken: [UInt8]?) {
        sid = guest.sid
        subject = []
        generation = 0
        created = guest.issued
        modified = guest.issued
        expiresIn = max(0, min(guest.expires, guest.end) &- now)
        absoluteIn = max(0, guest.end &- now)
        self.newToken = newToken.map(HandedToken.guest)
        isGuest = true
        data = []
    }
}
