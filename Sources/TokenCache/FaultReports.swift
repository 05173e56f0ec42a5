internal import EventLoop
internal import Logging
public import RedisLink

/// Tells the operator of every reason for which visitors are answered `UNAVAILABLE`, at a bounded rate.
///
/// Without it a Redis that refuses writes, or is slow, is seen by visitors only: its connection is good.
struct FaultReports {
    /// A reason is logged at once, and then once in this time at most.
    static let interval = Duration.seconds(10)

    private(set) var history = FaultHistory()
    /// The text of the last reason's row; empty where it has none.
    private var row = ""
    /// By the text of the row.
    private var told: [String: (at: MonotonicInstant, kept: Int)] = [:]
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    mutating func answered(_ reason: String, at now: MonotonicInstant) {
        // Where one is answered so, many are, with the same words.
        if history.last?.reason != reason { row = KnownFault.of(reason)?.text ?? "" }
        history.note(reason, at: now)
        if let earlier = told[row], earlier.at.duration(to: now) < Self.interval {
            told[row] = (earlier.at, earlier.kept + 1)
            return
        }
        let answers = 1 + (told[row]?.kept ?? 0)
        told[row] = (now, 0)
        logger.warning(
            "visitors are answered UNAVAILABLE: \(reason)",
            metadata: ["answers": "\(answers)", "remedy": "\(KnownFault.remedy(for: reason))"])
    }
}

extension TokenService {
    /// Counts an answer that nobody knows, and tells why.
    func reportUnavailable(_ reason: String) {
        counters.unavailable += 1
        faults.answered(reason, at: store.instant)
    }

    /// The last reasons for which somebody was answered `UNAVAILABLE`.
    public var faultHistory: FaultHistory { faults.history }
}
