internal import Tokens

/// LIST: the living sessions of a subject, newest first, however many dead ones the index names; or a page of a walk over
/// all of them.
struct ListFlow: Flow {
    private let limit: Int
    private let isPaged: Bool
    private(set) var walk: IndexWalk
    private(set) var found: [IndexedSession] = []

    /// - Parameter cursor: of the page that is asked for; nil: the newest of all.
    init(_ index: SubjectIndex, _ fields: FactFields, limit: Int, cursor: IndexCursor?) {
        self.limit = limit
        isPaged = cursor != nil
        walk = IndexWalk(
            index, fields, from: cursor ?? .start, pageSize: isPaged ? max(2, min(limit, IndexCursor.pageSize)) : nil)
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<SessionPage> {
        let (limit, isPaged) = (limit, isPaged)
        var found = found
        let step = try walk.next(event, context) { walk, living in
            found += living
            if isPaged {
                // A page may hold more than is asked for.
                let members = walk.members.prefix(limit)
                found.removeAll { !members.contains($0.member) }
                let isCut = members.count < walk.members.count
                let next = isCut ? members.last.map(IndexCursor.init(behind:)) : walk.query?.cursor
                return .answer(try Self.page(found, next, context))
            }
            // Newest first; no more are kept than may be answered.
            if found.count >= 2 * limit || walk.query == nil {
                found = Array(found.sorted { $0.facts.created > $1.facts.created }.prefix(limit))
            }
            return walk.query == nil ? .answer(try Self.page(found, nil, context)) : nil
        }
        self.found = found
        return step
    }

    private static func page(
        _ found: [IndexedSession], _ next: IndexCursor?, _ context: some FlowContext
    ) throws -> SessionPage {
        let now = try context.now()
        return SessionPage(
            sessions: found.map { ListedSession($0.member.sid, $0.facts, $0.data, now: now) }, next: next)
    }
}

/// What a walk over an index came by.
struct IndexTally {
    var members = 0
    var living = 0
}

/// A walk over one index that counts, and puts it right: COUNT, and the janitor.
struct TallyFlow: Flow {
    private(set) var walk: IndexWalk
    private(set) var tally = IndexTally()

    init(_ index: SubjectIndex) { walk = IndexWalk(index) }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<IndexTally> {
        var tally = tally
        let step = try walk.next(event, context) { walk, living -> FlowStep<IndexTally>? in
            tally.members += walk.members.count
            tally.living += living.count
            return walk.query == nil ? .answer(tally) : nil
        }
        self.tally = tally
        return step
    }
}
