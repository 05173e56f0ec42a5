internal import EventLoop
internal import Logging
internal import RedisLink
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// Runs flows: the one place that waits, counts hits and misses, bounds attempts and time, and takes in what Redis said.
extension TokenService {
    /// - Parameters:
    ///   - arrival: of the request; nil means now.
    ///   - first: `begin`, or what the flow need not ask for.
    ///   - isHousekeeping: nobody waits for it.
    func run<F: Flow>(
        _ flow: F, at arrival: MonotonicInstant?, first: FlowEvent = .begin, isHousekeeping: Bool = false,
        _ done: @escaping Completion<F.Answer>
    ) {
        let run = Run(flow, arrival: arrival ?? store.instant, done)
        run.peer = asking
        run.isUnreported = isHousekeeping
        advance(run, first)
        run.mayAnswer = true
        if !run.isOver, !run.isWaiting, !run.hasTurn { limit(run) }
    }

    /// - Parameter run: its time is counted from its arrival.
    private func limit<F>(_ run: Run<F>) {
        run.deadline = run.arrival + timeout
        deadlines.append(run)
    }

    private func advance<F>(_ run: Run<F>, _ first: FlowEvent) {
        guard !run.isOver else { return }
        asking = run.peer
        var event: FlowEvent? = first
        do {
            while let known = event {
                event =
                    store.clock == nil
                    ? try performWithoutTime(known, run) : try perform(try run.flow.next(known, self), run)
            }
        } catch { fail(run, error) }
    }

    /// The same before Redis's time is known: what cannot be decided without it is decided when it is.
    @inline(never)
    private func performWithoutTime<F>(_ event: FlowEvent, _ run: Run<F>) throws -> FlowEvent? {
        let undecided = run.flow
        do { return try perform(try run.flow.next(event, self), run) } catch let fault as Unavailable {
            guard store.clock == nil, fault == store.outage else { throw fault }
            run.flow = undecided
            awaitTime(run, event)
            return nil
        }
    }

    /// Nothing could be decided for lack of Redis's time, as when a new master was named and has not been reached yet: it is
    /// asked for, and waited for as for any answer.
    private func awaitTime<F>(_ run: Run<F>, _ event: FlowEvent) {
        run.leftMemory = true
        store.askTime { [self] result in
            switch result {
            case .success: advance(run, event)
            case .failure(let fault): if !run.isOver { fail(run, fault) }
            }
        }
    }

    /// A request's time is up. A forced write that is still out is denied before anybody who waits for it goes on; its
    /// fate is taken in when it comes.
    func giveUp<F>(_ run: Run<F>) {
        guard !run.isOver else { return }
        if run.hasTurn { turns.refuseAll(Unavailable.timeIsUp) }
        endTurn(of: run)
        asking = run.peer
        if let (write, sid) = run.writing {
            loseSight(of: write.kind, sid)
            reportUnconfirmed(write, of: sid, by: run.peer)
        }
        let fault = Unavailable.timeIsUp
        do {
            guard case .answer(let answer, let touch) = try run.flow.next(.failed(fault), self) else { throw fault }
            finish(run, .success(answer), touch: touch)
        } catch { fail(run, error) }
    }

    private func fail<F>(_ run: Run<F>, _ error: any Error) {
        finish(run, .failure(ServiceFault(error)), touch: nil)
    }

