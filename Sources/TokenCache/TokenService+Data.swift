internal import TokenCrypto
public import Tokens

/// A session judged without an access: nothing is renewed, rotated or confirmed.
enum Judgement {
    case accepted(SessionRecord)
    case refused(Refusal)
}

extension FlowContext {
    /// S1 for commands that are no access: current, pending and previous tokens alike. A nil claim asks for the
    /// session itself.
    func judge(_ session: StoredSession, _ claim: Claim?, now: Milliseconds) throws -> Judgement {
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

/// SET, GET and INSPECT.
extension TokenService {
    /// The claim of a token, or the refusal of one that cannot be good.
    func resolve(_ reference: SessionReference) throws -> ResolvedReference {
        switch reference {
        case .sid(let sid): return .session(sid, nil)
        case .token(let presented):
            if case .refused(let refusal) = presented.credential { return .refused(refusal) }
            guard let claim = try claim(presented) else { return .refused(.unknown) }
            return .session(claim.sid, claim)
        }
    }

    /// Loads and judges a session, and goes on with the record and its data. A guest that no session was made of is
    /// accepted with a record that is not stored.
    func judged<Answer>(
        _ reference: SessionReference, _ done: @escaping Completion<Answer>, refused: @escaping (Refusal) -> Answer,
        accepted: @escaping (Claim?, SessionID, SessionRecord, StoredCopy) throws -> Void
    ) {
        attempt(done) {
            switch try resolve(reference) {
            case .refused(let refusal): answer(.success(refused(refusal)), done)
            case .session(let sid, let claim):
                settled(sid, done) { [self] in
                    load(sid, done) { [self] copy in
                        judge(copy, claim, sid, done, refused: refused, accepted: accepted)
                    }
                }
            }
        }
    }

    func judge<Answer>(
        _ copy: StoredCopy, _ claim: Claim?, _ sid: SessionID, _ done: @escaping Completion<Answer>,
        refused: @escaping (Refusal) -> Answer,
        accepted: @escaping (Claim?, SessionID, SessionRecord, StoredCopy) throws -> Void
    ) {
        attempt(done) {
            var claim = claim
            var copy = copy
            if var adopting = claim {
                copy = try adopt(copy, for: &adopting, now: try now())
                claim = adopting
            }
            judgementTime(copy.session, digest: claim?.digest, done) { [self, claim, copy] now in
                switch try judge(copy.session, claim, now: now) {
                case .refused(let refusal): done(.success(refused(refusal)))
                case .accepted(let record):
                    try checkDenials(sid)
                    try accepted(claim, sid, record, copy)
                }
            }
        }
    }

    /// All data fields of the session; the caller picks what was asked for.
    public func get(_ reference: SessionReference, _ done: @escaping Completion<GetAnswer>) {
        judged(reference, done, refused: GetAnswer.refused) { _, _, _, copy in
            done(.success(.accepted(data: copy.data)))
        }
    }

    public func inspect(_ reference: SessionReference, _ done: @escaping Completion<InspectAnswer>) {
        judged(reference, done, refused: InspectAnswer.refused) { [self] claim, sid, record, copy in
            let differs = try claim.map { try checkBindings(record, $0).differs } ?? []
            if let guest = claim?.guest, !record.isStored {
                var view = SessionView(guest, now: guestSeconds, newToken: nil)
                view.differs = differs
                return done(.success(.live(view, successor: .none, dataFields: 0)))
            }
            var view = SessionView(record, sid: sid, now: try now(), newToken: nil, data: [])
            view.differs = differs
            let successor: InspectAnswer.SuccessorState =
                record.previous == nil ? .none : record.confirmedAt == nil ? .pending : .confirmed
            done(.success(.live(view, successor: successor, dataFields: copy.data.count)))
        }
    }

    /// Sets data fields; unchanged values write nothing, an empty value removes the field. No name twice. A guest
    /// becomes a session by it.
    public func set(_ reference: SessionReference, _ data: [RecordField], _ done: @escaping Completion<SetAnswer>) {
        // A worker that names the session validated its token before: one round trip.
        if case .sid(let sid) = reference, !denials.isDenied(sid, at: store.instant) {
            return write(data, of: sid, basis: .anyLiving, attempt: 0, newToken: nil, done) { [self] copy in
                switch try judge(copy.session, nil, now: try now()) {
                case .refused(let refusal): done(.success(.refused(refusal)))
                case .accepted: throw Unavailable(reason: RecordError.damaged(field: "r").description)
                }
            }
        }
        judged(reference, done, refused: SetAnswer.refused) { [self] claim, sid, record, _ in
            try set(data, of: sid, claim, over: record, attempt: 0, done)
        }
    }

    private func set(
        _ data: [RecordField], of sid: SessionID, _ claim: Claim?, over record: SessionRecord, attempt number: Int,
        _ done: @escaping Completion<SetAnswer>
    ) throws {
        let overtaken: (StoredCopy) throws -> Void = { [self] copy in
            judge(copy, claim, sid, done, refused: SetAnswer.refused) { [self] claim, sid, record, _ in
                try set(data, of: sid, claim, over: record, attempt: number + 1, done)
            }
        }
        if let claim, !record.isStored {
            return try promote(record, claim, data, attempt: number, done, overtaken: overtaken)
        }
        // Whoever still comes with the guest's token did not get the session's.
        let successor = try claim.flatMap { $0.guest == nil ? nil : try pendingSuccessor(record, for: $0) }
        write(
            data, of: sid, basis: .revision(record.revision), attempt: number, newToken: successor, done,
            overtaken: overtaken)
    }

    private func write(
        _ data: [RecordField], of sid: SessionID, basis: Change.Basis, attempt number: Int, newToken: SessionToken?,
        _ done: @escaping Completion<SetAnswer>, overtaken: @escaping (StoredCopy) throws -> Void
    ) {
        // Not repeatable: done twice it would count no change.
        var change = Change(basis: basis, data: data, needsMemory: true)
        change.isRepeatable = false
        commit(change, of: sid, attempt: number, done) { changed in
            done(.success(.accepted(changed: changed, newToken: newToken)))
        } overtaken: {
            try overtaken($0)
        }
    }
}

/// What a command speaks of.
enum ResolvedReference {
    /// Without a claim where a worker named the session.
    case session(SessionID, Claim?)
    case refused(Refusal)
}
