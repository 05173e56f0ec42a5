import Glibc

/// What the harness itself can fail with: a process that does not start, an answer that does not come, a leak that was
/// found. A reply of the daemon is never one of these; it is a value that the test looks at.
public struct HarnessFailure: Error, CustomStringConvertible, Sendable {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }

    /// The failure of a system call, with the reason that the kernel gave.
    static func system(_ call: String, _ code: Int32 = errno) -> HarnessFailure {
        HarnessFailure("\(call): \(String(cString: strerror(code)))")
    }
}

/// A moment on the monotonic clock after which the harness stops waiting. Nothing in a test waits without one.
public struct Deadline: Sendable {
    private let end: ContinuousClock.Instant

    public init(in duration: Duration) {
        end = ContinuousClock.now + duration
    }

    public var hasPassed: Bool { ContinuousClock.now >= end }

    /// What is left, for `poll(2)`: whole milliseconds, rounded up so that the last one is not spun through.
    var milliseconds: Int32 {
        let left = end - ContinuousClock.now
        guard left > .zero else { return 0 }
        let (seconds, attoseconds) = left.components
        return Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
    }
}

/// Asks again and again until the answer is there: for events that announce themselves to nobody.
public func eventually<T>(
    within limit: Duration = .seconds(60), every pause: Duration = .milliseconds(5), _ what: String,
    _ attempt: () throws -> T?
) throws -> T {
    let deadline = Deadline(in: limit)
    while true {
        if let value = try attempt() { return value }
        if deadline.hasPassed { throw HarnessFailure("did not happen within \(limit): \(what)") }
        letPass(pause)
    }
}

/// Lets real time pass, where the clock that matters is Redis's and cannot be moved.
public func letPass(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    var left = timespec()
    while nanosleep(&wanted, &left) == -1 && errno == EINTR { wanted = left }
}
