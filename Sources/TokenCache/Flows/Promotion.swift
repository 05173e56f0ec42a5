internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// The first thing to remember of a guest makes its session, with the guest's verifier as its previous one and the
/// successor sealed under it, so that every other request with the guest's token leads to the same session.
struct Promotion {
    let record: SessionRecord
    let handed: HandedSession
    private let guest: SessionRecord

    init(
        of guest: SessionRecord, _ claim: Claim, _ limits: SessionLimits, _ context: some FlowContext
    ) throws {
        self.guest = guest
        let now = try context.now()
        let successor: Verifier = try context.randomBytes()
        var next = guest.rotated(
            to: try context.crypto.digest(successor),
            sealed: try context.crypto.seal(successor, under: claim.token.verifier, sid: claim.sid),
            policy: context.policy, now: now)
        next.apply(limits, policy: context.policy, now: now)
        record = next
        handed = HandedSession(SessionToken(sid: claim.sid, verifier: successor), of: next, now: now)
    }

    /// - Parameter isRepeatable: where nobody knows whether it was carried out.
    func write(_ data: [RecordField], isRepeatable: Bool) -> SessionWrite {
        SessionWrite(
            kind: .promote(isRepeatable: isRepeatable), over: guest, next: .live(record), data: .set(data))
    }

    /// The same candidate stands there: an earlier try of ours was carried out after all.
    func stands(in copy: StoredCopy) -> Bool {
        if case .live(let standing) = copy.session { standing.current == record.current } else { false }
    }
}

extension FlowContext {
    /// The token that a client is to get that still presents a guest's, of which a session was made: it did not get that.
    func handed(_ session: JudgedSession) throws -> HandedSession? {
        guard let claim = session.claim, claim.guest != nil,
            let token = try pendingSuccessor(session.record, for: claim)
        else { return nil }
        return HandedSession(token, of: session.record, now: try now())
    }
}
