public import UnixTime

/// Time and turns, as far as what waits may know them: the loop itself in the daemon, virtual time in a simulation.
///
/// Belongs to one thread.
public protocol Scheduler: AnyObject {
    associatedtype Timer: SchedulerTimer

    /// This moment. It never goes back.
    var now: MonotonicInstant { get }
    /// This moment by this host's wall clock: somebody may set it at any time.
    var hostTime: UnixMilliseconds { get }
    /// Puts `body` off to the end of this turn; from a body that was put off: to the end of the next.
    func later(_ body: @escaping () -> Void)
    /// A timer that calls `body` each time a start has run out.
    func makeTimer(_ body: @escaping () -> Void) -> Timer
}

public protocol SchedulerTimer: AnyObject {
    /// Calls the body once, `duration` from now. Replaces an earlier start.
    func start(after duration: Duration)
    func cancel()
}

/// Where outgoing streams come from: sockets in the daemon, an in-memory network in a simulation.
public protocol StreamMaker: AnyObject {
    func makeStream() -> any OutgoingStream
}

/// A byte stream to somewhere else. It connects once, and may be closed or let go of at any moment.
public protocol OutgoingStream: AnyObject {
    /// Held weakly.
    var delegate: (any ByteStreamDelegate)? { get set }
    /// The delegate hears the outcome, at the latest after `timeout`.
    func connect(to address: StreamAddress, timeout: Duration)
    func write(_ bytes: [UInt8])
    /// Ends it at once; the delegate is not called any more.
    func close()
}

public enum StreamAddress: Equatable, Sendable {
    case unix(path: String)
    case tcp(host: String, port: UInt16)
}

extension LoopTimer: SchedulerTimer {}

extension EventLoop: Scheduler {
    public var now: MonotonicInstant { .now() }
    public var hostTime: UnixMilliseconds { HostClock.now() }
}

extension EventLoop: StreamMaker {
    public func makeStream() -> any OutgoingStream { ByteStream(loop: self) }
}

extension ByteStream: OutgoingStream {
    public func connect(to address: StreamAddress, timeout: Duration) {
        switch address {
        case .unix(let path): connect(unixPath: path, timeout: timeout)
        case .tcp(let host, let port): connect(host: host, port: port, timeout: timeout)
        }
    }
}
