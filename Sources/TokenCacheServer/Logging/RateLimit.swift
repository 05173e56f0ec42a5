internal import EventLoop

/// Bounds how often a peer can make the daemon write a log line.
final class RateLimit {
    private let perInterval: Int
    private let interval: Duration
    private var intervalStart: MonotonicInstant?
    private var admitted = 0
    private var suppressed = 0

    init(perInterval: Int, interval: Duration) {
        self.perInterval = perInterval
        self.interval = interval
    }

    /// The number of lines kept back since the last admitted one, or nil if this one is kept back, too.
    func admit(now: MonotonicInstant = .now()) -> Int? {
        if intervalStart.map({ $0.duration(to: now) >= interval }) ?? true {
            intervalStart = now
            admitted = 0
        }
        guard admitted < perInterval else {
            suppressed += 1
            return nil
        }
        admitted += 1
        defer { suppressed = 0 }
        return suppressed
    }
}
