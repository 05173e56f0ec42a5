internal import DequeModule
internal import EventLoop
internal import TokenCache

/// Rates of the last quarter of an hour, for people who look at them: a sample every five seconds.
///
/// Belongs to the loop's thread.
final class RateHistory {
    static let interval = Duration.seconds(5)
    static let capacity = 180

    /// A counter whose rate is kept.
    struct Series: Sendable {
        let name: StaticString
        /// For people.
        let title: StaticString
        let read: @Sendable (Figure.Source) -> UInt64

        static let all: [Series] = [
            Series(name: "commands", title: "commands") { $0.dispatcher.statistics.totalCalls },
            Series(name: "hits", title: "near-cache hits") { $0.near.hits },
            Series(name: "misses", title: "near-cache misses") { $0.near.misses },
            Series(name: "sessions", title: "sessions and logins") { $0.tokens.issued &+ $0.tokens.logins },
            Series(name: "rotations", title: "rotations") { $0.tokens.rotations },
            Series(name: "replays", title: "replays") { $0.tokens.replayed },
            Series(name: "refusals", title: "refusals") { $0.tokens.refusals },
            Series(name: "guests", title: "guests") { $0.tokens.guestsIssued &+ $0.tokens.pageGuests },
            Series(name: "unavailable", title: "unavailable") { $0.tokens.unavailable },
            Series(name: "http", title: "HTTP requests") { $0.http.requests },
        ]
    }

    /// Events a second, a value for each of `Series.all`; oldest first.
    private(set) var samples: Deque<[Double]> = []
    private var last: (counts: [UInt64], at: MonotonicInstant)?

    /// Takes a sample; the first one begins the first interval.
    func sample(_ source: Figure.Source, now: MonotonicInstant) {
        let counts = Series.all.map { $0.read(source) }
        defer { last = (counts, now) }
        guard let last else { return }
        let seconds = Double(last.at.duration(to: now).wholeMicroseconds) / 1e6
        guard seconds > 0 else { return }
        samples.append(zip(counts, last.counts).map { Double($0 &- $1) / seconds })
        if samples.count > Self.capacity { samples.removeFirst() }
    }
}

extension TokenCounters {
    /// Tokens that were not accepted, whatever the reason.
    var refusals: UInt64 { unknown &+ replayed &+ revoked &+ expired &+ mismatch &+ anonymous &+ reauthenticate }
}
