internal import CLibevent
internal import Glibc

/// Why a stream ended.
public enum StreamCloseReason: Equatable, Sendable, CustomStringConvertible {
    /// The peer closed it in order.
    case endOfFile
    /// Connecting took longer than it was given.
    case connectTimeout
    /// The host's name could not be resolved; the resolver's words.
    case unresolved(String)
    /// A system call failed: while connecting if `connecting`, else reading or writing.
    case failed(number: Int32, connecting: Bool)

    public var description: String {
        switch self {
        case .endOfFile: "connection closed by the peer"
        case .connectTimeout: "no connection in time"
        case .unresolved(let words): "host name not resolved: \(words)"
        case .failed(let number, true): "cannot connect: \(describe(errno: number))"
        case .failed(let number, false): "connection lost: \(describe(errno: number))"
        }
    }
}

/// What happens to a stream; called on the loop's thread, never from within `connect`, `write` or `close`.
public protocol ByteStreamDelegate: AnyObject {
    /// The stream is open both ways.
    func streamConnected()
    /// Bytes arrived, in order. They are valid during the call and taken as read after it.
    func streamReceived(_ bytes: UnsafeRawBufferPointer)
    /// The stream ended by itself and is closed; nothing follows. A `close()` of one's own is not reported.
    func streamClosed(_ reason: StreamCloseReason)
}

/// An outgoing byte stream over a bufferevent: Unix-domain or TCP. Belongs to its loop's thread.
///
/// It connects once: a new connection is a new stream. It may be closed or let go of at any moment, in its own
/// callbacks too. `open(_:)` is the only place that knows what kind of bufferevent it is, so that TLS
/// (`bufferevent_openssl_socket_new`) has one place to go to.
public final class ByteStream {
    public weak var delegate: (any ByteStreamDelegate)?

    private let loop: EventLoop
    private var dialer: StreamDialer?
    private var channel: OpaquePointer?
    private var descriptor: Int32 = -1
    private var isClosed = false
    /// What was written before the connection stood.
    private var early: [UInt8] = []
    private var scratch: [UInt8] = []

    /// What libevent 2.1 reads at most at a time (`EVBUFFER_MAX_READ`).
    private static let bufferedRead = 4096
    private static let directRead = 65_536
    /// Others on the loop come between.
    private static let directReadsPerTurn = 8

    /// Makes an unconnected stream.
    public init(loop: EventLoop) {
        self.loop = loop
    }

    deinit {
        close()
    }

    /// Whether it is open both ways.
    public var isConnected: Bool { channel != nil }

    /// Bytes written and not yet taken by the kernel.
    public var pendingOutput: Int {
        guard let channel else { return early.count }
        return evbuffer_get_length(bufferevent_get_output(channel))
    }

    /// Bytes received and not yet handed to the delegate.
    public var pendingInput: Int {
        guard let channel else { return 0 }
        return evbuffer_get_length(bufferevent_get_input(channel))
    }

    /// Connects to a Unix-domain socket; the delegate hears the outcome, at the latest after `timeout`.
    public func connect(unixPath path: String, timeout: Duration) {
        dial(timeout: timeout) { $0.dial(unixPath: path) }
    }

    /// Connects to a TCP port; `host` is a name or a numeric address. Names are resolved without blocking, and
    /// their addresses tried in the resolver's order; `timeout` is for all of it.
    public func connect(host: String, port: UInt16, timeout: Duration) {
        dial(timeout: timeout) { $0.dial(host: host, port: port) }
    }

    /// Sends bytes after all that were written before; what the kernel does not take at once is kept and follows.
    public func write(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { write($0) }
    }

