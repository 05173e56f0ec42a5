internal import EventLoop
internal import WireProtocol

/// What was called how often and how long it took, for INFO. Sizes are fixed: nothing a peer sends makes them grow.
struct CommandStatistics {
    struct Row {
        var calls: UInt64 = 0
        /// From reading the request to its reply; of requests answered together once.
        var microseconds: UInt64 = 0
        /// Refused before they were carried out: role or number of arguments.
        var rejected: UInt64 = 0
        /// Answered with an error.
        var failed: UInt64 = 0
        var latencies = LatencyHistogram()
    }

    private(set) var rows: [Row] = Array(repeating: Row(), count: Command.allCases.count)
    private(set) var errors: [(code: String, count: UInt64)] =
        ["ERR", "NOPERM", "UNAVAILABLE", "OVERLOADED", "NOKEYS", "NOPROTO", "EXECABORT"].map { ($0, 0) }
    var unknownCommands: UInt64 = 0

    /// The commands that were called, in the order of the table.
    var called: [(name: String, row: Row)] {
        Command.allCases.compactMap { command in
            let row = rows[Int(command.rawValue)]
            return row.calls > 0 || row.rejected > 0 ? ("\(command.row.name)", row) : nil
        }
    }

    var totalCalls: UInt64 { rows.reduce(0) { $0 &+ $1.calls } }
    var totalErrors: UInt64 { errors.reduce(0) { $0 &+ $1.count } }

    /// Commands of one kind that were answered one after the other in one turn, not yet entered.
    private var run: (command: Command, start: MonotonicInstant, calls: UInt64)?

    /// Counts a command that was answered at once. The clock is read when the run of its kind ends.
    @inline(__always)
    mutating func countAtOnce(_ command: Command, since start: MonotonicInstant) {
        if run?.command == command, run?.start == start {
            run?.calls &+= 1
        } else {
            settle()
            run = (command, start, 1)
        }
    }

    /// Enters the run: to be called when a connection's share of a turn is over, and before the figures are read.
    mutating func settle() {
        guard let run else { return }
        self.run = nil
        count(run.command, since: run.start, calls: run.calls)
    }

    mutating func count(_ command: Command, since start: MonotonicInstant, calls: UInt64 = 1) {
        let elapsed = Self.microseconds(since: start)
        update(command) { row in
            row.calls &+= calls
            row.microseconds &+= elapsed
            row.latencies.record(microseconds: elapsed, times: calls)
        }
    }

    static func microseconds(since start: MonotonicInstant) -> UInt64 {
        UInt64(clamping: MonotonicInstant.now().nanoseconds &- start.nanoseconds) / 1_000
    }

    mutating func countFailure(_ command: Command) {
        update(command) { row in
            row.calls &+= 1
            row.failed &+= 1
        }
    }

    mutating func reject(_ command: Command) { update(command) { $0.rejected &+= 1 } }

    mutating func countError(_ code: StaticString) {
        guard let index = errors.firstIndex(where: { $0.code == code.description }) else { return }
        errors[index].count &+= 1
    }

    private mutating func update(_ command: Command, _ change: (inout Row) -> Void) {
        let index = Int(command.rawValue)
        guard rows.indices.contains(index) else { return }
        change(&rows[index])
    }
}

/// Counts durations in buckets of an eighth of their size: enough for percentiles of INFO, at a fixed 2 KiB.
struct LatencyHistogram {
    private static let subBuckets: UInt64 = 8
    private var counts: [UInt64] = []
    private(set) var count: UInt64 = 0
    /// Of all durations, microseconds.
    private(set) var sum: UInt64 = 0

    /// Records a duration; storage is made with the first one.
    mutating func record(microseconds: UInt64, times: UInt64) {
        if counts.isEmpty { counts = Array(repeating: 0, count: 256) }
        let index = min(Self.bucket(of: microseconds), counts.count - 1)
        counts[index] &+= times
        count &+= times
        sum &+= microseconds &* times
    }

    /// Bounds of the buckets that Prometheus is told, microseconds. Each is where a bucket here begins, so that none is split.
    static let metricBounds: [UInt64] = [
        10, 26, 52, 104, 256, 512, 1_024, 2_560, 5_120, 10_240, 26_624, 53_248, 106_496, 262_144, 524_288, 1_048_576,
        2_621_440,
    ]

    /// How many durations are shorter than each bound.
    func counts(below bounds: [UInt64]) -> [UInt64] {
        var counted: [UInt64] = []
        var (index, seen) = (0, UInt64(0))
        for bound in bounds {
            while index < counts.count, Self.upperBound(of: index) < bound {
                seen &+= counts[index]
                index += 1
            }
            counted.append(seen)
        }
        return counted
    }

    /// The upper bound of the bucket below which `fraction` of the durations lie, microseconds; nil before the first.
    func percentile(_ fraction: Double) -> UInt64? {
        let total = count
        guard total > 0 else { return nil }
        let rank = UInt64((Double(total) * fraction).rounded(.up))
        var seen: UInt64 = 0
        for (index, count) in counts.enumerated() {
            seen += count
            if seen >= max(rank, 1) { return Self.upperBound(of: index) }
        }
        return nil
    }

    private static func bucket(of value: UInt64) -> Int {
        guard value >= subBuckets else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        return Int(subBuckets) * (exponent - 2) + Int((value >> UInt64(exponent - 3)) & 7)
    }

    private static func upperBound(of bucket: Int) -> UInt64 {
        guard bucket >= Int(subBuckets) else { return UInt64(bucket) }
        let exponent = UInt64(bucket / Int(subBuckets) + 2)
        let fraction = UInt64(bucket % Int(subBuckets))
        return (subBuckets + fraction + 1) << (exponent - 3) - 1
    }
}
