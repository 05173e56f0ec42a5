internal import Tokens

/// REVOKE, and each session of a REVOKEALL: ends a session, given a token that it gave out since its last LOGIN or
/// ROTATE, accepted still or not. Idempotent.
struct RevokeFlow: Flow {
    let sid: SessionID
    /// Nil where a worker named the session.
    var claim: Claim?
    /// Only where it is this subject's, which is checked on the revision that is ended.
    var subject: [UInt8]?
    var reason = EndReason.logout
    /// Only where no LOGIN or ROTATE came after this generation; nil: in any case.
    var generation: Int64?
    /// Its own end was sent: a tombstone may be from that.
    private(set) var hasEnded = false
    /// What it is about to tell of an end that is another request's.
    private(set) var found: RevokeAnswer?

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<RevokeAnswer> {
        switch event {
        case .begin: return .hold(sid, claim)
        case .held: return .read(.anew(sid))
        case .read(let copy, _), .overtaken(let copy): return try decide(copy, context)
        case .written: return .answer(.revoked(reason))
        case .replicated:
            guard let found else { throw UnexpectedEvent() }
            return .answer(found)
        case .failed(let fault):
            // Nobody can be let in by it, and it must not keep the subject's sessions from being ended.
            guard subject != nil, fault.isNoSession else { throw fault }
            context.report(.noSession(sid))
            return .answer(.unknown)
        default: throw UnexpectedEvent()
        }
    }

    private mutating func decide(
        _ copy: StoredCopy, _ context: some FlowContext
    ) throws -> FlowStep<RevokeAnswer> {
        switch copy.session {
        case .absent: return .answer(.unknown)
        case .ended where subject != nil && !hasEnded:
            return tell(.unknown, of: copy.session, context)
        case .ended(let tombstone):
            if claim?.guest != nil { context.noteSession(ofGuest: sid) }
            // A LOGIN as somebody else has replaced the token: the browser's newer one is not to be thrown away.
            if claim != nil, tombstone.reason == .login {
                context.count(.replayed)
                return .answer(.replayed)
            }
            return tell(.revoked(tombstone.reason), of: copy.session, context)
        case .live(let record):
            if let subject, record.subject != subject { return .answer(.unknown) }
            if let generation, record.forcedGeneration > generation { return .answer(.unknown) }
            // The holder of the token may log out from anywhere: bindings are not checked.
            if var owner = claim {
                let now = try context.now()
                _ = try context.adopt(copy, for: &owner, now: now)
                guard record.standing(of: owner.digest, policy: context.policy, now: now).isOwn else {
                    return .answer(.unknown)
                }
                // An attacker who planted a token before a LOGIN must not log the victim out.
                if record.retirement(of: owner.digest, policy: context.policy)?.isByForce == true {
                    context.count(.replayed)
                    return .answer(.replayed)
                }
            }
            hasEnded = true
            return .write(.end(record, reason), of: sid)
        }
    }

    private mutating func tell(
        _ answer: RevokeAnswer, of session: StoredSession, _ context: some FlowContext
    ) -> FlowStep<RevokeAnswer> {
        found = answer
        context.acknowledged(session, of: sid, .none)
        return .whenReplicated(sid)
    }
}
