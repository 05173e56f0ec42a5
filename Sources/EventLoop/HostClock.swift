internal import Glibc
public import UnixTime

/// This host's wall clock: somebody may set it at any time, so nothing is measured by it.
public enum HostClock {
    /// This moment, read without entering the kernel. Any thread.
    public static func now() -> UnixMilliseconds {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UnixMilliseconds(Int64(time.tv_sec) &* 1_000 &+ Int64(time.tv_nsec) / 1_000_000)
    }
}
