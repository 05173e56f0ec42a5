internal import Tokens

/// REVOKEALL: ends all sessions of a subject but the one spared. When it is acknowledged, every session that was
/// acknowledged before it began is dead: a session enters the index before it is written, and no page passes over a
/// member that stands there throughout.
struct RevokeAllFlow: Flow {
    private let subject: [UInt8]
    private let index: SubjectIndex
    /// Until the token of EXCEPT is judged.
    private var except: Judging?
    private(set) var spared: SessionID?
    private(set) var cursor: IndexCursor? = .start
    private(set) var pages = 0
    /// What is being ended.
    private(set) var members: [IndexMember] = []
    private(set) var ended = 0
    /// Once it has seen the whole index.
    var repeatsUnseen: Bool { cursor == nil }

    init(subject: [UInt8], index: SubjectIndex, except: Judging?) {
        self.subject = subject
        self.index = index
        self.except = except
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Judged<Int>> {
        if var judging = except {
            var isAccepted = false
            // A token of another subject spares nothing, and would end all.
            let step: FlowStep<Judged<Int>> = try judging.next(event, context) { session in
                guard session.record.subject == subject else { return .answer(.refused(.mismatch)) }
                isAccepted = true
                return .answer(.accepted(0))
            }
            except = isAccepted ? nil : judging
            guard isAccepted else { return step }
            spared = judging.sid
            return try nextPage()
        }
        switch event {
        case .begin: return try nextPage()
        case .page(let page):
            cursor = page.next
            members = page.members.filter { $0.sid != spared }
            return .each(
                members.map { .revoke(RevokeFlow(sid: $0.sid, subject: subject, reason: .logoutAll)) })
        case .gathered(let answers):
            var first: ServiceFault?
            var gone: [IndexMember] = []
            for (member, answer) in zip(members, answers) {
                switch answer {
                case .success(.revoked(.revoked)): ended += 1
                case .success(.revoked(.unknown)): gone.append(member)
                case .success: break
                case .failure(let fault): first = first ?? fault
                }
            }
            context.tidy(index, gone.map(IndexFinding.gone))
            if let first { throw soFar(first) }
            return try nextPage()
        case .failed(let fault): throw soFar(ServiceFault(fault))
        default: throw UnexpectedEvent()
        }
    }

    private mutating func nextPage() throws -> FlowStep<Judged<Int>> {
        guard let cursor else { return .answer(.accepted(ended)) }
        pages += 1
        guard pages <= IndexWalk.maxPages else {
            throw soFar(ServiceFault(Unavailable.subjectTooBusy))
        }
        return .readIndex(index, IndexQuery(cursor: cursor))
    }

    /// The error of a command that could not be finished says how far it came.
    private func soFar(_ fault: ServiceFault) -> ServiceFault {
        guard ended > 0, case .unavailable(let reason) = fault else { return fault }
        return .unavailable("\(reason); count so far: \(ended)")
    }
}
