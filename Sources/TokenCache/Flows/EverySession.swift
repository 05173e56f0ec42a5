internal import Tokens
internal import UnixTime

/// SCAN: a page of all sessions.
struct ScanFlow: Flow {
    private let query: ScanQuery
    private(set) var sids: [SessionID] = []
    private(set) var next: [UInt8]?

    init(cursor: [UInt8], count: Int) { query = ScanQuery(kind: .sessions, cursor: cursor, count: count) }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<ScannedSessions> {
        switch event {
        case .begin: return .scan(query)
        case .scanned(let page):
            // Beats and the epoch are beside them.
            sids = page.names.compactMap { SessionID(text: $0[...]) }
            next = page.next
            return .each(sids.map { .facts(FactsFlow(sid: $0, fields: .fixed)) })
        case .gathered(let answers):
            let now = try context.now()
            let sessions = zip(sids, try FactsFlow.found(answers)).compactMap { sid, found -> ListedSession? in
                guard case .living(let facts, let data) = found else { return nil }
                return ListedSession(sid, facts, data, now: now)
            }
            return .answer(ScannedSessions(sessions: sessions, next: next ?? ScanQuery.start))
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }
}

/// REVOKEEVERYONE: from the first step on nobody is logged in; then tombstones are put where sessions stand.
struct RevokeEveryoneFlow: Flow {
    private(set) var epoch: UnixMilliseconds?
    private(set) var cursor: [UInt8]? = ScanQuery.start
    private(set) var ended = 0

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Int> {
        switch event {
        // As long as any session or guest from before may live.
        case .begin: return .proclaimEpoch(lifetime: context.longestLife)
        case .proclaimed(let proclamation):
            epoch = proclamation.moment
            context.report(.everyoneEnded)
            if let missing = proclamation.missing { throw ServiceFault(missing) }
            return nextPage()
        case .scanned(let page):
            cursor = page.next
            guard let epoch else { throw UnexpectedEvent() }
            return .each(
                page.names.compactMap { SessionID(text: $0[...]) }.map { .sweep(SweepFlow(sid: $0, epoch: epoch)) })
        case .gathered(let answers):
            for answer in answers {
                do {
                    if case .swept(true) = try answer.get() { ended += 1 }
                } catch { throw soFar(error) }
            }
            context.report(.swept(ended))
            return nextPage()
        case .failed(let fault): throw soFar(ServiceFault(fault))
        default: throw UnexpectedEvent()
        }
    }

    private func nextPage() -> FlowStep<Int> {
        guard let cursor else { return .answer(ended) }
        return .scan(ScanQuery(kind: .sessions, cursor: cursor, count: 500))
    }

    /// Everyone is logged out all the same: only what is left of sessions stands a while longer.
    private func soFar(_ fault: ServiceFault) -> ServiceFault {
        guard epoch != nil, case .unavailable(let reason) = fault else { return fault }
        return .unavailable("\(reason); everyone is logged out, count so far: \(ended)")
    }
}

/// One of the sessions that REVOKEEVERYONE comes by.
struct SweepFlow: Flow {
    let sid: SessionID
    let epoch: UnixMilliseconds

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Bool> {
        switch event {
        case .begin: return .sweep(sid, epoch: epoch)
        case .swept(let wasEnded): return .answer(wasEnded)
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }
}
