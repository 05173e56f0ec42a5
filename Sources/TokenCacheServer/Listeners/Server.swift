internal import EventLoop
internal import Glibc
internal import Logging
internal import TokenCache
internal import WireProtocol

/// Accepts clients on listening sockets, whatever they speak there, owns their sessions and enforces the limits.
///
/// Owned by the loop's thread.
final class Server {
    /// Descriptors kept free for Redis, files and the like.
    static let reservedDescriptors = 32
    /// How often overdue clients are looked for while there may be any.
    static let timeoutCheck = Duration.milliseconds(100)

    let loop: EventLoop
    private(set) var limits: Settings.Limits
    let places: ClientPlaces
    /// Of HTTP, so that whoever floods one leaves the other its places; and of HTTP over TCP, so that strangers who reach a port
    /// leave the proxy its own.
    let httpPlaces: ClientPlaces
    let tcpPlaces: ClientPlaces
    /// The most clients over TCP: Prometheus, health checks, people who look.
    static let maxTCPClients = 256
    /// How long one of them may keep a connection on which nothing is asked.
    static let tcpIdleLimit = Duration.seconds(60)
    private var access: AccessRules
    var counters = ServerCounters()
    /// What incomplete requests take, all together.
    private(set) var incomplete: IncompleteInput
    let memory: MemoryReturn

    private let audit: AuditTrail
    private let logger: Logger
    private var listeners: [(listener: Listener, protocol: any ListenerProtocol)] = []
    private(set) var sessions: [UInt64: any ClientSession] = [:]
    private var nextID: UInt64 = 1
    /// Sessions with replies to send at the end of the turn.
    private var dirty: [any ClientSession] = []
    /// The emptied array of the turn before, kept for its storage.
    private var flushing: [any ClientSession] = []
    /// Closed sessions, kept until the turn is over: their own callbacks may still be running.
    private var retired: [any ClientSession] = []
    private var isTurnEndPlanned = false
    /// Sessions that a limit of time may close.
    private var watched: [UInt64: any ClientSession] = [:]
    private var timeoutTimer: LoopTimer?
    private var onDrained: (() -> Void)?
    /// Of each warning that peers may cause: one does not hide another.
    private let messages = MessageLimits(lines: 1, per: .seconds(10))

    /// - Parameter capacity: the clients that descriptors suffice for, `limits.max-clients` of a kind at most.
    init(
        loop: EventLoop, limits: Settings.Limits, capacity: Process.Capacity, access: AccessRules, audit: AuditTrail,
        logger: Logger
    ) {
        self.loop = loop
        self.limits = limits
        places = ClientPlaces(limit: capacity.workers, perUser: limits.maxClientsPerUser)
        httpPlaces = ClientPlaces(limit: capacity.http, perUser: limits.maxClientsPerUser)
        tcpPlaces = ClientPlaces(limit: min(capacity.http, Self.maxTCPClients), perUser: 0)
        self.access = access
        self.audit = audit
        self.logger = logger
        incomplete = IncompleteInput(limit: limits.maxInput)
        memory = MemoryReturn(loop: loop)
    }

    var isDraining: Bool { onDrained != nil }

    /// Takes over what a reload may change. Sessions stay; what their peers may do follows the new rules.
    func apply(_ limits: Settings.Limits, _ capacity: Process.Capacity, _ access: AccessRules) {
        self.limits = limits
        places.limit = capacity.workers
        httpPlaces.limit = capacity.http
        tcpPlaces.limit = min(capacity.http, Self.maxTCPClients)
        places.limitPerUser = limits.maxClientsPerUser
        httpPlaces.limitPerUser = limits.maxClientsPerUser
        incomplete.limit = limits.maxInput
        self.access = access
        // Not now: it may be a session's turn, which read the command to reload.
        loop.later { [self] in for entry in listeners { entry.protocol.limitsChanged() } }
        for session in sessions.values {
            // The groups were left out if no rule asked for them so far.
            let peer =
                session.peer.isOverTCP
                ? session.peer
                : Peer(descriptor: session.client.descriptor, withGroups: !access.groups.isEmpty) ?? session.peer
            session.role = access.role(of: peer)
        }
        if limits.idleTimeout > .zero { startTimeoutTimer() }
    }

    // MARK: Accepting

