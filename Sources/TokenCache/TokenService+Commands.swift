public import EventLoop
internal import Logging
internal import TokenCrypto
public import Tokens

/// The other commands about sessions. `arrival` is when the request was read; nil means now.
extension TokenService {
    /// ISSUE: a new session and its first token. The subject's limit is kept.
    public func issue(
        _ request: SessionRequest, at arrival: MonotonicInstant? = nil, _ done: @escaping Completion<LoginAnswer>
    ) {
        begin(at: arrival, done) { LimitedFlow(try IssueFlow(request, self), request, self) }
    }

    /// LOGIN: the credentials were checked: `request.subject` holds a session under a new token from now on. Idempotent
    /// for the same old token and subject within `rotation.overlap`. The subject's limit is kept.
    public func login(
        _ credential: Credential, _ request: SessionRequest, at arrival: MonotonicInstant? = nil,
        _ done: @escaping Completion<LoginAnswer>
    ) {
        begin(at: arrival, done) {
            let claim = try claim(Presented(credential, request.signals)).accepted
            return LimitedFlow(try LoginFlow(claim, request, self), request, self)
        }
    }

    /// ROTATE: any other change of privilege: a new token at once, no overlap; limits stay unless given.
    /// - Parameter pageGuest: that of the token presented, where there is a key ring.
    public func rotate(
        _ presented: Presented, limits: SessionLimits = SessionLimits(), pageGuest: SessionID? = nil,
        at arrival: MonotonicInstant? = nil,
        _ done: @escaping Completion<Verdict>
    ) {
        begin(at: arrival, done) {
            Checked(try claim(presented).map { try RotateFlow($0, limits, pageGuest: pageGuest, self) })
        }
    }

    /// EXPIRE: new limits for a session that lives; of a guest: makes the session.
    public func expire(
        _ presented: Presented, _ limits: SessionLimits, at arrival: MonotonicInstant? = nil,
        _ done: @escaping Completion<Verdict>
    ) {
        begin(at: arrival, done) {
            Checked(try judging(.token(presented)).map { ExpireFlow($0, limits) })
        }
    }

    /// REVOKE: ends the session of a token that it gave out since its last LOGIN or ROTATE, accepted still or not. Idempotent.
    public func revoke(
        _ reference: SessionReference, at arrival: MonotonicInstant? = nil, _ done: @escaping Completion<RevokeAnswer>
    ) {
        switch reference {
        case .sid(let sid, let subject):
            run(RevokeFlow(sid: sid, claim: nil, subject: subject), at: arrival, done)
        case .token(let presented):
            do {
                guard case .accepted(let claim) = try claim(presented) else {
                    return store.later { done(.success(.unknown)) }
                }
                run(RevokeFlow(sid: claim.sid, claim: claim), at: arrival, done)
            } catch { begin(at: arrival, done) { () throws -> RevokeFlow in throw error } }
        }
    }

    /// GET: all data fields of the session; the caller picks what was asked for.
    /// - Returns: the answer where the near cache has it.
    public func get(
        _ reference: SessionReference, at arrival: MonotonicInstant,
        _ done: @autoclosure () -> Completion<Judged<HeldData>>
    ) -> Judged<HeldData>? {
        var asksNearCache = false
        if case .token(let presented) = reference, case .session(let token) = presented.credential {
            if let entry = current(token, presented.signals, at: arrival), entry.pointee.keepsData {
                sessions?.countHit()
                return .accepted(HeldData(sid: token.sid, fields: entry.pointee.details?.data ?? []))
            }
            asksNearCache = true
        }
        begin(at: arrival, done()) {
            Checked(try judging(reference).map { GetFlow($0, asksNearCache: asksNearCache) })
        }
        return nil
    }

    public func inspect(
        _ reference: SessionReference, at arrival: MonotonicInstant? = nil,
        _ done: @escaping Completion<Judged<Inspection>>
    ) {
        begin(at: arrival, done) { Checked(try judging(reference).map(InspectFlow.init)) }
    }

    /// SET, INCR and GETDEL. A guest becomes a session by what there is to remember.
    /// - Parameter limits: of a session that is made of a guest.
    public func change(
        _ reference: SessionReference, _ change: DataChange, limits: SessionLimits = SessionLimits(),
        at arrival: MonotonicInstant? = nil, _ done: @escaping Completion<Judged<ChangedData>>
    ) {
        begin(at: arrival, done) { Checked(try judging(reference).map { DataFlow($0, change, limits) }) }
    }

