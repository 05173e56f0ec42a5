internal import Logging
internal import TokenCrypto
internal import Tokens

/// VALIDATE and VISIT: the access that renews, rotates and confirms.
extension TokenService {
    /// One access on its way: what was presented, how often it was decided.
    struct Access {
        var claim: Claim
        var attempts = 0
        /// Whether this access has confirmed the token: such an access never also rotates.
        var hasConfirmed = false
        /// Whether the session's data is wanted, too: an answer without it would be none.
        var needsData = false
        /// Whether the token was accepted and touched already in this request.
        var wasTouched = false
        /// Signals that differ from what the session is bound to, where that is only told.
        var differs: [Signal] = []
        /// Nothing but the near cache was asked so far.
        var origin = Origin.memory

        var token: SessionToken { claim.token }
        var digest: Digest { claim.digest }

        init(claim: Claim, needsData: Bool) {
            self.claim = claim
            self.needsData = needsData
        }
    }

    /// Where the record comes from that an access is decided on.
    enum Origin {
        /// A read begun after the request arrived, or the answer of a script.
        case redis(mayBeKept: Bool)
        /// A read that had begun before: good for accepting, not for refusing.
        case earlierRead(mayBeKept: Bool)
        /// The near cache: the same.
        case memory

        var isMemory: Bool { if case .memory = self { true } else { false } }
        var mayRefuse: Bool { if case .redis = self { true } else { false } }
        var mayBeKept: Bool {
            switch self {
            case .redis(let mayBeKept), .earlierRead(let mayBeKept): mayBeKept
            case .memory: false
            }
        }
    }

    /// Is the token good? Renews, rotates and confirms.
    /// - Parameter needsData: the caller wants the session's data with it.
    public func validate(_ presented: Presented, needsData: Bool = false, _ done: @escaping Completion<Verdict>) {
        switch presented.credential {
        case .refused(let refusal):
            count(refusal)
            answer(.success(.refused(refusal)), done)
        case .guest(let guest):
            validate(guest, presented.signals, needsData: needsData, done)
        case .session(let token):
            attempt(done) {
                access(Access(claim: try claim(token, presented.signals), needsData: needsData), done)
            }
        }
    }

    func access(_ access: Access, _ done: @escaping Completion<Verdict>) {
        settled(access.token.sid, done) { [self] in try settledAccess(access, done) }
    }

    private func settledAccess(_ access: Access, _ done: @escaping Completion<Verdict>) throws {
        if let tombstone = cachedTombstone(access.token.sid) {
            if access.origin.isMemory { sessions?.countHit() }
            count(.revoked(tombstone.reason))
            return answer(.success(.refused(.revoked(tombstone.reason))), done)
        }
        if !access.wasTouched,
            let copy = try? warmCopy(access.token, digest: access.digest, needsData: access.needsData)
        {
            return store.later { [self] in attempt(done) { try decide(access, on: copy, done) } }
        }
        read(access, anew: false, done)
    }

    /// Redis is asked, or told: from here on the answer is not the near cache's, which is counted once.
    private func leaveMemory(_ access: inout Access) {
        if access.origin.isMemory { sessions?.countMiss() }
        access.origin = .redis(mayBeKept: false)
    }

    /// Asks Redis; in company with others who want the same session, unless `anew`.
    private func read(_ access: Access, anew: Bool, _ done: @escaping Completion<Verdict>) {
        var access = access
        leaveMemory(&access)
        let finish: SessionReader.Completion = { [self, access] result in
            attempt(done) {
                switch result {
                case .failure(let unavailable):
                    guard let view = try staleView(access) else { throw unavailable }
                    done(.success(.accepted(view)))
                case .success(let read):
                    var access = access
                    access.origin =
                        read.beganEarlier ? .earlierRead(mayBeKept: read.mayBeKept) : .redis(mayBeKept: read.mayBeKept)
                    try decide(access, on: read.copy, done)
                }
            }
        }
        guard let sessions else {
            return store.load(access.token.sid) { result in
                finish(result.map { SessionRead(copy: $0, beganEarlier: false, mayBeKept: false) })
            }
        }
        if anew {
            sessions.reader.readAnew(access.token.sid, finish)
        } else {
            sessions.reader.read(access.token.sid, finish)
        }
    }