    /// Sends bytes; they are taken over before this returns. Nothing is sent on a stream that is closed.
    public func write(_ bytes: UnsafeRawBufferPointer) {
        guard !isClosed, let start = bytes.baseAddress, !bytes.isEmpty else { return }
        guard let channel else {
            early.append(contentsOf: bytes)
            return
        }
        var sent = 0
        if evbuffer_get_length(bufferevent_get_output(channel)) == 0 {
            // Straight to the kernel: saves waiting for writability, which an idle socket has anyhow.
            // An error is left for the bufferevent to meet and to report in its order.
            sent = max(0, send(descriptor, start, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)))
        }
        if sent < bytes.count { bufferevent_write(channel, start + sent, bytes.count - sent) }
    }

    /// Ends the stream at once, for good; what was not sent is dropped. The delegate is not called any more.
    public func close() {
        isClosed = true
        dialer?.cancel()
        dialer = nil
        early = []
        if let channel {
            self.channel = nil
            bufferevent_free(channel)
        }
    }

    private func dial(timeout: Duration, start: (StreamDialer) -> Void) {
        guard !isClosed, dialer == nil, channel == nil else { return }
        let dialer = StreamDialer(loop: loop, timeout: timeout) { [weak self] outcome in
            guard let self, !isClosed else { return }
            self.dialer = nil
            switch outcome {
            case .success(let descriptor): open(descriptor)
            case .failure(let failure): ended(failure.reason)
            }
        }
        self.dialer = dialer
        start(dialer)
    }

    private func open(_ descriptor: Int32) {
        guard let channel = bufferevent_socket_new(loop.base, descriptor, Int32(BEV_OPT_CLOSE_ON_FREE.rawValue)) else {
            _ = Glibc.close(descriptor)
            return ended(.failed(number: ENOMEM, connecting: true))
        }
        self.channel = channel
        self.descriptor = descriptor
        bufferevent_setcb(
            channel,
            { _, context in
                guard let context else { return }
                Unmanaged<ByteStream>.fromOpaque(context).takeUnretainedValue().received()
            },
            nil,
            { _, what, context in
                let number = errno
                guard let context else { return }
                let stream = Unmanaged<ByteStream>.fromOpaque(context).takeUnretainedValue()
                let failed = Int32(what) & BEV_EVENT_ERROR != 0
                stream.ended(failed ? .failed(number: number, connecting: false) : .endOfFile)
            },
            Unmanaged.passUnretained(self).toOpaque())
        bufferevent_enable(channel, Int16(EV_READ | EV_WRITE))
        if !early.isEmpty {
            let bytes = early
            early = []
            write(bytes)
        }
        delegate?.streamConnected()
    }

    private func received() {
        var total = 0
        while let channel, let input = bufferevent_get_input(channel) {
            var piece = iovec()
            guard evbuffer_peek(input, -1, nil, &piece, 1) > 0, piece.iov_len > 0 else { break }
            delegate?.streamReceived(UnsafeRawBufferPointer(start: piece.iov_base, count: piece.iov_len))
            // Closed by its delegate: the buffer is libevent's to free once this callback has returned.
            guard self.channel != nil else { return }
            evbuffer_drain(input, piece.iov_len)
            total += piece.iov_len
        }
        if total >= ByteStream.bufferedRead { readOn() }
    }

    /// Reads what is left beyond libevent's share of a turn, with one call for what would take it sixteen turns.
    /// End and error are left for the bufferevent to meet.
    private func readOn() {
        if scratch.isEmpty { scratch = [UInt8](repeating: 0, count: ByteStream.directRead) }
        for _ in 0..<ByteStream.directReadsPerTurn where channel != nil {
            // Taken out, so that no access to it is open while the delegate runs.
            var buffer = scratch
            scratch = []
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                buffer.withUnsafeBytes {
                    delegate?.streamReceived(UnsafeRawBufferPointer(rebasing: $0[..<count]))
                }
            }
            scratch = buffer
            if count < scratch.count { return }
        }
    }

    private func ended(_ reason: StreamCloseReason) {
        close()
        delegate?.streamClosed(reason)
    }
}
