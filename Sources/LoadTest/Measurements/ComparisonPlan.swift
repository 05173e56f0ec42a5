/// How long and how often a comparison measures.
public struct ComparisonPlan: Sendable {
    public var rounds: Int
    /// Of one measurement, its warm-up (a tenth more) not counted.
    public var seconds: Double
    public var connections = 50
    public var sessions = 1_000
    public var clientThreads = 1
    /// Further settings of the daemon, `key=value`.
    public var settings: [String] = []

    /// About three minutes.
    public static let full = ComparisonPlan(rounds: 5, seconds: 1.5)
    /// About twenty seconds.
    public static let quick = ComparisonPlan(rounds: 3, seconds: 0.25)

    /// Of one latency measurement: the tail needs more.
    var latencySeconds: Double { seconds * 2.5 }
    /// Sessions of one cold measurement.
    var coldSessions: Int { max(1_000, Int(seconds * 35_000)) }

    /// What one server is asked in one round: as fast as it goes, one in flight on each connection.
    func shape(_ socketPath: String, core: Int?) -> LoadShape {
        var shape = LoadShape(socketPath: socketPath)
        shape.connections = connections
        shape.duration = .milliseconds(Int64(seconds * 1_000))
        shape.warmUp = .milliseconds(Int64(seconds * 100))
        shape.recordsLatency = false
        shape.threads = clientThreads
        shape.core = core
        return shape
    }

    /// Measurements, for the progress line.
    func steps(_ contenders: Int) -> Int {
        rounds * (contenders * ClientForm.allCases.count + 2) + contenders + 3 + Comparison.mixedRounds
    }
}
