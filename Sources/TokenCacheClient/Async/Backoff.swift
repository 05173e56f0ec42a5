/// When to try to connect again: at once after a connection that worked, after growing pauses otherwise.
struct Backoff {
    /// Pauses double from the first to the last.
    let pauses: ClosedRange<Duration>
    private var pause: Duration
    /// Not before this moment; `nil` for at once.
    private(set) var notBefore: ContinuousClock.Instant?

    init(pauses: ClosedRange<Duration>) {
        self.pauses = pauses
        pause = pauses.lowerBound
    }

    mutating func failed(at now: ContinuousClock.Instant) {
        notBefore = now + pause
        pause = min(pause * 2, pauses.upperBound)
    }

    mutating func succeeded() {
        pause = pauses.lowerBound
        notBefore = nil
    }
}
