/// What one kind of thing costs.
public struct ScaleResult: Codable, Sendable {
    public var sessions: Int
    /// Redis memory of a fresh session, of one whose successor waits, and of one whose successor was confirmed.
    public var freshBytes: Double
    public var pendingBytes: Double
    public var rotatedBytes: Double
    /// Memory of the daemon with this many connections that do nothing, and with none.
    public var connections: Int
    public var idleBytes: Int
    public var emptyBytes: Int
    /// Bytes of the near cache an entry, where the daemon says so.
    public var nearCacheEntryBytes: Double?
    public var growth: [GrowthRow]
    public var figures: [FigureResult] = []
    public var notes: [String] = []
}

/// CPU of a request where there is little, and where there is much.
public struct GrowthRow: Codable, Sendable {
    public var contender: Contender
    /// `sessions`, `connections`
    public var what: String
    public var small: Int
    public var large: Int
    public var smallMicroseconds: Spread
    public var largeMicroseconds: Spread
    public var ratio: Spread
}

/// Sizes of a growth measurement.
public struct ScalePlan: Sendable {
    public var sessions = 1_000_000
    public var connections = 10_000
    public var smallSessions = 1_000
    public var smallConnections = 50
    public var largeConnections = 5_000
    public var rounds = 5
    public var seconds = 1.5

    public init() {}

    static let freshLimit = 300.0
    static let rotatedLimit = 450.0
    static let entryLimit = 256.0
    static let idleLimit = 64.0 * 1_048_576
    static let growthLimit = 1.3
}

/// Measures memory and growth: P5 and P6.
public final class Scale {
    private let plan: ScalePlan
    private let bed: TestBed
    private let progress: Progress
    private let store: ServerProcess
    private let storeControl: ControlConnection

    public init(_ plan: ScalePlan, bed: TestBed, progress: Progress) throws(LoadTestError) {
        self.plan = plan
        self.bed = bed
        self.progress = progress
        progress.phase("starting the servers")
        store = try bed.startRedis("store", core: bed.cores.store)
        storeControl = try ControlConnection(path: store.socketPath)
    }

    public func measure() throws(LoadTestError) -> ScaleResult {
        let (empty, idle) = try measureConnections()
        var daemon = try bed.startDaemon("loading", store: store.socketPath)
        let before = try usedMemory()
        progress.phase("making \(Figures.grouped(plan.sessions)) sessions")
        let tokens = try SessionSource.issue(
            plan.sessions, shape: preparation(daemon, plan.sessions), row: WorkloadLanes.issueRow, progress: progress)
        let fresh = Double(try usedMemory() - before) / Double(plan.sessions)
        bed.end(daemon)

        daemon = try bed.startDaemon("growth", store: store.socketPath, settings: growthSettings)
        let growth = try measureGrowth(daemon, tokens)
        bed.end(daemon)

        let (pending, rotated) = try measureRotation(tokens, fresh: fresh)
        progress.clear()
        var result = ScaleResult(
            sessions: plan.sessions, freshBytes: fresh, pendingBytes: pending, rotatedBytes: rotated,
            connections: plan.connections, idleBytes: idle, emptyBytes: empty, nearCacheEntryBytes: growth.entryBytes,
            growth: growth.rows)
        if let hits = growth.hits, hits < 0.999 {
            result.notes.append("only \(Figures.percent(hits)) of the daemon's answers came from its near cache")
        }
        result.figures = Self.judge(result)
        return result
    }

    /// Room for every session, and no access is recorded while hits are measured: that would be a request to Redis.
    private var growthSettings: [String] {
        let bytes = max(64 << 20, plan.sessions * 512)
        return ["near-cache.max-memory=\(bytes >> 20)MiB", "session.touch-interval=1h"].filter(bed.accepts)
    }

    /// The daemon's memory without connections, and with many that have asked once and do nothing.
    private func measureConnections() throws(LoadTestError) -> (empty: Int, idle: Int) {
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
        let idle = ProcessAccounting.residentBytes(of: daemon.process) ?? 0
        open = []
        bed.end(daemon)
        return (empty, idle)
    }

    /// Who is asked, by few connections and by many.
    private struct Peer {
        var contender: Contender
        var server: ServerProcess
        var lanes: [LaneSpec]
        var few: [Double] = []
        var many: [Double] = []
    }

    private struct Growth {
        var rows: [GrowthRow]
        var entryBytes: Double?
        /// Share of the requests that were hits.
        var hits: Double?
    }

