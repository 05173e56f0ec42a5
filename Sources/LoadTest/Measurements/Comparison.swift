/// The daemon beside its peers: in one run, in turn, several rounds.
public final class Comparison {
    /// A server, started and filled.
    struct Entry {
        var contender: Contender
        var server: ServerProcess
        var lanes: [LaneSpec]
    }

    let plan: ComparisonPlan
    let bed: TestBed
    let progress: Progress
    var entries: [Entry] = []
    var daemon: ServerProcess
    var peerRedis: ServerProcess
    private var daemonControl: ControlConnection
    var peerControl: ControlConnection
    var scriptDigest = ""
    var result: ComparisonResult
    private var samples: [ClientForm: [Contender: [Sample]]] = [:]

    /// Starts and fills every server.
    public init(_ plan: ComparisonPlan, bed: TestBed, progress: Progress) throws(LoadTestError) {
        self.plan = plan
        self.bed = bed
        self.progress = progress
        progress.phase("starting the servers")
        let store = try bed.startStore()
        daemon = try bed.startDaemon(store: store.socketPath, settings: plan.settings)
        peerRedis = try bed.startRedis("redis", core: bed.cores.server)
        daemonControl = try ControlConnection(path: daemon.socketPath)
        peerControl = try ControlConnection(path: peerRedis.socketPath)
        result = ComparisonResult(
            rounds: 0, seconds: plan.seconds, connections: plan.connections, sessions: plan.sessions,
            requestBytes: 0, replyBytes: 0)
        try fill()
    }

    private func fill() throws(LoadTestError) {
        let tokens = try SessionSource.issue(
            plan.sessions, shape: bed.preparation(plan.sessions, of: daemon), row: WorkloadLanes.issueRow)
        let validate = WorkloadLanes.validate(tokens)
        let answer = try daemonControl.sampleAnswer(to: Array(validate.rows[0]))
        result.requestBytes = validate.rows.stride
        result.replyBytes = answer.count
        try SessionSource.warm(tokens, shape: bed.preparation(tokens.count, of: daemon))
        guard let sha = try peerControl.demand("SCRIPT", "LOAD", PeerRequests.script).string else {
            throw .refused("Redis does not load the script")
        }
        scriptDigest = sha
        // Answers of the same size from everybody.
        let value = PeerRequests.value(asLongAs: answer)
        try PeerRequests.fillStrings(tokens, value: value, into: peerControl)
        try PeerRequests.fillRecords(tokens, into: peerControl)
        let limit = try bed.startFixedAnswer(answer, requestSize: validate.rows.stride, core: bed.cores.server)
        entries = [
            Entry(contender: .limit, server: limit, lanes: [PeerRequests.fixed(tokens)]),
            Entry(contender: .tokencached, server: daemon, lanes: [validate]),
            Entry(contender: .redisGet, server: peerRedis, lanes: [PeerRequests.get(tokens)]),
            Entry(
                contender: .redisEvalsha, server: peerRedis,
                lanes: [PeerRequests.evalsha(tokens, script: scriptDigest)]),
        ]
        if let program = bed.programs.memcached {
            let server = try bed.startMemcached(program, core: bed.cores.server)
            // `VALUE key 0 231\r\n`, the value, `\r\nEND\r\n`.
            let around = "VALUE  0 231\r\n\r\nEND\r\n".utf8.count + TokenPool.length
            let control = try ControlConnection(path: server.socketPath)
            let value = Array(value.prefix(max(1, answer.count - around)))
            try PeerRequests.fillMemcached(tokens, value: value, into: control)
            entries.append(Entry(contender: .memcached, server: server, lanes: [PeerRequests.memcachedGet(tokens)]))
        }
        progress.expect(steps: plan.steps(entries.count))
    }

    /// What was measured so far, in whole rounds; nil if there is none.
    public var finished: ComparisonResult? {
        guard result.rounds > 0 else { return nil }
        var finished = result
        finished.figures = Targets.judge(finished)
        finished.notes += Self.notes(on: finished)
        return finished
    }

    /// Runs every round.
    public func measure() throws(LoadTestError) {
        let before = try DaemonInformation.nearCache(daemonControl)
        for round in 1...plan.rounds {
            try measure(round: round)
            result.rounds = round
            result.tables = ClientForm.allCases.map { form in
                table(form, entries.map { ($0.contender, samples[form]?[$0.contender] ?? []) }, base: .limit)
            }
        }
        result.nearCacheHits = NearCacheCounters.hitShare(before, try DaemonInformation.nearCache(daemonControl))
        try measureCold()
        try measureLatencies()
        try measureMixed()
        measureStalls()
        progress.clear()
    }

    /// Everybody once in every form; counted only if it was finished.
    private func measure(round: Int) throws(LoadTestError) {
        var taken = samples
        for form in ClientForm.allCases {
            for entry in entries {
                progress.phase("round \(round), \(form.title): \(entry.contender.title)", isStep: true)
                taken[form, default: [:]][entry.contender, default: []].append(try sample(entry, form))
            }
        }
        samples = taken
    }

    private func sample(_ entry: Entry, _ form: ClientForm) throws(LoadTestError) -> Sample {
        var shape = plan.shape(entry.server.socketPath, core: bed.cores.client)
        shape.pipeline = form.pipeline
        shape.reconnects = form == .connectionEach
        return try take(shape, entry.lanes, entry.server, entry.contender)
    }

    func take(
        _ shape: LoadShape, _ lanes: [LaneSpec], _ server: ServerProcess, _ contender: Contender
    ) throws(LoadTestError) -> Sample {
        let sample = try Sample.take(shape, lanes: lanes, process: server.process)
        try sample.outcome.expectGood(contender.title)
        return sample
    }

    func table(
        _ form: ClientForm, _ samples: [(Contender, [Sample])], base: Contender
    ) -> ComparisonTable {
        let bases = samples.first { $0.0 == base }?.1.map(\.outcome.throughput) ?? []
        let rows = samples.compactMap { contender, samples in
            Speed(samples, bases: bases).map { SpeedRow(contender, $0) }
        }
        return ComparisonTable(form: form, rows: rows)
    }
}
