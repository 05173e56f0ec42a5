public import Histogram

/// A histogram as reports need it; times in microseconds.
public struct LatencySummary: Codable, Sendable, Equatable {
    /// A point of the curve: so many percent of the requests were answered within this time.
    public struct Point: Codable, Sendable, Equatable {
        public var percentile: Double
        public var microseconds: Double
    }

    public var count: UInt64
    public var mean: Double
    public var p50: Double
    public var p90: Double
    public var p99: Double
    public var p999: Double
    public var highest: Double
    /// Denser towards 100 %: an equal number of points for every halving of what is left.
    public var curve: [Point]

    /// Nil if nothing was recorded.
    public init?(_ histogram: LatencyHistogram, pointsPerHalving: Int = 4) {
        guard histogram.totalCount > 0 else { return nil }
        func at(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile)) / 1_000 }
        count = histogram.totalCount
        mean = histogram.mean / 1_000
        p50 = at(50)
        p90 = at(90)
        p99 = at(99)
        p999 = at(99.9)
        highest = Double(histogram.maxRecorded) / 1_000
        curve = histogram.percentiles(ticksPerHalfDistance: pointsPerHalving).map {
            Point(percentile: $0.percentileLevelIteratedTo, microseconds: Double($0.value) / 1_000)
        }
    }
}

/// HdrHistogram's own text format, which its plotters read; times in microseconds.
public func percentileDistribution(of histogram: LatencyHistogram) -> String {
    var text = ""
    histogram.outputPercentileDistribution(
        to: &text, outputValueUnitScalingRatio: 1_000, percentileTicksPerHalfDistance: 5)
    return text
}
