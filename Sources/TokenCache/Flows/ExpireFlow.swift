internal import Tokens

/// EXPIRE: new limits for a session that lives. Counts as an access: a shorter idle limit would end it at once else. A guest
/// becomes a session by it.
struct ExpireFlow: Flow {
    private let limits: SessionLimits
    private(set) var judging: Judging
    private(set) var awaited = Awaited.session

    enum Awaited {
        case session
        /// New limits; and the token that a guest's token leads to.
        case limits(SessionRecord, HandedSession?)
        case promotion(Promotion)
    }

    init(_ judging: Judging, _ limits: SessionLimits) {
        self.judging = judging
        self.limits = limits
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Verdict> {
        switch (event, awaited) {
        case (.written, .limits(let record, let handed)): return try answer(record, handed, context)
        case (.written, .promotion(let promotion)):
            context.report(.promoted)
            return try answer(promotion.record, promotion.handed, context)
        case (.overtaken(let copy), .promotion(let promotion)) where promotion.stands(in: copy):
            return try answer(promotion.record, promotion.handed, context)
        default: break
        }
        var (judging, awaited) = (judging, Awaited.session)
        let step: FlowStep<Verdict> = try judging.next(event, context) { session in
            guard let claim = session.claim, !session.record.isStored else {
                let next = try amended(session.record, context)
                awaited = .limits(next, try context.handed(session))
                return .write(.amendment(of: session.record, to: next, []), of: session.sid)
            }
            let promotion = try Promotion(of: session.record, claim, limits, context)
            awaited = .promotion(promotion)
            return .write(promotion.write([], isRepeatable: true), of: claim.sid)
        }
        (self.judging, self.awaited) = (judging, awaited)
        return step
    }

    private func amended(_ record: SessionRecord, _ context: some FlowContext) throws -> SessionRecord {
        let now = try context.now()
        var next = record
        next.revision &+= 1
        next.lastAccess = max(record.lastAccess, now)
        next.apply(limits, policy: context.policy, now: now)
        return next
    }

    private func answer(
        _ record: SessionRecord, _ handed: HandedSession?, _ context: some FlowContext
    ) throws -> FlowStep<Verdict> {
        var view = SessionView(
            record, sid: judging.sid, now: try context.now(), newToken: handed?.token, data: [])
        view.differs = try judging.claim.map { try context.checkBindings(record, $0).differs } ?? []
        return .answer(.accepted(view))
    }
}
