/// Carries out a workload: makes the sessions, warms the cache, measures.
public struct WorkloadRun {
    private let plan: WorkloadPlan
    private let progress: Progress
    private let control: ControlConnection
    private let process: Int32?
    private let made = SessionsMade()

    /// Connects to the daemon. Throws if it cannot be reached.
    public init(_ plan: WorkloadPlan, progress: Progress) throws(LoadTestError) {
        if plan.rate != nil, plan.pipeline > WorkloadPlan.mostInFlightAtRate {
            throw .usage("at a rate, at most \(WorkloadPlan.mostInFlightAtRate) requests are in flight on a connection")
        }
        self.plan = plan
        self.progress = progress
        control = try ControlConnection(path: plan.socketPath)
        process = try DaemonInformation.read(control, section: "server")["process_id"].flatMap { Int32($0) }
    }

    /// The result, and the histogram for those who want it whole.
    public func measure() throws(LoadTestError) -> (WorkloadResult, LatencyHistogram) {
        let measured: Result<(WorkloadResult, LatencyHistogram), LoadTestError>
        do throws(LoadTestError) {
            measured = .success(try measureKeepingSessions())
        } catch { measured = .failure(error) }
        if !plan.ownsDaemon { progress.phase("\(plan.workload.rawValue): ending its sessions") }
        let left = plan.ownsDaemon ? 0 : made.end(at: plan.socketPath, say: progress.say)
        progress.clear()
        let note = "\(Figures.grouped(left)) of its sessions could not be ended: they end within an hour"
        // Without a result there is nothing that could have a note.
        if left > 0, case .failure = measured { progress.say(note) }
        var (result, latencies) = try measured.get()
        if left > 0 { result.notes.append(note) }
        return (result, latencies)
    }

    /// As ``measure()``, but the sessions that were made are left for it to end.
    private func measureKeepingSessions() throws(LoadTestError) -> (WorkloadResult, LatencyHistogram) {
        try Interruption.check()
        let sessions = plan.workload == .rotate ? plan.rotatingCount : plan.sessions ?? plan.workload.usualSessions
        let lanes = try lanes(sessions)
        let before = try DaemonInformation.nearCache(control)
        progress.phase("\(plan.workload.rawValue): measuring", seconds: (plan.duration + plan.warmUp).inSeconds)
        var shape = plan.shape
        // To be ended: they are all that is known of a session that the measurement itself made.
        shape.collectsTokens = plan.workload == .issue && !plan.ownsDaemon
        let sample = try Sample.take(shape, lanes: lanes, process: process, progress: progress.update)
        made.note(TokenPool(bytes: sample.outcome.tokens))
        try Interruption.check()
        progress.clear()
        let after = try DaemonInformation.nearCache(control)
        return (result(sample, sessions, before, after), sample.outcome.latencies)
    }

    private func lanes(_ sessions: Int) throws(LoadTestError) -> [LaneSpec] {
        switch plan.workload {
        case .validate, .connect:
            let tokens = try issue(sessions)
            try warm(tokens)
            return [WorkloadLanes.validate(tokens)]
        case .validateCold:
            return [WorkloadLanes.validate(try issue(sessions), once: true)]
        case .issue:
            return [WorkloadLanes.issue(plan.ownsDaemon ? WorkloadLanes.issueRow : WorkloadLanes.briefIssueRow)]
        case .rotate:
            return [WorkloadLanes.rotate(try issue(sessions))]
        case .mixed:
            let hits = try issue(sessions)
            try warm(hits)
            let misses = try issue(plan.missCount)
            let rotating = try issue(plan.rotatingCount)
            return WorkloadLanes.mixed(hits: hits, misses: misses, rotations: rotating)
        case .bots:
            return SealedLanes.pageViews(pictures: try SealedLanes.captchas(1_000, over: control))
        case .guest:
            return [SealedLanes.validate(guests: try SealedLanes.guestTokens(sessions, over: control))]
        case .csrf:
            let tokens = try issue(sessions)
            try warm(tokens)
            let holders = (0..<tokens.count).map { Array(tokens[$0]) }
            return [try SealedLanes.csrf(holders: holders, over: control)]
        case .visitCSRF:
            let tokens = try issue(sessions)
            try warm(tokens)
            return [SealedLanes.visitWithCSRF(tokens)]
        case .captcha:
            return [SealedLanes.captchaIssue]
        case .captchaVerify:
            progress.phase("captcha-verify: making \(sessions) captchas")
            return [SealedLanes.captchaVerify(try SealedLanes.captchas(sessions, over: control))]
        }
    }

