internal import TokenCrypto
public import Tokens

/// A session judged without an access: nothing is renewed, rotated or confirmed.
enum Judgement {
    case accepted(SessionRecord)
    case refused(Refusal)
}

/// SET, GET and INSPECT.
extension TokenService {
    /// S1 for commands that are no access: current, pending and previous tokens alike. A nil digest asks for the
    /// session itself.
    func judge(_ session: StoredSession, digest: Digest?, now: Milliseconds) -> Judgement {
        switch session {
        case .absent: return .refused(.unknown)
        case .ended(let tombstone): return .refused(.revoked(tombstone.reason))
        case .live(let record):
            guard let digest else { return .accepted(record) }
            let standing = record.standing(of: digest, policy: policy, now: now)
            if standing.isAccepted { return .accepted(record) }
            return .refused(standing == .forged ? .unknown : .replayed)
        }
    }

    /// The session's id and the digest to check; nil where the text cannot be a token.
    func resolve(_ reference: SessionReference) throws(CryptoError) -> (sid: SessionID, digest: Digest?)? {
        switch reference {
        case .sid(let sid): (sid, nil)
        case .token(nil): nil
        case .token(let token?): (token.sid, try crypto.digest(token.verifier))
        }
    }

    /// Loads and judges a session, and goes on with the record and its data.
    private func judged<Answer>(
        _ reference: SessionReference, _ done: @escaping Completion<Answer>, refused: @escaping (Refusal) -> Answer,
        accepted: @escaping (SessionID, Digest?, SessionRecord, StoredCopy) throws -> Void
    ) {
        attempt(done) {
            guard let (sid, digest) = try resolve(reference) else {
                return answer(.success(refused(.unknown)), done)
            }
            load(sid, done) { [self] copy in
                judgementTime(copy.session, digest: digest, done) { [self] now in
                    switch judge(copy.session, digest: digest, now: now) {
                    case .refused(let refusal): done(.success(refused(refusal)))
                    case .accepted(let record):
                        try checkDenials(sid)
                        try accepted(sid, digest, record, copy)
                    }
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
        judged(reference, done, refused: InspectAnswer.refused) { [self] sid, _, record, copy in
            let view = SessionView(record, sid: sid, now: try now(), newToken: nil, data: [])
            let successor: InspectAnswer.SuccessorState =
                record.previous == nil ? .none : record.confirmedAt == nil ? .pending : .confirmed
            done(.success(.live(view, successor: successor, dataFields: copy.data.count)))
        }
    }

    /// Sets data fields; unchanged values write nothing, an empty value removes the field. No name twice.
    public func set(_ reference: SessionReference, _ data: [RecordField], _ done: @escaping Completion<SetAnswer>) {
        // A worker that names the session validated its token before: one round trip.
        if case .sid(let sid) = reference, !denials.isDenied(sid) {
            return write(data, of: sid, basis: .anyLiving, attempt: 0, done) { [self] copy in
                switch judge(copy.session, digest: nil, now: try now()) {
                case .refused(let refusal): done(.success(.refused(refusal)))
                case .accepted: throw Unavailable(reason: RecordError.damaged(field: "r").description)
                }
            }
        }
        judged(reference, done, refused: SetAnswer.refused) { [self] sid, digest, record, _ in
            set(data, of: sid, digest: digest, over: record, attempt: 0, done)
        }
    }

    private func set(
        _ data: [RecordField], of sid: SessionID, digest: Digest?, over record: SessionRecord, attempt number: Int,
        _ done: @escaping Completion<SetAnswer>
    ) {
        write(data, of: sid, basis: .revision(record.revision), attempt: number, done) { [self] copy in
            judgementTime(copy.session, digest: digest, done) { [self] now in
                switch judge(copy.session, digest: digest, now: now) {
                case .refused(let refusal): done(.success(.refused(refusal)))
                case .accepted(let record):
                    set(data, of: sid, digest: digest, over: record, attempt: number + 1, done)
                }
            }
        }
    }

    private func write(
        _ data: [RecordField], of sid: SessionID, basis: Change.Basis, attempt number: Int,
        _ done: @escaping Completion<SetAnswer>, overtaken: @escaping (StoredCopy) throws -> Void
    ) {
        // Not repeatable: done twice it would count no change.
        var change = Change(basis: basis, data: data, needsMemory: true)
        change.isRepeatable = false
        commit(change, of: sid, attempt: number, done) { changed in
            done(.success(.accepted(changed: changed)))
        } overtaken: {
            try overtaken($0)
        }
    }
}
