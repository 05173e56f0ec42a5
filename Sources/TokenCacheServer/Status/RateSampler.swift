internal import EventLoop

/// Operations per second between the last two samples.
struct RateSampler {
    private(set) var latest: UInt64 = 0
    private var last: (total: UInt64, at: MonotonicInstant)?

    mutating func sample(total: UInt64, now: MonotonicInstant) {
        defer { last = (total, now) }
        guard let last else { return }
        let elapsed = last.at.duration(to: now)
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        guard seconds > 0 else { return }
        latest = UInt64((Double(total &- last.total) / seconds).rounded())
    }
}