    private func issue(_ count: Int) throws(LoadTestError) -> TokenPool {
        guard count >= 1 else { throw .usage("--sessions is at least 1") }
        progress.phase("\(plan.workload.rawValue): making \(count) sessions")
        return try SessionSource.issue(
            count, shape: plan.preparation(count),
            row: plan.ownsDaemon ? WorkloadLanes.issueRow : WorkloadLanes.briefIssueRow, progress: progress,
            made: made)
    }

    private func warm(_ tokens: TokenPool) throws(LoadTestError) {
        progress.phase("\(plan.workload.rawValue): warming")
        try SessionSource.warm(tokens, shape: plan.preparation(tokens.count))
    }

    private func result(
        _ sample: Sample, _ sessions: Int, _ before: NearCacheCounters?, _ after: NearCacheCounters?
    ) -> WorkloadResult {
        let outcome = sample.outcome
        var notes: [String] = []
        if plan.rate == nil, Bottleneck.isClient(clientLoad: sample.clientLoad, serverLoad: sample.serverLoad) {
            notes.append("the client was the bottleneck: the daemon can do more than this")
        }
        if outcome.isExhausted { notes.append("it ended early: each had been asked about once; --sessions") }
        if plan.workload == .mixed, outcome.repeats.count > 1, outcome.repeats[1] > 0 {
            notes.append("\(outcome.repeats[1]) of the misses asked about a session again and may have been hits")
        }
        if outcome.unsent > 0 {
            notes.append(LoadOutcome.unsentNote(outcome.unsent))
            if outcome.unsent * 100 > outcome.answered {
                notes.append("the rate is too high, or the daemon stood still")
            }
        }
        if outcome.late * 1_000 > outcome.answered {
            notes.append("\(outcome.late) requests were sent late by the client itself: the tail is partly its own")
        }
        let hits = plan.workload == .mixed ? outcome.laneLatencies.first : nil
        return WorkloadResult(
            workload: plan.workload, sessions: sessions, connections: plan.connections, pipeline: plan.shape.pipeline,
            threads: plan.threads, rate: plan.rate, seconds: outcome.seconds, requests: outcome.answered,
            throughput: outcome.throughput, serverMicroseconds: sample.serverMicroseconds,
            serverLoad: sample.serverLoad, clientLoad: sample.clientLoad, failed: outcome.failureCount,
            failures: outcome.failures, unanswered: outcome.unanswered, unsent: outcome.unsent, late: outcome.late,
            nearCacheHits: NearCacheCounters.hitShare(before, after), latency: LatencySummary(outcome.latencies),
            hitLatency: hits.flatMap { LatencySummary($0) },
            notes: notes)
    }
}

/// Sessions for a test, made by the daemon itself.
enum SessionSource {
    /// All at once is more than a daemon with a short time-out may bear: what was refused is asked for again.
    private static let attempts = 5

    static func issue(
        _ count: Int, shape: LoadShape, row: RequestRows, progress: Progress? = nil, made: SessionsMade? = nil
    ) throws(LoadTestError) -> TokenPool {
        var shape = shape
        shape.collectsTokens = true
        var observer = LoadObserver()
        if let progress { observer.progresses = progress.update }
        var tokens = TokenPool()
        var reason = "no answer"
        for _ in 0..<attempts where tokens.count < count {
            shape.mostRequests = count - tokens.count
            let outcome = try Load.run(shape, lanes: [WorkloadLanes.issue(row)], observer: observer)
            tokens.bytes += outcome.tokens
            made?.note(TokenPool(bytes: outcome.tokens))
            try Interruption.check()
            if let failure = outcome.mostFrequentFailure { reason = failure }
        }
        guard tokens.count == count else {
            throw .refused("\(shape.socketPath): TOKEN.ISSUE made \(tokens.count) of \(count) sessions: \(reason)")
        }
        return tokens
    }

    /// Asks about each session once, so that the near cache holds it.
    static func warm(_ tokens: TokenPool, shape: LoadShape) throws(LoadTestError) {
        var failure: String?
        for _ in 0..<attempts {
            failure = try Load.run(shape, lanes: [WorkloadLanes.validate(tokens, once: true)]).mostFrequentFailure
            if failure == nil { return }
        }
        throw .refused("\(shape.socketPath): TOKEN.VALIDATE of a new session: \(failure ?? "no answer")")
    }
}
