internal import EventLoop
internal import Glibc

/// What systemd handed to this process when it started it: sockets, a way to tell it things, a watchdog. Empty where the
/// daemon was started by something else.
///
/// Source: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
public struct ServiceContext {
    /// The first descriptor that systemd passes.
    static let firstDescriptor: Int32 = 3
    /// More than this is no count of sockets.
    static let maxSockets: Int32 = 64
    /// The variables that are meant for this process alone.
    static let variables = [
        "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
    ]

    let notifier: ServiceNotifier
    /// Within this time systemd wants to hear that the daemon is alive; nil where it does not.
    let watchdogLimit: Duration?
    /// The sockets that were passed: their descriptors and names.
    let sockets: [(descriptor: Int32, name: String)]

    /// Reads the environment, and takes out of it what no child may inherit. Call it before a second thread is there.
    public static func take(from environment: [String: String]) -> ServiceContext {
        let context = ServiceContext(environment: environment, processID: getpid())
        for variable in variables { unsetenv(variable) }
        // Neither may a child inherit a socket, also where the daemon then refuses to start with it.
        for socket in context.sockets { _ = fcntl(socket.descriptor, F_SETFD, FD_CLOEXEC) }
        return context
    }

    init(environment: [String: String], processID: Int32) {
        notifier = ServiceNotifier(address: environment["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 })
        watchdogLimit = Self.watchdogLimit(environment, processID)
        sockets = Self.sockets(environment, processID)
    }

    /// The name of a socket that HTTP is spoken at (`FileDescriptorName=`); any other is that of the workers.
    static let httpName = "http"
    /// The sockets that HTTP is spoken at.
    var httpSockets: [(descriptor: Int32, name: String)] { sockets.filter { $0.name == Self.httpName } }

    /// The workers' socket to serve; nil where none was passed.
    func socket() throws(StartError) -> UnixListener? {
        let sockets = sockets.filter { $0.name != Self.httpName }
        guard let only = sockets.first else { return nil }
        guard sockets.count == 1 else {
            throw StartError(
                "systemd passes \(sockets.count) sockets (\(sockets.map(\.name).joined(separator: ", "))), "
                    + "and this daemon serves one, besides those with FileDescriptorName=http: "
                    + "leave one ListenStream= and one Sockets=", exitStatus: 78)
        }
        do {
            return try UnixListener.adopt(only.descriptor)
        } catch .wrongKind {
            throw StartError(
                "the socket that systemd passes (\(only.name)) is not a listening Unix stream socket: "
                    + "give the socket unit ListenStream=/a/path and Accept=no", exitStatus: 78)
        } catch {
            throw StartError("the socket that systemd passes (\(only.name)): \(error)", exitStatus: 69)
        }
    }

    /// Tells systemd from a timer of the loop that the loop turns, until the daemon ends.
    /// - Returns: the timer, to be held; nil where systemd does not ask.
    func startWatchdog(on loop: EventLoop) -> LoopTimer? {
        guard let watchdogLimit else { return nil }
        // Three times within the limit, so that a late turn or a lost message is not taken for the end.
        let interval = watchdogLimit / 3
        weak var running: LoopTimer?
        let timer = loop.makeTimer { [notifier] in
            notifier.tell(.watchdog)
            running?.start(after: interval)
        }
        running = timer
        timer.start(after: .zero)
        return timer
    }

    private static func sockets(
        _ environment: [String: String], _ processID: Int32
    ) -> [(descriptor: Int32, name: String)] {
        // Meant for another process, through which they came here.
        guard environment["LISTEN_PID"].flatMap({ Int32($0) }) == processID,
            let count = environment["LISTEN_FDS"].flatMap({ Int32($0) }), (1...maxSockets).contains(count)
        else { return [] }
        let names = environment["LISTEN_FDNAMES"]?.split(separator: ":", omittingEmptySubsequences: false) ?? []
        return (0..<count).map { index in
            (firstDescriptor + index, names.dropFirst(Int(index)).first.map { PrintableText.escaped($0) } ?? "unknown")
        }
    }

    private static func watchdogLimit(_ environment: [String: String], _ processID: Int32) -> Duration? {
        if let meant = environment["WATCHDOG_PID"], Int32(meant) != processID { return nil }
        guard let microseconds = environment["WATCHDOG_USEC"].flatMap({ Int64($0) }), microseconds > 0 else {
            return nil
        }
        return .microseconds(microseconds)
    }
}
