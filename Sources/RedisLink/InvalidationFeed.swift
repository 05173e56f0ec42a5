public import EventLoop
public import Logging

/// What Redis says has changed.
public enum Invalidation: Equatable, Sendable {
    case keys([[UInt8]])
    /// Everything, as after FLUSHALL.
    case everything
}

/// A connection of its own on which Redis tells every change of a key under a prefix.
///
/// Belongs to its loop's thread. `FeedMachine` decides; this shell owns the socket and the timer.
public final class InvalidationFeed {
    /// Called for every message while subscribed.
    public var onInvalidation: ((Invalidation) -> Void)?
    /// Called when the subscription was acknowledged (with the server's `run_id`), and when it is lost (nil).
    public var onSubscription: ((_ runID: String?) -> Void)?

    private let scheduler: any Scheduler
    private let endpoint: RedisEndpoint
    private let logger: Logger
    private let transport: LinkTransport
    private var machine: FeedMachine
    private var timer: (any SchedulerTimer)?
    private var lastWarning: MonotonicInstant?

    /// How often the machine looks at the clock: for PINGs while subscribed, else to connect soon.
    private static let idleTick = Duration.milliseconds(125)
    private static let busyTick = Duration.milliseconds(50)

    public convenience init(
        loop: EventLoop, endpoint: RedisEndpoint, settings: LinkSettings, prefix: [UInt8], logger: Logger
    ) {
        self.init(
            scheduler: loop, streams: loop, endpoint: endpoint, settings: settings, prefix: prefix, logger: logger)
    }

    public init(
        scheduler: any Scheduler, streams: any StreamMaker, endpoint: RedisEndpoint, settings: LinkSettings,
        prefix: [UInt8], logger: Logger
    ) {
        self.scheduler = scheduler
        self.endpoint = endpoint
        self.logger = logger
        machine = FeedMachine(prefix: prefix, settings: settings)
        transport = LinkTransport(scheduler: scheduler, streams: streams, settings: settings) { answer in
            answer(.success(endpoint))
        }
        transport.owner = self
        timer = scheduler.makeTimer { [unowned self] in
            perform(machine.tick(now: scheduler.now))
            if machine.phase != .closed {
                timer?.start(after: machine.phase == .subscribed ? Self.idleTick : Self.busyTick)
            }
        }
    }

    /// When the last PING that Redis answered had been sent: everything that changed before was told. Nil before the
    /// first subscription.
    public var lastProof: MonotonicInstant? { machine.lastProof }

    public func start() {
        perform(machine.start(now: scheduler.now))
        timer?.start(after: Self.busyTick)
    }

    public func close() {
        timer?.cancel()
        perform(machine.close())
    }

    /// Connects anew: the data connection did, and both must speak to the same server.
    public func renew() { perform(machine.renew(now: scheduler.now)) }

    /// What keeps the near cache from working is said, but not with every attempt. That Redis is out of reach the
    /// data connection says.
    private func warn(_ fault: RedisFault) {
        let now = scheduler.now
        guard fault.kind != .unreachable, fault.kind != .closed else { return }
        if let lastWarning, lastWarning.duration(to: now) < .seconds(60) { return }
        lastWarning = now
        logger.warning(
            "the near cache cannot work: Redis does not tell of changes: \(fault)", metadata: ["redis": "\(endpoint)"])
    }

    private func perform(_ actions: [FeedMachine.Action]) {
        for action in actions {
            switch action {
            case .connect: transport.connect()
            case .disconnect: transport.close()
            case .send(let bytes): transport.write(bytes)
            case .invalidate(let keys): onInvalidation?(.keys(keys))
            case .invalidateAll: onInvalidation?(.everything)
            case .subscribed(let runID):
                logger.debug("invalidations are told", metadata: ["redis": "\(endpoint)"])
                onSubscription?(runID)
            case .lost(let fault):
                logger.notice("invalidations are not told: \(fault)", metadata: ["redis": "\(endpoint)"])
                onSubscription?(nil)
            case .failed(let fault): warn(fault)
            }
        }
    }
}

extension InvalidationFeed: LinkTransportOwner {
    func transportConnected(login: RedisLogin) { perform(machine.connected(login: login, now: scheduler.now)) }

    func transportReceived(_ reply: RedisReply) -> Bool {
        perform(machine.received(reply, now: scheduler.now))
        switch machine.phase {
        case .preparing, .subscribed: return true
        case .closed, .waiting, .connecting: return false
        }
    }

    func transportReceivedGarbage() {
        perform(
            machine.disconnected(
                RedisFault(.protocolError, "the invalidation connection was answered with garbage"), now: scheduler.now)
        )
    }

    func transportClosed(_ fault: RedisFault) { perform(machine.disconnected(fault, now: scheduler.now)) }

    func transportDrained() {}
}
