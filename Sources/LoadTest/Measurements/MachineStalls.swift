/// How long the machine itself stops when nobody uses it: interrupts, the kernel's own work, the hypervisor's other
/// guests. No server's highest latency can be shorter than such a stop.
public struct MachineStalls: Codable, Sendable, Equatable {
    /// What counts as a stall, microseconds.
    public static let threshold = 50.0

    /// Share of the time that a loop which only reads the clock spent in stalls; the worst core's.
    public var share: Double
    /// The longest stall, microseconds.
    public var longest: Double

    /// Watches each of `cores` for `seconds`, one after the other; nil where there is none to hold on to.
    static func measure(_ cores: [Int], seconds: Double = 1) -> MachineStalls? {
        defer { Cores.unpin() }
        return cores.filter(Cores.pin).map { _ in watch(seconds) }.reduce(nil) { worst, stalls in
            guard let worst else { return stalls }
            return MachineStalls(share: max(worst.share, stalls.share), longest: max(worst.longest, stalls.longest))
        }
    }

    private static func watch(_ seconds: Double) -> MachineStalls {
        let start = Clock.now()
        let end = start + Int64(seconds * 1e9)
        let limit = Int64(threshold * 1e3)
        var (last, stalled, longest) = (start, Int64(0), Int64(0))
        while last < end {
            let now = Clock.now()
            let gap = now - last
            if gap > limit { stalled += gap }
            longest = max(longest, gap)
            last = now
        }
        return MachineStalls(share: Double(stalled) / Double(last - start), longest: Double(longest) / 1e3)
    }
}