    /// Takes over a listening socket.
    func listen(on descriptor: Int32, as spoken: any ListenerProtocol) {
        let listener = loop.listen(on: descriptor) { [unowned self, unowned spoken] in accept($0, spoken) }
        listener.onExhausted = { [unowned self] number in
            guard let suppressed = messages.admit("no descriptor left") else { return }
            logger.error(
                "no descriptor left for a new client; accepting pauses",
                metadata: ["errno": "\(number)", "suppressed": "\(suppressed)"])
        }
        listeners.append((listener, spoken))
        if limits.idleTimeout > .zero { startTimeoutTimer() }
    }

    private func accept(_ descriptor: Int32, _ spoken: any ListenerProtocol) {
        guard !isDraining, let peer = peer(at: descriptor, spoken) else {
            Glibc.close(descriptor)
            return
        }
        let role = access.role(of: peer)
        guard role > .none else {
            counters.deniedConnections &+= 1
            audit.record(AuditEvent(.denied, peer: AuditPeer(peer), reason: "role none"))
            note("a peer was denied", ["uid": "\(peer.userID)"])
            return reject(descriptor, spoken.text(of: .denied))
        }
        let place: ClientPlaces.Place
        let kind = spoken.kind
        do throws(ClientPlaces.Refusal) {
            place = try places(of: kind).place(for: role, user: peer.userID)
        } catch { return turnAway(descriptor, peer, error, spoken) }
        let client = AcceptedClient(
            id: nextID, descriptor: descriptor, peer: peer, role: role, place: place, kind: kind, openedAt: .now())
        let session = spoken.open(client)
        guard !session.isClosed else {
            if let suppressed = messages.admit("not watched") {
                logger.error(
                    "the kernel does not watch a new client (memory, or fs.epoll.max_user_watches)",
                    metadata: ["suppressed": "\(suppressed)"])
            }
            return
        }
        counters.acceptedConnections &+= 1
        nextID &+= 1
        sessions[client.id] = session
        places(of: kind).take(place, user: peer.userID)
        if kind == .httpOverTCP { startTimeoutTimer() }
    }

    /// Where the places of such clients are counted.
    private func places(of kind: ClientKind) -> ClientPlaces {
        switch kind {
        case .resp: places
        case .http: httpPlaces
        case .httpOverTCP: tcpPlaces
        }
    }

    private func peer(at descriptor: Int32, _ spoken: any ListenerProtocol) -> Peer? {
        spoken.isTCP ? .overTCP : Peer(descriptor: descriptor, withGroups: !access.groups.isEmpty)
    }

    private func turnAway(
        _ descriptor: Int32, _ peer: Peer, _ refusal: ClientPlaces.Refusal, _ spoken: any ListenerProtocol
    ) {
        if spoken.kind == .resp {
            counters.rejectedConnections &+= 1
        } else {
            counters.rejectedHTTPConnections &+= 1
        }
        switch refusal {
        case .userIsFull:
            note(
                "a client was turned away: limits.max-clients-per-user is reached",
                ["uid": "\(peer.userID)", "max-clients-per-user": "\(places.limitPerUser)"])
            reject(descriptor, spoken.text(of: .userIsFull))
        case .full where spoken.kind == .httpOverTCP:
            note("a client over TCP was turned away: there are too many", ["limit": "\(tcpPlaces.limit)"])
            reject(descriptor, spoken.text(of: .full))
        case .full where places(of: spoken.kind).limit < limits.maxClients:
            note(
                "a client was turned away: the limit of open files allows no more",
                [
                    "maxclients": "\(places(of: spoken.kind).limit)",
                    "max-clients": "\(limits.maxClients)",
                ])
            reject(descriptor, spoken.text(of: .shortOfDescriptors))
        case .full:
            note(
                "a client was turned away: limits.max-clients is reached", ["max-clients": "\(limits.maxClients)"])
            reject(descriptor, spoken.text(of: .full))
        }
    }

    /// A warning at the rate that peers may cause.
    private func note(_ message: Logger.Message, _ metadata: Logger.Metadata) {
        guard let suppressed = messages.admit(message.description) else { return }
        logger.warning(message, metadata: metadata.merging(["suppressed": "\(suppressed)"]) { first, _ in first })
    }

    private func reject(_ descriptor: Int32, _ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        Glibc.close(descriptor)
    }

    // MARK: Turns

    /// Sends the session's replies at the end of the turn, all at once.
    func flushLater(_ session: any ClientSession) {
        dirty.append(session)
        planTurnEnd()
    }

    private func planTurnEnd() {
        guard !isTurnEndPlanned else { return }
        isTurnEndPlanned = true
        loop.later { [self] in endTurn() }
    }

