internal import CLibevent
internal import Glibc

/// Why a loop could not be made.
public struct EventLoopError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
}

/// One thread's loop over descriptors, timers and signals (libevent on epoll).
///
/// Whoever calls `run()` is the loop's thread; the loop and everything made from it belong to that thread alone.
/// Nothing is locked and nothing here is global, apart from signal dispositions, which belong to the process: the
/// loop ignores SIGPIPE, and at a time only one loop of a process may watch signals.
///
/// A turn is: wait for something, call what is ready (timers, signals), then the watches with events and those that were
/// activated before, the urgent ones first, each for some milliseconds (what is left comes in the next turn), then run
/// what was put off by `later`.
/// Every object made from the loop keeps it alive; the loop keeps none of them alive.
public final class EventLoop {
    /// Bytes read at once.
    public static let readBufferBytes = 65_536

    /// The libevent base; owned.
    let base: OpaquePointer
    /// Of those that are called first, and of all others.
    private let urgentPoll: DescriptorPoll
    private let poll: DescriptorPoll
    /// For whoever reads next.
    public let readBuffer = ReadBuffer(count: EventLoop.readBufferBytes)
    private var isStopping = false
    private var deferred: [() -> Void] = []
    /// The emptied array of the turn before, kept for its storage.
    private var spare: [() -> Void] = []

    /// Makes a loop. Throws where the kernel refuses an epoll descriptor or memory is out.
    public init() throws(EventLoopError) {
        guard let configuration = event_config_new() else {
            throw EventLoopError(description: "event loop: out of memory")
        }
        defer { event_config_free(configuration) }
        event_config_set_flag(configuration, Int32(EVENT_BASE_FLAG_NOLOCK.rawValue))
        event_config_set_flag(configuration, Int32(EVENT_BASE_FLAG_IGNORE_ENV.rawValue))
        guard let base = event_base_new_with_config(configuration) else {
            throw EventLoopError(description: "event loop: \(describe(errno: errno))")
        }
        guard let urgentPoll = DescriptorPoll(base: base), let poll = DescriptorPoll(base: base) else {
            let number = errno
            event_base_free(base)
            throw EventLoopError(description: "event loop: \(describe(errno: number))")
        }
        self.base = base
        self.urgentPoll = urgentPoll
        self.poll = poll
        // A peer that has gone is an error of one write, never the end of the process.
        signal(SIGPIPE, SIG_IGN)
    }

    deinit {
        urgentPoll.close()
        poll.close()
        event_base_free(base)
    }

    /// Runs turns on this thread until `stop()`.
    ///
    /// A `stop()` before `run()` is remembered and makes it return at once. Afterwards it may be run again.
    public func run() {
        while !isStopping {
            let isBusy = urgentPoll.beginTurn()
            let isIdle = !poll.beginTurn() && !isBusy && deferred.isEmpty
            let flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY | (isIdle ? 0 : EVLOOP_NONBLOCK)
            // A failing epoll_wait would fail again at once: leaving is better than burning a core.
            if event_base_loop(base, flags) < 0 { break }
            urgentPoll.endTurn()
            poll.endTurn()
            if !deferred.isEmpty { runDeferred() }
        }
        isStopping = false
    }

    /// Lets `run()` return after the turn under way.
    public func stop() {
        isStopping = true
    }

    /// Puts `body` off to the end of this turn, after its I/O callbacks; from a deferred body: to the end of the next.
    ///
    /// Bodies run in the order they were given. Nothing is run once the loop has been stopped for good.
    public func later(_ body: @escaping () -> Void) {
        deferred.append(body)
    }

    /// Makes a timer that calls `body` each time a `start(after:)` has run out.
    public func makeTimer(_ body: @escaping () -> Void) -> LoopTimer {
        LoopTimer(loop: self, body: body)
    }

    /// Calls `body` in the loop, soon after signal `number` has reached the process, until the watch is cancelled.
    public func onSignal(_ number: Int32, _ body: @escaping () -> Void) -> SignalWatch {
        SignalWatch(loop: self, number: number, body: body)
    }

    /// Watches `descriptor` for `handler`, at first for nothing: see `setReading`.
    ///
    /// The descriptor stays the caller's; it is closed by the watch, or after the watch was cancelled.
    public func watch(
        _ descriptor: Int32, handler: any DescriptorHandler, _ urgency: Urgency = .usual
    ) -> DescriptorWatch {
        let poll = urgency == .first ? urgentPoll : poll
        return DescriptorWatch(loop: self, poll: poll, descriptor: descriptor, handler: handler)
    }

    /// Accepts connections on a listening `descriptor`, which becomes the listener's own.
    ///
    /// `accept` gets each new connection, non-blocking and close-on-exec, and owns it.
    public func listen(on descriptor: Int32, accept: @escaping (Int32) -> Void) -> Listener {
        Listener(loop: self, descriptor: descriptor, accept: accept)
    }

    private func runDeferred() {
        let due = deferred
        deferred = spare
        spare = []
        for body in due { body() }
        spare = due
        spare.removeAll(keepingCapacity: true)
    }
}

/// The system's words for an error number.
func describe(errno number: Int32) -> String {
    guard let text = strerror(number) else { return "error \(number)" }
    return String(cString: text)
}

extension Duration {
    /// For libevent: never negative, rounded up to microseconds so that a timer does not run out early.
    var timeval: timeval {
        let nanoseconds = max(saturatedNanoseconds, 0)
        // A year is "never" to a timer, and keeps libevent's own sums far from their limits.
        let microseconds = min(nanoseconds / 1000 + (nanoseconds % 1000 == 0 ? 0 : 1), 31_536_000_000_000)
        return Glibc.timeval(tv_sec: Int(microseconds / 1_000_000), tv_usec: Int(microseconds % 1_000_000))
    }
}
