internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// VALIDATE and VISIT of a session: the access that renews, rotates and confirms.
struct AccessFlow: Flow {
    private(set) var claim: Claim
    private let needsData: Bool
    /// Other requests rotate and renew later.
    private let isNavigation: Bool
    /// Nothing is to change.
    private let isLook: Bool
    private(set) var origin = Origin.memory
    /// An access that has confirmed the token never also rotates.
    private(set) var hasConfirmed = false
    private(set) var wasTouched = false
    /// What is known of the session is of the near cache, and not all of it.
    private(set) var isPartial = false
    /// Of a token that is refused.
    private(set) var aftermath = Aftermath()
    private(set) var differs: [Signal] = []
    private(set) var awaited = Awaited.copy

    enum Awaited {
        /// Whether a session was made of a guest.
        case guest(GuestQuestion)
        case copy
        case touch
        case time(of: StoredCopy)
        /// Of this subject's session.
        case end(of: [UInt8])
        /// A confirmation or rotation, or bindings under a new key: what stands then.
        case state(StoredCopy), bindings(StoredCopy)
    }

    /// Begins with `begin`, or with the copy that the near cache has.
    init(_ claim: Claim, _ request: AccessRequest) {
        self.claim = claim
        needsData = request.needsData
        isNavigation = request.isNavigation
        isLook = request.isLook
    }

    /// Asks Redis again, instead of the answer that was made: what the near cache has is not all.
    mutating func lookAgain<Answer>() -> FlowStep<Answer> {
        awaited = .copy
        return .read(.anew(claim.sid))
    }

    /// What is asked about a guest is counted apart.
    var asksNearCache: Bool { if case .guest = awaited { false } else { true } }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Verdict> {
        let step = try judge(event, context)
        if case .answer(.accepted(let view), _) = step { context.countAccepted(view) }
        return step
    }

