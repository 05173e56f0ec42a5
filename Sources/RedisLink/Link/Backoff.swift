/// The waits between attempts to connect, as a value: exponential from the first to the longest, each up to a quarter
/// shorter by chance, so that the daemons of a fleet do not come back all at once.
struct Backoff {
    private let minimum: Duration
    private let maximum: Duration
    /// Failures in a row.
    private var failures = 0
    private var generator: SplitMix64

    init(_ settings: LinkSettings, seed: UInt64) {
        minimum = min(settings.reconnectMinimum, settings.reconnectMaximum)
        maximum = settings.reconnectMaximum
        generator = SplitMix64(state: seed)
    }

    /// The connection works, or the attempt is the first.
    mutating func reset() { failures = 0 }

    /// Whether a connection works that was in use for so long: one that breaks again and again does not.
    func isStable(after span: Duration) -> Bool { span >= maximum }

    /// How long to wait after one more failure. What only an operator mends is not tried sooner than
    /// at the longest wait.
    mutating func delay(after fault: RedisFault) -> Duration {
        failures += 1
        if fault.needsOperator { return maximum }
        var delay = minimum
        for _ in 1..<min(failures, 32) where delay < maximum { delay = min(delay * 2, maximum) }
        return delay - delay / 4096 * Int(generator.next() % 1024)
    }
}

/// A small seeded generator for jitter; nothing secret comes from it. Source: Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", 2014.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
