internal import EventLoop
internal import Logging
internal import TokenCrypto
internal import Tokens

/// What flows know of the service, and tell it.
extension TokenService: FlowContext {
    var isAway: Bool { !store.isReady }

    func isDenied(_ sid: SessionID) -> Bool { !ledger.mayAnswer(sid, at: store.instant) }

    func noteSession(ofGuest sid: SessionID) { ledger.noteSession(sid) }

    func count(_ refusal: Refusal) {
        switch refusal {
        case .unknown: counters.unknown += 1
        case .replayed: counters.replayed += 1
        case .revoked: counters.revoked += 1
        case .expired: counters.expired += 1
        case .mismatch: counters.mismatch += 1
        }
    }

    func countAccepted(isRotated: Bool) { if isRotated { counters.rotated += 1 } else { counters.valid += 1 } }

    func report(_ notice: FlowNotice) {
        switch notice {
        case .replayed(let sid): logger.notice("a retired token came back", metadata: ["sid": "\(sid)"])
        case .recovered(let sid):
            counters.recoveries &+= 1
            logger.notice("a token came back whose successor was used: it is told again", metadata: ["sid": "\(sid)"])
        case .endedByReplay(let sid):
            logger.warning("a retired token came back, its session was ended", metadata: ["sid": "\(sid)"])
        case .loggedIn(let view):
            counters.logins += 1
            audit("login", view)
        case .issued(let view):
            counters.issued += 1
            audit("session issued", view)
        case .guestAskedAbout: counters.guestsLookedUp &+= 1
        case .promoted: counters.guestsPromoted &+= 1
        case .captcha(let verdict): countCaptcha(verdict)
        }
    }

    private func audit(_ event: Logger.Message, _ view: SessionView) {
        guard !view.subject.isEmpty else { return }
        logger.info(
            event, metadata: ["sid": "\(view.sid)", "subject": "\(String(decoding: view.subject, as: UTF8.self))"])
    }
}
