/// Every server in one form of load.
public struct ComparisonTable: Codable, Sendable {
    public var form: ClientForm
    public var rows: [SpeedRow<Contender>]

    /// Of `one` to `other`, round by round: throughputs or microseconds.
    func ratio(_ one: Contender, to other: Contender, _ values: KeyPath<Speed, [Double]> = \.throughputs) -> Spread? {
        guard let one = speed(of: one), let other = speed(of: other) else { return nil }
        return Spread.ratio(one[keyPath: values], to: other[keyPath: values])
    }

    private func speed(of contender: Contender) -> Speed? { rows.first { $0.subject == contender }?.speed }
}

/// Latencies of one server at a fixed rate.
public struct LatencyRow: Codable, Sendable {
    public var contender: Contender
    /// Requests a second.
    public var rate: Double
    public var summary: LatencySummary
    /// Requests without an answer at the end, requests that were due and never sent, and requests that the client itself
    /// sent late.
    public var unanswered = 0
    public var unsent: Int
    public var late: Int
}

/// A figure that must be reached, and what was measured.
public struct FigureResult: Codable, Sendable {
    /// `P1` …
    public var id: String
    public var text: String
    /// `≥ 1.6`
    public var wanted: String
    /// `1.74 (1.70–1.78)`; `not measured` if there is nothing to judge by.
    public var measured: String
    /// Nil if it was not measured, or not judged.
    public var isReached: Bool?
    /// Why it was measured but not judged.
    public var unjudged: String?

    /// As tables say it.
    var verdict: String {
        isReached.map { $0 ? "reached" : "not reached" } ?? unjudged.map { "not judged: \($0)" } ?? "–"
    }

    /// The same without a verdict, if there is a reason and it would have one.
    func notJudged(_ reason: String?) -> FigureResult {
        guard let reason, isReached != nil else { return self }
        var figure = self
        figure.isReached = nil
        figure.unjudged = reason
        return figure
    }
}

/// Hits in the mix, to hits alone at the same rate in the same round.
public struct MixedTail: Codable, Sendable {
    public var p90: Double
    public var p99: Double
}

extension MixedTail {
    /// Nil where one of them was not measured.
    init?(_ hits: LatencySummary?, alone: LatencySummary?) {
        guard let hits, let alone, alone.p90 > 0, alone.p99 > 0 else { return nil }
        self.init(p90: hits.p90 / alone.p90, p99: hits.p99 / alone.p99)
    }
}

/// What a comparison measured.
public struct ComparisonResult: Codable, Sendable {
    public var rounds: Int
    /// Of one measurement.
    public var seconds: Double
    public var connections: Int
    public var sessions: Int
    public var requestBytes: Int
    public var replyBytes: Int
    public var tables: [ComparisonTable] = []
    /// Validation of sessions that no cache holds: the daemon with its Redis, and the script directly.
    public var cold: ComparisonTable?
    public var latencies: [LatencyRow] = []
    /// 94 % hits, 5 % misses, 1 % rotations at half of what the daemon can do.
    public var mixed: WorkloadResult?
    /// Of each of its rounds; `mixed` is the last one.
    public var mixedTails: [MixedTail] = []
    public var mixedSaturation: Double?
    /// Of the cores that were used, while nothing ran there; nil where the kernel chose them.
    public var stalls: MachineStalls?
    public var figures: [FigureResult] = []
    /// Share of the daemon's answers that came from its near cache; nil if it does not say.
    public var nearCacheHits: Double?
    public var notes: [String] = []
}
