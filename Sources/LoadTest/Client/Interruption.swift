internal import Glibc
internal import Synchronization

/// Ctrl-C and SIGTERM: a measurement notices them, ends, and what was started for it is ended in order.
public enum Interruption {
    /// Global because a signal's disposition is: it belongs to the process.
    private static let signal = Atomic<Int32>(0)

    private static let signals = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")]

    static func name(of signal: Int32) -> String {
        signals.first { $0.0 == signal }?.1 ?? "signal \(signal)"
    }

    /// From now on SIGINT, SIGTERM and SIGHUP are only remembered; a second one ends the process at once.
    public static func watch() {
        for (number, _) in signals {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { number in
                Interruption.signal.store(number, ordering: .relaxed)
            }
            // No SA_RESTART: a call that waits must come back.
            action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
            sigaction(number, &action, nil)
        }
        // Whoever started this may have blocked them, as threads of pools do; the mask is inherited.
        mask(Int32(SIG_UNBLOCK))
        // A server that has gone is an error of one write, never the end of this process.
        Glibc.signal(SIGPIPE, SIG_IGN)
    }

    /// Their numbers.
    static var watched: [Int32] { signals.map(\.0) }

    /// Blocks them in the calling thread, or unblocks them: SIG_BLOCK, SIG_UNBLOCK.
    static func mask(_ how: Int32) {
        var watched = sigset_t()
        sigemptyset(&watched)
        for number in Self.watched { sigaddset(&watched, number) }
        pthread_sigmask(how, &watched, nil)
    }

    /// The signal that came, if one came.
    public static var received: Int32? {
        let number = signal.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }

    /// Throws if somebody wants this to end.
    public static func check() throws(LoadTestError) {
        if let received { throw .interrupted(signal: received) }
    }
}