    /// REVOKEALL: ends all sessions of a subject but the one of `except`, where given, and says how many. When it is
    /// acknowledged, every session that was acknowledged before it began is dead.
    public func revokeAll(
        subject: [UInt8], except: Presented?, at arrival: MonotonicInstant? = nil,
        _ done: @escaping Completion<Judged<Int>>
    ) {
        let done: Completion<Judged<Int>> = { [self] result in
            // Nor are they served from here where Redis did not say that the end has come.
            if case .success(.refused) = result {
            } else {
                sessions?.distrust(subject: subject, but: except?.sid, at: store.instant)
            }
            done(result)
        }
        begin(at: arrival, done) {
            let index = try SubjectIndex(subject: subject, crypto: crypto)
            guard let except else {
                return Checked(.accepted(RevokeAllFlow(subject: subject, index: index, except: nil)))
            }
            return Checked(
                try judging(.token(except)).map { RevokeAllFlow(subject: subject, index: index, except: $0) })
        }
    }

    /// The most sessions that one LIST answers.
    public static let maxListed = 1_000

    /// LIST: the living sessions of a subject: the newest, at most `limit`; or, given a cursor, a page of all of them.
    /// - Parameter fields: which data is wanted of each.
    public func list(
        subject: [UInt8], limit: Int, from cursor: IndexCursor? = nil, fields: FactFields = .fixed,
        at arrival: MonotonicInstant? = nil, _ done: @escaping Completion<SessionPage>
    ) {
        begin(at: arrival, done) {
            ListFlow(try SubjectIndex(subject: subject, crypto: crypto), fields, limit: limit, cursor: cursor)
        }
    }

    /// COUNT: how many living sessions a subject has.
    public func count(
        subject: [UInt8], at arrival: MonotonicInstant? = nil, _ done: @escaping Completion<Int>
    ) {
        begin(at: arrival, { done($0.map(\.living)) }) {
            TallyFlow(try SubjectIndex(subject: subject, crypto: crypto))
        }
    }

    /// The most keys that a call of SCAN looks at.
    public static let maxScanned = 1_000

    /// SCAN: a page of all sessions.
    /// - Parameters:
    ///   - cursor: `0`, or what the call before answered: digits.
    ///   - count: about so many keys of the database are looked at.
    public func scan(
        _ cursor: [UInt8], count: Int, at arrival: MonotonicInstant? = nil,
        _ done: @escaping Completion<ScannedSessions>
    ) {
        begin(at: arrival, done) { ScanFlow(cursor: cursor, count: count) }
    }

    /// REVOKEEVERYONE: no session and no guest that was made until now is good any more, on any daemon. What is left of
    /// sessions is turned into tombstones. The answer says how many.
    public func revokeEveryone(at arrival: MonotonicInstant? = nil, _ done: @escaping Completion<Int>) {
        counters.swept = 0
        run(RevokeEveryoneFlow(), at: arrival) { [self] result in
            if case .success(let count) = result {
                logger.notice("what was left of all sessions is ended", metadata: ["sessions": "\(count)"])
            }
            done(result)
        }
    }

    /// What a command speaks of, or the refusal of a token that cannot be good.
    private func judging(_ reference: SessionReference) throws -> Judged<Judging> {
        switch reference {
        case .sid(let sid, let subject): .accepted(Judging(sid, nil, of: subject))
        case .token(let presented): try claim(presented).map { Judging($0.sid, $0) }
        }
    }
}

/// A flow, or the refusal that stands before it began.
struct Checked<F: Flow, Value>: Flow where F.Answer == Judged<Value> {
    private(set) var flow: Judged<F>

    init(_ flow: Judged<F>) { self.flow = flow }

    var asksNearCache: Bool { if case .accepted(let flow) = flow { flow.asksNearCache } else { false } }
    var repeatsUnseen: Bool { if case .accepted(let flow) = flow { flow.repeatsUnseen } else { false } }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Judged<Value>> {
        switch flow {
        case .refused(let refusal): return .answer(.refused(refusal))
        case .accepted(var running):
            let step = try running.next(event, context)
            flow = .accepted(running)
            return step
        }
    }
}
