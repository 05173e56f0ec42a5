internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// LOGIN: the subject holds a session under a new token from now on, the old token is dead at once. Idempotent for the
/// same old token and subject within `rotation.overlap`: every try uses the same candidate.
struct LoginFlow: SessionMaker {
    /// Nil where nothing was presented that can be built on.
    private(set) var claim: Claim?
    private let request: SessionRequest
    private let subject: SubjectIndex
    /// The token of a renewed session; its verifier serves a new session, too.
    private let candidate: Verifier
    private let candidateDigest: Digest
    let newSid: SessionID
    var index: SubjectIndex? { subject }
    private let csrfSalt: Digest
    private(set) var awaited = Awaited.session

    enum Awaited {
        case session
        case time(of: StoredCopy)
        case renewal(SessionRecord)
        /// Of another subject's session.
        case end
        case creation(SessionToken, SessionRecord, SessionView)
        /// The session that an earlier LOGIN led to; and what this one changes of it.
        case repeated(SessionToken, since: UnixMilliseconds)
        case amendment(SessionRecord, SessionToken, since: UnixMilliseconds)
        /// The same session, of which this one changes nothing.
        case told(SessionRecord, SessionToken)
        /// In the tombstone of the session whose token was presented.
        case note
    }

    init(_ claim: Claim?, _ request: SessionRequest, _ context: some FlowContext) throws {
        self.claim = claim
        self.request = request
        subject = try SubjectIndex(subject: request.subject, crypto: context.crypto)
        candidate = try context.randomBytes()
        candidateDigest = try context.crypto.digest(candidate)
        newSid = try context.randomBytes()
        csrfSalt = try context.randomBytes()
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<SessionView> {
        switch event {
        case .begin:
            guard let claim else { return try createAnother(context) }
            return .hold(claim.sid, claim)
        case .held: return .read(.anew(try presented.sid))
        case .read(let copy, _):
            switch awaited {
            case .repeated(let token, let since):
                return try answerAgain(copy, token, try presented, since: since, context)
            case .session, .time, .renewal, .end, .creation, .amendment, .told, .note: return try judge(copy, context)
            }
        case .overtaken(let copy):
            switch awaited {
            case .creation(let token, let record, let view): return try occupied(copy, token, record, view, context)
            case .amendment(_, let token, let since):
                return try answerAgain(copy, token, try presented, since: since, context)
            case .session, .time, .renewal, .end, .repeated, .told, .note: return try judge(copy, context)
            }
        case .time(let now):
            guard case .time(let copy) = awaited else { throw UnexpectedEvent() }
            return try decide(copy, try presented, now: now, context)
        case .written:
            switch awaited {
            case .renewal(let record): return try answer(record, try presented.sid, candidate, context)
            case .end: return try create(SessionToken(sid: newSid, verifier: candidate), context)
            case .creation(_, _, let view): return finish(view, context)
            case .amendment(let record, let token, _):
                return try answer(record, token.sid, token.verifier, isRepeated: true, context)
            case .session, .time, .repeated, .told, .note: throw UnexpectedEvent()
            }
        case .replicated:
            guard case .told(let record, let token) = awaited else { throw UnexpectedEvent() }
            return try answer(record, token.sid, token.verifier, isRepeated: true, context)
        case .noted: return try create(SessionToken(sid: newSid, verifier: candidate), context)
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }

    private var presented: Claim {
        get throws {
            guard let claim else { throw UnexpectedEvent() }
            return claim
        }
    }

    private mutating func judge(_ copy: StoredCopy, _ context: some FlowContext) throws -> FlowStep<SessionView> {
        var claim = try presented
        let copy = try context.adopt(copy, for: &claim, now: try context.now())
        self.claim = claim
        guard let now = try context.judgementTime(copy.session, digest: claim.digest) else {
            return expect(.time(of: copy), .askTime)
        }
        return try decide(copy, claim, now: now, context)
    }

    private mutating func decide(
        _ copy: StoredCopy, _ claim: Claim, now: UnixMilliseconds, _ context: some FlowContext
    ) throws -> FlowStep<SessionView> {
        if case .live(let record) = copy.session {
            // The candidate stands there: an earlier try of this request was carried out after all.
            if record.current == candidateDigest { return try answer(record, claim.sid, candidate, context) }
            // A token from another client is none to build on.
            if try context.checkBindings(record, claim).isMismatch {
                return try create(SessionToken(sid: newSid, verifier: candidate), context)
            }
        }
        let decision = try copy.session.decideLogin(
            token: claim.token, digest: claim.digest, subject: request.subject, policy: context.policy, now: now,
            crypto: context.crypto)
        switch decision {
        case .renew(let record):
            var next = record.loggedIn(
                to: candidateDigest, csrfSalt: csrfSalt, pageGuest: request.pageGuest,
                memo: try memo(record, claim, leadsTo: claim.sid, now, context),
                request.terms(context.policy, now: now), policy: context.policy, now: now)
            next.bindings = record.bindings.replaced(by: try bindings(context))
            return expect(.renewal(next), .write(.login(from: record, to: next, request.data), of: claim.sid))
        case .replace(let record):
            // Ended first: of several racing LOGINs one writes the tombstone, and the others find in it the session
            // that it leads to. Should this daemon die in between, the repeated LOGIN makes it.
            let memo = try memo(record, claim, leadsTo: newSid, now, context)
            return expect(.end, .write(.end(record, .login, login: memo), of: claim.sid))
        case .repeatAnswer(let token, let since):
            return expect(.repeated(token, since: since), .read(.anew(token.sid)))
        case .fresh:
            // From now on a client that presents this token may hold the new one, too.
            if case .ended = copy.session { return expect(.note, .noteLogin(claim.sid, claim.digest)) }
            return try create(SessionToken(sid: newSid, verifier: candidate), context)
        }
    }

    /// The answer of the LOGIN that this one repeats. Past the idle limit since then a session that is not there has
    /// expired; before it, the daemon that was to make it has died in between. What this LOGIN asks for besides is applied.
    private mutating func answerAgain(
        _ copy: StoredCopy, _ token: SessionToken, _ claim: Claim, since: UnixMilliseconds, _ context: some FlowContext
    ) throws -> FlowStep<SessionView> {
        let now = try context.now()
        let terms = request.terms(context.policy, now: now)
        switch copy.session {
        case .live(let record) where try context.crypto.digest(token.verifier) == record.current:
            guard let (next, data) = try amendment(of: record, copy.data, context) else {
                return expect(.told(record, token), .whenReplicated(token.sid))
            }
            return expect(
                .amendment(next, token, since: since), .write(.amendment(of: record, to: next, data), of: token.sid))
        case .absent where token.sid != claim.sid && now - since < min(terms.idle, terms.absolute):
            return try create(token, context)
        default: return try createAnother(context)
        }
    }

    /// What a repetition changes: limits, bindings and data that it gives and that are not so already; nil where nothing.
    /// An absolute limit counts from the login, so that a third LOGIN finds it as it should be.
    private func amendment(
        of record: SessionRecord, _ data: [RecordField], _ context: some FlowContext
    ) throws -> (next: SessionRecord, data: [RecordField])? {
        let now = try context.now()
        var next = record
        if let idle = request.idle { next.idle = idle }
        if let absolute = request.absolute {
            let end = (record.renewedByLogin ?? record.created) + absolute
            next.absoluteEnd = end > now ? end : now + absolute
        }
        if let isPersistent = request.isPersistent ?? (request.asksForLimits ? true : nil) {
            next.isPersistent = isPersistent
        }
        next.bindings = record.bindings.replaced(by: try bindings(context))
        let changed = request.data.filter { field in
            field.value.isEmpty ? data.contains { $0.name == field.name } : !data.contains(field)
        }
        guard next != record || !changed.isEmpty else { return nil }
        // Else a shorter idle limit could end it at once.
        next.lastAccess = max(record.lastAccess, now)
        next.revision &+= 1
        return (next, changed)
    }

    // MARK: A new session

    private mutating func createAnother(_ context: some FlowContext) throws -> FlowStep<SessionView> {
        try create(SessionToken(sid: try context.randomBytes(), verifier: try context.randomBytes()), context)
    }

    private mutating func create(
        _ token: SessionToken, _ context: some FlowContext
    ) throws -> FlowStep<SessionView> {
        let (record, view) = try context.newSession(token, request)
        return expect(.creation(token, record, view), .write(.create(record, request.data), of: token.sid))
    }

    /// Something stands in the new session's place.
    private mutating func occupied(
        _ copy: StoredCopy, _ token: SessionToken, _ record: SessionRecord, _ view: SessionView,
        _ context: some FlowContext
    ) throws -> FlowStep<SessionView> {
        switch copy.session {
        // An earlier try of ours was carried out after all.
        case .live(let standing) where standing.current == record.current: return finish(view, context)
        // The session that a memo led to was ended or taken further meanwhile: nothing to come back to.
        case .live, .ended: return try createAnother(context)
        // The clock was put right, or the session has ended and been forgotten.
        case .absent: return try create(token, context)
        }
    }

    // MARK: What all ways need

    /// Sealed under the current token, which the one before it opens where that is presented or still good.
    private func memo(
        _ record: SessionRecord, _ claim: Claim, leadsTo sid: SessionID, _ now: UnixMilliseconds,
        _ context: some FlowContext
    ) throws -> LoginMemo {
        let successor = try context.successor(record, of: claim)
        let step = record.previous.map { LoginMemo.FirstStep(digest: record.current, sealed: $0.sealedSuccessor) }
        return LoginMemo(
            sid: sid, digest: candidateDigest,
            sealed: try context.crypto.seal(
                candidate, under: (successor ?? claim.token).verifier, sid: claim.sid),
            subjectDigest: subject.digest, until: now + context.policy.rotationOverlap,
            firstStep: isStepOpen(record, now, context) ? step : nil)
    }

    /// Whether the previous token leads on to the new one: not where its overlap is over.
    private func isStepOpen(_ record: SessionRecord, _ now: UnixMilliseconds, _ context: some FlowContext) -> Bool {
        guard let previous = record.previous else { return false }
        return record.standing(of: previous.digest, policy: context.policy, now: now).isAccepted
    }

    private func bindings(_ context: some FlowContext) throws -> Bindings {
        try context.stateless.bind(request.signals, now: context.guestSeconds)
    }

    /// - Parameter isRepeated: the login was reported before.
    private func answer(
        _ record: SessionRecord, _ sid: SessionID, _ verifier: Verifier, isRepeated: Bool = false,
        _ context: some FlowContext
    ) throws -> FlowStep<SessionView> {
        let token = SessionToken(sid: sid, verifier: verifier)
        let view = SessionView(record, sid: sid, now: try context.now(), newToken: token, data: [])
        return isRepeated ? .answer(view) : finish(view, context)
    }

    private func finish(_ view: SessionView, _ context: some FlowContext) -> FlowStep<SessionView> {
        context.report(.loggedIn(view))
        return .answer(view)
    }

    private mutating func expect(_ awaited: Awaited, _ step: FlowStep<SessionView>) -> FlowStep<SessionView> {
        self.awaited = awaited
        return step
    }
}
