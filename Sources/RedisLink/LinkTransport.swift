internal import EventLoop

/// What a transport tells the link.
protocol LinkTransportOwner: AnyObject {
    func transportConnected(login: RedisLogin)
    /// Returns false when the rest of what was received must not be delivered.
    func transportReceived(_ reply: RedisReply) -> Bool
    func transportReceivedGarbage()
    func transportClosed(_ fault: RedisFault)
    /// Everything that was readable has been delivered.
    func transportDrained()
}

/// The connection under a link: finds the endpoint, opens a stream to it, cuts what comes into replies.
///
/// `resolve` is the step where Sentinel or a cluster's slot map will say where to go; today it knows one endpoint.
final class LinkTransport: ByteStreamDelegate {
    typealias Resolver = (@escaping (Result<RedisEndpoint, RedisFault>) -> Void) -> Void

    /// The reader is fed so much at a time: after every kilobyte of replies it moves all that it holds to the front.
    private static let feedBytes = 4_096

    weak var owner: (any LinkTransportOwner)?

    private let scheduler: any Scheduler
    private let streams: any StreamMaker
    private let settings: LinkSettings
    private let resolve: Resolver
    private var stream: (any OutgoingStream)?
    private var parser: ReplyParser?
    private var login = RedisLogin()
    /// Moves on with every connection, so that a slow resolver's answer cannot open a second one.
    private var attempt: UInt64 = 0

    init(
        scheduler: any Scheduler, streams: any StreamMaker, settings: LinkSettings, resolve: @escaping Resolver
    ) {
        self.scheduler = scheduler
        self.streams = streams
        self.settings = settings
        self.resolve = resolve
    }

    func connect() {
        close()
        let current = attempt
        resolve { [weak self] result in
            guard let self, attempt == current, stream == nil else { return }
            switch result {
            case .success(let endpoint): open(endpoint)
            case .failure(let fault): scheduler.later { [weak self] in self?.failed(fault, attempt: current) }
            }
        }
    }

    func write(_ bytes: [UInt8]) {
        stream?.write(bytes)
    }

    func close() {
        attempt &+= 1
        stream?.close()
        stream = nil
        parser = nil
    }

    private func open(_ endpoint: RedisEndpoint) {
        let stream = streams.makeStream()
        stream.delegate = self
        self.stream = stream
        parser = ReplyParser(maxElements: settings.maxReplyElements, maxBytes: settings.maxReplyBytes)
        login = endpoint.login
        // The machine's own limit is the exact one; this only makes sure that the stream gives up as well.
        switch endpoint {
        case .unix(let path, _): stream.connect(to: .unix(path: path), timeout: settings.connectTimeout)
        case .tcp(let host, let port, _):
            stream.connect(to: .tcp(host: host, port: port), timeout: settings.connectTimeout)
        }
    }

    private func failed(_ fault: RedisFault, attempt: UInt64) {
        guard attempt == self.attempt else { return }
        close()
        owner?.transportClosed(fault)
    }

    func streamConnected() {
        // Read anew for every connection: the file may have changed since the last refusal.
        if let password = settings.password?() { login.password = password }
        owner?.transportConnected(login: login)
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        guard let parser else { return }
        do throws(ReplyParser.Malformed) {
            var rest = bytes
            deliver: while !rest.isEmpty {
                let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.feedBytes))
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(piece.count))
                try parser.feed(piece)
                while let reply = try parser.next() {
                    guard owner?.transportReceived(reply) == true else { break deliver }
                }
            }
        } catch {
            owner?.transportReceivedGarbage()
        }
        owner?.transportDrained()
    }

    func streamClosed(_ reason: StreamCloseReason) {
        let fault =
            switch reason {
            case .endOfFile, .failed(_, connecting: false):
                RedisFault(.closed, "the connection to Redis was lost")
            case .connectTimeout, .unresolved, .failed(_, connecting: true):
                RedisFault(.unreachable, "Redis is out of reach: \(reason)")
            }
        failed(fault, attempt: attempt)
    }
}
