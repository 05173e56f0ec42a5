internal import CLibevent
internal import CLinux
internal import Glibc

/// Accepts connections, in batches, from one listening socket. Belongs to its loop's thread.
///
/// When the process or the machine is out of descriptors it stops asking for 100 ms at a time, so that connections
/// wait in the kernel's backlog and the loop does not spin on a socket that stays ready.
public final class Listener {
    /// The most connections taken in one turn, so that a flood of them does not starve those that exist.
    public static let batch = 64
    /// How long a lack of descriptors is waited out.
    public static let exhaustionPause: Duration = .milliseconds(100)

    /// Called each time accepting failed for lack of descriptors or memory, with the error number.
    public var onExhausted: ((Int32) -> Void)?

    private let loop: EventLoop
    private let accept: (Int32) -> Void
    private var descriptor: Int32
    private var event: OpaquePointer?
    private var retry: LoopTimer?
    private var isPaused = false
    private var isExhausted = false

    init(loop: EventLoop, descriptor: Int32, accept: @escaping (Int32) -> Void) {
        self.loop = loop
        self.descriptor = descriptor
        self.accept = accept
        let flags = fcntl(descriptor, F_GETFL)
        if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
        event = event_new(
            loop.base, descriptor, Int16(EV_READ | EV_PERSIST),
            { _, _, context in
                guard let context else { return }
                Unmanaged<Listener>.fromOpaque(context).takeUnretainedValue().acceptBatch()
            },
            Unmanaged.passUnretained(self).toOpaque())
        update()
    }

    deinit {
        close()
    }

    /// Leaves new connections in the kernel's backlog until `resume()`.
    public func pause() {
        isPaused = true
        update()
    }

    /// Accepts again.
    public func resume() {
        isPaused = false
        update()
    }

    /// Stops for good and closes the descriptor. The socket's path is not touched: see `UnixListener.removePath`.
    public func close() {
        if let event { event_free(event) }
        event = nil
        retry?.cancel()
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }

    private func update() {
        guard let event else { return }
        if isPaused || isExhausted { event_del(event) } else { event_add(event, nil) }
    }

    private func acceptBatch() {
        for _ in 0..<Listener.batch where event != nil && !isPaused {
            let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            let connection = accept4(descriptor, nil, nil, flags)
            if connection >= 0 {
                accept(connection)
                continue
            }
            switch errno {
            case EAGAIN: return
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return exhausted(errno)
            // Of this one connection (it went away while it waited) or of no meaning: the next may be well.
            case EINTR, ECONNABORTED, EPROTO, EPERM, ETIMEDOUT: continue
            // Anything else would repeat at once for ever if it were ignored.
            default: return exhausted(errno)
            }
        }
    }

    private func exhausted(_ number: Int32) {
        isExhausted = true
        update()
        if retry == nil {
            retry = loop.makeTimer { [unowned self] in
                isExhausted = false
                update()
            }
        }
        retry?.start(after: Listener.exhaustionPause)
        onExhausted?(number)
    }
}
