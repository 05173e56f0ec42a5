internal import EventLoop
internal import Logging
internal import Tokens

/// One flow on its way. All that waits for Redis, for ends under way and for the loop holds this and nothing else.
private final class Run<F: Flow> {
    var flow: F
    let done: TokenService.Completion<F.Answer>
    /// `run` has returned: from now on an answer may be told at once.
    var mayAnswer = false
    /// Redis was asked or told: the answer is not the near cache's.
    var leftMemory = false
    var writes = 0
    /// Sessions that others wait for until this flow has answered.
    var held: [(sid: SessionID, number: ForcedChanges.Number)] = []

    init(_ flow: F, _ done: @escaping TokenService.Completion<F.Answer>) {
        self.flow = flow
        self.done = done
    }
}

/// Runs flows: the one place that waits, counts hits and misses, bounds attempts, and takes in what Redis said.
extension TokenService: FlowContext {
    func run<F: Flow>(_ flow: F, _ done: @escaping Completion<F.Answer>) {
        let run = Run(flow, done)
        advance(run, .begin)
        run.mayAnswer = true
    }

    private func advance<F>(_ run: Run<F>, _ first: FlowEvent) {
        do {
            var event: FlowEvent? = first
            while let known = event { event = try perform(try run.flow.next(known, self), run) }
        } catch { fail(run, error) }
    }

    private func fail<F>(_ run: Run<F>, _ error: any Error) {
        let fault = ServiceFault(error)
        if case .unavailable = fault { counters.unavailable += 1 }
        finish(run, .failure(fault), touch: nil)
    }

    /// Carries out a step.
    /// - Returns: the event where it is known at once; nil where it will come.
    private func perform<F>(_ step: FlowStep<F.Answer>, _ run: Run<F>) throws -> FlowEvent? {
        switch step {
        case .whenSettled(let sid):
            guard forced.contains(sid) else { return .settled }
            _ = forced.wait(for: sid) { [self] fault in
                if let fault { fail(run, fault) } else { advance(run, .settled) }
            }
        case .hold(let sid, let claim):
            if try !isMadeUp(claim) { hold(sid, run) }
            return .held
        case .read(let source): read(source, run)
        case .write(let write, let sid):
            leaveMemory(run)
            if write.isForced { hold(sid, run) }
            try self.write(write, of: sid, run)
        case .touch(let sid, let interval):
            leaveMemory(run)
            counters.touches += 1
            store.touch(sid, interval: interval) { [self] result in
                if case .success = result { forget(sid) }
                advance(run, result.event { _ in .touched })
            }
        case .askTime:
            leaveMemory(run)
            store.askTime { [self] result in advance(run, result.event(FlowEvent.time)) }
        case .answer(let answer, let touch):
            if F.isAccess, !run.leftMemory { sessions?.countHit() }
            finish(run, .success(answer), touch: touch)
        }
        return nil
    }

    private func finish<F>(
        _ run: Run<F>, _ result: Result<F.Answer, ServiceFault>, touch: (sid: SessionID, interval: Milliseconds)?
    ) {
        guard run.mayAnswer else { return store.later { [self] in finish(run, result, touch: touch) } }
        let released = run.held.isEmpty ? [] : run.held.flatMap { forced.end($0.number, of: $0.sid) }
        run.done(result)
        if let touch {
            counters.touches += 1
            store.touch(touch.sid, interval: touch.interval) { [self] result in
                if case .success = result { forget(touch.sid) }
            }
        }
        var unknown: ServiceFault?
        if case .failure(let fault) = result, case .unavailable = fault { unknown = fault }
        for resume in released { resume(unknown) }
    }

    // MARK: Reading

    private func read<F>(_ source: ReadSource, _ run: Run<F>) {
        leaveMemory(run)
        let finish: SessionReader.Completion = { [self] result in
            advance(
                run,
                result.event { read in
                    .read(
                        read.copy,
                        read.beganEarlier
                            ? .earlierRead(mayBeKept: read.mayBeKept) : .redis(mayBeKept: read.mayBeKept))
                })
        }
        switch source {
        case .shared(let sid):
            if let reader = sessions?.reader { reader.read(sid, finish) } else { load(sid, finish) }
        case .anew(let sid):
            if let reader = sessions?.reader { reader.readAnew(sid, finish) } else { load(sid, finish) }
        }
    }

