public import Histogram

/// Latencies in nanoseconds, to three digits.
public typealias LatencyHistogram = Histogram<UInt64>

/// How requests follow one another.
public enum Pace: Sendable, Equatable {
    /// The next one when an answer came: as fast as the server can. Measures throughput.
    case closed
    /// So many a second, whatever the answers do. Measures latency: each counts from the moment at which its request
    /// was meant to be sent, so that a server that stalls cannot hold back the requests that would have met the stall.
    case open(perSecond: Double)
}

/// How a load is put on one server.
public struct LoadShape: Sendable {
    public var socketPath: String
    public var connections = 50
    /// Requests in flight on each connection.
    public var pipeline = 1
    /// A new connection for each request.
    public var reconnects = false
    public var pace = Pace.closed
    /// Answers in this time are not counted.
    public var warmUp = Duration.zero
    public var duration = Duration.seconds(10)
    /// Ends after so many requests, if the time has not ended it.
    public var mostRequests: Int?
    public var recordsLatency = true
    /// Keeps the new token of each answer. Such a load is not thrown away by a signal: it ends early, with what it has.
    public var collectsTokens = false
    public var threads = 1
    /// The core of the first thread; the others take the next ones. Nil leaves it to the kernel.
    public var core: Int?

    public init(socketPath: String) { self.socketPath = socketPath }

    /// Seconds after the end in which late answers are waited for.
    static let grace = Duration.seconds(2)
}

/// What a load did.
public struct LoadOutcome: Sendable {
    /// Good and bad answers within the measured time.
    public var answered = 0
    /// Of those that came over all, the ones that were not good, by what was wrong.
    public var failures: [String: Int] = [:]
    /// Requests without an answer at the end.
    public var unanswered = 0
    /// Open pace: requests that were due in the measured time and never sent, because every connection was still waiting.
    /// They are among the latencies, with the time that they waited for a connection.
    public var unsent = 0
    /// Open pace: requests sent more than 200 µs late although a connection was free: the client's own fault.
    public var late = 0
    /// The measured time, seconds.
    public var seconds = 0.0
    /// CPU time that the client's busiest thread used in the measured time, seconds.
    public var clientCPU = 0.0
    /// Lane by lane.
    public var laneLatencies: [LatencyHistogram] = []
    /// Of all lanes.
    public var latencies: LatencyHistogram {
        laneLatencies.reduce(into: LoadOutcome.emptyHistogram) { $0.add($1) }
    }
    /// New tokens, 128 hex digits each.
    public var tokens: [UInt8] = []
    /// Requests sent again that should have been sent once, lane by lane.
    public var repeats: [Int] = []
    /// Whether it ended because every request had been sent.
    public var isExhausted = false

    public static var emptyHistogram: LatencyHistogram {
        var histogram = LatencyHistogram(
            lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
        histogram.autoResize = true
        return histogram
    }

    /// What went wrong most often; nil if nothing did.
    public var mostFrequentFailure: String? { failures.max { $0.value < $1.value }?.key }
    public var failureCount: Int { failures.values.reduce(0, +) }
    /// Answers a second.
    public var throughput: Double { seconds > 0 ? Double(answered) / seconds : 0 }

    /// Puts the outcome of another thread of the same load to this one.
    mutating func merge(_ other: LoadOutcome) {
        answered += other.answered
        for (text, count) in other.failures { failures[text, default: 0] += count }
        unanswered += other.unanswered
        unsent += other.unsent
        late += other.late
        seconds = max(seconds, other.seconds)
        clientCPU = max(clientCPU, other.clientCPU)
        tokens += other.tokens
        for (index, lane) in other.laneLatencies.enumerated() where index < laneLatencies.count {
            laneLatencies[index].add(lane)
        }
        for (index, count) in other.repeats.enumerated() where index < repeats.count { repeats[index] += count }
        isExhausted = isExhausted && other.isExhausted
    }

    /// What reports say of requests that were due and never sent.
    static func unsentNote(_ count: Int) -> String {
        "\(Figures.grouped(count)) requests were due and found no connection free before the end: they are among the "
            + "latencies with the time they waited for one, which is less than they would have taken"
    }

    /// Throws if an answer was bad.
    /// - Parameter what: who was asked, or what for: the error begins with it.
    func expectGood(_ what: String) throws(LoadTestError) {
        guard let failure = failures.max(by: { $0.value < $1.value }) else { return }
        throw .refused("\(what): \(failure.value) bad answers: \(failure.key)")
    }

    mutating func fail(_ text: String, count: Int = 1) {
        // A server that invents a new error each time must not fill the memory.
        let known = failures[text] != nil || failures.count < 16
        failures[known ? text : "other", default: 0] += count
    }
}

/// What goes on while a load runs; called on its first thread, rarely.
public struct LoadObserver {
    /// The measured time begins, ends.
    public var begins: () -> Void = {}
    public var ends: () -> Void = {}
    /// Now and then: seconds since the start, answers so far, failures so far.
    public var progresses: (_ seconds: Double, _ answered: Int, _ failed: Int) -> Void = { _, _, _ in }

    public init() {}
}
