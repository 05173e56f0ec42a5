internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// ROTATE: a new token at once, no overlap; limits stay unless given. Every try uses the same candidate.
struct RotateFlow: Flow {
    private(set) var claim: Claim
    private let limits: SessionLimits
    private let candidate: Verifier
    private let candidateDigest: Digest
    private let csrfSalt: Digest
    /// Of the token presented.
    private let pageGuest: SessionID?
    private(set) var awaited = Awaited.session

    enum Awaited {
        case session
        case time(of: StoredCopy)
        case rotation(SessionRecord)
    }

    init(
        _ claim: Claim, _ limits: SessionLimits = SessionLimits(), pageGuest: SessionID?, _ context: some FlowContext
    ) throws {
        self.claim = claim
        self.limits = limits
        self.pageGuest = pageGuest
        candidate = try context.randomBytes()
        candidateDigest = try context.crypto.digest(candidate)
        csrfSalt = try context.randomBytes()
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Verdict> {
        switch event {
        case .begin: return .hold(claim.sid, claim)
        case .held: return .read(.anew(claim.sid))
        case .read(let copy, _), .overtaken(let copy):
            let copy = try context.adopt(copy, for: &claim, now: try context.now())
            guard let now = try context.judgementTime(copy.session, digest: claim.digest) else {
                awaited = .time(of: copy)
                return .askTime
            }
            return try decide(copy, now: now, context)
        case .time(let now):
            guard case .time(let copy) = awaited else { throw UnexpectedEvent() }
            return try decide(copy, now: now, context)
        case .written:
            guard case .rotation(let record) = awaited else { throw UnexpectedEvent() }
            return try answer(record, context)
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }

    private mutating func decide(
        _ copy: StoredCopy, now: UnixMilliseconds, _ context: some FlowContext
    ) throws -> FlowStep<Verdict> {
        // The candidate stands there: an earlier try of this request was carried out after all.
        if case .live(let record) = copy.session, record.current == candidateDigest {
            return try answer(record, context)
        }
        switch try context.judge(copy.session, claim, now: now) {
        case .refused(let refusal): return .answer(.refused(refusal))
        case .accepted(let record):
            try context.checkDenials(claim.sid)
            var next = record.forced(
                to: candidateDigest, csrfSalt: csrfSalt, pageGuest: pageGuest, policy: context.policy, now: now)
            next.apply(limits, policy: context.policy, now: now)
            awaited = .rotation(next)
            return .write(SessionWrite(kind: .rotateByForce, over: record, next: .live(next)), of: claim.sid)
        }
    }

    private func answer(_ record: SessionRecord, _ context: some FlowContext) throws -> FlowStep<Verdict> {
        let token = SessionToken(sid: claim.sid, verifier: candidate)
        return .answer(
            .accepted(SessionView(record, sid: claim.sid, now: try context.now(), newToken: token, data: [])))
    }
}
