internal import Tokens

/// SET, INCR and GETDEL: one write of data, on whatever data stands there in that moment. A guest becomes a session by what
/// there is to remember.
struct DataFlow: Flow {
    private let change: DataChange
    /// Of a session that is made.
    private let limits: SessionLimits
    private(set) var judging: Judging
    private(set) var awaited = Awaited.session

    enum Awaited {
        case session
        /// Data of a session that a worker named, whatever stands there.
        case dataByName
        /// Data; and the token that a guest's token leads to.
        case data(HandedSession?)
        /// The data is as it should be: that token.
        case told(DataOutcome, HandedSession)
        case promotion(Promotion, DataOutcome)
    }

    init(_ judging: Judging, _ change: DataChange, _ limits: SessionLimits = SessionLimits()) {
        self.judging = judging
        self.change = change
        self.limits = limits
    }

    mutating func next(
        _ event: FlowEvent, _ context: some FlowContext
    ) throws -> FlowStep<Judged<ChangedData>> {
        switch (event, awaited) {
        case (.begin, _) where mayWriteUnread(context):
            // A worker that names the session validated its token before: one round trip.
            return expect(.dataByName, .write(.data(change, over: nil), of: judging.sid))
        case (.written(let outcome), .dataByName): return answer(outcome, nil, context)
        case (.written(let outcome), .data(let handed?)):
            return expect(.told(outcome, handed), .whenReplicated(judging.sid))
        case (.written(let outcome), .data(nil)): return answer(outcome, nil, context)
        case (.replicated, .told(let outcome, let handed)): return answer(outcome, handed, context)
        // It could be lost with the master: the next request gets it.
        case (.failed(let fault), .told(let outcome, _)) where fault.isUnacknowledged:
            return answer(outcome, nil, context)
        case (.written, .promotion(let promotion, let outcome)):
            context.report(.promoted)
            return answer(outcome, promotion.handed, context)
        case (.overtaken(let copy), .dataByName):
            switch try context.judge(copy.session, nil, now: try context.now()) {
            case .refused(let refusal): return .answer(.refused(refusal))
            // It lives, and the write came too late by Redis's clock, which is put right.
            case .accepted: return .write(.data(change, over: nil), of: judging.sid)
            }
        case (.overtaken(let copy), .promotion(let promotion, let outcome)) where promotion.stands(in: copy):
            return answer(outcome, promotion.handed, context)
        default: break
        }
        var (judging, awaited) = (judging, Awaited.session)
        let step = try judging.next(event, context) { try decide($0, &awaited, context) }
        (self.judging, self.awaited) = (judging, awaited)
        return step
    }

    private func mayWriteUnread(_ context: some FlowContext) -> Bool {
        // What is added is never nothing: that is a question.
        if case .add(0, _) = change { return false }
        return judging.claim == nil && judging.subject == nil && context.mayWriteUnread
            && !context.isDenied(judging.sid)
    }

    private func decide(
        _ session: JudgedSession, _ awaited: inout Awaited, _ context: some FlowContext
    ) throws -> FlowStep<Judged<ChangedData>> {
        // GETDEL answers as GET does.
        let handed = if case .take = change { HandedSession?.none } else { try context.handed(session) }
        // A guest of whom nothing is to be remembered stays one.
        if let outcome = try change.outcomeUnwritten(over: session.data) {
            guard let handed else { return answer(outcome, nil, context) }
            awaited = .told(outcome, handed)
            return .whenReplicated(session.sid)
        }
        guard let claim = session.claim, !session.record.isStored else {
            awaited = .data(handed)
            return .write(.data(change, over: session.record), of: session.sid)
        }
        let promotion = try Promotion(of: session.record, claim, limits, context)
        let (fields, outcome) = change.first
        awaited = .promotion(promotion, outcome)
        return .write(promotion.write(fields, isRepeatable: change.isRepeatable), of: claim.sid)
    }

    private func answer(
        _ outcome: DataOutcome, _ handed: HandedSession?, _ context: some FlowContext
    ) -> FlowStep<Judged<ChangedData>> {
        if case .conflict = outcome { context.report(.conflict) }
        return .answer(.accepted(ChangedData(sid: judging.sid, outcome: outcome, handed: handed)))
    }

    private mutating func expect(
        _ awaited: Awaited, _ step: FlowStep<Judged<ChangedData>>
    ) -> FlowStep<Judged<ChangedData>> {
        self.awaited = awaited
        return step
    }
}