    private func load(_ sid: SessionID, _ done: @escaping SessionReader.Completion) {
        store.load(sid) { result in
            done(result.map { SessionRead(copy: $0, beganEarlier: false, mayBeKept: false) })
        }
    }

    func nearCopy(_ claim: Claim, needsData: Bool) -> StoredCopy? {
        if let tombstone = cachedTombstone(claim.sid) { return StoredCopy(session: .ended(tombstone), data: []) }
        return try? warmCopy(claim.token, digest: claim.digest, needsData: needsData)
    }

    private func leaveMemory<F>(_ run: Run<F>) {
        guard F.isAccess, !run.leftMemory else { return }
        run.leftMemory = true
        sessions?.countMiss()
    }

    // MARK: Writing

    private func write<F>(_ write: SessionWrite, of sid: SessionID, _ run: Run<F>) throws {
        run.writes += 1
        guard run.writes <= Self.maxAttempts else {
            throw Unavailable(reason: "the session is being changed faster than this request could follow")
        }
        let change = write.change(tombstoneEnd: try now() + policy.tombstone)
        guard let indexed = write.entersIndex else { return commit(write, change, of: sid, run) }
        let index = try SubjectIndex(subject: indexed.subject, crypto: crypto)
        store.addToIndex(index, sid: sid, absoluteEnd: indexed.absoluteEnd) { [self] result in
            switch result {
            case .success: commit(write, change, of: sid, run)
            case .failure(let fault): advance(run, .failed(fault))
            }
        }
    }

    private func commit<F>(_ write: SessionWrite, _ change: Change, of sid: SessionID, _ run: Run<F>) {
        begin(change, of: sid)
        let limit = policy.maxData
        store.commit(change, of: sid, maxData: limit) { [self] result in
            settle(change, of: sid, result)
            switch result {
            case .success(.done):
                written(write, of: sid)
                advance(run, .written)
            case .success(.overtaken(let copy)):
                counters.overtaken += 1
                advance(run, .overtaken(copy))
            case .success(.tooLarge(let bytes)):
                fail(run, ServiceFault.dataTooLarge(bytes: bytes, limit: limit))
            case .failure(let fault): advance(run, .failed(fault))
            }
        }
    }

    private func written(_ write: SessionWrite, of sid: SessionID) {
        if let counter = write.counter { counters[keyPath: counter] += 1 }
        guard case .ended(let tombstone) = write.next, let old = write.over else { return }
        logger.info("session ended", metadata: ["sid": "\(sid)", "reason": "\(tombstone.reason.rawValue)"])
        // A member left behind leaves by its score.
        if !old.subject.isEmpty, let index = try? SubjectIndex(subject: old.subject, crypto: crypto) {
            store.removeFromIndex(index, [sid])
        }
    }

    // MARK: Holding

    private func hold<F>(_ sid: SessionID, _ run: Run<F>) {
        guard !run.held.contains(where: { $0.sid == sid }) else { return }
        forget(sid)
        run.held.append((sid, forced.begin(sid)))
    }

    /// A made-up verifier must not hold anybody's session: where the session is known here, its own tokens only.
    private func isMadeUp(_ claim: Claim?) throws -> Bool {
        guard let claim, let cache = sessions?.cache, let index = cache.find(claim.sid), let now = store.clock else {
            return false
        }
        let record = try cache[index].record(presented: claim.token.verifier, digest: claim.digest, crypto: crypto)
        return record?.standing(of: claim.digest, policy: policy, now: now).isOwn != true
    }

    // MARK: What flows tell

    func countAccepted(isRotated: Bool) { if isRotated { counters.rotated += 1 } else { counters.valid += 1 } }
    func countLogin() { counters.logins += 1 }
    func noteSession(ofGuest sid: SessionID) { sessionsChangedHere.insert(sid) }

    func report(_ notice: FlowNotice) {
        switch notice {
        case .replayed(let sid): logger.notice("a retired token came back", metadata: ["sid": "\(sid)"])
        case .endedByReplay(let sid):
            logger.warning("a retired token came back, its session was ended", metadata: ["sid": "\(sid)"])
        case .loggedIn(let view): audit("login", view)
        }
    }
}

extension Result where Failure == Unavailable {
    fileprivate func event(_ body: (Success) -> FlowEvent) -> FlowEvent {
        switch self {
        case .success(let value): body(value)
        case .failure(let fault): .failed(fault)
        }
    }
}
