internal import Glibc

/// A moment on `CLOCK_BOOTTIME`: nanoseconds since the machine started, time asleep included.
///
/// It never goes back and no administrator can set it, so it is what deadlines, ages and link health are measured
/// with. It means nothing on another machine or after a restart of this one. Arithmetic saturates and never traps:
/// a moment "in ten thousand years" is simply the latest one there is.
///
/// Source: clock_gettime(2).
public struct MonotonicInstant: Comparable, Hashable, Sendable {
    /// Nanoseconds since the machine started.
    public var nanoseconds: Int64

    /// A moment given in nanoseconds since the machine started; tests make their own time with it.
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// The earliest moment: before everything `now()` ever returned.
    public static let earliest = MonotonicInstant(nanoseconds: .min)

    /// The latest moment: never reached.
    public static let latest = MonotonicInstant(nanoseconds: .max)

    /// This moment, read without entering the kernel. Any thread.
    public static func now() -> MonotonicInstant {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }

    public static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The moment `duration` later; saturates.
    public static func + (instant: MonotonicInstant, duration: Duration) -> MonotonicInstant {
        instant.advanced(nanoseconds: duration.saturatedNanoseconds)
    }

    /// The same for a step that was reckoned once: a `Duration` has 128 bits, and takes a division.
    @inlinable
    public func advanced(nanoseconds step: Int64) -> MonotonicInstant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(step)
        return MonotonicInstant(nanoseconds: overflow ? (step < 0 ? .min : .max) : sum)
    }

    /// The moment `duration` earlier; saturates.
    public static func - (instant: MonotonicInstant, duration: Duration) -> MonotonicInstant {
        let step = duration.saturatedNanoseconds
        let (difference, overflow) = instant.nanoseconds.subtractingReportingOverflow(step)
        return MonotonicInstant(nanoseconds: overflow ? (step < 0 ? .max : .min) : difference)
    }

    /// How much later `left` is than `right`; negative if it is earlier; saturates.
    public static func - (left: MonotonicInstant, right: MonotonicInstant) -> Duration {
        right.duration(to: left)
    }

    /// How long it is from this moment to `other`; negative if that is past; saturates.
    public func duration(to other: MonotonicInstant) -> Duration {
        let (difference, overflow) = other.nanoseconds.subtractingReportingOverflow(nanoseconds)
        return .nanoseconds(overflow ? (other.nanoseconds < nanoseconds ? .min : .max) : difference)
    }
}

extension Duration {
    /// This duration in whole nanoseconds, rounded towards zero, held within what 64 bits can say (292 years).
    public var saturatedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        if overflow || carry { return seconds < 0 ? .min : .max }
        return sum
    }
}
