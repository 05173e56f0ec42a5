internal import Glibc

extension Duration {
    /// Rounded up, never below zero: a wait of as many milliseconds never ends early.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, isTooLong) = seconds.multipliedReportingOverflow(by: 1_000)
        guard !isTooLong else { return .max }
        let (sum, isTooLongStill) = product.addingReportingOverflow(
            (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
        return isTooLongStill ? .max : sum
    }

    /// For poll(2): rounded up, so that a wait never spins in the last millisecond.
    var pollMilliseconds: Int32 { Int32(clamping: wholeMilliseconds) }
}

extension timeval {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(clamping: seconds), tv_usec: Int(clamping: attoseconds / 1_000_000_000_000))
    }
}

extension timespec {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(clamping: seconds), tv_nsec: Int(clamping: attoseconds / 1_000_000_000))
    }
}

/// The bounds of every time-out that a caller gives.
enum Timeout {
    static let shortest = Duration.milliseconds(1)
    static let longest = Duration.seconds(86_400)

    static func bounded(_ timeout: Duration) -> Duration { min(max(timeout, shortest), longest) }
}