    /// Carries out a step.
    /// - Returns: the event where it is known at once; nil where it will come.
    private func perform<F>(_ step: FlowStep<F.Answer>, _ run: Run<F>) throws -> FlowEvent? {
        switch step {
        case .whenSettled(let sid):
            let mustWait = ledger.wait(for: sid) { [self] fault in
                if let fault { if !run.isOver { fail(run, fault) } } else { advance(run, .settled) }
            }
            return mustWait ? nil : .settled
        case .hold(let sid, let claim):
            if try !isMadeUp(claim) { hold(sid, run) }
            return .held
        case .read(let source):
            run.leftMemory = true
            read(source, run)
        case .write(let write, let sid):
            run.leftMemory = true
            if write.isForced { hold(sid, run) }
            try beginChange(write, of: sid, run)
        case .whenReplicated(let sid):
            guard let mark = run.replicaMark else { return .replicated }
            store.awaitReplicas(mark, of: store.keys.session(sid), arrival: run.arrival) { [self] result in
                advance(run, result.event { .replicated })
            }
        case .noteLogin(let sid, let digest):
            run.leftMemory = true
            noteLogin(sid, digest, run)
        case .touch(let sid, let interval):
            run.leftMemory = true
            touch(sid, interval: interval, arrival: run.arrival) { [self] result in
                advance(run, result.event { _ in .touched })
            }
        case .askTime:
            run.leftMemory = true
            store.askTime { [self] result in advance(run, result.event(FlowEvent.time)) }
        case .spend(let captcha, let ttl):
            let nonce: SessionID = try randomBytes()
            store.spend(captcha, nonce: nonce, ttl: ttl, arrival: run.arrival) { [self] result in
                advance(run, result.event(FlowEvent.spent))
            }
        case .readIndex(let index, let query):
            inTurn(run) { [self] done in
                run.replicaMarks = store.replicaMarks()
                store.read(index, query, done)
            } then: {
                FlowEvent.page($0)
            }
        case .scan(let query):
            inTurn(run) { [self] done in
                store.scan(query, done)
            } then: {
                FlowEvent.scanned($0)
            }
        case .proclaimEpoch(let lifetime):
            store.proclaimEpoch(lifetime: lifetime, arrival: run.arrival) { [self] result in
                advance(run, result.event(FlowEvent.proclaimed))
            }
        case .sweep(let sid, let epoch):
            store.sweep(sid, epoch: epoch, tombstone: policy.tombstone, arrival: run.arrival) { [self] result in
                forget(sid)
                advance(run, result.event(FlowEvent.swept))
            }
        case .enter(let entry):
            run.leftMemory = true
            enter(entry, run) { [self] outcome in advance(run, .entered(outcome)) }
        case .readFacts(let sid, let fields):
            run.leftMemory = true
            store.readFacts(sid, fields) { [self] result in advance(run, result.event { FlowEvent.facts($0) }) }
        case .each(let parts):
            guard !parts.isEmpty else { return .gathered([]) }
            gather(parts, run)
        case .answer(let answer, let touch) where run.flow.repeatsUnseen && !run.replicaMarks.isEmpty:
            store.awaitReplicasEverywhere(run.replicaMarks, arrival: run.arrival) { [self] result in
                guard !run.isOver else { return }
                if case .failure(let fault) = result { return advance(run, .failed(fault)) }
                finish(run, .success(answer), touch: touch)
            }
        case .answer(let answer, let touch): finish(run, .success(answer), touch: touch)
        }
        return nil
    }

    private func finish<F>(
        _ run: Run<F>, _ result: Result<F.Answer, ServiceFault>, touch: (sid: SessionID, interval: Milliseconds)?
    ) {
        run.isOver = true
        guard run.mayAnswer else { return store.later { [self] in tell(run, result, touch: touch) } }
        tell(run, result, touch: touch)
    }

    private func tell<F>(
        _ run: Run<F>, _ result: Result<F.Answer, ServiceFault>, touch: (sid: SessionID, interval: Milliseconds)?
    ) {
        var unknown: ServiceFault?
        if case .failure(let fault) = result, case .unavailable(let reason) = fault {
            unknown = fault
            if !run.isUnreported { reportUnavailable(reason) }
        }
        count(run, isAnswered: unknown == nil)
        let released = run.held.isEmpty ? [] : run.held.flatMap { ledger.end($0.number, of: $0.sid) }
        run.tell(result)
        if let touch { self.touch(touch.sid, interval: touch.interval, arrival: run.arrival) { _ in } }
        for resume in released { resume(unknown) }
    }

    private func count<F>(_ run: Run<F>, isAnswered: Bool) {
        guard run.flow.asksNearCache else { return }
        if run.leftMemory { sessions?.countMiss() } else if isAnswered { sessions?.countHit() }
    }

    /// Where everyone was logged out, the session may still stand where its tombstone belongs.
    private func noteLogin<F>(_ sid: SessionID, _ digest: Digest, _ run: Run<F>) {
        let note = { [self] in
            store.noteLogin(sid, digest, arrival: run.arrival) { [self] result in
                forget(sid)
                advance(run, result.event { .noted })
            }
        }
        guard let epoch = store.epoch.moment else { return note() }
        store.sweep(sid, epoch: epoch, tombstone: policy.tombstone, arrival: run.arrival) { [self] result in
            if case .failure(let fault) = result { advance(run, .failed(fault)) } else { note() }
        }
    }

    // MARK: Many sessions

