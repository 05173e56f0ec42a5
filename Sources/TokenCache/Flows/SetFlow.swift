internal import TokenCrypto
internal import Tokens

/// SET: unchanged values write nothing, an empty value removes the field. A guest becomes a session by it.
struct SetFlow: Flow {
    private let data: [RecordField]
    private(set) var judging: Judging
    private(set) var awaited = Awaited.session

    enum Awaited {
        case session
        /// Data of a session that a worker named, whatever stands there.
        case dataByName
        /// Data; and the token that a guest's token leads to.
        case data(SessionToken?)
        case promotion(SessionToken, Digest, fields: Int)
    }

    init(_ judging: Judging, _ data: [RecordField]) {
        self.judging = judging
        self.data = data
    }

    mutating func next(
        _ event: FlowEvent, _ context: some FlowContext
    ) throws -> FlowStep<Judged<ChangedData>> {
        switch (event, awaited) {
        case (.begin, _)
        where judging.claim == nil && judging.subject == nil && context.mayWriteUnread
            && !context.isDenied(judging.sid):
            // A worker that names the session validated its token before: one round trip.
            return expect(.dataByName, .write(.data(data, over: nil), of: judging.sid))
        case (.written(let changed), .dataByName): return answer(changed, nil)
        case (.written(let changed), .data(let token)): return answer(changed, token)
        case (.written, .promotion(let token, _, let fields)):
            context.report(.promoted)
            return answer(fields, token)
        case (.overtaken(let copy), .dataByName):
            switch try context.judge(copy.session, nil, now: try context.now()) {
            case .refused(let refusal): return .answer(.refused(refusal))
            // It lives, and the write came too late by Redis's clock, which is put right.
            case .accepted: return .write(.data(data, over: nil), of: judging.sid)
            }
        case (.overtaken(let copy), .promotion(let token, let digest, let fields)):
            // The same candidate stands there: an earlier try of ours was carried out after all.
            if case .live(let standing) = copy.session, standing.current == digest { return answer(fields, token) }
        default: break
        }
        var (judging, awaited) = (judging, Awaited.session)
        let step = try judging.next(event, context) { try decide($0, &awaited, context) }
        (self.judging, self.awaited) = (judging, awaited)
        return step
    }

    private func decide(
        _ session: JudgedSession, _ awaited: inout Awaited, _ context: some FlowContext
    ) throws -> FlowStep<Judged<ChangedData>> {
        guard let claim = session.claim else {
            awaited = .data(nil)
            return .write(.data(data, over: session.record), of: session.sid)
        }
        if !session.record.isStored { return try promote(session.record, claim, &awaited, context) }
        // A client that still presents the guest's token did not get the session's.
        awaited = .data(claim.guest == nil ? nil : try context.pendingSuccessor(session.record, for: claim))
        return .write(.data(data, over: session.record), of: session.sid)
    }

    /// The first thing to remember of a guest makes its session, with the guest's verifier as its previous one and the
    /// successor sealed under it, so that every other request with the guest's token leads to the same session.
    private func promote(
        _ guest: SessionRecord, _ claim: Claim, _ awaited: inout Awaited, _ context: some FlowContext
    ) throws -> FlowStep<Judged<ChangedData>> {
        let kept = data.filter { !$0.value.isEmpty }
        // Nothing to remember: nothing is stored.
        guard !kept.isEmpty else { return answer(0, nil) }
        let successor: Verifier = try context.randomBytes()
        let digest = try context.crypto.digest(successor)
        let sealed = try context.crypto.seal(successor, under: claim.token.verifier, sid: claim.sid)
        let next = guest.rotated(to: digest, sealed: sealed, policy: context.policy, now: try context.now())
        awaited = .promotion(SessionToken(sid: claim.sid, verifier: successor), digest, fields: kept.count)
        return .write(.promotion(of: guest, to: next, kept), of: claim.sid)
    }

    private func answer(_ changed: Int, _ token: SessionToken?) -> FlowStep<Judged<ChangedData>> {
        .answer(.accepted(ChangedData(sid: judging.sid, fields: changed, newToken: token)))
    }

    private mutating func expect(
        _ awaited: Awaited, _ step: FlowStep<Judged<ChangedData>>
    ) -> FlowStep<Judged<ChangedData>> {
        self.awaited = awaited
        return step
    }
}
