internal import CLibevent

/// A timer that runs out once for each start. Belongs to its loop's thread.
///
/// It counts the time the machine is awake, with the kernel's coarse clock: it may run out some milliseconds late
/// or early. What must be exact compares `MonotonicInstant`s when the timer fires, and starts it again if it was early.
public final class LoopTimer {
    private let loop: EventLoop
    private let body: () -> Void
    private var event: OpaquePointer?

    init(loop: EventLoop, body: @escaping () -> Void) {
        self.loop = loop
        self.body = body
        event = event_new(
            loop.base, -1, 0,
            { _, _, context in
                guard let context else { return }
                // Held for the call: the body may let go of the timer.
                Unmanaged<LoopTimer>.fromOpaque(context).takeUnretainedValue().body()
            },
            Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        if let event { event_free(event) }
    }

    /// Calls the body once, `duration` from now (at most a year; zero or less: in the next turn). Replaces an earlier start.
    public func start(after duration: Duration) {
        guard let event else { return }
        var time = duration.timeval
        event_add(event, &time)
    }

    /// Takes back the start; also within the body, also when nothing was started.
    public func cancel() {
        if let event { event_del(event) }
    }

    /// Whether it is going to run out.
    public var isActive: Bool {
        guard let event else { return false }
        return event_pending(event, Int16(EV_TIMEOUT), nil) != 0
    }
}

/// A signal that is watched until `cancel()`. Belongs to its loop's thread.
public final class SignalWatch {
    private let loop: EventLoop
    private let body: () -> Void
    private var event: OpaquePointer?

    init(loop: EventLoop, number: Int32, body: @escaping () -> Void) {
        self.loop = loop
        self.body = body
        event = event_new(
            loop.base, number, Int16(EV_SIGNAL | EV_PERSIST),
            { _, _, context in
                guard let context else { return }
                Unmanaged<SignalWatch>.fromOpaque(context).takeUnretainedValue().body()
            },
            Unmanaged.passUnretained(self).toOpaque())
        if let event { event_add(event, nil) }
    }

    deinit {
        if let event { event_free(event) }
    }

    /// Gives the signal back to its former disposition.
    public func cancel() {
        if let event { event_del(event) }
    }
}
