internal import Tokens
internal import UnixTime

/// A living session of a subject, as a walk over the index found it.
struct IndexedSession {
    let member: IndexMember
    let facts: SessionFacts
    let data: [RecordField]
}

/// A walk over a subject's index that reads the session of every member: each member that stands there throughout is
/// read at least once. What it finds of dead members is told to the index.
struct IndexWalk {
    /// Pages of one walk: who logs in faster than it goes does not keep it going for ever.
    static let maxPages = 40_000

    let index: SubjectIndex
    private let fields: FactFields
    /// Else it only looks.
    private let tidies: Bool
    /// The next page; nil at the end.
    private(set) var query: IndexQuery?
    private(set) var pages = 0
    /// What is being read.
    private(set) var members: [IndexMember] = []
    /// Of those read last, the members without a session.
    private(set) var gone: [IndexMember] = []

    init(
        _ index: SubjectIndex, _ fields: FactFields = .fixed, from cursor: IndexCursor = .start, pageSize: Int? = nil,
        tidies: Bool = true
    ) {
        self.index = index
        self.fields = fields
        self.tidies = tidies
        query = IndexQuery(cursor: cursor, pageSize: pageSize ?? IndexCursor.pageSize)
    }

    /// Takes in an event of the walk, which begins with `begin`.
    /// - Parameter goOn: takes the living sessions of a page; a step that it answers ends the walk. At the end
    ///   (`query` is nil) there must be one.
    mutating func next<Answer>(
        _ event: FlowEvent, _ context: some FlowContext,
        _ goOn: (inout IndexWalk, [IndexedSession]) throws -> FlowStep<Answer>?
    ) throws -> FlowStep<Answer> {
        switch event {
        case .begin: return try nextPage()
        case .page(let page):
            members = page.members
            query = page.next.map { IndexQuery(cursor: $0, pageSize: query?.pageSize ?? IndexCursor.pageSize) }
            return .each(members.map { .facts(FactsFlow(sid: $0.sid, fields: fields)) })
        case .gathered(let answers):
            let (living, findings) = try context.findings(of: members, in: index, answers)
            gone = findings.compactMap { if case .gone(let member) = $0 { member } else { nil } }
            if tidies { context.tidy(index, findings) }
            if let step = try goOn(&self, living) { return step }
            return try nextPage()
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }

    private mutating func nextPage<Answer>() throws -> FlowStep<Answer> {
        guard let query else { throw UnexpectedEvent() }
        pages += 1
        guard pages <= Self.maxPages else { throw Unavailable.subjectTooBusy }
        return .readIndex(index, query)
    }
}

extension FlowContext {
    /// The living among members of an index, by what was read of their sessions; and what the index is to be told.
    fileprivate func findings(
        of members: [IndexMember], in index: SubjectIndex, _ answers: [Result<PartAnswer, ServiceFault>]
    ) throws -> (living: [IndexedSession], findings: [IndexFinding]) {
        var living: [IndexedSession] = []
        var findings: [IndexFinding] = []
        for (member, found) in zip(members, try FactsFlow.found(answers)) {
            // A session of another subject, or of nobody, has no place here.
            if case .living(let facts, let data) = found, !facts.subject.isEmpty,
                try SubjectIndex(subject: facts.subject, crypto: crypto) == index
            {
                living.append(IndexedSession(member: member, facts: facts, data: data))
                if member.isBefore(facts.absoluteEnd) { findings.append(.living(member, until: facts.absoluteEnd)) }
            } else {
                findings.append(.gone(member))
            }
        }
        return (living, findings)
    }
}

extension IndexMember {
    /// Whether its place ends before its session may.
    fileprivate func isBefore(_ end: UnixMilliseconds) -> Bool {
        guard let score = Double(String(decoding: score, as: UTF8.self)) else { return false }
        return score < Double(end.sinceEpoch)
    }
}

/// A look at some members of an index, so that dead ones leave it.
struct LookFlow: Flow {
    private let index: SubjectIndex
    private let members: [IndexMember]

    init(_ index: SubjectIndex, _ members: [IndexMember]) {
        self.index = index
        self.members = members
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Void> {
        switch event {
        case .begin: return .each(members.map { .facts(FactsFlow(sid: $0.sid, fields: .fixed)) })
        case .gathered(let answers):
            context.tidy(index, try context.findings(of: members, in: index, answers).findings)
            return .answer(())
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }
}

/// One of the sessions that a walk looks at.
struct FactsFlow: Flow {
    let sid: SessionID
    let fields: FactFields

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<FoundSession> {
        switch event {
        case .begin: return .readFacts(sid, fields)
        case .facts(let found): return .answer(found)
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }

    /// What was found of several, in the order in which they were asked for.
    static func found(_ answers: [Result<PartAnswer, ServiceFault>]) throws -> [FoundSession] {
        try answers.map { answer in
            guard case .found(let found) = try answer.get() else { throw UnexpectedEvent() }
            return found
        }
    }
}
