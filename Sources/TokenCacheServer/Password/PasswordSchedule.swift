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
    /// When the password that is in use was first seen.
    private var newAt = MonotonicInstant.earliest
    /// Runs that gave nothing and passwords that were refused, since Redis took one.
    private var failures = 0

    init(lifetime: Duration) { self.lifetime = lifetime }

    private var pause: Duration { min(Self.shortestPause * (1 << min(failures, 5)), Self.longestPause) }

    /// A run is under way.
    mutating func began() { due = nil }

    /// A run has ended, and given a password. Well before its age is over another one is to be there.
    /// - Parameter isNew: it is another one than before. If not, it may end any time in the last quarter of its life.
    mutating func ended(isNew: Bool, at now: MonotonicInstant) {
        lastEnd = now
        // One that has outlived its time is not so short-lived.
        if isNew || newAt.duration(to: now) >= lifetime { newAt = now }
        due = lifetime > .zero ? max(newAt + lifetime * 3 / 4, now + max(lifetime / 8, Self.shortestPause)) : nil
    }

    /// A run has ended, and given nothing.
    mutating func failed(at now: MonotonicInstant) {
        lastEnd = now
        due = now + pause
        failures += 1
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
