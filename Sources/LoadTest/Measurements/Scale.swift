internal import Glibc

/// Measures memory and growth: P5 and P6.
public final class Scale {
    private let plan: ScalePlan
    private let bed: TestBed
    private let progress: Progress
    private let store: ServerProcess
    private let storeControl: ControlConnection
    private var result: ScaleResult

    public init(_ plan: ScalePlan, bed: TestBed, progress: Progress) throws(LoadTestError) {
        self.plan = plan
        self.bed = bed
        self.progress = progress
        result = ScaleResult(sessions: plan.sessions, connections: plan.connections)
        progress.phase("starting the servers")
        store = try bed.startStore()
        storeControl = try ControlConnection(path: store.socketPath)
    }

    /// What was measured so far; nil if that is nothing.
    public var finished: ScaleResult? {
        guard result.idleBytes != nil else { return nil }
        var finished = result
        finished.figures = ScaleResult.judge(finished)
        return finished
    }

    public func measure() throws(LoadTestError) {
        try measureConnections()
        var daemon = try bed.startDaemon("loading", store: store.socketPath)
        let before = try usedMemory()
        progress.phase("making \(Figures.grouped(plan.sessions)) sessions")
        let tokens = try SessionSource.issue(
            plan.sessions, shape: bed.preparation(plan.sessions, of: daemon), row: WorkloadLanes.issueRow,
            progress: progress)
        let fresh = Double(try usedMemory() - before) / Double(plan.sessions)
        result.freshBytes = fresh
        bed.end(daemon)

        daemon = try bed.startDaemon("growth", store: store.socketPath, settings: hitSettings)
        try measureGrowth(daemon, tokens)
        bed.end(daemon)

        daemon = try bed.startDaemon("data", store: store.socketPath, settings: hitSettings)
        try measureData(daemon)
        bed.end(daemon)

        try measureRotation(tokens, fresh: fresh)
        try measureHistory()
        progress.clear()
    }

    /// CPU of a hit, by how much data its session has.
    private func measureData(_ daemon: ServerProcess) throws(LoadTestError) {
        let control = try ControlConnection(path: daemon.socketPath)
        var cost = try DataCost(plan.smallSessions, shape: bed.preparation(plan.smallSessions, of: daemon))
        let counters = try DaemonInformation.nearCache(control)
        for round in 1...plan.rounds {
            progress.phase("data, round \(round) of \(plan.rounds)")
            try cost.measure { (lane) throws(LoadTestError) in
                try hitCPU(daemon, [lane], connections: plan.smallConnections)
            }
            result.data = cost.rows
        }
        noteHits(NearCacheCounters.hitShare(counters, try DaemonInformation.nearCache(control)), "data")
    }

    private func noteHits(_ share: Double?, _ what: String) {
        guard let share, share < 0.999 else { return }
        result.notes.append("\(what): only \(Figures.percent(share)) of the daemon's answers came from its near cache")
    }

    /// Room for every session, and no access is recorded while hits are measured: that would be a request to Redis.
    private var hitSettings: [String] {
        let bytes = max(64 << 20, plan.sessions * 512)
        return ["near-cache.max-memory=\(bytes >> 20)MiB", "session.touch-interval=1h"].filter(bed.accepts)
    }

    /// The daemon's memory without connections, and with many that have asked once and do nothing.
    private func measureConnections() throws(LoadTestError) {
        let allowed = UnixSocket.allowDescriptors(plan.connections + 100)
        guard allowed >= plan.connections + 64 else {
            throw .usage("\(plan.connections) connections need as many open files, and \(allowed) are allowed")
        }
        let daemon = try bed.startDaemon("idle", store: store.socketPath)
        let empty = ProcessAccounting.residentBytes(of: daemon.process) ?? 0
        progress.phase("opening \(Figures.grouped(plan.connections)) connections")
        var open: [ControlConnection] = []
        for index in 0..<plan.connections {
            if index & 255 == 0 { try Interruption.check() }
            let control = try ControlConnection(path: daemon.socketPath)
            _ = try control.demand("PING")
            open.append(control)
        }
        result.idleBytes = ProcessAccounting.residentBytes(of: daemon.process) ?? 0
        result.emptyBytes = empty
        open = []
        bed.end(daemon)
    }

