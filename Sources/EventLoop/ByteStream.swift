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
    /// TLS failed, in the handshake or behind it.
    case insecure(TLSFault)

    public var description: String {
        switch self {
        case .endOfFile: "connection closed by the peer"
        case .connectTimeout: "no connection in time"
        case .unresolved(let words): "host name not resolved: \(words)"
        case .failed(let number, true): "cannot connect: \(describe(errno: number))"
        case .failed(let number, false): "connection lost: \(describe(errno: number))"
        case .insecure(let fault): "TLS failed: \(fault)"
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

/// An outgoing byte stream: Unix-domain or TCP. Belongs to its loop's thread.
///
/// It connects once: a new connection is a new stream. It may be closed or let go of at any moment, in its own
/// callbacks too.
public final class ByteStream {
    public weak var delegate: (any ByteStreamDelegate)?

    private let loop: EventLoop
    private var dialer: StreamDialer?
    private var channel: SocketChannel?
    private var isClosed = false
    /// What was written before the connection stood.
    private var early: [UInt8] = []

    /// Others on the loop come between.
    private static let readsPerTurn = 8

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
    public var pendingOutput: Int { channel?.unsentBytes ?? early.count }

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
        guard !isClosed, !bytes.isEmpty else { return }
        guard let outcome = channel?.write(bytes) else { return early.append(contentsOf: bytes) }
        guard case .failed(let number) = outcome else { return }
        // Not from within this call, and behind what the peer said last.
        loop.later { [weak self] in self?.broke(number) }
    }

    /// Ends the stream at once, for good; what was not sent is dropped. The delegate is not called any more.
    public func close() {
        isClosed = true
        dialer?.cancel()
        dialer = nil
        early = []
        channel?.close()
        channel = nil
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
        var channel = SocketChannel(descriptor)
        guard channel.open(on: loop, handler: self, .first) else {
            channel.close()
            return ended(.failed(number: ENOMEM, connecting: true))
        }
        self.channel = channel
        if !early.isEmpty {
            let bytes = early
            early = []
            write(bytes)
        }
        delegate?.streamConnected()
    }

    private func broke(_ number: Int32) {
        _ = readable()
        if channel != nil { ended(.failed(number: number, connecting: false)) }
    }

    private func ended(_ reason: StreamCloseReason) {
        close()
        delegate?.streamClosed(reason)
    }
}

extension ByteStream: DescriptorHandler {
    public func readable() -> Bool {
        for _ in 0..<Self.readsPerTurn {
            // The delegate may have closed it.
            guard let outcome = loop.readBuffer.withBytes({ channel?.read(into: $0) }) else { return false }
            switch outcome {
            case .bytes(let count):
                loop.readBuffer.withBytes {
                    delegate?.streamReceived(UnsafeRawBufferPointer(rebasing: $0[..<min(count, $0.count)]))
                }
                if count < EventLoop.readBufferBytes { return false }
            case .nothing: return false
            case .interrupted: continue
            case .end:
                ended(.endOfFile)
                return false
            case .failed(let number):
                ended(.failed(number: number, connecting: false))
                return false
            }
        }
        return true
    }

    public func writable() {
        guard case .failed(let number)? = channel?.flush() else { return }
        broke(number)
    }
}
