internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// A session that a token is good for, or that a worker named.
struct JudgedSession {
    let claim: Claim?
    let sid: SessionID
    /// Of a guest that no session was made of: one that is not stored.
    let record: SessionRecord
    let data: [RecordField]
}

/// What commands share that are no access: the session is read anew and judged, nothing is renewed, rotated or confirmed.
struct Judging {
    let sid: SessionID
    /// Nil where a worker named the session.
    private(set) var claim: Claim?
    /// Whose session it must be, where a worker named it and said whose; nil: anybody's.
    let subject: [UInt8]?
    /// What was judged last, or is to be by Redis's own time, which was asked for.
    private(set) var copy: StoredCopy?

    init(_ sid: SessionID, _ claim: Claim?, of subject: [UInt8]? = nil) {
        self.sid = sid
        self.claim = claim
        self.subject = subject
    }

    /// - Parameter accept: goes on with a session that is good.
    mutating func next<Value>(
        _ event: FlowEvent, _ context: some FlowContext,
        accept: (JudgedSession) throws -> FlowStep<Judged<Value>>
    ) throws -> FlowStep<Judged<Value>> {
        let now: UnixMilliseconds
        switch event {
        case .begin: return .whenSettled(sid)
        case .settled: return .read(.anew(sid))
        case .read(let read, _), .overtaken(let read):
            let estimate = try context.now()
            copy = read
            if var owner = claim {
                let adopted = try context.adopt(read, for: &owner, now: estimate)
                (claim, copy) = (owner, adopted)
                guard let time = try context.judgementTime(adopted.session, digest: owner.digest) else {
                    return .askTime
                }
                now = time
            } else {
                now = estimate
            }
        case .time(let time): now = time
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
        guard let copy else { throw UnexpectedEvent() }
        if let subject {
            guard case .live(let record) = copy.session, record.subject == subject else {
                return .answer(.refused(.unknown))
            }
        }
        switch try context.judge(copy.session, claim, now: now) {
        case .refused(let refusal): return .answer(.refused(refusal))
        case .accepted(let record):
            try context.checkDenials(sid)
            return try accept(JudgedSession(claim: claim, sid: sid, record: record, data: copy.data))
        }
    }
}

extension FlowContext {
    /// S1 for commands that are no access: current, pending and previous tokens alike. A nil claim asks for the
    /// session itself.
    func judge(_ session: StoredSession, _ claim: Claim?, now: UnixMilliseconds) throws -> Judged<SessionRecord> {
        switch session {
        case .absent: return .refused(.unknown)
        case .ended(let tombstone): return .refused(.revoked(tombstone.reason))
        case .live(let record):
            guard let claim else { return .accepted(record) }
            let standing = record.standing(of: claim.digest, policy: policy, now: now)
            guard standing.isAccepted else { return .refused(standing == .forged ? .unknown : .replayed) }
            return try checkBindings(record, claim).isMismatch ? .refused(.mismatch) : .accepted(record)
        }
    }
}

/// GET: all data fields of a session; the caller picks what was asked for.
struct GetFlow: Flow {
    let asksNearCache: Bool
    private(set) var judging: Judging

    /// - Parameter asksNearCache: where a session's token was presented.
    init(_ judging: Judging, asksNearCache: Bool) {
        self.judging = judging
        self.asksNearCache = asksNearCache
    }

    mutating func next(
        _ event: FlowEvent, _ context: some FlowContext
    ) throws -> FlowStep<Judged<HeldData>> {
        try judging.next(event, context) { .answer(.accepted(HeldData(sid: $0.sid, fields: $0.data))) }
    }
}

/// INSPECT: a session as it stands.
struct InspectFlow: Flow {
    private(set) var judging: Judging

    init(_ judging: Judging) { self.judging = judging }

    mutating func next(
        _ event: FlowEvent, _ context: some FlowContext
    ) throws -> FlowStep<Judged<Inspection>> {
        try judging.next(event, context) { session in .answer(.accepted(try Self.inspect(session, context))) }
    }

    private static func inspect(_ session: JudgedSession, _ context: some FlowContext) throws -> Inspection {
        let record = session.record
        let differs = try session.claim.map { try context.checkBindings(record, $0).differs } ?? []
        if let guest = session.claim?.guest, !record.isStored {
            var view = SessionView(guest, now: context.guestSeconds, newToken: nil)
            view.differs = differs
            return Inspection(session: view, successor: .none, dataFields: 0)
        }
        var view = SessionView(record, sid: session.sid, now: try context.now(), newToken: nil, data: [])
        view.differs = differs
        let successor: Inspection.SuccessorState =
            record.previous == nil ? .none : record.confirmedAt == nil ? .pending : .confirmed
        return Inspection(session: view, successor: successor, dataFields: session.data.count)
    }
}