    /// Who is asked, by few connections and by many.
    private struct Peer {
        var contender: Contender
        var server: ServerProcess
        var lanes: [LaneSpec]
        var few: [Double] = []
        var many: [Double] = []
    }

    /// CPU of a hit, small and large in turn; and what more connections cost those that do less at each request.
    private func measureGrowth(_ daemon: ServerProcess, _ tokens: TokenPool) throws(LoadTestError) {
        progress.phase("warming \(Figures.grouped(tokens.count)) sessions")
        try SessionSource.warm(tokens, shape: bed.preparation(tokens.count, of: daemon))
        let control = try ControlConnection(path: daemon.socketPath)
        let some = tokens.slice(0, count: plan.smallSessions)
        let all = [WorkloadLanes.validate(tokens)]
        var peers = [Peer(contender: .tokencached, server: daemon, lanes: [WorkloadLanes.validate(some)])]
        peers += try startPeers(some, answer: control.sampleAnswer(to: Array(peers[0].lanes[0].rows[0])))
        let before = try DaemonInformation.nearCache(control)
        var manySessions: [Double] = []
        for round in 1...plan.rounds {
            progress.phase("growth, round \(round) of \(plan.rounds)")
            manySessions.append(try hitCPU(daemon, all, connections: plan.smallConnections))
            for index in peers.indices {
                let peer = peers[index]
                peers[index].few.append(try hitCPU(peer.server, peer.lanes, connections: plan.smallConnections))
                peers[index].many.append(try hitCPU(peer.server, peer.lanes, connections: plan.largeConnections))
            }
            result.growth = rows(peers, manySessions: manySessions)
        }
        let cache = try DaemonInformation.nearCache(control)
        if let bytes = cache?.bytes, let entries = cache?.entries, entries > 0 {
            result.nearCacheEntryBytes = Double(bytes) / Double(entries)
        }
        for peer in peers.dropFirst() { bed.end(peer.server) }
        noteHits(NearCacheCounters.hitShare(before, cache), "growth")
    }

    private func rows(_ peers: [Peer], manySessions: [Double]) -> [GrowthRow] {
        let sessions = peers.first.flatMap {
            row("sessions", .tokencached, plan.smallSessions, plan.sessions, $0.few, manySessions)
        }
        let connections = peers.map {
            row("connections", $0.contender, plan.smallConnections, plan.largeConnections, $0.few, $0.many)
        }
        return ([sessions] + connections).compactMap { $0 }
    }

    /// A server that answers without looking, and one that only looks up; neither is ours.
    private func startPeers(_ tokens: TokenPool, answer: [UInt8]) throws(LoadTestError) -> [Peer] {
        let request = PeerRequests.fixed(tokens)
        let limit = try bed.startFixedAnswer(answer, requestSize: request.rows.stride, core: bed.cores.server)
        let redis = try bed.startRedis("redis", core: bed.cores.server)
        let control = try ControlConnection(path: redis.socketPath)
        try PeerRequests.fillStrings(tokens, value: PeerRequests.value(asLongAs: answer), into: control)
        return [
            Peer(contender: .limit, server: limit, lanes: [request]),
            Peer(contender: .redisGet, server: redis, lanes: [PeerRequests.get(tokens)]),
        ]
    }

    private func row(
        _ what: String, _ contender: Contender, _ small: Int, _ large: Int, _ few: [Double], _ many: [Double]
    ) -> GrowthRow? {
        guard let fewSpread = Spread(few), let manySpread = Spread(many), let ratio = Spread.ratio(many, to: few) else {
            return nil
        }
        return GrowthRow(
            contender: contender, what: what, small: small, large: large, smallMicroseconds: fewSpread,
            largeMicroseconds: manySpread, ratio: ratio)
    }

    private func hitCPU(
        _ daemon: ServerProcess, _ lanes: [LaneSpec], connections: Int
    ) throws(LoadTestError) -> Double {
        var shape = LoadShape(socketPath: daemon.socketPath)
        shape.connections = connections
        shape.duration = .milliseconds(Int64(plan.seconds * 1_000))
        shape.warmUp = .milliseconds(Int64(plan.seconds * 200))
        shape.recordsLatency = false
        shape.core = bed.cores.client
        let sample = try Sample.take(shape, lanes: lanes, process: daemon.process)
        try sample.outcome.expectGood(daemon.name)
        guard let microseconds = sample.serverMicroseconds else {
            throw .refused("\(daemon.name): \(connections) connections, and no answer in the measured time: --duration")
        }
        return microseconds
    }

