internal import EventLoop
internal import Logging
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// What flows know of the service, and tell it.
extension TokenService: FlowContext {
    var isAway: Bool { !store.isReady }

    func isDenied(_ sid: SessionID) -> Bool { !ledger.mayAnswer(sid, at: store.instant) }

    func noteSession(ofGuest sid: SessionID) { ledger.noteSession(sid) }

    /// Findings that a script is told of.
    private static let findingsAtOnce = 500

    func tidy(_ index: SubjectIndex, _ findings: [IndexFinding]) {
        for start in stride(from: 0, to: findings.count, by: Self.findingsAtOnce) {
            let some = Array(findings[start..<min(findings.count, start + Self.findingsAtOnce)])
            store.tidy(index, some) { [self] removed in counters.indexRemovals &+= UInt64(clamping: removed) }
        }
    }

    func endLater(_ endings: [(sid: SessionID, generation: Int64)], of subject: [UInt8], _ reason: EndReason) {
        guard !endings.isEmpty else { return }
        run(EndFlow(endings, of: subject, reason), at: nil, isHousekeeping: true) { _ in }
    }

    var mayWriteUnread: Bool { store.epoch.isCertain && store.epoch.moment == nil }

    func isEnded(_ guest: Guest) -> Bool { store.epoch.ends(made: guest.made.milliseconds) }

    var longestLife: Milliseconds {
        max(policy.maxAbsolute, stateless.policy.guestAbsolute.multipliedSaturating(by: 1_000))
    }

    func bornAfterEpoch(_ now: UnixMilliseconds) -> UnixMilliseconds {
        store.epoch.moment.map { max(now, $0 + 1) } ?? now
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

    func countAccepted(_ view: SessionView) {
        if view.isGuest {
            counters.guestsValid &+= 1
        } else if view.newToken == nil {
            counters.valid &+= 1
        } else {
            counters.rotated &+= 1
        }
    }

    func report(_ notice: FlowNotice) {
        switch notice {
        case .replayed(let sid, let subject):
            audit?(AuditEvent(.replay, sid: sid, subject: subject, peer: asking))
            logger.notice("a retired token came back", metadata: ["sid": "\(sid)"])
        case .recovered(let sid):
            counters.recoveries &+= 1
            logger.notice("a token came back whose successor was used: it is told again", metadata: ["sid": "\(sid)"])
        case .endedByReplay(let sid, let subject):
            audit?(AuditEvent(.replay, sid: sid, subject: subject, peer: asking))
            logger.warning("a retired token came back, its session was ended", metadata: ["sid": "\(sid)"])
        case .noSession(let sid):
            logger.error(
                "a session's key holds something of another type, or damaged: it leaves its subject's index, and stays",
                metadata: ["sid": "\(sid)"])
        case .loggedIn(let view):
            counters.logins += 1
            announce(.login, "login", view)
        case .issued(let view):
            counters.issued += 1
            announce(.issue, "session issued", view)
        case .limitReached: counters.refusedByLimit &+= 1
        case .everyoneEnded:
            audit?(AuditEvent(.everyone, peer: asking))
            logger.warning("everyone is logged out: all sessions and guests until now are ended")
        case .swept(let count):
            counters.swept = count
        case .guestAskedAbout: counters.guestsLookedUp &+= 1
        case .promoted: counters.guestsPromoted &+= 1
        case .conflict: counters.conflicts &+= 1
        case .captcha(let verdict): countCaptcha(verdict)
        }
    }

    private func announce(_ kind: AuditEvent.Kind, _ event: Logger.Message, _ view: SessionView) {
        guard !view.subject.isEmpty else { return }
        audit?(AuditEvent(kind, sid: view.sid, subject: view.subject, peer: asking))
        logger.info(
            event, metadata: ["sid": "\(view.sid)", "subject": "\(String(decoding: view.subject, as: UTF8.self))"])
    }
}
