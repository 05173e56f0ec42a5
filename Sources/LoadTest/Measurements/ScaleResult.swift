/// What one kind of thing costs. What was not measured, because the run ended early, is nil.
public struct ScaleResult: Codable, Sendable {
    public var sessions: Int
    /// Redis memory of a fresh session, of one whose successor waits, and of one whose successor was confirmed.
    public var freshBytes: Double?
    public var pendingBytes: Double?
    public var rotatedBytes: Double?
    /// Memory of the daemon with this many connections that do nothing, and with none.
    public var connections: Int
    public var idleBytes: Int?
    public var emptyBytes: Int?
    /// Bytes of the near cache an entry, where the daemon says so.
    public var nearCacheEntryBytes: Double?
    /// The same of sessions with as much history as is kept.
    public var historyEntryBytes: Double?
    public var growth: [GrowthRow] = []
    public var data: [DataRow] = []
    public var figures: [FigureResult] = []
    public var notes: [String] = []
}

extension ScaleResult {
    /// What takes memory: as tables say it, and as CSV does with the circumstances.
    var memory: [(title: String, name: String, form: String, connections: Int?, bytes: Double?)] {
        let many = "\(sessions) sessions"
        return [
            ("Redis, a fresh session", "redis-fresh-session", many, nil, freshBytes),
            ("Redis, a session whose successor waits", "redis-session-with-successor", many, nil, pendingBytes),
            ("Redis, a session once rotated", "redis-rotated-session", many, nil, rotatedBytes),
            ("near cache, an entry", "near-cache-entry", many, nil, nearCacheEntryBytes),
            ("near cache, an entry with full history", "near-cache-entry-with-history", "", nil, historyEntryBytes),
            ("daemon, no connections", "daemon", "", 0, emptyBytes.map(Double.init)),
            (
                "daemon, \(Figures.grouped(connections)) idle ones", "daemon", "", connections,
                idleBytes.map(Double.init)
            ),
        ]
    }
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

/// CPU of a hit of sessions that have data, none of which is asked for.
public struct DataRow: Codable, Sendable {
    public var command: DataCommand
    public var data: SessionData
    public var microseconds: Spread
    /// To sessions without data, within a round.
    public var ratio: Spread
}

/// Sizes of a growth measurement.
public struct ScalePlan: Sendable {
    public var sessions = ScalePlan.fullSessions
    public var connections = 10_000
    public var smallSessions = 1_000
    /// Whose tokens are replaced again and again.
    public var historySessions = 10_000
    public var smallConnections = 50
    public var largeConnections = 5_000
    public var rounds = 5
    public var seconds = 1.5

    public init() {}

    /// What P5 and P6 speak of: fewer sessions say nothing about them.
    public static let fullSessions = 1_000_000
    /// With fewer, there is no growth to measure beside ``smallSessions``.
    public static let fewestSessions = 10_000

    static let freshLimit = 300.0
    static let rotatedLimit = 450.0
    static let entryLimit = 160.0
    static let historyLimit = 350.0
    /// One more than a session remembers.
    static let replacedTokens = 8
    static let idleLimit = 64.0 * 1_048_576
    /// Of P6, for more sessions. That a hit's cost "does not depend on data size" has no number there: it is held to the
    /// same. More connections cost no more than they cost the bare loop in the same run.
    static let growthLimit = 1.3
}

extension ScaleResult {
    static func judge(_ result: ScaleResult) -> [FigureResult] {
        func atMost(_ limit: Double, _ value: Double?, _ text: String) -> FigureResult {
            FigureResult(
                id: "P5", text: text, wanted: "≤ \(Figures.bytes(limit))",
                measured: value.map(Figures.bytes) ?? "not measured", isReached: value.map { $0 <= limit })
        }
        let full = ScalePlan.fullSessions
        let tooFew = result.sessions < full ? "fewer than \(Figures.grouped(full)) sessions" : nil
        let memory = [
            atMost(
                ScalePlan.freshLimit, result.freshBytes,
                "Redis memory of a fresh session (\(Figures.grouped(result.sessions)) of them)"),
            atMost(
                ScalePlan.rotatedLimit, result.rotatedBytes.map { max($0, result.pendingBytes ?? $0) },
                "Redis memory of a session once rotated"),
            atMost(ScalePlan.entryLimit, result.nearCacheEntryBytes, "near cache, an entry"),
            atMost(ScalePlan.historyLimit, result.historyEntryBytes, "near cache, an entry with full history"),
        ]
        let idle = atMost(
            ScalePlan.idleLimit, result.idleBytes.map(Double.init),
            "daemon with \(Figures.grouped(result.connections)) idle connections")
        let bare = result.growth.first { $0.contender == .limit && $0.what == "connections" }?.ratio.median
        let growth = result.growth.filter { $0.contender == .tokencached }.map { row in
            Targets.atMost(
                row.what == "connections" ? bare ?? ScalePlan.growthLimit : ScalePlan.growthLimit, row.ratio, "P6",
                "CPU per hit, \(Figures.grouped(row.large)) \(row.what) to \(Figures.grouped(row.small))"
            ).notJudged(row.what == "sessions" ? tooFew : nil)
        }
        let data = result.data.filter { $0.data != .none }.map { row in
            Targets.atMost(
                ScalePlan.growthLimit, row.ratio, "P6",
                "CPU per hit, \(row.command.rawValue), \(row.data.title) to none")
        }
        return memory.map { $0.notJudged(tooFew) } + [idle] + growth + data
    }
}
