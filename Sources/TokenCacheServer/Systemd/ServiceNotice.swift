internal import EventLoop
internal import Glibc

/// What a service tells systemd about itself. Source: sd_notify(3).
enum ServiceNotice: Equatable {
    /// The start, or a reload, is done.
    case ready
    /// A reload begins, at this moment of `CLOCK_MONOTONIC`, microseconds; ``ready`` ends it.
    case reloading(monotonicMicroseconds: UInt64)
    /// The end begins.
    case stopping
    /// One line for `systemctl status`.
    case status(String)
    /// The service is alive.
    case watchdog

    /// Its lines in the protocol, each with its end.
    var text: String {
        switch self {
        case .ready: "READY=1\n"
        case .reloading(let microseconds): "RELOADING=1\nMONOTONIC_USEC=\(microseconds)\n"
        case .stopping: "STOPPING=1\n"
        // A line of its own whatever it holds: a second one would be another statement.
        case .status(let line): "STATUS=\(PrintableText.escaped(line))\n"
        case .watchdog: "WATCHDOG=1\n"
        }
    }

    /// A reload that begins now.
    static func reloadingNow() -> ServiceNotice {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return .reloading(
            monotonicMicroseconds: UInt64(clamping: time.tv_sec) &* 1_000_000 &+ UInt64(clamping: time.tv_nsec) / 1_000)
    }
}

/// The way to systemd, or to nobody.
struct ServiceNotifier {
    /// `NOTIFY_SOCKET`: an absolute path, or `@` and an abstract name; nil where nobody listens.
    let address: String?

    /// Sends notices, together and in this order. One that is lost is lost: the daemon serves all the same.
    func tell(_ notices: ServiceNotice...) {
        guard let address else { return }
        _ = UnixDatagram.send(notices.map(\.text).joined(), to: address)
    }
}