    /// - Parameter time: Redis's own, where it was asked for this decision.
    private func decide(
        _ access: Access, on copy: StoredCopy, time: Milliseconds? = nil, _ done: @escaping Completion<Verdict>
    ) throws {
        var access = access
        access.attempts += 1
        let now = try time ?? now()
        let record: SessionRecord
        switch try adopt(copy, for: &access.claim, now: now).session {
        case .absent: return refuse(.unknown, access, done)
        case .ended(let tombstone):
            if access.origin.mayBeKept { keep(tombstone, sid: access.token.sid) }
            return refuse(.revoked(tombstone.reason), access, done)
        case .live(let live): record = live
        }
        try checkDenials(access.token.sid)
        if let guest = access.claim.guest, !record.isStored {
            return done(.success(try verdict(on: guest, access.claim.signals)))
        }
        if record.standing(of: access.digest, policy: policy, now: now).isAccepted {
            let bindings = try checkBindings(record, access.claim)
            if bindings.isMismatch { return refuse(.mismatch, access, done) }
            if let renewed = bindings.renewed { return renewBindings(renewed, access, record, copy.data, done) }
            access.differs = bindings.differs
        }
        switch record.decideAccess(digest: access.digest, policy: policy, now: now) {
        case .accept(let touch):
            keepIfTrue(access, record, copy.data, touch, now: now)
            accept(access, record, copy.data, successor: nil, touch, done)
        case .acceptAwaitingSuccessor(let touch):
            keepIfTrue(access, record, copy.data, touch, now: now)
            accept(access, record, copy.data, successor: try pendingSuccessor(record, for: access.claim), touch, done)
        case .confirm:
            access.hasConfirmed = true
            advance(access, from: record, to: record.confirmed(now: now), copy.data, \.confirmations, done)
        case .rotate where access.hasConfirmed:
            accept(access, record, copy.data, successor: nil, .none, done)
        case .rotate:
            let successor: Verifier = try randomBytes()
            let sealed = try crypto.seal(successor, under: access.token.verifier, sid: access.token.sid)
            let next = record.rotated(to: try crypto.digest(successor), sealed: sealed, policy: policy, now: now)
            advance(access, from: record, to: next, copy.data, \.rotations, done)
        case .refuseUnknown:
            refuse(.unknown, access, done)
        case .refuseReplayed, .endReplayed:
            guard access.origin.mayRefuse else { return read(access, anew: true, done) }
            // Whether the overlap is over was decided by an estimate of Redis's clock; a refusal is not left to it.
            guard time != nil || record.previous?.digest != access.digest else { return askTime(access, copy, done) }
            if record.decideAccess(digest: access.digest, policy: policy, now: now) == .endReplayed {
                endReplayed(access, record, now: now, done)
            } else {
                logger.notice("a retired token came back", metadata: ["sid": "\(access.token.sid)"])
                refuse(.replayed, access, done)
            }
        }
    }

    /// Puts into the near cache what a read found and this access accepted. Not where a touch is due: that write
    /// would throw it out again.
    private func keepIfTrue(
        _ access: Access, _ record: SessionRecord, _ data: [RecordField], _ touch: Touch, now: Milliseconds
    ) {
        guard access.origin.mayBeKept, touch == .none else { return }
        let isCurrent = access.digest == record.current
        keep(record, sid: access.token.sid, verifier: isCurrent ? access.token.verifier : nil, data: data, now: now)
    }