    /// Memory of sessions whose token was replaced on access, before and after the client used the new one.
    private func measureRotation(_ tokens: TokenPool, fresh: Double) throws(LoadTestError) {
        let daemon = try bed.startDaemon(
            "rotating", store: store.socketPath, settings: ["rotation.after=2s", "rotation.overlap=1s"])
        let before = try usedMemory()
        progress.phase("rotating \(Figures.grouped(tokens.count)) sessions")
        var shape = bed.preparation(tokens.count, of: daemon)
        shape.collectsTokens = true
        var lane = WorkloadLanes.validate(tokens, once: true)
        lane.form.statuses = ["rotated"]
        let outcome = try Load.run(shape, lanes: [lane], observer: observer)
        try Interruption.check()
        try outcome.expectGood(daemon.name)
        result.pendingBytes = fresh + Double(try usedMemory() - before) / Double(tokens.count)
        bed.end(daemon)

        let confirming = try bed.startDaemon("confirming", store: store.socketPath)
        progress.phase("confirming \(Figures.grouped(tokens.count)) sessions")
        lane = WorkloadLanes.validate(TokenPool(bytes: outcome.tokens), once: true)
        let preparation = bed.preparation(tokens.count, of: confirming)
        try Load.run(preparation, lanes: [lane], observer: observer).expectGood(confirming.name)
        result.rotatedBytes = fresh + Double(try usedMemory() - before) / Double(tokens.count)
        bed.end(confirming)
    }

    /// Memory of the near cache for sessions with as much history as is kept: tokens that were replaced by force, then one
    /// that was replaced on access and has its successor.
    private func measureHistory() throws(LoadTestError) {
        let replacing = try bed.startDaemon("replacing", store: store.socketPath)
        progress.phase("replacing the tokens of \(Figures.grouped(plan.historySessions)) sessions")
        var tokens = try SessionSource.issue(
            plan.historySessions, shape: bed.preparation(plan.historySessions, of: replacing),
            row: WorkloadLanes.issueRow)
        for _ in 0..<ScalePlan.replacedTokens { tokens = try replace(tokens, "TOKEN.ROTATE", at: replacing) }
        bed.end(replacing)
        // As old as the next daemon wants them.
        sleep(2)
        let rotating = try bed.startDaemon(
            "rotating", store: store.socketPath, settings: ["rotation.after=2s", "rotation.overlap=1s"])
        tokens = try replace(tokens, "TOKEN.VALIDATE", at: rotating)
        bed.end(rotating)
        let remembering = try bed.startDaemon("remembering", store: store.socketPath, settings: hitSettings)
        // The first confirms the token, the second is kept.
        for _ in 1...2 { try SessionSource.warm(tokens, shape: bed.preparation(tokens.count, of: remembering)) }
        let cache = try DaemonInformation.nearCache(ControlConnection(path: remembering.socketPath))
        if let bytes = cache?.bytes, let entries = cache?.entries, entries == tokens.count {
            result.historyEntryBytes = Double(bytes) / Double(entries)
        }
        bed.end(remembering)
    }

    /// Has each token replaced.
    private func replace(
        _ tokens: TokenPool, _ command: String, at daemon: ServerProcess
    ) throws(LoadTestError) -> TokenPool {
        var shape = bed.preparation(tokens.count, of: daemon)
        shape.collectsTokens = true
        let lane = LaneSpec(rows: tokens.requests(command), order: .once, form: ReplyForm(statuses: ["rotated"]))
        let outcome = try Load.run(shape, lanes: [lane])
        try Interruption.check()
        try outcome.expectGood(daemon.name)
        return TokenPool(bytes: outcome.tokens)
    }

    private var observer: LoadObserver {
        var observer = LoadObserver()
        observer.progresses = progress.update
        return observer
    }

    private func usedMemory() throws(LoadTestError) -> Int {
        guard let bytes = try DaemonInformation.read(storeControl, section: "memory")["used_memory"].flatMap(Int.init)
        else { throw .refused("Redis does not tell its memory") }
        return bytes
    }
}
