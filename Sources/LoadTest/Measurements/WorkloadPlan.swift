/// One workload against one daemon, as asked for.
public struct WorkloadPlan: Sendable {
    public var workload: Workload
    public var socketPath: String
    /// Whether the daemon is ours: else the sessions that are made for the test are ended with it, and after an hour by
    /// themselves.
    public var ownsDaemon = false
    /// Nil: as many as the workload usually has.
    public var sessions: Int?
    public var connections = 50
    public var pipeline = 1
    public var threads = 1
    public var duration = Duration.seconds(10)
    public var warmUp = Duration.seconds(1)
    public var rate: Double?
    public var clientCore: Int?

    public init(workload: Workload, socketPath: String) {
        self.workload = workload
        self.socketPath = socketPath
    }

    /// Requests in flight on a connection, at most, where they have fixed times.
    public static let mostInFlightAtRate = 64
    static let loadingPipeline = 16
    /// Requests a second that a closed `mixed` run is prepared for.
    static let expectedMixedRate = 200_000.0

    var shape: LoadShape {
        var shape = LoadShape(socketPath: socketPath)
        shape.connections = connections
        shape.pipeline = workload == .connect ? 1 : pipeline
        shape.reconnects = workload == .connect
        shape.threads = threads
        shape.duration = duration
        shape.warmUp = warmUp
        shape.core = clientCore
        if let rate { shape.pace = .open(perSecond: rate) }
        return shape
    }

    /// Sessions for the requests that should miss, each asked about once.
    var missCount: Int {
        let seconds = duration.inSeconds + warmUp.inSeconds
        let perSecond = (rate ?? Self.expectedMixedRate) * Double(WorkloadLanes.misses) / 100
        return min(1_000_000, max(1_000, Int(perSecond * seconds * 1.1)))
    }

    /// A leased session waits for its answer: there must be one for each place.
    var rotatingCount: Int { max(sessions ?? Workload.rotate.usualSessions, connections * pipeline + threads) }

    /// A shape that makes sessions or warms them, as fast as it goes.
    func preparation(_ requests: Int) -> LoadShape {
        var shape = LoadShape(socketPath: socketPath)
        shape.connections = min(connections, 50, max(1, requests))
        shape.pipeline = Self.loadingPipeline
        shape.mostRequests = requests
        shape.duration = .seconds(600)
        shape.recordsLatency = false
        shape.core = clientCore
        return shape
    }
}

extension TestBed {
    /// As ``WorkloadPlan/preparation(_:)``, for a daemon that runs here.
    func preparation(_ requests: Int, of daemon: ServerProcess) -> LoadShape {
        var plan = WorkloadPlan(workload: .validate, socketPath: daemon.socketPath)
        plan.clientCore = cores.client
        return plan.preparation(requests)
    }
}

/// What a workload measured.
public struct WorkloadResult: Codable, Sendable {
    public var workload: Workload
    public var sessions: Int
    public var connections: Int
    public var pipeline: Int
    public var threads: Int
    /// Requests a second that were asked for; nil: as many as possible.
    public var rate: Double?
    public var seconds: Double
    public var requests: Int
    public var throughput: Double
    public var serverMicroseconds: Double?
    public var serverLoad: Double?
    public var clientLoad: Double
    public var failed: Int
    public var failures: [String: Int]
    public var unanswered: Int
    public var unsent: Int
    public var late: Int
    /// Share of requests that the daemon answered from its near cache, where it says so.
    public var nearCacheHits: Double?
    public var latency: LatencySummary?
    /// Of the hits alone, where there are others among the requests.
    public var hitLatency: LatencySummary?
    public var notes: [String]

    /// Whether every request got the answer that it should get.
    public var isClean: Bool { failed == 0 && unanswered == 0 }
}
