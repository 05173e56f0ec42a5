internal import EventLoop
internal import TokenCrypto
public import Tokens
public import UnixTime

/// Guests: holders of sealed tokens that nothing is stored of.
extension TokenService {
    /// Redis's time as far as it is known, else this host's: guests are answered without Redis.
    var guestSeconds: UnixSeconds { store.bestClock.seconds }

    /// An accepted token, counted as such, is not what was required of it.
    public func countUnmet(_ view: SessionView, isAnonymous: Bool) {
        if view.isGuest {
            counters.guestsValid &-= 1
        } else if view.newToken == nil {
            counters.valid &-= 1
        } else {
            counters.rotated &-= 1
        }
        if isAnonymous { counters.anonymous &+= 1 } else { counters.reauthenticate &+= 1 }
    }

    /// The same for callers.
    public var seconds: UnixSeconds { guestSeconds }

    /// GUEST.ISSUE, and VISIT of somebody without a good token. Asks nobody.
    /// - Parameter lifetime: rounded up to a second; nil takes the daemon's default.
    public func issueGuest(lifetime: Milliseconds? = nil, _ signals: Signals) throws(ServiceFault) -> SessionView {
        do {
            let now = firstSecond
            let seconds = lifetime.map { max(1, $0 / 1_000 + ($0 % 1_000 > 0 ? 1 : 0)) }
            let (guest, text) = try stateless.newGuest(lifetime: seconds, signals, now: now)
            counters.guestsIssued &+= 1
            if ledger.isOlder(guest), let sessions, sessions.isFresh(guest.sid, at: store.instant) {
                ledger.clear(guest.sid)
            }
            return SessionView(guest, now: now, newToken: text)
        } catch { throw ServiceFault(error) }
    }

    /// What is known of a guest at this daemon. Without the near cache nobody tells of others' changes.
    func standing(of guest: Guest, at instant: MonotonicInstant) -> GuestStanding {
        if sessions?.cache.contains(guest.sid) == true { return .session }
        return ledger.standing(
            of: guest, isTold: sessions.map { $0.isFresh(guest.sid, at: instant) }, at: store.instant)
    }

    func standing(of guest: Guest) -> GuestStanding { standing(of: guest, at: store.instant) }

    func confirmAbsence(of guest: Guest, isTold: Bool) -> Bool {
        guard sessions?.cache.contains(guest.sid) != true, !ledger.isSession(guest.sid, at: store.instant) else {
            return false
        }
        if isTold { ledger.clear(guest.sid) }
        return true
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

    /// Whether a guest's token is to be renewed by such a request, and may be: while Redis is away nobody knows whether a
    /// LOGIN elsewhere has given its bearer a newer one.
    func isRenewalDue(_ guest: Guest, isNavigation: Bool) -> Bool {
        store.isReady && stateless.isRenewalDue(guest, isNavigation: isNavigation, now: guestSeconds)
    }

    /// The verdict on a guest's token that no session was made of: good, perhaps renewed, or for another client.
    /// - Parameter renews: Redis, asked after the request came, knows no session of it, and its time has come.
    func verdict(on guest: Guest, _ signals: Signals, renews: Bool) throws(ServiceFault) -> Verdict {
        do {
            // Redis may have been asked since the token was read, and have told that everyone was logged out.
            guard !isEnded(guest) else {
                count(.revoked(.admin))
                return .refused(.revoked(.admin))
            }
            let now = guestSeconds
            let bindings = try stateless.checkBindings(guest.bindings, signals, now: now)
            guard !bindings.isMismatch else {
                count(.mismatch)
                return .refused(.mismatch)
            }
            var view = SessionView(guest, now: now, newToken: nil)
            if renews {
                let renewal = try stateless.renewed(guest, bindings: bindings.renewed, now: now)
                counters.guestsRenewed &+= 1
                view = SessionView(renewal.guest, now: now, newToken: renewal.text)
            }
            view.differs = bindings.differs
            return .accepted(view)
        } catch { throw ServiceFault(error) }
    }
}

extension FlowContext {
    /// The pending successor, for the holder of the token that it was sealed under; nil where there is none pending.
    func pendingSuccessor(_ record: SessionRecord, for claim: Claim) throws -> SessionToken? {
        record.confirmedAt == nil ? try successor(record, of: claim) : nil
    }

    /// The current token, for the holder of the one before it; nil for anybody else.
    func successor(_ record: SessionRecord, of claim: Claim) throws -> SessionToken? {
        guard let previous = record.previous, previous.digest == claim.digest else { return nil }
        guard
            let verifier = try crypto.open(
                previous.sealedSuccessor, under: claim.token.verifier, sid: claim.sid, digest: record.current)
        else { throw Unavailable(reason: RecordError.damaged(field: "s").description) }
        return SessionToken(sid: claim.sid, verifier: verifier)
    }
}

extension SessionView {
    init(_ guest: Guest, now: UnixSeconds, newToken: [UInt8]?) {
        sid = guest.sid
        subject = []
        generation = 0
        created = guest.made
        modified = guest.issued
        authTime = nil
        expiresIn = max(0, min(guest.expires, guest.end) - now)
        absoluteIn = max(0, guest.end - now)
        self.newToken = newToken.map(HandedToken.guest)
        isGuest = true
        data = []
        formHolder = FormHolder(CSRFHolder(sid: guest.sid))
    }
}
