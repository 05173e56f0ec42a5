/// Guests, forms and captchas beside hits of sessions: one daemon, in one run, in turn, several rounds; then what page
/// views by bots leave in Redis, beside a site that gives every visitor a session.
public final class GuestComparison {
    private let plan: ComparisonPlan
    private let bed: TestBed
    private let progress: Progress
    private let daemon: ServerProcess
    private let control: ControlConnection
    private var lanes: [GuestQuestion: LaneSpec] = [:]
    private var samples: [GuestQuestion: [Sample]] = [:]
    private var result: GuestResult

    static let pageViews = 20_000

    /// Starts the daemon and makes what it is asked about.
    public init(_ plan: ComparisonPlan, bed: TestBed, progress: Progress) throws(LoadTestError) {
        self.plan = plan
        self.bed = bed
        self.progress = progress
        result = GuestResult(
            rounds: 0, seconds: plan.seconds, connections: plan.connections, sessions: plan.sessions)
        progress.phase("starting the servers")
        let store = try bed.startStore()
        daemon = try bed.startDaemon(store: store.socketPath, settings: plan.settings)
        control = try ControlConnection(path: daemon.socketPath)
        let sessions = try SessionSource.issue(
            plan.sessions, shape: bed.preparation(plan.sessions, of: daemon), row: WorkloadLanes.issueRow)
        try SessionSource.warm(sessions, shape: bed.preparation(plan.sessions, of: daemon))
        let guests = try SealedLanes.guestTokens(plan.sessions, over: control)
        lanes = [
            .session: WorkloadLanes.validate(sessions),
            .guest: SealedLanes.validate(guests: guests),
            .csrf: try SealedLanes.csrf(holders: (0..<sessions.count).map { Array(sessions[$0]) }, over: control),
            .guestCSRF: try SealedLanes.csrf(holders: guests.texts, over: control),
            .visitCSRF: SealedLanes.visitWithCSRF(sessions),
            .botVisit: SealedLanes.visitors,
            .captchaIssue: SealedLanes.captchaIssue,
        ]
        progress.expect(steps: plan.rounds * GuestQuestion.allCases.count + 2)
    }

    /// What was measured so far, in whole rounds; nil if there is none.
    public var finished: GuestResult? {
        guard result.rounds > 0 else { return nil }
        var finished = result
        finished.notes = result.rows.filter(\.speed.isClientBound).map {
            "\($0.subject.title): the client was the bottleneck: the daemon can do more than this"
        }
        finished.figures = GuestResult.judge(finished)
        return finished
    }

    public func measure() throws(LoadTestError) {
        for round in 1...plan.rounds {
            try measure(round: round)
            result.rounds = round
            let bases = samples[.session, default: []].map(\.outcome.throughput)
            result.rows = GuestQuestion.allCases.compactMap { question in
                Speed(samples[question] ?? [], bases: bases).map { SpeedRow(question, $0) }
            }
        }
        bed.end(daemon)
        result.visitors = try measureVisitors()
        progress.clear()
    }

    /// Everything asked once; counted only if it was finished.
    private func measure(round: Int) throws(LoadTestError) {
        var taken = samples
        for question in GuestQuestion.allCases {
            progress.phase("round \(round): \(question.title)", isStep: true)
            taken[question, default: []].append(try sample(question))
        }
        samples = taken
    }

    private func sample(_ question: GuestQuestion) throws(LoadTestError) -> Sample {
        var shape = plan.shape(daemon.socketPath, core: bed.cores.client)
        let lane: LaneSpec
        if let usual = lanes[question] {
            lane = usual
        } else {
            // Each is good for one answer: as many as a measurement may need, and it ends when they are spent.
            lane = SealedLanes.captchaVerify(
                try SealedLanes.captchas(max(1_000, Int(plan.seconds * 60_000)), over: control))
            shape.warmUp = .zero
        }
        let sample = try Sample.take(shape, lanes: [lane], process: daemon.process)
        try expectClean(sample.outcome, question.title)
        return sample
    }

    // MARK: G1

    private func measureVisitors() throws(LoadTestError) -> [VisitorRow] {
        let store = try bed.startStore("visitors-store")
        let daemon = try bed.startDaemon("visitors", store: store.socketPath, settings: plan.settings)
        let witness = try RedisWitness(try ControlConnection(path: store.socketPath))
        let pictures = try SealedLanes.captchas(1_000, over: try ControlConnection(path: daemon.socketPath))
        return [
            try viewPages(
                "guests: VISIT with CSRF, captcha, its picture", SealedLanes.pageViews(pictures: pictures),
                daemon, witness),
            try viewPages(
                "a session for every visitor: TOKEN.ISSUE", [WorkloadLanes.issue(WorkloadLanes.issueRow)],
                daemon, witness),
        ]
    }

    private func viewPages(
        _ site: String, _ lanes: [LaneSpec], _ daemon: ServerProcess, _ witness: RedisWitness
    ) throws(LoadTestError) -> VisitorRow {
        progress.phase("\(Figures.grouped(Self.pageViews)) page views, \(site)", isStep: true)
        let before = try witness.look()
        let outcome = try Load.run(bed.preparation(Self.pageViews * lanes.count, of: daemon), lanes: lanes)
        try expectClean(outcome, site)
        let after = try witness.look()
        return VisitorRow(
            site: site, pageViews: Self.pageViews, writes: witness.writes(from: before, to: after),
            keysBefore: before.keys, keysAfter: after.keys, bytes: after.bytes - before.bytes)
    }

    private func expectClean(_ outcome: LoadOutcome, _ what: String) throws(LoadTestError) {
        try outcome.expectGood(what)
        guard outcome.unanswered == 0 else { throw .refused("\(what): \(outcome.unanswered) without an answer") }
    }
}
