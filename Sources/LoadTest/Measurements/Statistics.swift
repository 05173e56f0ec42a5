/// Several measurements of one thing.
public struct Spread: Codable, Sendable, Equatable {
    public var median: Double
    public var lowest: Double
    public var highest: Double

    /// Nil if there is nothing to take it from.
    public init?(_ values: [Double]) {
        let sorted = values.filter(\.isFinite).sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        let middle = sorted.count / 2
        median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        lowest = first
        highest = last
    }

    /// The ratios of what was measured in the same round, and their spread: what slows a whole round down, slows both.
    public static func ratio(_ values: [Double], to others: [Double]) -> Spread? {
        Spread(zip(values, others).compactMap { $1 > 0 ? $0 / $1 : nil })
    }
}
