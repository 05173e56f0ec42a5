internal import DequeModule
public import EventLoop
public import Logging
internal import ReplyScanner
public import UnixTime

/// The one data connection to Redis: pipelined, reconnecting, with a deadline for every request.
///
/// It belongs to its loop's thread. All decisions are made by `LinkMachine`; this shell owns the socket, the timer
/// and the clock. What is sent during a turn of the loop goes out in one write at its end.
public final class RedisLink {
    public typealias Completion = (Result<RedisReply, RedisFault>) -> Void

    /// Called after every change of `state`, from the loop.
    public var onStateChange: ((LinkState) -> Void)?
    /// Called with the reason why a connection, or an attempt at one, is over, before what was under way on it completes.
    public var onLoss: ((RedisFault) -> Void)?
    /// Called with the reason when a connection that stands may not authenticate again.
    var onLoginRefused: (RedisFault) -> Void = { _ in }
    /// Called with what is published on a channel that is subscribed to.
    var onMessage: ([UInt8]) -> Void = { _ in }
    public private(set) var state: LinkState = .closed
    public let settings: LinkSettings

    public var endpoint: RedisEndpoint { transport.endpoint }
    /// Why answers to reads are not believed now; nil: they are. The node says it, as it knows whether the server is still
    /// the one to ask.
    var faultOfReads: () -> RedisFault? = { nil }
    /// Keys that tell, on each new connection, that the server's data is moved or has: it is of no use then. The last is the
    /// server's own.
    var moveMarks: [[UInt8]] {
        get { machine.move.keys }
        set { machine.move.keys = newValue }
    }
    /// Whether the server has a mark is not known yet, although it is connected.
    var isMoveOpen: Bool { machine.move.isOpen }
    /// Called when that is known, and there is none.
    var onNotMoved: () -> Void = {}
    private let scheduler: any Scheduler
    private let logger: Logger
    private let transport: LinkTransport
    private let scriptIndexes: [RedisScript: Int]
    private var machine: LinkMachine<Waiter>
    private var parser: ReplyParser?
    private var timer: (any SchedulerTimer)?
    /// When the timer runs out. It is left running when the next wake moves later, which it does with every reply.
    private var armedFor: MonotonicInstant?
    private var isPerforming = false
    private var isTurnScheduled = false
    private var turnBody: () -> Void = {}
    private var lastRefusalLogged: MonotonicInstant?
    /// When the log last said so of a server that is out of reach, since one was reached.
    private var outagesLogged: [String: MonotonicInstant] = [:]
    /// Who the connection authenticated as last.
    private var login: RedisLogin?
    /// Nobody has named the server, and that is a fault by now.
    private var isMissed = false

    /// Who waits for a reply.
    private enum Waiter {
        case read(Completion)
        /// Of a script, which Redis itself refuses where the server must not be written to; and of a question about the
        /// server itself.
        case unchecked(Completion)
    }

    /// The reader is fed so much at a time: after every kilobyte of replies it moves all that it holds to the front.
    private static let feedBytes = 4_096

