internal import EventLoop

/// What a transport tells its owner.
protocol LinkTransportOwner: AnyObject {
    func transportConnected(login: RedisLogin)
    /// Valid during the call. The owner may close the transport in it.
    func transportReceived(_ bytes: UnsafeRawBufferPointer)
    func transportClosed(_ fault: RedisFault)
}

/// The connection under a link or a feed: opens a stream to the endpoint, and a new one each time it is asked.
final class LinkTransport: ByteStreamDelegate {
    weak var owner: (any LinkTransportOwner)?

    private let host: LinkHost
    private let endpoint: RedisEndpoint
    private let settings: LinkSettings
    private var stream: (any OutgoingStream)?

    init(host: LinkHost, endpoint: RedisEndpoint, settings: LinkSettings) {
        self.host = host
        self.endpoint = endpoint
        self.settings = settings
    }

    func connect() {
        close()
        let stream = host.streams.makeStream()
        stream.delegate = self
        self.stream = stream
        // The machine's own limit is the exact one; this only makes sure that the stream gives up as well.
        stream.connect(to: endpoint.address, timeout: settings.connectTimeout)
    }

    func write(_ bytes: [UInt8]) { stream?.write(bytes) }

    func close() {
        stream?.close()
        stream = nil
    }

    func streamConnected() {
        var login = endpoint.login
        // Read anew for every connection: the file may have changed since the last refusal.
        if let password = settings.password?() { login.password = password }
        owner?.transportConnected(login: login)
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) { owner?.transportReceived(bytes) }

    func streamClosed(_ reason: StreamCloseReason) {
        let fault =
            switch reason {
            case .endOfFile, .failed(_, connecting: false):
                RedisFault(.closed, .lost)
            case .connectTimeout, .unresolved, .failed(_, connecting: true):
                RedisFault(.unreachable, .unreachable, ": \(reason)")
            }
        close()
        owner?.transportClosed(fault)
    }
}
