/// How long and how often a comparison measures.
public struct ComparisonPlan: Sendable {
    public var rounds: Int
    /// Of one measurement, its warm-up (a tenth more) not counted.
    public var seconds: Double
    public var latencySeconds: Double
    /// Sessions of one cold measurement.
    public var coldSessions: Int
    public var connections = 50
    public var sessions = 1_000
    public var clientThreads = 1
    /// Further settings of the daemon, `key=value`.
    public var settings: [String] = []

    /// About three minutes.
    public static let full = ComparisonPlan(rounds: 5, seconds: 1.5, latencySeconds: 4, coldSessions: 50_000)
    /// About twenty seconds.
    public static let quick = ComparisonPlan(rounds: 3, seconds: 0.25, latencySeconds: 0.6, coldSessions: 10_000)

    /// Measurements, for the progress line.
    func steps(_ contenders: Int) -> Int {
        rounds * (contenders * ClientForm.allCases.count + 2) + contenders + 2
    }
}
