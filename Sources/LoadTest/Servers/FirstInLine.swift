internal import Glibc
internal import Synchronization

/// This program once more, in a session of its own, which the kernel schedules as one group (sched(7), autogroup) and
/// here before all others: what else the machine does then takes little time from the servers and the client, and their
/// ratios repeat. Only root may do that.
public enum FirstInLine {
    /// `tokencache-load __first ARGUMENT…`
    public static let verb = "__first"

    private static let path = "/proc/self/autogroup"

    /// Global because a signal's disposition is: it belongs to the process.
    private static let started = Atomic<Int32>(0)

    /// Runs `program` with the arguments in it, hands it the signals that come, and ends with it.
    /// - Returns: its exit status; nil where the kernel has no such groups, or this is not for whoever runs it.
    public static func run(_ program: String, _ arguments: [String]) -> Int32? {
        guard geteuid() == 0, access(path, W_OK) == 0 else { return nil }
        // Blocked until there is whom to hand them to; whoever started this may have blocked them for good.
        Interruption.mask(SIG_BLOCK)
        for number in Interruption.watched { signal(number) { kill(FirstInLine.started.load(ordering: .relaxed), $0) } }
        var words = ([program, verb] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var process: Int32 = 0
        guard posix_spawn(&process, program, nil, nil, words, environ) == 0 else { return nil }
        started.store(process, ordering: .relaxed)
        Interruption.mask(SIG_UNBLOCK)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
    }

    /// Enters the session; what is started from here on is in it. Ends with whoever started it.
    public static func enter() {
        guard ServerLaunch.endsWithParent(by: SIGTERM) else { exit(69) }
        guard setsid() >= 0 else { return }
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        _ = write(file, "-20", 3)
        close(file)
    }
}
