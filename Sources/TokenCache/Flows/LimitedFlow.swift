internal import Tokens
internal import UnixTime

/// A command that makes a session of a subject.
protocol SessionMaker: Flow where Answer == SessionView {
    /// Of the session that is made where there is none to build on.
    var newSid: SessionID { get }
    /// The subject's; nil where there is no subject.
    var index: SubjectIndex? { get }
}

/// LOGIN, or ISSUE with a subject, where the subject may have so many sessions.
///
/// Under `refuse` the session has its place in the index before anything is changed. Under `end-oldest` the sessions that
/// are not among the latest logins are ended after it was written, its own one too where others overtook it. The order is
/// that of the numbers that stand in the sessions, and a session is ended only as it was when its number was read. Whoever
/// writes last sees all others, and of a session numbers only rise: so exactly the latest remain.
struct LimitedFlow<Maker: SessionMaker>: Flow {
    /// Sessions that are ended before the answer; the others after it.
    static var endedAtOnce: Int { 32 }
    /// Members without a session that a login tells the index of.
    static var mostGone: Int { 10_000 }

    private(set) var maker: Maker
    private let subject: [UInt8]
    /// How many sessions the subject may have, and where they stand; nil: any number.
    private let limit: (count: Int, index: SubjectIndex)?
    private let policy: SessionLimitPolicy
    private let absolute: Milliseconds
    private(set) var state = State.making
    /// Who has a place for certain, until when, and the login's number.
    private(set) var placed: (sid: SessionID, end: UnixMilliseconds, number: Int64?)?

    enum State {
        case making
        /// A place is asked for, for what is to be done then.
        case entering(FlowStep<SessionView>, IndexEntry)
        /// Who has one is looked at, since there was none.
        case looking(IndexWalk, FlowStep<SessionView>, IndexEntry, living: Int)
        /// What was decided by an old clock is decided anew.
        case late
        case walking(IndexWalk, SessionView, [IndexedSession])
        /// - Parameters:
        ///   - rest: what is ended after the answer.
        ///   - own: the place of this session among those that are ended, where others overtook it.
        case ending(SessionView, rest: [Ending], own: Int?)
    }

    /// A session, and up to which generation it is ended: it may be renewed meanwhile.
    typealias Ending = (sid: SessionID, generation: Int64)

    var isUrgent: Bool { true }