    /// Writes the next state, then decides again on it: what is answered is what stands in Redis.
    private func advance(
        _ access: Access, from record: SessionRecord, to next: SessionRecord, _ data: [RecordField],
        _ counter: WritableKeyPath<TokenCounters, UInt64>, _ done: @escaping Completion<Verdict>
    ) {
        var access = access
        leaveMemory(&access)
        let change = Change(access: next, over: record.revision)
        commit(change, of: access.token.sid, attempt: access.attempts, done) { [self] _ in
            counters[keyPath: counter] += 1
            try decide(access, on: StoredCopy(session: .live(next), data: data), done)
        } overtaken: { [self] copy in
            try decide(access, on: copy, done)
        } unanswered: { [self] in
            // Rotated or not, the old token is good.
            try staleView(access, isUnanswered: true).map(Verdict.accepted)
        }
    }

    /// Writes bindings whose key is gone anew, then decides again. A binding is no reason to refuse: the key's end is
    /// the operator's doing, not the visitor's.
    private func renewBindings(
        _ bindings: Bindings, _ access: Access, _ record: SessionRecord, _ data: [RecordField],
        _ done: @escaping Completion<Verdict>
    ) {
        var access = access
        leaveMemory(&access)
        var next = record
        next.bindings = bindings
        next.revision &+= 1
        commit(
            Change(bindings: next, over: record.revision), of: access.token.sid, attempt: access.attempts, done
        ) { [self, next] _ in
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
        guard let now = store.clock else { return fail(store.outage, done) }
        if access.origin.isMemory { sessions?.countHit() }
        if successor == nil { counters.valid += 1 } else { counters.rotated += 1 }
        var view = SessionView(record, sid: access.token.sid, now: now, newToken: successor, data: data)
        view.differs = access.differs
        done(.success(.accepted(view)))
        if touch == .afterReply, !access.wasTouched {
            counters.touches += 1
            store.touch(access.token.sid, interval: record.touchInterval(policy: policy)) { [self] result in
                if case .success = result { forget(access.token.sid) }
            }
        }
    }

    /// Little of the idle limit remains: the access is recorded before it is granted, and then decided anew.
    private func touchFirst(_ access: Access, _ record: SessionRecord, _ done: @escaping Completion<Verdict>) {
        counters.touches += 1
        var access = access
        leaveMemory(&access)
        access.wasTouched = true
        store.touch(access.token.sid, interval: record.touchInterval(policy: policy)) { [self] result in
            attempt(done) {
                if case .failure(let fault) = result, fault.isSilence,
                    let view = try staleView(access, isUnanswered: true)
                {
                    return done(.success(.accepted(view)))
                }
                _ = try result.get()
                forget(access.token.sid)
                // It has waited for ends under way before; one may be its own (`endReplayed`).
                try settledAccess(access, done)
            }
        }
    }

    private func askTime(_ access: Access, _ copy: StoredCopy, _ done: @escaping Completion<Verdict>) {
        var access = access
        // By then the session may have changed.
        leaveMemory(&access)
        store.askTime { [self] result in
            attempt(done) { try decide(access, on: copy, time: try result.get(), done) }
        }
    }

    private func endReplayed(
        _ access: Access, _ record: SessionRecord, now: Milliseconds, _ done: @escaping Completion<Verdict>
    ) {
        let done = forcing(access.token.sid, done)
        end(record, access.token.sid, Tombstone(reason: .replay), attempt: access.attempts, done) { [self] in
            logger.warning("a retired token came back, its session was ended", metadata: ["sid": "\(access.token.sid)"])
            refuse(.replayed, access, done)
        } overtaken: { [self] copy in
            try decide(access, on: copy, done)
        }
    }

    /// A refusal comes from a script, or from a read of Redis begun after the request arrived; else it is asked again.
    private func refuse(_ refusal: Refusal, _ access: Access, _ done: @escaping Completion<Verdict>) {
        guard access.origin.mayRefuse else { return read(access, anew: true, done) }
        count(refusal)
        done(.success(.refused(refusal)))
    }
}
