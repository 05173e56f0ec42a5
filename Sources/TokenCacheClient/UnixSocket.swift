internal import Glibc

/// A connected, blocking Unix stream socket whose every wait ends.
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

    private let descriptor: Int32

    /// Connects, waiting at most `timeout` for a place in the listen queue. Later sends and receives that find
    /// nothing to do wait that long too.
    init(path: String, timeout: Duration) throws(Failure) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { target in
            guard !bytes.isEmpty, bytes.count < target.count, !bytes.contains(0) else { return false }
            target.copyBytes(from: bytes)
            return true
        }
        guard fits else { throw bytes.isEmpty ? .system(code: ENOENT) : .pathTooLong }

        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .system(code: errno) }
        // The send limit also bounds connect(2) while the listen queue is full, see unix(7) and socket(7).
        var limit = timeval(timeout)
        let length = socklen_t(MemoryLayout<timeval>.size)
        var result = setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, length)
        if result == 0 { result = setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, length) }
        if result == 0 {
            repeat {
                result = withUnsafePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                    }
                }
            } while result != 0 && errno == EINTR
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw code == EAGAIN ? .timedOut : .system(code: code)
        }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// Sends all of it before `deadline`.
    func send(_ bytes: UnsafeRawBufferPointer, until deadline: ContinuousClock.Instant) throws(Failure) {
        var rest = bytes
        var isFirst = true
        while !rest.isEmpty {
            if !isFirst { try wait(for: Int16(POLLOUT), until: deadline) }
            isFirst = false
            let sent = Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            if sent > 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[min(sent, rest.count)...])
            } else if errno == EAGAIN {
                throw .timedOut
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

extension Duration {
    /// Rounded up, so that a wait never spins in the last millisecond.
    fileprivate var pollMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        let whole = min(seconds, 86_400) * 1_000
        return Int32(clamping: whole + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}

extension timeval {
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(clamping: seconds), tv_usec: Int(clamping: attoseconds / 1_000_000_000_000))
    }
}