    /// CPU of a hit, small and large in turn; and what more connections cost those that do less at each request.
    private func measureGrowth(
        _ daemon: ServerProcess, _ tokens: TokenPool
    ) throws(LoadTestError) -> Growth {
        progress.phase("warming \(Figures.grouped(tokens.count)) sessions")
        try SessionSource.warm(tokens, shape: preparation(daemon, tokens.count))
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
        }
        let cache = try DaemonInformation.nearCache(control)
        var entryBytes: Double?
        if let bytes = cache?.bytes, let entries = cache?.entries, entries > 0 {
            entryBytes = Double(bytes) / Double(entries)
        }
        for peer in peers.dropFirst() { bed.end(peer.server) }
        let sessions = row("sessions", .tokencached, plan.smallSessions, plan.sessions, peers[0].few, manySessions)
        let connections = peers.map {
            row("connections", $0.contender, plan.smallConnections, plan.largeConnections, $0.few, $0.many)
        }
        return Growth(
            rows: ([sessions] + connections).compactMap { $0 }, entryBytes: entryBytes,
            hits: NearCacheCounters.hitShare(before, cache))
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
        guard sample.outcome.failureCount == 0, let microseconds = sample.serverMicroseconds else {
            throw .refused("bad answers: \(sample.outcome.failures)")
        }
        return microseconds
    }

    /// Memory of sessions whose token was replaced on access, before and after the client used the new one.
    private func measureRotation(
        _ tokens: TokenPool, fresh: Double
    ) throws(LoadTestError) -> (pending: Double, rotated: Double) {
        let daemon = try bed.startDaemon(
            "rotating", store: store.socketPath, settings: ["rotation.after=2s", "rotation.overlap=1s"])
        let before = try usedMemory()
        progress.phase("rotating \(Figures.grouped(tokens.count)) sessions")
        var shape = preparation(daemon, tokens.count)
        shape.collectsTokens = true
        var lane = WorkloadLanes.validate(tokens, once: true)
        lane.form.statuses = ["rotated"]
        let outcome = try Load.run(shape, lanes: [lane], observer: observer)
        try expectClean(outcome)
        let pending = Double(try usedMemory() - before) / Double(tokens.count)
        bed.end(daemon)

        let confirming = try bed.startDaemon("confirming", store: store.socketPath)
        progress.phase("confirming \(Figures.grouped(tokens.count)) sessions")
        lane = WorkloadLanes.validate(TokenPool(bytes: outcome.tokens), once: true)
        try expectClean(try Load.run(preparation(confirming, tokens.count), lanes: [lane], observer: observer))
        let rotated = Double(try usedMemory() - before) / Double(tokens.count)
        bed.end(confirming)
        return (fresh + pending, fresh + rotated)
    }

    private var observer: LoadObserver {
        var observer = LoadObserver()
        observer.progresses = progress.update
        return observer
    }

    private func expectClean(_ outcome: LoadOutcome) throws(LoadTestError) {
        if let failure = outcome.failures.max(by: { $0.value < $1.value }) {
            throw .refused("\(failure.value) bad answers: \(failure.key)")
        }
    }

    private func preparation(_ daemon: ServerProcess, _ requests: Int) -> LoadShape {
        var plan = WorkloadPlan(workload: .validate, socketPath: daemon.socketPath)
        plan.clientCore = bed.cores.client
        return plan.preparation(requests)
    }

    private func usedMemory() throws(LoadTestError) -> Int {
        guard let bytes = try DaemonInformation.read(storeControl, section: "memory")["used_memory"].flatMap(Int.init)
        else { throw .refused("Redis does not tell its memory") }
        return bytes
    }
}

extension Scale {
    static func judge(_ result: ScaleResult) -> [FigureResult] {
        func atMost(_ limit: Double, _ value: Double?, _ id: String, _ text: String) -> FigureResult {
            FigureResult(
                id: id, text: text, wanted: "≤ \(Figures.bytes(limit))",
                measured: value.map(Figures.bytes) ?? "not measured", isReached: value.map { $0 <= limit })
        }
        let count = Figures.grouped(result.sessions)
        return [
            atMost(ScalePlan.freshLimit, result.freshBytes, "P5", "Redis memory of a fresh session (\(count) of them)"),
            atMost(
                ScalePlan.rotatedLimit, max(result.pendingBytes, result.rotatedBytes), "P5",
                "Redis memory of a session once rotated"),
            atMost(ScalePlan.entryLimit, result.nearCacheEntryBytes, "P5", "near cache, an entry"),
            atMost(
                ScalePlan.idleLimit, Double(result.idleBytes), "P5",
                "daemon with \(Figures.grouped(result.connections)) idle connections"),
        ]
            + result.growth.filter { $0.contender == .tokencached }.map { row in
                Targets.atMost(
                    ScalePlan.growthLimit, row.ratio, "P6",
                    "CPU per hit, \(Figures.grouped(row.large)) \(row.what) to \(Figures.grouped(row.small))")
            }
    }
}