    /// Makes a link; nothing happens before `start()`.
    ///
    /// - Parameters:
    ///   - endpoint: where Redis is, and who to be there.
    ///   - scripts: loaded on every connection before it is used; `run` takes these only.
    public init(
        host: LinkHost, endpoint: RedisEndpoint, settings: LinkSettings = LinkSettings(), scripts: [RedisScript],
        logger: Logger
    ) {
        scheduler = host.scheduler
        self.settings = settings
        self.logger = logger
        machine = LinkMachine(settings: settings, scripts: scripts, seed: host.seed)
        scriptIndexes = Dictionary(scripts.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        transport = LinkTransport(host: host, endpoint: endpoint, settings: settings)
        transport.owner = self
        timer = scheduler.makeTimer { [unowned self] in
            armedFor = nil
            machine.tick(now: scheduler.now)
            performActions()
        }
        turnBody = { [weak self] in self?.turn() }
    }

    /// Begins to connect, and keeps at it until `close()`.
    public func start() {
        machine.start(now: scheduler.now)
        scheduleTurn()
    }

    /// Leaves the server that it leads to: what is under way, and what comes, fails with this fault until `lead`.
    func leave(_ fault: RedisFault) {
        transport.close()
        machine.leave(fault)
        scheduleTurn()
    }

    /// Begins anew, with another server: nothing of the one before is kept.
    func lead(to endpoint: RedisEndpoint, leaving fault: RedisFault) {
        transport.close()
        if machine.phase != .closed { machine.leave(fault) }
        if endpoint != transport.endpoint { machine.forgetClock() }
        transport.endpoint = endpoint
        start()
    }

    /// Closes the connection; what is under way completes with a fault, after this has returned.
    public func close() {
        machine.close()
        scheduleTurn()
    }

    /// The password may have changed: where it has, the connection authenticates again, and where there is none, one is
    /// tried at once.
    func authenticateAgain() {
        guard case .success(let now) = transport.login(), now != login || state != .ready else { return }
        if state == .ready { login = now }
        machine.authenticate(login: now, now: scheduler.now)
        performActions()
    }

    /// Sends a command, behind all that were sent before.
    ///
    /// - Parameters:
    ///   - repeatable: whether it may be sent once more when its connection is lost before the reply came: reads and
    ///     idempotent writes. Even then it completes by its deadline.
    ///   - asking: whether a node of a cluster is to take it although its slot is still on the way there.
    ///   - completion: called exactly once, from the loop, never before this has returned. An error of Redis is a fault.
    public func send(
        _ command: RedisCommand, repeatable: Bool, asking: Bool = false, completion: @escaping Completion
    ) {
        submit(RequestBody(bytes: command.bytes, isAsking: asking), repeatable, .read(completion))
    }

    /// Asks the server about itself and others: the answer is taken whatever its role is.
    func inquire(_ command: RedisCommand, completion: @escaping Completion) {
        submit(RequestBody(bytes: command.bytes), false, .unchecked(completion))
    }

    /// Runs a script by its digest. If Redis has lost it, it is loaded and run again; nobody notices.
    ///
    /// - Parameters: as for `send`; `script` must be one of those that the link was made with.
    public func run(
        _ script: RedisScript, keys: [[UInt8]], arguments: [[UInt8]], repeatable: Bool, asking: Bool = false,
        completion: @escaping Completion
    ) {
        guard let index = scriptIndexes[script] else {
            return scheduler.later {
                completion(.failure(RedisFault(.scriptError, "the script \(script.name) is unknown")))
            }
        }
        let call = RedisScript.formatCall(keys: keys, arguments: arguments)
        let body = RequestBody(bytes: call.bytes, script: (index, call.digestOffset), isAsking: asking)
        submit(body, repeatable, .unchecked(completion))
    }

    /// Redis's time now, by estimate; nil before its first answer. It is read at connect and with every heartbeat and mapped
    /// on the boot-time clock, so setting this host's clock does not move it.
    public var serverTime: UnixMilliseconds? { serverTime(at: scheduler.now) }

    /// The same at a moment that was just read.
    public func serverTime(at now: MonotonicInstant) -> UnixMilliseconds? { machine.clock.time(at: now) }

    /// Betters the estimate with the time that Redis gave a script. Call it when that script's reply is read.
    public func observe(serverTime: UnixMilliseconds) {
        machine.clock.observe(serverTime, at: scheduler.now)
    }

    var clock: RedisClock { machine.clock }

    /// What was counted since the link was made.
    public var counters: LinkCounters { machine.counters }

    /// What Redis said about itself when this connection was made.
    public var serverInfo: RedisServerInfo { machine.serverInfo }

    /// Since when the server owes an answer; nil where it owes none.
    var oldestUnanswered: MonotonicInstant? { machine.inFlight.first?.sentAt }

    /// Of the connections that were made, the one on which is sent what comes now.
    var nextConnection: UInt64 {
        if case .ready = machine.phase { return machine.counters.connects }
        return machine.counters.connects &+ 1
    }

    /// Requests in flight and waiting, those included that were given up and whose late reply is awaited.
    public var pendingRequests: Int { machine.inFlight.count + machine.waiting.count }

    private func submit(_ body: RequestBody, _ repeatable: Bool, _ waiter: Waiter) {
        machine.submit(body, isRepeatable: repeatable, waiter: waiter, now: scheduler.now)
        scheduleTurn()
    }

    private func scheduleTurn() {
        guard !isTurnScheduled else { return }
        isTurnScheduled = true
        scheduler.later(turnBody)
    }

    private func turn() {
        performActions()
        // Only now: what completions sent goes out with this write.
        isTurnScheduled = false
        flush()
    }

    private func flush() {
        guard !machine.output.isEmpty else { return }
        transport.write(machine.output)
        // Keeps room for an ordinary burst, not for the largest one ever.
        machine.output.removeAll(keepingCapacity: machine.output.count <= 1 << 20)
    }

    /// Carries out what the machine decided. Completions may call back into the link: their actions stand behind.
    private func performActions() {
        guard !isPerforming else { return }
        isPerforming = true
        while let action = machine.nextAction() { perform(action) }
        isPerforming = false
        if !machine.output.isEmpty { scheduleTurn() }
        arm()
    }

    private func perform(_ action: LinkMachine<Waiter>.Action) {
        switch action {
        case .connect:
            parser = ReplyParser(maxElements: settings.maxReplyElements, maxBytes: settings.maxReplyBytes)
            transport.connect()
        case .disconnect:
            parser = nil
            transport.close()
        case .lost(let fault): onLoss?(fault)
        case .notMoved: onNotMoved()
        case .sendWaiting: machine.transmitWaiting(now: scheduler.now)
        case .complete(.unchecked(let completion), let result): completion(result)
        case .complete(.read(let completion), let result):
            if case .success = result, let refusal = faultOfReads() { return completion(.failure(refusal)) }
            completion(result)
        case .stateChanged(let new):
            log(new)
            state = new
            onStateChange?(new)
            // It may have changed while the connection was made.
            if new == .ready { authenticateAgain() }
        case .loginRefused(let fault):
            logger.error(
                "Redis refuses the new password: \(fault)",
                metadata: ["redis": "\(endpoint)", "remedy": "\(fault.remedy)"])
            onLoginRefused(fault)
        case .told(let message): onMessage(message)
        case .refused(let fault):
            let now = scheduler.now
            if let last = lastRefusalLogged, now - last < .seconds(30) { return }
            lastRefusalLogged = now
            logger.error(
                "Redis refused a command: \(fault)", metadata: ["redis": "\(endpoint)", "remedy": "\(fault.remedy)"])
        }
    }

    private func arm() {
        guard let wake = machine.nextWake else {
            timer?.cancel()
            armedFor = nil
            return
        }
        if let armedFor, armedFor <= wake { return }
        armedFor = wake
        timer?.start(after: wake - scheduler.now)
    }

    private func log(_ new: LinkState) {
        let metadata: Logger.Metadata = [settings.isSentinel ? "sentinel" : "redis": "\(endpoint)"]
        let peer = settings.isSentinel ? "a Sentinel" : "Redis"
        switch new {
        case .ready where settings.isSentinel: logger.info("connected to a Sentinel", metadata: metadata)
        case .closed, .connecting: logger.debug("Redis link: \(new)", metadata: metadata)
        case .ready:
            outagesLogged = [:]
            let server = machine.serverInfo
            logger.info(
                "connected to \(server.name ?? "Redis") \(server.version ?? "of unknown version")", metadata: metadata)
            if let policy = machine.serverInfo.maxmemoryPolicy, policy != "noeviction" {
                logger.warning(
                    "Redis may evict sessions: maxmemory-policy is \(policy), it must be noeviction",
                    metadata: metadata)
            }
        case .down(let fault):
            guard fault.needsOperator || endpoint.address != nil || isMissed, isNews(fault) else { return }
            var metadata = metadata
            metadata["remedy"] = "\(fault.remedy)"
            if fault.needsOperator {
                logger.error("\(peer) refuses the daemon: \(fault)", metadata: metadata)
            } else {
                logger.warning("\(peer) is unavailable: \(fault)", metadata: metadata)
            }
        }
    }

    /// A dead server that others still name is tried, and found to be out of reach, several times a second.
    private func isNews(_ outage: RedisFault) -> Bool {
        let now = scheduler.now
        outagesLogged = outagesLogged.filter { $0.value.duration(to: now) < .seconds(60) }
        let text = "\(endpoint) \(outage)"
        guard outagesLogged[text] == nil else { return false }
        outagesLogged[text] = now
        return true
    }

    /// Nobody has named the server in time: it is said only now, as at first nobody has been asked yet.
    func missed() {
        guard endpoint.address == nil, !isMissed else { return }
        isMissed = true
        log(state)
    }
}

extension RedisLink: LinkTransportOwner {
    func transportConnected(login: RedisLogin) {
        self.login = login
        machine.connected(login: login, now: scheduler.now)
        performActions()
    }

    func transportReceived(_ bytes: UnsafeRawBufferPointer) {
        guard let parser else { return }
        do throws(ReplyScanner.Failure) {
            var rest = bytes
            while !rest.isEmpty {
                let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.feedBytes))
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(piece.count))
                try parser.feed(piece)
                while let reply = try parser.next() {
                    machine.received(reply, now: scheduler.now)
                    // The rest was said on a connection that is none any more.
                    guard machine.isConnected else { return performActions() }
                }
            }
        } catch {
            machine.garbage(now: scheduler.now)
        }
        performActions()
    }

    func transportClosed(_ fault: RedisFault) {
        machine.disconnected(fault, now: scheduler.now)
        performActions()
    }
}
