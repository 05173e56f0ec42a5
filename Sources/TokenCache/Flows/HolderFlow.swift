internal import Tokens

/// Who holds a token, without an access: for forms and captchas.
struct HolderFlow: Flow {
    private let guest: Guest?
    private let signals: Signals
    private(set) var question: GuestQuestion?
    private(set) var judging: Judging

    init(_ claim: Claim) {
        guest = claim.guest
        signals = claim.signals
        judging = Judging(claim.sid, claim)
    }

    var asksNearCache: Bool { guest == nil }

    mutating func next(
        _ event: FlowEvent, _ context: some FlowContext
    ) throws -> FlowStep<Judged<FormHolder>> {
        switch event {
        case .begin:
            guard let guest else { break }
            var question = GuestQuestion()
            let known = question.begin(guest, context)
            switch known {
            case .guest: return .answer(try context.holder(guest, signals))
            case .session: break
            case .nothing:
                self.question = question
                return .read(.shared(guest.sid))
            }
        case .read(let copy, let origin):
            guard let guest, let question else { break }
            self.question = nil
            guard question.isSession(copy, origin, of: guest, context) else {
                return .answer(try context.holder(guest, signals))
            }
            return try judge(.begin, context)
        case .failed(let fault):
            guard let guest, let question else { break }
            try question.checkAbsence(fault, context)
            return .answer(try context.holder(guest, signals))
        default: break
        }
        return try judge(event, context)
    }

    private mutating func judge(
        _ event: FlowEvent, _ context: some FlowContext
    ) throws -> FlowStep<Judged<FormHolder>> {
        let step: FlowStep<Judged<FormHolder>> = try judging.next(event, context) { session in
            .answer(.accepted(FormHolder(session.record, sid: session.sid)))
        }
        // A client that may hold a newer token is a guest for this page only.
        switch step {
        case .answer(.refused(.replayed), _), .answer(.refused(.revoked), _): break
        default: return step
        }
        guard let copy = judging.copy, let claim = judging.claim else { return step }
        let aftermath = try context.aftermath(of: copy.session, claim)
        guard aftermath.mayHoldNewer else { return step }
        return .answer(.accepted(try context.pageHolder(of: claim.text, former: aftermath.formerHolder)))
    }
}

extension FlowContext {
    /// A guest that no session was made of.
    func holder(_ guest: Guest, _ signals: Signals) throws -> Judged<FormHolder> {
        guard !isEnded(guest) else { return .refused(.revoked(.admin)) }
        let isMismatch = try stateless.checkBindings(guest.bindings, signals, now: guestSeconds).isMismatch
        return isMismatch ? .refused(.mismatch) : .accepted(FormHolder(CSRFHolder(sid: guest.sid)))
    }
}