    /// Asks Redis when the run's turn has come; its time begins then.
    private func inTurn<F, Value>(
        _ run: Run<F>, _ ask: @escaping (@escaping SessionStore.Completion<Value>) -> Void,
        then event: @escaping (Value) -> FlowEvent
    ) {
        wait(run)
        turns.take(isUrgent: run.flow.isUrgent) { [self] fault in
            if let fault { return advance(run, .failed(fault)) }
            run.hasTurn = true
            restartTime(run)
            ask { [self] result in
                let hadTurn = run.hasTurn
                run.hasTurn = false
                advance(run, result.event(event))
                // Last: what is urgent goes on before somebody else begins.
                if hadTurn { turns.end() }
            }
        }
    }

    private func wait<F>(_ run: Run<F>) {
        run.deadline = .latest
        run.isWaiting = true
    }

    /// The run's time begins anew.
    private func restartTime<F>(_ run: Run<F>) {
        run.isWaiting = false
        run.arrival = store.instant
        limit(run)
    }

    private func endTurn<F>(of run: Run<F>) {
        guard run.hasTurn else { return }
        run.hasTurn = false
        turns.end()
    }

    private func gather<F>(_ parts: [FlowPart], _ run: Run<F>) {
        wait(run)
        let isUrgent = run.flow.isUrgent
        takeTurn(
            isUrgent,
            Batch(parts, peer: run.peer) { [self] batch, hadTurn in
                if let answers = batch.gathered {
                    restartTime(run)
                    advance(run, .gathered(answers))
                } else {
                    takeTurn(isUrgent, batch)
                }
                if hadTurn { turns.end() }
            })
    }

    private func takeTurn(_ isUrgent: Bool, _ batch: Batch) {
        turns.take(isUrgent: isUrgent) { [self] fault in
            if let fault { return batch.refuse(ServiceFault(fault)) }
            let chunk = batch.next(at: store.instant, timeout: timeout)
            deadlines.append(batch)
            for part in chunk {
                switch batch.parts[part] {
                case .revoke(let flow): beginPart(flow, part, of: batch, PartAnswer.revoked)
                case .facts(let flow): beginPart(flow, part, of: batch, PartAnswer.found)
                case .sweep(let flow): beginPart(flow, part, of: batch, PartAnswer.swept)
                }
            }
        }
    }

    private func beginPart<F: Flow>(
        _ flow: F, _ part: Int, of batch: Batch, _ answer: @escaping (F.Answer) -> PartAnswer
    ) {
        let run = Run(flow, arrival: batch.arrival) { result in batch.answer(part, result.map(answer)) }
        run.isUnreported = true
        run.peer = batch.peer
        batch.began(part, run)
        advance(run, .begin)
        run.mayAnswer = true
    }

    // MARK: Reading

