import Glibc

/// Signals for a process that a daemon under test started, by its number.
enum Processes {
    enum Signal {
        case stop, go, kill
    }

    static func signal(_ pid: Int32, _ signal: Signal) {
        switch signal {
        case .stop: kill(pid, SIGSTOP)
        case .go: kill(pid, SIGCONT)
        case .kill: kill(pid, SIGKILL)
        }
    }
}
