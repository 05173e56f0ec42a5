internal import CLibevent
internal import Glibc

/// How a child process ended.
public enum ProcessEnd: Equatable, Sendable, CustomStringConvertible {
    case exited(status: Int32)
    case killed(signal: Int32)
    /// It is gone, and was not this process's child.
    case gone

    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .killed(let signal): "ended by signal \(signal)"
        case .gone: "gone"
        }
    }
}

/// A process, held by descriptor: its number cannot be taken by another while it is watched.
///
/// Belongs to its loop's thread. Needs no SIGCHLD, which is the whole process's. Source: pidfd_open(2).
public final class ProcessWatch {
    public let processID: Int32
    private let loop: EventLoop
    private let descriptor: Int32
    private let onEnd: (ProcessEnd) -> Void
    private var event: OpaquePointer?

    /// Watches a process and calls `onEnd` once, from the loop, when it has ended; a child is reaped before that.
    /// Nil if there is no such process.
    public init?(loop: EventLoop, processID: Int32, onEnd: @escaping (ProcessEnd) -> Void) {
        let descriptor = pidfd_open(processID, 0)
        guard descriptor >= 0 else { return nil }
        self.loop = loop
        self.processID = processID
        self.descriptor = descriptor
        self.onEnd = onEnd
        event = event_new(
            loop.base, descriptor, Int16(EV_READ),
            { _, _, context in
                guard let context else { return }
                Unmanaged<ProcessWatch>.fromOpaque(context).takeUnretainedValue().ended()
            },
            Unmanaged.passUnretained(self).toOpaque())
        if let event { event_add(event, nil) }
    }

    deinit {
        cancel()
        close(descriptor)
    }

    /// Sends a signal; to this process or to nobody.
    public func send(signal: Int32) {
        _ = pidfd_send_signal(descriptor, signal, nil, 0)
    }

    /// Ends the process with SIGKILL and waits for its end here and now; `onEnd` is not called. For a child whose
    /// owner goes away.
    public func killAndReap() {
        cancel()
        send(signal: SIGKILL)
        _ = waitpid(processID, nil, 0)
    }

    /// Stops watching.
    public func cancel() {
        if let event { event_free(event) }
        event = nil
    }

    private func ended() {
        cancel()
        var status: Int32 = 0
        guard waitpid(processID, &status, WNOHANG) == processID else { return onEnd(.gone) }
        let signal = status & 0x7f
        onEnd(signal == 0 ? .exited(status: (status >> 8) & 0xff) : .killed(signal: signal))
    }
}