    private func read<F>(_ source: ReadSource, _ run: Run<F>) {
        let mark = store.replicaMark(of: source.sid)
        run.replicaMark = mark
        let finish: SessionReader.Completion = { [self] result in
            // Another server owns it by now: which of them has answered is not known, so not whose replicas to wait for.
            if let mark, case .success = result, !run.isOver, !store.isOwner(mark, of: source.sid) {
                return read(source, run)
            }
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

    // MARK: Writing

    private func beginChange<F>(_ write: SessionWrite, of sid: SessionID, _ run: Run<F>) throws {
        run.writes += 1
        guard run.writes <= Self.maxWrites else {
            throw Unavailable.sessionTooBusy
        }
        guard let indexed = write.entersIndex, !write.isEntered else { return try commit(write, of: sid, run) }
        let entry = IndexEntry(
            index: try write.subjectIndex ?? SubjectIndex(subject: indexed.subject, crypto: crypto), sid: sid,
            absoluteEnd: indexed.absoluteEnd, login: write.login)
        // A login, where both stand on one server.
        if entry.login != .none, !store.isCluster { return try commit(write, of: sid, entering: entry, run) }
        enter(entry, run) { [self] outcome in
            switch outcome {
            case .entered(let place):
                var write = write
                write.take(number: place.number)
                do { try commit(write, of: sid, run) } catch { fail(run, error) }
            case .late: decideAnew(sid, run)
            // No limit was named.
            case .full: advance(run, .failed(ScriptReply.unexpected))
            }
        }
    }

    private func enter<F>(_ entry: IndexEntry, _ run: Run<F>, _ done: @escaping (IndexEntryOutcome) -> Void) {
        store.enter(entry, arrival: run.arrival) { [self] result in
            if case .success(.entered) = result { entered(entry) }
            // Nobody waits for the session of a request that was given up.
            guard !run.isOver else { return }
            switch result {
            case .success(let outcome):
                done(outcome)
                if case .entered(let place) = outcome { lookAfter(place.others, of: entry) }
            case .failure(let fault): advance(run, .failed(fault))
            }
        }
    }

    private func entered(_ entry: IndexEntry) {
        guard store.isCluster else { return }
        let again = IndexEntry(index: entry.index, sid: entry.sid, absoluteEnd: entry.absoluteEnd, login: .none)
        ledger.entered.forget(horizon)
        ledger.entered.insert(again, slot: store.slot(of: entry.index), at: store.instant)
    }

    /// Reads some other members of an index, each once, so that dead ones leave. Not under a limit that ends others: all of
    /// them are read for that.
    private func lookAfter(_ others: [IndexMember], of entry: IndexEntry) {
        guard entry.login != .numbered || entry.limit != nil else { return }
        let members = others.enumerated().filter { place, member in
            member.sid != entry.sid && !others[..<place].contains(member)
        }.map(\.element)
        guard !members.isEmpty, !turns.isBusy else { return }
        run(LookFlow(entry.index, members), at: nil, isHousekeeping: true) { _ in }
    }

    /// - Parameter entry: the place in its subject's index that the session has from the same moment on.
    private func commit<F>(
        _ write: SessionWrite, of sid: SessionID, entering entry: IndexEntry? = nil, _ run: Run<F>
    ) throws {
        let change = try write.change(tombstoneEnd: try now() + policy.tombstone)
        beginWrite(write.kind, of: sid)
        run.writing = (write, sid)
        run.replicaMark = store.replicaMark(of: sid)
        let (limit, arrival, wasSent) = (policy.maxData, run.arrival, !store.isOut)
        guard let entry else {
            return store.commit(change, of: sid, maxData: limit, arrival: arrival) { [self] result in
                settle(write, of: sid, result, limit: limit, arrival: arrival, wasSent: wasSent, run)
            }
        }
        store.admit(change, entry, maxData: limit, arrival: arrival) { [self] result in
            let place = try? result.get().place
            var write = write
            write.take(number: place?.number)
            // Nobody waits for the session of a request that was given up.
            let isGivenUp = run.isOver
            settle(write, of: sid, result.map(\.outcome), limit: limit, arrival: arrival, wasSent: wasSent, run)
            if let place, !isGivenUp { lookAfter(place.others, of: entry) }
        }
    }

    /// Takes in what became of a write, and goes on.
    private func settle<F>(
        _ write: SessionWrite, of sid: SessionID, _ result: Result<ChangeOutcome, Unavailable>, limit: Int,
        arrival: MonotonicInstant, wasSent: Bool, _ run: Run<F>
    ) {
        run.writing = nil
        settleWrite(write.kind, of: sid, result, isGivenUp: run.isOver, wasSent: wasSent)
        switch result {
        case .success(.done(let outcome)):
            written(write, of: sid, by: run.peer, arrival: arrival)
            advance(run, .written(outcome))
        case .success(.overtaken(let copy)):
            counters.overtaken += 1
            advance(run, .overtaken(copy))
        case .success(.late): decideAnew(sid, run)
        case .success(.tooLarge(let bytes)):
            if !run.isOver { fail(run, ServiceFault.dataTooLarge(bytes: bytes, limit: limit)) }
        case .success(.notAnInteger): if !run.isOver { fail(run, ServiceFault.notAnInteger) }
        case .failure(let fault):
            // What was given up is noted already.
            if !run.isOver { reportUnconfirmed(write, of: sid, by: run.peer) }
            advance(run, .failed(fault))
        }
    }

    /// A change was decided by a clock that was not Redis's: as if another had come first.
    private func decideAnew<F>(_ sid: SessionID, _ run: Run<F>) {
        guard !run.isOver else { return }
        store.load(sid) { [self] result in advance(run, result.event(FlowEvent.overtaken)) }
    }

    // MARK: Holding

    private func hold<F>(_ sid: SessionID, _ run: Run<F>) {
        guard !run.held.contains(where: { $0.sid == sid }) else { return }
        forget(sid)
        run.held.append((sid, ledger.begin(sid)))
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