    init(_ maker: Maker, _ request: SessionRequest, _ context: some FlowContext) {
        self.maker = maker
        subject = request.subject
        let limit = request.maxSessions ?? context.policy.maxPerSubject
        self.limit = limit > 0 ? maker.index.map { (limit, $0) } : nil
        policy = context.policy.onLimit
        absolute = request.absolute ?? context.policy.absolute
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<LoginAnswer> {
        let step = try step(after: event, context)
        if case .answer(.refused, _) = step { context.report(.limitReached) }
        return step
    }

    private mutating func step(
        after event: FlowEvent, _ context: some FlowContext
    ) throws -> FlowStep<LoginAnswer> {
        switch (state, event) {
        case (.making, _): return try make(event, context)
        case (.entering(let step, let entry), .entered(let outcome)):
            switch outcome {
            case .entered(let place):
                placed = (entry.sid, entry.absoluteEnd, place.number)
                context.tidy(entry.index, entry.gone.map(IndexFinding.gone))
                return try perform(step, context)
            case .late:
                // The session that the step is about, which need not be the one that was to have a place.
                switch step {
                case .write(_, let sid), .noteLogin(let sid, _): return expect(.late, .read(.anew(sid)))
                default: throw UnexpectedEvent()
                }
            case .full where entry.gone.isEmpty:
                let walk = IndexWalk(entry.index, tidies: false)
                return try look(walk, step, entry, living: 0, .begin, context)
            case .full: return .answer(.refused(count: entry.limit ?? 0))
            }
        case (.late, .read(let copy, _)): return try make(.overtaken(copy), context)
        case (.looking(let walk, let step, let entry, let living), _):
            return try look(walk, step, entry, living: living, event, context)
        // The session is made, and its client is told, whatever cannot be read: the next login ends what this one did not.
        case (.walking(let walk, let view, let living), _):
            do { return try rank(walk, view, living, event, context) } catch {
                return .answer(.issued(view, ended: 0))
            }
        case (.ending(let view, let rest, let own), .gathered(let answers)):
            let isEnded = answers.map { if case .success(.revoked(.revoked)) = $0 { true } else { false } }
            context.endLater(rest, of: subject, .limit)
            if let own, own >= isEnded.count || isEnded[own] {
                return .answer(.refused(count: limit?.count ?? 0))
            }
            return .answer(.issued(view, ended: isEnded.count { $0 } + rest.count))
        case (_, .failed(let fault)): throw fault
        default: throw UnexpectedEvent()
        }
    }

    // MARK: Before anything is changed

    private mutating func make(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<LoginAnswer> {
        state = .making
        return try perform(try maker.next(event, context), context)
    }

    private mutating func perform(
        _ step: FlowStep<SessionView>, _ context: some FlowContext
    ) throws -> FlowStep<LoginAnswer> {
        state = .making
        if case .answer(let view, _) = step {
            guard let limit, policy == .endOldest else { return .answer(.issued(view, ended: nil)) }
            return try rank(IndexWalk(limit.index), view, [], .begin, context)
        }
        var step = step
        if case .write(var write, let sid) = step {
            write.subjectIndex = maker.index
            write.isNumbered = limit != nil
            if let placed, placed.sid == sid, let record = write.entersIndex {
                write.isEntered = record.absoluteEnd <= placed.end
                write.take(number: placed.number)
            }
            step = .write(write, of: sid)
        }
        guard let limit, policy == .refuse, let (sid, end) = try place(for: step, context), sid != placed?.sid else {
            return step.map { .issued($0, ended: nil) }
        }
        let entry = IndexEntry(index: limit.index, sid: sid, absoluteEnd: end, login: .numbered, limit: limit.count)
        return expect(.entering(step, entry), .enter(entry))
    }

    /// Whose place a step needs, and until when; nil where it changes nothing, or what has its place.
    private func place(
        for step: FlowStep<SessionView>, _ context: some FlowContext
    ) throws -> (SessionID, UnixMilliseconds)? {
        switch step {
        case .write(let write, let sid):
            if let record = write.entersIndex { return (sid, record.absoluteEnd) }
            // Another's session is ended first; whatever else is changed has its place.
            guard case .end = write.kind else { return nil }
            return (maker.newSid, try context.now() + absolute)
        case .noteLogin: return (maker.newSid, try context.now() + absolute)
        default: return nil
        }
    }

    /// Reads the sessions of those who have a place: dead ones take none.
    private mutating func look(
        _ walk: IndexWalk, _ step: FlowStep<SessionView>, _ entry: IndexEntry, living: Int, _ event: FlowEvent,
        _ context: some FlowContext
    ) throws -> FlowStep<LoginAnswer> {
        var (walk, entry, living) = (walk, entry, living)
        var isOver = false
        let answer: FlowStep<LoginAnswer> = try walk.next(event, context) { walk, found in
            living += found.count
            entry.gone += walk.gone.prefix(max(0, Self.mostGone - entry.gone.count))
            isOver = walk.query == nil
            return isOver ? .answer(.refused(count: living)) : nil
        }
        guard isOver, !entry.gone.isEmpty else {
            state = .looking(walk, step, entry, living: living)
            return answer
        }
        return expect(.entering(step, entry), .enter(entry))
    }

    // MARK: After it was written

    /// Reads all living sessions of the subject, this one among them.
    private mutating func rank(
        _ walk: IndexWalk, _ view: SessionView, _ living: [IndexedSession], _ event: FlowEvent,
        _ context: some FlowContext
    ) throws -> FlowStep<LoginAnswer> {
        var (walk, living) = (walk, living)
        var isOver = false
        let limit = limit?.count ?? 0
        let step: FlowStep<LoginAnswer> = try walk.next(event, context) { walk, found in
            living += found
            guard walk.query == nil else { return nil }
            isOver = true
            return .answer(.issued(view, ended: 0))
        }
        guard isOver, living.count > limit else {
            state = .walking(walk, view, living)
            return step
        }
        return end(living, view)
    }

    /// Ends all but the latest logins.
    private mutating func end(_ living: [IndexedSession], _ view: SessionView) -> FlowStep<LoginAnswer> {
        let limit = limit?.count ?? 0
        let order = living.sorted { $0.isBefore($1) }
        let endings: [Ending] = order.prefix(max(0, order.count - limit)).map { login in
            (login.member.sid, login.facts.generation)
        }
        return expect(
            .ending(
                view, rest: Array(endings.dropFirst(Self.endedAtOnce)),
                own: endings.firstIndex { $0.sid == view.sid }),
            .each(
                endings.prefix(Self.endedAtOnce).map { ending in
                    .revoke(
                        RevokeFlow(
                            sid: ending.sid, subject: subject, reason: .limit, generation: ending.generation))
                }))
    }

    private mutating func expect(_ state: State, _ step: FlowStep<LoginAnswer>) -> FlowStep<LoginAnswer> {
        self.state = state
        return step
    }
}

extension IndexedSession {
    /// The order of logins: one for all who look. A session without a number is older than all that have one.
    fileprivate func isBefore(_ other: IndexedSession) -> Bool {
        let (left, right) = (
            (facts.loginNumber ?? 0, facts.created.sinceEpoch),
            (other.facts.loginNumber ?? 0, other.facts.created.sinceEpoch)
        )
        return left == right ? member.sid.hex.lexicographicallyPrecedes(other.member.sid.hex) : left < right
    }
}

/// Ends sessions of a subject for which nobody waits any more.
struct EndFlow: Flow {
    private let parts: [FlowPart]

    /// - Parameter endings: each up to a generation.
    init(_ endings: [(sid: SessionID, generation: Int64)], of subject: [UInt8], _ reason: EndReason) {
        parts = endings.map { ending in
            .revoke(RevokeFlow(sid: ending.sid, subject: subject, reason: reason, generation: ending.generation))
        }
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Void> {
        switch event {
        case .begin: return .each(parts)
        case .gathered: return .answer(())
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }
}
