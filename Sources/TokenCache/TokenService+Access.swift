internal import Logging
internal import TokenCrypto
public import Tokens

/// VALIDATE and VISIT: the access that renews, rotates and confirms.
extension TokenService {
    /// One access on its way: what was presented, how often it was decided.
    struct Access {
        let token: SessionToken
        let digest: Digest
        var attempts = 0
        /// Whether Redis's own time was asked for a refusal that depends on it.
        var clockWasAsked = false
        /// Whether the token was accepted and touched already in this request.
        var wasTouched = false
    }

    /// Is the token good? Renews, rotates and confirms. A nil token is one that cannot be a token.
    public func validate(_ token: SessionToken?, _ done: @escaping Completion<Verdict>) {
        guard let token else {
            count(.unknown)
            return done(.success(.refused(.unknown)))
        }
        attempt(done) {
            access(Access(token: token, digest: try crypto.digest(token.verifier)), done)
        }
    }

    private func access(_ access: Access, _ done: @escaping Completion<Verdict>) {
        load(access.token.sid, done) { [self] copy in try decide(access, on: copy, done) }
    }

    private func decide(_ access: Access, on copy: StoredCopy, _ done: @escaping Completion<Verdict>) throws {
        var access = access
        access.attempts += 1
        let record: SessionRecord
        switch copy.session {
        case .absent: return refuse(.unknown, done)
        case .ended(let tombstone): return refuse(.revoked(tombstone.reason), done)
        case .live(let live): record = live
        }
        let now = try now()
        switch record.decideAccess(digest: access.digest, policy: policy, now: now) {
        case .accept(let touch):
            accept(access, record, copy.data, successor: nil, touch, done)
        case .acceptAwaitingSuccessor(let touch):
            accept(access, record, copy.data, successor: try openSuccessor(record, for: access), touch, done)
        case .confirm:
            advance(access, from: record, to: record.confirmed(now: now), copy.data, \.confirmations, done)
        case .rotate:
            let successor: Verifier = try randomBytes()
            let sealed = try crypto.seal(successor, under: access.token.verifier, sid: access.token.sid)
            let next = record.rotated(to: try crypto.digest(successor), sealed: sealed, policy: policy, now: now)
            advance(access, from: record, to: next, copy.data, \.rotations, done)
        case .refuseUnknown:
            refuse(.unknown, done)
        case .refuseReplayed, .endReplayed:
            // Whether the overlap is over was decided by an estimate of Redis's clock; a refusal is not left to it.
            guard access.clockWasAsked else { return askClock(access, copy, done) }
            if record.decideAccess(digest: access.digest, policy: policy, now: now) == .endReplayed {
                endReplayed(access, record, now: now, done)
            } else {
                logger.notice("a retired token came back", metadata: ["sid": "\(access.token.sid)"])
                refuse(.replayed, done)
            }
        }
    }

    /// The pending successor, as the record tells it to the holder of the old token; never one of our own making.
    private func openSuccessor(_ record: SessionRecord, for access: Access) throws -> SessionToken {
        guard let previous = record.previous,
            let verifier = try crypto.open(
                previous.sealedSuccessor, under: access.token.verifier, sid: access.token.sid, digest: record.current)
        else { throw Unavailable(reason: RecordError.damaged(field: "s").description) }
        return SessionToken(sid: access.token.sid, verifier: verifier)
    }

    /// Writes the next state, then decides again on it: what is answered is what stands in Redis.
    private func advance(
        _ access: Access, from record: SessionRecord, to next: SessionRecord, _ data: [RecordField],
        _ counter: WritableKeyPath<TokenCounters, UInt64>, _ done: @escaping Completion<Verdict>
    ) {
        commit(Change(from: record, to: next), of: access.token.sid, attempt: access.attempts, done) { [self] _ in
            counters[keyPath: counter] += 1
            try decide(access, on: StoredCopy(session: .live(next), data: data), done)
        } overtaken: { [self] copy in
            try decide(access, on: copy, done)
        }
    }

    private func accept(
        _ access: Access, _ record: SessionRecord, _ data: [RecordField], successor: SessionToken?, _ touch: Touch,
        _ done: @escaping Completion<Verdict>
    ) {
        if touch == .beforeReply, !access.wasTouched { return touchFirst(access, record, done) }
        guard let now = store.clock else { return fail(Unavailable(reason: "Redis's clock is not known yet"), done) }
        if successor == nil { counters.valid += 1 } else { counters.rotated += 1 }
        let view = SessionView(record, sid: access.token.sid, now: now, newToken: successor, data: data)
        done(.success(.accepted(view)))
        if touch == .afterReply, !access.wasTouched {
            counters.touches += 1
            store.touch(access.token.sid, interval: record.touchInterval(policy: policy)) { _ in }
        }
    }

    /// Little of the idle limit remains: the access is recorded before it is granted, and then decided anew.
    private func touchFirst(_ access: Access, _ record: SessionRecord, _ done: @escaping Completion<Verdict>) {
        counters.touches += 1
        var access = access
        access.wasTouched = true
        store.touch(access.token.sid, interval: record.touchInterval(policy: policy)) { [self] result in
            attempt(done) {
                _ = try result.get()
                self.access(access, done)
            }
        }
    }

    private func askClock(_ access: Access, _ copy: StoredCopy, _ done: @escaping Completion<Verdict>) {
        var access = access
        access.clockWasAsked = true
        store.synchroniseClock { [self] result in
            attempt(done) {
                try result.get()
                try decide(access, on: copy, done)
            }
        }
    }

    private func endReplayed(
        _ access: Access, _ record: SessionRecord, now: Milliseconds, _ done: @escaping Completion<Verdict>
    ) {
        end(record, access.token.sid, Tombstone(reason: .replay), attempt: access.attempts, done) { [self] in
            logger.warning("a retired token came back, its session was ended", metadata: ["sid": "\(access.token.sid)"])
            refuse(.replayed, done)
        } overtaken: { [self] copy in
            try decide(access, on: copy, done)
        }
    }

    private func refuse(_ refusal: Refusal, _ done: Completion<Verdict>) {
        count(refusal)
        done(.success(.refused(refusal)))
    }

    /// One page view: the token's verdict, and a holder in any case.
    ///
    /// Here is the seam where a guest goes: until guests exist, whoever comes without an accepted token gets a stored
    /// anonymous session.
    public func visit(_ token: SessionToken?, isEmpty: Bool, _ done: @escaping Completion<VisitAnswer>) {
        guard !isEmpty else { return welcome(.none, done) }
        validate(token) { [self] result in
            switch result {
            case .failure(let fault): done(.failure(fault))
            case .success(.accepted(let view)): done(.success(VisitAnswer(presented: .accepted, holder: view)))
            case .success(.refused(let refusal)): welcome(.refused(refusal), done)
            }
        }
    }

    private func welcome(_ presented: VisitAnswer.PresentedToken, _ done: @escaping Completion<VisitAnswer>) {
        issue(SessionRequest()) { result in
            done(result.map { VisitAnswer(presented: presented, holder: $0) })
        }
    }
}