    /// The same for a flow that may not give the answer: what is accepted is not counted yet.
    mutating func judge(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Verdict> {
        switch event {
        case .begin: return try begin(context)
        case .settled: return .read(.shared(claim.sid))
        case .read(let copy, let origin):
            if case .guest(let question) = awaited { return try decideGuest(copy, origin, question, context) }
            self.origin = origin
            isPartial = origin.isMemory
            return try decide(copy, now: nil, context)
        case .failed(let fault): return try answerStale(fault, context)
        case .written, .overtaken, .touched, .time, .replicated: origin = .redis(mayBeKept: false)
        default: throw UnexpectedEvent()
        }
        // Redis has answered for this request alone.
        switch (event, awaited) {
        case (.written, .end(let subject)):
            context.report(.endedByReplay(claim.sid, subject: subject))
            return refuse(.replayed, context)
        case (.written, .state(let copy)), (.replicated, .state(let copy)):
            return try decide(copy, now: nil, isReplicated: true, context)
        case (.written, .bindings(let copy)): return try decide(copy, now: nil, context)
        case (.overtaken(let copy), _):
            isPartial = false
            return try decide(copy, now: nil, context)
        case (.time(let now), .time(let copy)): return try decide(copy, now: now, context)
        case (.touched, .touch): return expect(.copy, .read(.shared(claim.sid)))
        default: throw UnexpectedEvent()
        }
    }

    // MARK: A guest's token

    private mutating func begin(_ context: some FlowContext) throws -> FlowStep<Verdict> {
        guard let guest = claim.guest else { return .whenSettled(claim.sid) }
        var question = GuestQuestion()
        let isDue = !isLook && context.isRenewalDue(guest, isNavigation: isNavigation)
        let known = question.begin(guest, isDue: isDue, context)
        switch known {
        case .session: return .whenSettled(claim.sid)
        case .guest: return expect(.guest(question), .answer(try verdict(on: guest, renews: false, context)))
        case .nothing: return expect(.guest(question), .read(isDue ? .anew(claim.sid) : .shared(claim.sid)))
        }
    }

    private func verdict(on guest: Guest, renews: Bool, _ context: some FlowContext) throws -> Verdict {
        try context.verdict(on: guest, claim.signals, renews: renews)
    }

    /// Redis was asked whether a session was made of the guest.
    private mutating func decideGuest(
        _ copy: StoredCopy, _ origin: Origin, _ question: GuestQuestion, _ context: some FlowContext
    ) throws -> FlowStep<Verdict> {
        guard let guest = claim.guest else { throw UnexpectedEvent() }
        guard question.isSession(copy, origin, of: guest, context) else {
            return .answer(try verdict(on: guest, renews: question.isRenewalDue && origin.mayRefuse, context))
        }
        awaited = .copy
        // Made here while Redis was asked: what was read is from before.
        if case .absent = copy.session { return .whenSettled(claim.sid) }
        self.origin = origin
        return try decide(copy, now: nil, context)
    }

    // MARK: A session

    /// - Parameters:
    ///   - time: Redis's own, where it was asked for this decision.
    ///   - isReplicated: the replicas that are waited for have the successor that it tells of.
    private mutating func decide(
        _ copy: StoredCopy, now time: UnixMilliseconds?, isReplicated: Bool = false, _ context: some FlowContext
    ) throws -> FlowStep<Verdict> {
        let now = try time ?? context.now()
        let record: SessionRecord
        switch try context.adopt(copy, for: &claim, now: now).session {
        case .absent: return refuse(.unknown, context)
        case .ended(let tombstone):
            if origin.mayBeKept { context.keep(tombstone, sid: claim.sid) }
            aftermath = try context.aftermath(of: copy.session, claim)
            return refuse(.revoked(tombstone.reason), isFinal: origin.isMemory, context)
        case .live(let live): record = live
        }
        try context.checkDenials(claim.sid)
        if let guest = claim.guest, !record.isStored {
            return .answer(try verdict(on: guest, renews: false, context))
        }
        var decision = record.decideAccess(
            digest: claim.digest, isNavigation: isNavigation, policy: context.policy, now: now)
        if isLook { decision = decision.withoutChange }
        if decision.isAcceptance {
            let bindings = try context.checkBindings(record, claim)
            if bindings.isMismatch { return refuse(.mismatch, context) }
            if let renewed = bindings.renewed, !isLook {
                // A key's end is the operator's doing, not the visitor's: no reason to refuse.
                var next = record
                next.bindings = renewed
                next.revision &+= 1
                return write(.renewBindings, record, next, copy.data)
            }
            differs = bindings.differs
        }
        switch decision {
        case .accept(let touch):
            keep(record, copy.data, touch, now: now, context)
            return try accept(record, copy.data, successor: nil, touch, context)
        case .acceptAwaitingSuccessor(let touch):
            // A reply with a token overwrites the cookie. A LOGIN at another daemon may have set a newer one, which this daemon
            // does not know yet.
            guard origin.mayRefuse else { return expect(.copy, .read(.anew(claim.sid))) }
            keep(record, copy.data, touch, now: now, context)
            guard isReplicated else { return expect(.state(copy), .whenReplicated(claim.sid)) }
            let successor = try context.pendingSuccessor(record, for: claim)
            return try accept(record, copy.data, successor: successor, touch, context)
        case .acceptRecovering(let touch):
            guard origin.mayRefuse else { return expect(.copy, .read(.anew(claim.sid))) }
            guard isReplicated else { return expect(.state(copy), .whenReplicated(claim.sid)) }
            context.report(.recovered(claim.sid))
            return try accept(
                record, copy.data, successor: try context.successor(record, of: claim), touch, context)
        case .confirm:
            hasConfirmed = true
            return write(.confirm, record, record.confirmed(now: now), copy.data)
        case .rotate where hasConfirmed:
            return try accept(record, copy.data, successor: nil, .none, context)
        case .rotate:
            let successor: Verifier = try context.randomBytes()
            let sealed = try context.crypto.seal(successor, under: claim.token.verifier, sid: claim.sid)
            let digest = try context.crypto.digest(successor)
            return write(
                .rotate, record, record.rotated(to: digest, sealed: sealed, policy: context.policy, now: now), copy.data
            )
        case .refuseUnknown: return refuse(.unknown, context)
        case .refuseReplayed, .endReplayed:
            guard origin.mayRefuse else { return expect(.copy, .read(.anew(claim.sid))) }
            // That the overlap is over was decided by an estimate of Redis's clock; a refusal is not left to it.
            guard time != nil || record.previous?.digest != claim.digest else {
                return expect(.time(of: copy), .askTime)
            }
            aftermath = try context.aftermath(of: copy.session, claim)
            if decision == .endReplayed {
                return expect(.end(of: record.subject), .write(.end(record, .replay), of: claim.sid))
            }
            context.report(.replayed(claim.sid, subject: record.subject))
            return refuse(.replayed, context)
        }
    }

    /// Not where a touch is due: that write would throw it out again.
    private func keep(
        _ record: SessionRecord, _ data: [RecordField], _ touch: Touch, now: UnixMilliseconds,
        _ context: some FlowContext
    ) {
        guard origin.mayBeKept, touch == .none else { return }
        let isCurrent = claim.digest == record.current
        context.keep(
            record, sid: claim.sid, verifier: isCurrent ? claim.token.verifier : nil, data: data, now: now)
    }

    private mutating func accept(
        _ record: SessionRecord, _ data: [RecordField], successor: SessionToken?, _ touch: Touch,
        _ context: some FlowContext
    ) throws -> FlowStep<Verdict> {
        let interval = record.touchInterval(policy: context.policy)
        // Little of the idle limit remains: the access is recorded before it is granted, and then decided anew.
        if touch == .beforeReply, !wasTouched {
            wasTouched = true
            return expect(.touch, .touch(claim.sid, interval: interval))
        }
        var view = SessionView(record, sid: claim.sid, now: try context.now(), newToken: successor, data: data)
        view.differs = differs
        if isPartial { view.formHolder.former = nil }
        return .answer(
            .accepted(view), touch: touch == .afterReply && !wasTouched ? (claim.sid, interval) : nil)
    }

    /// A refusal comes from a script, or from a read of Redis begun after the request arrived; else it is asked again.
    private mutating func refuse(
        _ refusal: Refusal, isFinal: Bool = false, _ context: some FlowContext
    ) -> FlowStep<Verdict> {
        guard isFinal || origin.mayRefuse else { return expect(.copy, .read(.anew(claim.sid))) }
        context.count(refusal)
        return .answer(.refused(refusal))
    }

    /// Redis is away. Rotated or not, confirmed or not, the old token is good.
    private mutating func answerStale(_ fault: Unavailable, _ context: some FlowContext) throws -> FlowStep<Verdict> {
        // Rotated, but the successor could be lost with the master: the next request gets it.
        if fault.isUnacknowledged, case .state(let copy) = awaited, case .live(let record) = copy.session {
            return try accept(record, copy.data, successor: nil, .none, context)
        }
        // A server that answers is not gone, whatever it answers.
        guard fault.isSilence else { throw fault }
        let view: SessionView?
        switch awaited {
        case .guest(let question):
            guard let guest = claim.guest else { throw fault }
            try question.checkAbsence(fault, context)
            return .answer(try verdict(on: guest, renews: false, context))
        case .copy: view = try context.staleView(claim, needsData: needsData, isUnanswered: false)
        case .state, .touch: view = try context.staleView(claim, needsData: needsData, isUnanswered: true)
        case .bindings, .time, .end: view = nil
        }
        guard let view else { throw fault }
        return .answer(.accepted(view))
    }

    private mutating func write(
        _ kind: SessionWrite.Kind, _ record: SessionRecord, _ next: SessionRecord, _ data: [RecordField]
    ) -> FlowStep<Verdict> {
        let copy = StoredCopy(session: .live(next), data: data)
        if case .renewBindings = kind { awaited = .bindings(copy) } else { awaited = .state(copy) }
        return .write(.access(kind, from: record, to: next), of: claim.sid)
    }

    private mutating func expect(_ awaited: Awaited, _ step: FlowStep<Verdict>) -> FlowStep<Verdict> {
        self.awaited = awaited
        return step
    }
}
