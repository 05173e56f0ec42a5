internal import EventLoop

/// When `redis.password-command` is run again, as a value: what happened goes in, with the time.
struct PasswordSchedule {
    /// Between the end of a run and the next one; doubled with each failure and refusal in a row, up to the second.
    static let shortestPause = Duration.seconds(1)
    static let longestPause = Duration.seconds(30)

    /// How long a password is good; zero: nobody says.
    let lifetime: Duration
    /// When the next run is due; nil: not by itself.
    private(set) var due: MonotonicInstant?
    private var lastEnd = MonotonicInstant.earliest
    /// Runs that gave nothing and passwords that were refused, since Redis took one.
    private var failures = 0

    init(lifetime: Duration) { self.lifetime = lifetime }

    private var pause: Duration { min(Self.shortestPause * (1 << min(failures, 5)), Self.longestPause) }

    /// A run is under way.
    mutating func began() { due = nil }

    /// A run has ended. Well before the password's age is over, another one is to be there.
    mutating func ended(isGood: Bool, at now: MonotonicInstant) {
        lastEnd = now
        guard isGood else {
            due = now + pause
            failures += 1
            return
        }
        due = lifetime > .zero ? now + max(lifetime * 3 / 4, Self.shortestPause) : nil
    }

    /// Redis refuses the password.
    mutating func refused(at now: MonotonicInstant) {
        let next = max(now, lastEnd + pause)
        failures += 1
        due = due.map { min($0, next) } ?? next
    }

    /// Redis took the password.
    mutating func accepted() { failures = 0 }
}
