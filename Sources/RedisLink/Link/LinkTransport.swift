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
    var endpoint: RedisEndpoint
    private let settings: LinkSettings
    private var stream: (any OutgoingStream)?
    /// Whether the other side has said anything on this connection.
    private var isAnswered = false

    init(host: LinkHost, endpoint: RedisEndpoint, settings: LinkSettings) {
        self.host = host
        self.endpoint = endpoint
        self.settings = settings
    }

    func connect() {
        close()
        guard let address = endpoint.address else { return }
        isAnswered = false
        let stream = host.streams.makeStream()
        stream.delegate = self
        self.stream = stream
        // The machine's own limit is the exact one; this only makes sure that the stream gives up as well.
        stream.connect(to: address, timeout: settings.connectTimeout)
    }

    func write(_ bytes: [UInt8]) { stream?.write(bytes) }

    func close() {
        stream?.close()
        stream = nil
    }

    /// Who to be now, or why that is not known. The password is read anew each time: it may have changed.
    func login() -> Result<RedisLogin, RedisFault> {
        var login = endpoint.login
        switch settings.password?() {
        case nil: break
        case .success(let password): login.password = password
        case .failure(let fault): return .failure(fault)
        }
        return .success(login)
    }

    func streamConnected() {
        switch login() {
        case .success(let login): owner?.transportConnected(login: login)
        case .failure(let fault):
            close()
            owner?.transportClosed(fault)
        }
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        if !isAnswered {
            isAnswered = true
            // No reply begins as an alert of TLS does.
            guard bytes.first != Self.alert else {
                close()
                owner?.transportClosed(RedisFault(.tls, .speaksTLS))
                return
            }
        }
        owner?.transportReceived(bytes)
    }

    func streamClosed(_ reason: StreamCloseReason) {
        let fault =
            switch reason {
            case .endOfFile, .failed(_, connecting: false):
                isAnswered ? RedisFault(.closed, .lost) : RedisFault(.closed, .endedAtOnce)
            case .connectTimeout, .unresolved, .failed(_, connecting: true):
                RedisFault(.unreachable, .unreachable, ": \(reason)")
            // On a connection that worked it is a loss like another: nobody has to mend certificates for it.
            case .insecure(let fault):
                isAnswered ? RedisFault(.closed, RedisFault(fault).description) : RedisFault(fault)
            }
        close()
        owner?.transportClosed(fault)
    }

    /// The type of a TLS record with an alert. Source: RFC 8446, 5.1.
    private static let alert: UInt8 = 21
}

extension RedisFault {
    init(_ fault: TLSFault) {
        self =
            switch fault {
            case .wrongName(let expected, let names):
                RedisFault(
                    .tls, .tlsWrongName,
                    ": for \(names.isEmpty ? "no host" : names.joined(separator: ", ")), not for \(expected)")
            case .expired: RedisFault(.tls, .tlsExpired)
            case .notYetValid: RedisFault(.tls, .tlsNotYetValid)
            case .untrusted(let words): RedisFault(.tls, .tlsUntrusted, ": \(words)")
            case .certificateRequired: RedisFault(.tls, .tlsCertificateRequired)
            case .certificateRefused(let words): RedisFault(.tls, .tlsCertificateRefused, ": \(words)")
            case .notSpoken, .unfinished: RedisFault(.unreachable, .tlsUnanswered)
            case .failed(let words): RedisFault(.tls, .tlsFailed, ": \(words)")
            }
    }
}
