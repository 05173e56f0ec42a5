import Glibc
import Synchronization
import TokenCacheClient

/// A line on standard error that says how many sessions were ended by now, while another connection waits for the end.
final class EndingProgress: Sendable {
    private let global: GlobalOptions
    private let isStopped = Mutex(false)

    /// Begins to show it, from the first second on.
    init(_ global: GlobalOptions) {
        self.global = global
        var thread = pthread_t()
        let state = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, nil,
            { state in
                if let state { Unmanaged<EndingProgress>.fromOpaque(state).takeRetainedValue().show() }
                return nil
            }, state.toOpaque())
        if status == 0 { pthread_detach(thread) } else { state.release() }
    }

    /// Clears the line; nothing is shown any more.
    func stop() {
        isStopped.withLock { isStopped in
            if !isStopped { Terminal.ask("\r\u{1b}[K") }
            isStopped = true
        }
    }

    private func show() {
        while true {
            usleep(1_000_000)
            let ended = try? global.info(section: "tokens").number("sessions_swept")
            let goesOn = isStopped.withLock { isStopped in
                if !isStopped, let ended { Terminal.ask("\r\u{1b}[K\(ended) sessions ended …") }
                return !isStopped
            }
            guard goesOn else { return }
        }
    }
}
