/// What follows the rounds: cold sessions, latencies, the mix.
extension Comparison {
    /// P4: sessions that no cache holds, each asked about once, by the daemon and by the script.
    func measureCold() throws(LoadTestError) {
        progress.phase("making \(plan.coldSessions * plan.rounds) cold sessions", isStep: true)
        let total = plan.coldSessions * plan.rounds
        let tokens = try SessionSource.issue(
            total, shape: bed.preparation(total, of: daemon), row: WorkloadLanes.issueRow)
        try PeerRequests.fillRecords(tokens, into: peerControl)
        var samples: [Contender: [Sample]] = [:]
        for round in 0..<plan.rounds {
            let part = tokens.slice(round * plan.coldSessions, count: plan.coldSessions)
            let asked: [(Contender, ServerProcess, LaneSpec)] = [
                (.tokencached, daemon, WorkloadLanes.validate(part, once: true)),
                (.redisEvalsha, peerRedis, PeerRequests.evalsha(part, script: scriptDigest, once: true)),
            ]
            for (contender, server, lane) in asked {
                progress.phase("round \(round + 1), cold: \(contender.title)", isStep: true)
                var shape = plan.shape(server.socketPath, core: bed.cores.client)
                shape.warmUp = .zero
                shape.duration = .seconds(60)
                samples[contender, default: []].append(try take(shape, [lane], server, contender))
            }
        }
        result.cold = table(
            .oneInFlight, [Contender.tokencached, .redisEvalsha].map { ($0, samples[$0] ?? []) }, base: .redisEvalsha)
    }

    /// All at one rate that every one of them can keep up with: half of what the slowest did.
    func measureLatencies() throws(LoadTestError) {
        guard let slowest = result.tables.first?.rows.map(\.speed.throughput.median).min() else { return }
        for entry in entries {
            progress.phase("latency at \(Figures.rate(slowest / 2))/s: \(entry.contender.title)", isStep: true)
            var shape = plan.shape(entry.server.socketPath, core: bed.cores.client)
            shape.pace = .open(perSecond: slowest / 2)
            shape.recordsLatency = true
            shape.duration = .milliseconds(Int64(plan.latencySeconds * 1_000))
            let sample = try take(shape, entry.lanes, entry.server, entry.contender)
            guard let summary = LatencySummary(sample.outcome.latencies) else { continue }
            result.latencies.append(
                LatencyRow(
                    contender: entry.contender, rate: slowest / 2, summary: summary,
                    unanswered: sample.outcome.unanswered, unsent: sample.outcome.unsent, late: sample.outcome.late))
        }
    }

    /// P7: the mix at half of what the daemon can do with it.
    func measureMixed() throws(LoadTestError) {
        var mixed = WorkloadPlan(workload: .mixed, socketPath: daemon.socketPath)
        mixed.ownsDaemon = true
        mixed.sessions = plan.sessions
        mixed.connections = plan.connections
        mixed.threads = plan.clientThreads
        mixed.clientCore = bed.cores.client
        mixed.duration = .milliseconds(Int64(plan.seconds * 1_000))
        mixed.warmUp = .milliseconds(Int64(plan.seconds * 200))
        progress.phase("the mix: how much the daemon can do", isStep: true)
        let saturation = try WorkloadRun(mixed, progress: Progress(isWanted: false)).measure().0.throughput
        result.mixedSaturation = saturation
        guard saturation > 0 else { return }
        mixed.rate = saturation / 2
        mixed.duration = .milliseconds(Int64(plan.latencySeconds * 500))
        for round in 1...Self.mixedRounds {
            progress.phase("the mix at half of it, round \(round)", isStep: true)
            var hits = mixed
            hits.workload = .validate
            let alone = try WorkloadRun(hits, progress: Progress(isWanted: false)).measure().0
            let measured = try WorkloadRun(mixed, progress: Progress(isWanted: false)).measure().0
            if let tail = MixedTail(measured.hitLatency, alone: alone.latency) { result.mixedTails.append(tail) }
            result.mixed = measured
        }
    }

    func measureStalls() {
        progress.phase("how long the machine itself stops", isStep: true)
        result.stalls = MachineStalls.measure([bed.cores.server, bed.cores.client].compactMap { $0 })
        noteTails()
    }

    static let mixedRounds = 3

    /// What makes the tail longer on this machine, whatever the daemon does.
    private func noteTails() {
        if let stalls = result.stalls, stalls.share >= 0.01 {
            result.notes.append(
                "P7: this machine stood still for \(Figures.percent(stalls.share)) of the time while nothing ran on it "
                    + "(stalls): one request in a hundred meets that, and p99 is not the daemon's")
        }
        if bed.cores.isStoreBehindServer {
            result.notes.append(
                "P7: the Redis behind the daemon runs on the daemon's core, when nobody else does; with three cores it has its own"
            )
        }
    }

    /// In closed loop one of the two must be busy; if none is, somebody else had the core.
    private static let undisturbed = 0.85

    static func notes(on result: ComparisonResult) -> [String] {
        var notes: [String] = []
        for table in result.tables {
            for row in table.rows where row.speed.isClientBound {
                notes.append(
                    "\(row.subject.title), \(table.form.title): the client was the bottleneck "
                        + "(client \(Figures.percent(row.speed.clientLoad)) of a core, server "
                        + "\(Figures.percent(row.speed.serverLoad ?? 0))): the server can do more than this")
            }
        }
        let speeds = result.tables.flatMap(\.rows).map(\.speed)
        let undisturbed = speeds.count { max($0.clientLoad, $0.serverLoad ?? 1) >= Self.undisturbed }
        if undisturbed * 2 < speeds.count {
            notes.append(
                "in \(speeds.count - undisturbed) of \(speeds.count) measurements neither server nor client had a core to "
                    + "itself: other processes were running, and these figures are noise")
        }
        for row in result.latencies where row.unsent > 0 {
            notes.append("\(row.contender.title): \(LoadOutcome.unsentNote(row.unsent))")
            if Double(row.unsent) > Double(row.summary.count) / 100 {
                notes.append("\(row.contender.title) did not keep up with \(Figures.rate(row.rate))/s")
            }
        }
        if let mixed = result.mixed, mixed.unsent > 0 {
            notes.append("the mix: \(LoadOutcome.unsentNote(mixed.unsent))")
        }
        if let hits = result.nearCacheHits, hits < 0.999 {
            notes.append("only \(Figures.percent(hits)) of the daemon's answers came from its near cache")
        }
        return notes
    }
}
