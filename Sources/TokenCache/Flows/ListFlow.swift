internal import Tokens

/// A session as LIST shows it.
struct ListedSession {
    let sid: SessionID
    let record: SessionRecord
    /// Empty where it is not wanted: it is not kept then.
    let data: [RecordField]
}

/// LIST: the living sessions of a subject, newest first.
struct ListFlow: Flow {
    private let subject: [UInt8]
    private let index: SubjectIndex
    private let limit: Int
    private let withData: Bool

    init(subject: [UInt8], index: SubjectIndex, limit: Int, withData: Bool) {
        self.subject = subject
        self.index = index
        self.limit = limit
        self.withData = withData
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<[SessionView]> {
        switch event {
        case .begin: return .readIndex(index, .newest(TokenService.maxListed))
        case .page(let page):
            guard !page.sids.isEmpty else { return .answer([]) }
            return .each(page.sids.map { .list(ListedFlow(sid: $0, subject: subject, withData: withData)) })
        case .gathered(let answers):
            let now = try context.now()
            var found: [ListedSession] = []
            for answer in answers {
                if case .listed(let session?) = try answer.get() { found.append(session) }
            }
            let newest = found.sorted { $0.record.created > $1.record.created }.prefix(limit)
            return .answer(
                newest.map { SessionView($0.record, sid: $0.sid, now: now, newToken: nil, data: $0.data) })
        case .failed(let fault): throw fault
        case .settled, .held, .read, .written, .overtaken, .noted, .touched, .time, .spent: throw UnexpectedEvent()
        }
    }
}

/// One of the sessions that LIST looks at.
struct ListedFlow: Flow {
    let sid: SessionID
    let subject: [UInt8]
    let withData: Bool

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<ListedSession?> {
        switch event {
        case .begin: return .read(.anew(sid))
        case .read(let copy, _):
            guard case .live(let record) = copy.session, record.subject == subject else { return .answer(nil) }
            return .answer(ListedSession(sid: sid, record: record, data: withData ? copy.data : []))
        case .failed(let fault) where fault.isNoSession: return .answer(nil)
        case .failed(let fault): throw fault
        case .settled, .held, .written, .overtaken, .noted, .touched, .time, .spent, .page, .gathered:
            throw UnexpectedEvent()
        }
    }
}
