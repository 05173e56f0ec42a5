internal import EventLoop
internal import Logging
internal import RedisLink
internal import Tokens
internal import UnixTime

/// What own writes do to what is known here: before they are sent, when their fate is known, and when it stays unknown.
extension TokenService {
    /// An own write is about to be sent.
    func beginWrite(_ kind: SessionWrite.Kind, of sid: SessionID) {
        // Nothing is answered from memory that this may change; reads queue up behind it.
        if !kind.isAccess { forget(sid) }
        // From here on a guest's token is not accepted without asking Redis, whether Redis tells of the change or not.
        if kind.mayEndGuest { ledger.noteSession(sid) }
    }

    /// Takes in the fate of an own write, before its request is answered.
    /// - Parameters:
    ///   - isGivenUp: nobody waits for it any more, so nobody tries again.
    ///   - wasSent: false where it was certain that it would not be.
    func settleWrite(
        _ kind: SessionWrite.Kind, of sid: SessionID, _ result: Result<ChangeOutcome, Unavailable>, isGivenUp: Bool,
        wasSent: Bool
    ) {
        let outcome: ChangeOutcome
        switch result {
        case .success(let known): outcome = known
        // A login that was not carried out, as on a full Redis, has ended nothing.
        case .failure(let fault) where kind.isLogin && (fault.isRefusal || !wasSent): return forget(sid)
        case .failure: return loseSight(of: kind, sid)
        }
        // Nothing was changed, and it says nothing of what came before. A request that still waits decides anew.
        if case .late = outcome { return forget(sid) }
        // The client was answered that the logout failed, and another change came before it: the session lives.
        if isGivenUp, case .end = kind, case .overtaken(let copy) = outcome, case .live = copy.session {
            return loseSight(of: kind, sid)
        }
        // Data is written over whatever lives: that says nothing of a change that may still come.
        if case .setData = kind {} else { ledger.settled(sid) }
        forget(sid)
    }

    /// It is unknown whether an own write was or will be carried out.
    func loseSight(of kind: SessionWrite.Kind, _ sid: SessionID) {
        sessions?.reader.mark(sid)
        // An access that could not be written leaves the token as good as it was; anything else may have killed it.
        guard kind.mayHaveKilled else { return }
        forget(sid)
        // A client that was answered that its logout failed must not find the session open here, for as long as its end would
        // be remembered.
        let span = if case .end = kind { policy.tombstone } else { store.scriptLifetime }
        ledger.deny(sid, at: store.instant, for: .milliseconds(span))
    }

    /// An end was asked for, and Redis has not confirmed it: it goes to the audit trail now, since no retry may come.
    func reportUnconfirmed(_ write: SessionWrite, of sid: SessionID, by peer: AuditPeer?) {
        guard let audit, case .ended(let tombstone) = write.next else { return }
        var event = AuditEvent(
            .end, sid: sid, subject: write.over?.subject ?? [], peer: peer, reason: tombstone.reason.rawValue)
        event.isUnconfirmed = true
        audit(event)
    }

    /// A change stands.
    /// - Parameters:
    ///   - peer: who asked for it.
    ///   - arrival: of the request.
    func written(_ write: SessionWrite, of sid: SessionID, by peer: AuditPeer?, arrival: MonotonicInstant) {
        switch write.kind {
        case .confirm: counters.confirmations += 1
        case .rotate: counters.rotations += 1
        case .login, .rotateByForce: counters.forcedRotations += 1
        case .end:
            if case .ended(let tombstone) = write.next { counters.ended[tombstone.reason, default: 0] &+= 1 }
        case .create, .renewBindings, .promote, .amend, .setData: break
        }
        watch.written(write, of: sid)
        if write.isForced { acknowledged(write.next, of: sid, write.data) }
        guard case .ended(let tombstone) = write.next, let old = write.over else { return }
        audit?(AuditEvent(.end, sid: sid, subject: old.subject, peer: peer, reason: tombstone.reason.rawValue))
        logger.info("session ended", metadata: ["sid": "\(sid)", "reason": "\(tombstone.reason.rawValue)"])
        if !old.subject.isEmpty, let index = try? SubjectIndex(subject: old.subject, crypto: crypto) {
            tidy(
                index,
                [
                    IndexFinding(
                        endOf: sid, asked: arrival, absoluteEnd: old.absoluteEnd, tombstone: policy.tombstone)
                ])
        }
    }

    /// Somebody is told that this stands.
    func acknowledged(_ session: StoredSession, of sid: SessionID, _ data: DataChange) {
        guard store.router.mayChangeServers else { return }
        let slot = store.router.slot(of: store.keys.session(sid))
        ledger.acknowledged.forget(horizon)
        ledger.acknowledged.insert(session, of: sid, data: data, slot: slot, at: store.instant)
    }

    /// Records an access.
    func touch(
        _ sid: SessionID, interval: Milliseconds, arrival: MonotonicInstant,
        _ done: @escaping (Result<Bool, Unavailable>) -> Void
    ) {
        counters.touches &+= 1
        store.touch(sid, interval: interval, arrival: arrival) { [self] result in
            if case .success = result { forget(sid) }
            done(result)
        }
    }
}
