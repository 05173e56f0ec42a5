internal import Glibc

/// A connected Unix stream socket whose every wait ends.
///
/// hiredis 0.14 could connect, write and read by itself. It does not here, because it writes without
/// `MSG_NOSIGNAL` (a daemon that hangs up would end the caller by SIGPIPE), bounds each `read` but not the whole
/// reply, cuts a path that is too long, fails at once where the listen queue is full, and leaks its descriptor into
/// child processes.
struct UnixSocket: ~Copyable {
    /// A failed system call, or a wait that came to its end.
    enum Failure: Error {
        case pathTooLong
        case timedOut
        case closed
        case system(code: Int32)

        /// Plain words for the reason of ``TokenCacheError/connection(reason:)``.
        var reason: String {
            switch self {
            case .pathTooLong: "the socket's path is longer than the 107 bytes that the system allows"
            case .timedOut: "no answer in time"
            case .closed: "closed by the daemon"
            case .system(ENOENT): "no such file"
            case .system(EACCES): "permission denied"
            case .system(ECONNREFUSED): "connection refused: nobody listens there"
            case .system(ENOTSOCK), .system(EPROTOTYPE): "not a stream socket"
            case .system(let code): strerror(code).map { String(cString: $0) } ?? "system error \(code)"
            }
        }
    }

    /// For poll(2) only.
    let descriptor: Int32

    /// How long a socket waits.
    struct Waits {
        /// For a place in the listen queue.
        let connecting: Duration
        /// In later sends and receives that give no deadline.
        let usual: Duration
    }

    /// Connects.
    ///
    /// - Parameter waits: `nil` for a socket that never waits: use ``sendNow(_:)`` and ``receiveNow(into:)``.
    init(path: String, waits: Waits?) throws(Failure) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { target in
            guard !bytes.isEmpty, bytes.count < target.count, !bytes.contains(0) else { return false }
            target.copyBytes(from: bytes)
            return true
        }
        guard fits else { throw bytes.isEmpty ? .system(code: ENOENT) : .pathTooLong }

        let mode = waits == nil ? Int32(SOCK_NONBLOCK.rawValue) : 0
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | mode, 0)
        guard descriptor >= 0 else { throw .system(code: errno) }
        do throws(Failure) {
            // The send limit also bounds connect(2) while the listen queue is full, see unix(7) and socket(7).
            if let waits { try Self.limit(SO_SNDTIMEO, of: descriptor, to: waits.connecting) }
            try Self.connect(descriptor, to: &address)
            if let waits {
                try Self.limit(SO_SNDTIMEO, of: descriptor, to: waits.usual)
                try Self.limit(SO_RCVTIMEO, of: descriptor, to: waits.usual)
            }
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    private static func limit(_ option: Int32, of descriptor: Int32, to duration: Duration) throws(Failure) {
        var time = timeval(duration)
        // Zero would mean for ever.
        if time.tv_sec == 0, time.tv_usec < 1_000 { time.tv_usec = 1_000 }
        let length = socklen_t(MemoryLayout<timeval>.size)
        guard setsockopt(descriptor, SOL_SOCKET, option, &time, length) == 0 else { throw .system(code: errno) }
    }

    private static func connect(_ descriptor: Int32, to address: inout sockaddr_un) throws(Failure) {
        while true {
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            if result == 0 { return }
            switch errno {
            case EINTR: continue
            case EAGAIN: throw .timedOut
            case let code: throw .system(code: code)
            }
        }
    }

    /// Sends all of it before `deadline`.
    func send(_ bytes: UnsafeRawBufferPointer, until deadline: ContinuousClock.Instant) throws(Failure) {
        var rest = bytes
        while !rest.isEmpty {
            // Not waiting here costs nothing where there is room, and there nearly always is.
            let sent = Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            if sent > 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[min(sent, rest.count)...])
            } else if errno == EAGAIN {
                try wait(for: Int16(POLLOUT), until: deadline)
            } else if errno == EPIPE || errno == ECONNRESET {
                throw .closed
            } else if errno != EINTR {
                throw .system(code: errno)
            }
        }
    }

    /// Receives at least one byte, at most `buffer.count`.
    ///
    /// - Parameter deadline: `nil` for the socket's own time-out, which costs no extra system call: right for the
    ///   first wait of a request. Every further one must give the request's deadline.
    func receive(
        into buffer: UnsafeMutableRawBufferPointer, until deadline: ContinuousClock.Instant?
    ) throws(Failure) -> Int {
        if let deadline { try wait(for: Int16(POLLIN), until: deadline) }
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 { return count }
        if count == 0 { throw .closed }
        switch errno {
        case EINTR: return 0
        case EAGAIN: throw .timedOut
        case ECONNRESET: throw .closed
        case let code: throw .system(code: code)
        }
    }

    /// Sends what the socket takes without waiting; 0 if nothing now.
    func sendNow(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> Int {
        let sent = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if sent >= 0 { return sent }
        switch errno {
        case EAGAIN, EINTR: return 0
        case EPIPE, ECONNRESET: throw .closed
        case let code: throw .system(code: code)
        }
    }

    /// Receives what is there without waiting; `nil` if there is nothing now.
    func receiveNow(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int? {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 { return count }
        if count == 0 { throw .closed }
        switch errno {
        case EAGAIN, EINTR: return nil
        case ECONNRESET: throw .closed
        case let code: throw .system(code: code)
        }
    }

    private func wait(for events: Int16, until deadline: ContinuousClock.Instant) throws(Failure) {
        while true {
            let rest = ContinuousClock.now.duration(to: deadline)
            guard rest > .zero else { throw .timedOut }
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let result = poll(&entry, 1, rest.pollMilliseconds)
            if result > 0 { return }
            if result < 0 && errno != EINTR { throw .system(code: errno) }
        }
    }
}

extension TokenCacheError {
    /// What a socket's failure is to a caller.
    init(_ failure: UnixSocket.Failure) { self = .connection(reason: failure.reason) }
}
