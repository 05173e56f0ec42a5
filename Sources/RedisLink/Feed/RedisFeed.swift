internal import EventLoop
internal import Logging
internal import WireProtocol

/// What Redis says has changed.
public enum Invalidation: Equatable, Sendable {
    case keys([[UInt8]])
    /// Everything, as after FLUSHALL.
    case everything
}

/// A connection of its own on which Redis tells every change of a key under a prefix.
///
/// Belongs to its loop's thread. `FeedMachine` decides; this shell owns the stream and the timer.
final class RedisFeed {
    /// What the feed tells its node, in the order in which Redis told it.
    enum Event {
        /// The subscription was acknowledged by the server with this `run_id`: every change is told from now on.
        case subscribed(runID: String)
        case lost
        case changed(Invalidation)
        /// The beat with this number was written; the changes of its message were told before.
        case beat(Int64, tag: [UInt8])
        case pong(sentAt: MonotonicInstant)
        case pingRefused(RedisFault)
        /// User or password, for a new connection or for this one.
        case loginRefused
    }

    private let host: LinkHost
    private var endpoint: RedisEndpoint { transport.endpoint }
    private let logger: Logger
    private let onEvent: (Event) -> Void
    private let transport: LinkTransport
    private let limits: PushReader.Limits
    private var reader: PushReader
    private var machine: FeedMachine
    private var timer: (any SchedulerTimer)?
    private var lastWarning: MonotonicInstant?
    /// Who the connection authenticated as last.
    private var login: RedisLogin?
    /// Why changes are not told; nil while they are.
    private(set) var fault: RedisFault?

    /// - Parameters:
    ///   - prefix: of the keys whose changes are told.
    ///   - channel: to subscribe to; nobody uses it.
    init(
        host: LinkHost, endpoint: RedisEndpoint, settings: LinkSettings, prefix: [UInt8], channel: [UInt8],
        logger: Logger, onEvent: @escaping (Event) -> Void
    ) {
        self.host = host
        self.logger = logger
        self.onEvent = onEvent
        var limits = PushReader.Limits()
        limits.elements = settings.maxReplyElements
        limits.bytes = settings.maxReplyBytes
        self.limits = limits
        reader = PushReader(limits: limits)
        machine = FeedMachine(prefix: prefix, channel: channel, settings: settings, seed: host.seed)
        transport = LinkTransport(host: host, endpoint: endpoint, settings: settings)
        transport.owner = self
        timer = host.scheduler.makeTimer { [unowned self] in perform(machine.tick(now: host.scheduler.now)) }
    }

    func start() { perform(machine.start(now: host.scheduler.now)) }
    func close() { perform(machine.close()) }

    /// Leaves its server; nothing is told until `lead`.
    func leave(_ fault: RedisFault) { perform(machine.leave(fault)) }

    /// Begins anew, with another server.
    func lead(to endpoint: RedisEndpoint, leaving fault: RedisFault) {
        leave(fault)
        transport.endpoint = endpoint
        start()
    }

    /// Connects anew: the data connection did, and both must lead to the same server.
    func renew() { perform(machine.renew(now: host.scheduler.now)) }

    /// Gives the connection up, and tries again after a wait.
    func drop(_ fault: RedisFault) { perform(machine.disconnected(fault, now: host.scheduler.now)) }

    /// Whether a PING is without an answer for longer than a proof may be old.
    func isSilent(at now: MonotonicInstant) -> Bool {
        machine.oldestPing.map { $0.duration(to: now) >= Beat.proofLimit } ?? false
    }

    /// The password may have changed: where it has, the connection authenticates again while it listens, and where there is
    /// none, one is tried at once.
    func authenticateAgain() {
        guard case .success(let now) = transport.login(), now != login || !machine.isSubscribed else { return }
        if machine.isSubscribed { login = now }
        perform(machine.authenticate(login: now, now: host.scheduler.now))
    }

    func ping() { perform(machine.ping(now: host.scheduler.now)) }

    private func perform(_ actions: [FeedMachine.Action]) {
        for action in actions {
            switch action {
            case .connect: transport.connect()
            case .disconnect:
                transport.close()
                reader = PushReader(limits: limits)
            case .send(let bytes): transport.write(bytes)
            case .invalidate(let keys): onEvent(.changed(.keys(keys)))
            case .invalidateAll: onEvent(.changed(.everything))
            case .beat(let number, let tag): onEvent(.beat(number, tag: tag))
            case .pong(let sentAt): onEvent(.pong(sentAt: sentAt))
            case .pingRefused(let fault): onEvent(.pingRefused(fault))
            case .loginRefused: onEvent(.loginRefused)
            case .subscribed(let runID):
                logger.debug("changes are told", metadata: ["redis": "\(endpoint)"])
                fault = nil
                onEvent(.subscribed(runID: runID))
                // It may have changed while the connection was made.
                authenticateAgain()
            case .lost(let fault):
                logger.notice("changes are not told: \(fault)", metadata: ["redis": "\(endpoint)"])
                self.fault = fault
                onEvent(.lost)
            case .failed(let fault): warn(fault)
            }
        }
        if let wake = machine.nextWake { timer?.start(after: wake - host.scheduler.now) } else { timer?.cancel() }
    }

    /// What keeps the near cache from working is said, but not with every attempt. That Redis is out of reach the
    /// data connection says.
    private func warn(_ fault: RedisFault) {
        self.fault = fault
        if fault.isRefusedLogin { onEvent(.loginRefused) }
        guard ![.unreachable, .closed, .tls].contains(fault.kind) else { return }
        let now = host.scheduler.now
        if let lastWarning, lastWarning.duration(to: now) < .seconds(60) { return }
        lastWarning = now
        logger.warning(
            "the near cache cannot work: Redis does not tell of changes: \(fault)",
            metadata: ["redis": "\(endpoint)", "remedy": "\(fault.remedy)"])
    }
}

extension RedisFeed: LinkTransportOwner {
    func transportConnected(login: RedisLogin) {
        self.login = login
        perform(machine.connected(login: login, now: host.scheduler.now))
    }

    func transportReceived(_ bytes: UnsafeRawBufferPointer) {
        reader.feed(bytes)
        do throws(PushReader.Malformed) {
            // What is told may end the connection, and with it what was received.
            while machine.isListening, let value = try reader.next() {
                perform(machine.received(value, now: host.scheduler.now))
            }
        } catch {
            drop(RedisFault(.protocolError, "the feed received something that is not RESP3"))
        }
    }

    func transportClosed(_ fault: RedisFault) { perform(machine.disconnected(fault, now: host.scheduler.now)) }
}