    private func endTurn() {
        isTurnEndPlanned = false
        swap(&dirty, &flushing)
        for session in flushing { session.flush() }
        flushing.removeAll(keepingCapacity: true)
        retired.removeAll(keepingCapacity: true)
        announceIfDrained()
    }

    func forget(_ session: any ClientSession) {
        let client = session.client
        guard sessions.removeValue(forKey: client.id) != nil else { return }
        places(of: client.kind).free(client.place, user: client.peer.userID)
        if !watched.isEmpty { watched[client.id] = nil }
        retired.append(session)
        planTurnEnd()
    }

    // MARK: Limit of input

    /// Takes down what a session's incomplete request takes. Where all of them take more than `limits.max-input`, the
    /// oldest are given up: those that were all sent at once are complete soon.
    func holdIncomplete(_ bytes: Int, of session: any ClientSession) {
        incomplete.hold(bytes, of: session.id)
        while let oldest = incomplete.oldestPastLimit() {
            guard let victim = sessions[oldest] else {
                incomplete.release(oldest)
                continue
            }
            counters.inputLimitConnections &+= 1
            note(
                "incomplete requests take more than limits.max-input: the oldest are closed",
                ["uid": "\(victim.peer.userID)", "max-input": "\(limits.maxInput)"])
            victim.cutOff(
                "OVERLOADED",
                "the incomplete requests of all clients take more than \(limits.maxInput) bytes, this was the oldest "
                    + "(limits.max-input)")
            incomplete.release(oldest)
        }
    }

    func releaseIncomplete(of session: any ClientSession) { incomplete.release(session.id) }

    // MARK: Limits of time

    func watchTimeouts(of session: any ClientSession) {
        watched[session.id] = session
        startTimeoutTimer()
    }

    private func startTimeoutTimer() {
        let timer = timeoutTimer ?? loop.makeTimer { [unowned self] in checkTimeouts() }
        timeoutTimer = timer
        if !timer.isActive { timer.start(after: Self.timeoutCheck) }
    }

    private func checkTimeouts() {
        let now = MonotonicInstant.now()
        for session in watched.values {
            if let since = session.incompleteSince, since.duration(to: now) > limits.requestTimeout {
                close(session, "an incomplete request was not finished in time (limits.request-timeout)")
            } else if let since = session.stalledSince, since.duration(to: now) > limits.writeTimeout {
                close(session, "a client did not read its replies in time (limits.write-timeout)")
            } else if session.incompleteSince == nil, session.stalledSince == nil {
                watched[session.id] = nil
            }
        }
        if limits.idleTimeout > .zero {
            for session in sessions.values {
                guard let since = session.idleSince, since.duration(to: now) > limits.idleTimeout else { continue }
                close(session, "a client was idle for too long (limits.idle-timeout)")
            }
        }
        if tcpPlaces.ordinary > 0 {
            for session in sessions.values where session.client.kind == .httpOverTCP {
                guard let since = session.idleSince, since.duration(to: now) > Self.tcpIdleLimit else { continue }
                close(session, "a client over TCP was idle for too long")
            }
        }
        if !watched.isEmpty || limits.idleTimeout > .zero || tcpPlaces.ordinary > 0 { startTimeoutTimer() }
    }

    private func close(_ session: any ClientSession, _ reason: Logger.Message) {
        counters.timedOutConnections &+= 1
        logger.debug(reason, metadata: ["client": "\(session.id)", "uid": "\(session.peer.userID)"])
        session.close()
    }

    // MARK: End

    /// Stops accepting, answers what has arrived, closes the sessions; calls `done` when the last one is gone.
    func drain(_ done: @escaping () -> Void) {
        guard onDrained == nil else { return }
        onDrained = done
        for entry in listeners { entry.listener.close() }
        for session in Array(sessions.values) { session.drain() }
        planTurnEnd()
    }

    /// Closes what is left, answered or not.
    func closeAll() {
        for session in Array(sessions.values) { session.close() }
    }

    private func announceIfDrained() {
        guard sessions.isEmpty, let done = onDrained else { return }
        onDrained = {}
        done()
    }
}

/// What happened at the sockets since the start, for INFO.
struct ServerCounters {
    var acceptedConnections: UInt64 = 0
    var rejectedConnections: UInt64 = 0
    var rejectedHTTPConnections: UInt64 = 0
    var deniedConnections: UInt64 = 0
    var timedOutConnections: UInt64 = 0
    var protocolErrors: UInt64 = 0
    /// Closed because of `limits.max-input`.
    var inputLimitConnections: UInt64 = 0
    var inputBytes: UInt64 = 0
    var outputBytes: UInt64 = 0
}
