internal import EventLoop
internal import Glibc
internal import Logging
internal import TokenCache
internal import WireProtocol

/// The RESP listener: accepts clients, owns their connections and the buffers they share, enforces the limits.
///
/// Owned by the loop's thread.
final class Server {
    /// Whole requests carried out for one connection before others get their turn.
    static let requestsPerTurn = 64
    /// Replies of one connection that may wait for Redis before its further requests wait, too.
    static let maxPendingReplies = 1_024
    /// Storage that an idle connection may keep, bytes.
    static let keptBuffer = 4_096
    /// Bytes read at once.
    static let readBufferBytes = 65_536
    /// Descriptors kept free for Redis, files and the like.
    static let reservedDescriptors = 32
    /// How often overdue clients are looked for while there may be any.
    static let timeoutCheck = Duration.milliseconds(100)

    let loop: EventLoop
    let dispatcher: Dispatcher
    private(set) var limits: Settings.Limits
    private(set) var places: ClientPlaces
    private var access: AccessRules
    let readBuffer = ReadBuffer(count: Server.readBufferBytes)
    /// Parses what is read into it, between requests whenever a connection begins its turn.
    var parser: RequestParser
    /// Replies of the connection whose turn it is.
    var writer = ReplyWriter(capacity: 65_536)
    /// One reply that has to wait for others before it goes out.
    var sideWriter = ReplyWriter(capacity: 16_384)
    var counters = ServerCounters()

    /// What incomplete requests take, all together.
    var incomplete: IncompleteInput
    let memory: MemoryReturn

    private let logger: Logger
    private var listener: Listener?
    private(set) var connections: [UInt64: ClientConnection] = [:]
    private var nextID: UInt64 = 1
    /// Connections with replies to send at the end of the turn.
    private var dirty: [ClientConnection] = []
    /// Closed connections, kept until the turn is over: their own callbacks may still be running.
    private var retired: [ClientConnection] = []
    private var isTurnEndPlanned = false
    /// Connections that a limit of time may close.
    private var watched: [UInt64: ClientConnection] = [:]
    private var timeoutTimer: LoopTimer?
    private var onDrained: (() -> Void)?
    /// Of each warning that peers may cause: one does not hide another.
    private var warnings: [String: RateLimit] = [:]

    /// - Parameter maxClients: the clients that descriptors suffice for, `limits.max-clients` at most.
    init(
        loop: EventLoop, dispatcher: Dispatcher, limits: Settings.Limits, maxClients: Int, access: AccessRules,
        logger: Logger
    ) {
        self.loop = loop
        self.dispatcher = dispatcher
        self.limits = limits
        places = ClientPlaces(limit: maxClients, perUser: limits.maxClientsPerUser)
        self.access = access
        self.logger = logger
        incomplete = IncompleteInput(limit: limits.maxInput)
        memory = MemoryReturn(loop: loop)
        parser = Self.parser(limits)
    }

    private static func parser(_ limits: Settings.Limits) -> RequestParser {
        RequestParser(limits: ProtocolLimits(maxBulk: limits.maxBulk))
    }

    /// One that has seen nothing.
    var newParser: RequestParser { Self.parser(limits) }

    /// Lets go of an incomplete request.
    func renewParser() { parser = newParser }

    /// What a client is told about bytes that are no request: a limit with its value and key.
    func text(of error: ProtocolError) -> String {
        let limit =
            switch error {
            case .tooLongBulk: ": at most \(limits.maxBulk) bytes (limits.max-bulk)"
            case .tooManyElements: ": at most \(ProtocolLimits().maxElements) arguments"
            case .tooBigInline, .tooBigMultibulkCount, .tooBigBulkCount: ": at most \(ProtocolLimits().maxLine) bytes"
            default: ""
            }
        return "\(error.message)\(limit)"
    }

    var isDraining: Bool { onDrained != nil }

    /// Takes over what a reload may change. Connections stay; what their peers may do follows the new rules.
    func apply(_ limits: Settings.Limits, maxClients: Int, _ access: AccessRules) {
        self.limits = limits
        places.limit = maxClients
        places.limitPerUser = limits.maxClientsPerUser
        incomplete.limit = limits.maxInput
        self.access = access
        // Not now: it may be the one that read the command to reload.
        loop.later { [self] in renewParser() }
        for connection in connections.values {
            // The groups were left out if no rule asked for them so far.
            let peer = Peer(descriptor: connection.socket, withGroups: !access.groups.isEmpty) ?? connection.peer
            connection.role = access.role(of: peer)
        }
        if limits.idleTimeout > .zero { startTimeoutTimer() }
    }

    // MARK: Accepting

    /// Takes over a listening socket.
    func listen(on descriptor: Int32) {
        let listener = loop.listen(on: descriptor) { [unowned self] in accept($0) }
        listener.onExhausted = { [unowned self] number in
            guard let suppressed = admit("descriptors") else { return }
            logger.error(
                "no descriptor left for a new client; accepting pauses",
                metadata: ["errno": "\(number)", "suppressed": "\(suppressed)"])
        }
        self.listener = listener
        if limits.idleTimeout > .zero { startTimeoutTimer() }
    }

    private func accept(_ descriptor: Int32) {
        guard !isDraining else { return reject(descriptor, nil) }
        guard let peer = Peer(descriptor: descriptor, withGroups: !access.groups.isEmpty) else {
            return reject(descriptor, nil)
        }
        let role = access.role(of: peer)
        guard role > .none else {
            counters.deniedConnections &+= 1
            dispatcher.audit.record(AuditEvent(.denied, peer: AuditPeer(peer), reason: "role none"))
            note("a peer was denied", ["uid": "\(peer.userID)"])
            return reject(descriptor, "-NOPERM this user may not use the daemon (access)\r\n")
        }
        let place: ClientPlaces.Place
        do throws(ClientPlaces.Refusal) { place = try places.place(for: role, user: peer.userID) } catch {
            return turnAway(descriptor, peer, error)
        }
        let connection = ClientConnection(
            id: nextID, descriptor: descriptor, peer: peer, role: role, place: place, server: self)
        guard !connection.isClosed else {
            if let suppressed = admit("watches") {
                logger.error(
                    "the kernel does not watch a new client (memory, or fs.epoll.max_user_watches)",
                    metadata: ["suppressed": "\(suppressed)"])
            }
            return
        }
        counters.acceptedConnections &+= 1
        nextID &+= 1
        connections[connection.id] = connection
        places.take(place, user: peer.userID)
    }

    /// Descriptors allow fewer clients than `limits.max-clients`.
    private var isShortOfDescriptors: Bool { places.limit < limits.maxClients }

    private func turnAway(_ descriptor: Int32, _ peer: Peer, _ refusal: ClientPlaces.Refusal) {
        counters.rejectedConnections &+= 1
        switch refusal {
        case .userIsFull:
            note(
                "a client was turned away: limits.max-clients-per-user is reached",
                ["uid": "\(peer.userID)", "max-clients-per-user": "\(places.limitPerUser)"])
            reject(
                descriptor,
                "-OVERLOADED this user has as many connections as one user may (limits.max-clients-per-user)\r\n")
        case .full where isShortOfDescriptors:
            note(
                "a client was turned away: the limit of open files allows no more",
                ["maxclients": "\(places.limit)", "max-clients": "\(limits.maxClients)"])
            reject(
                descriptor, "-OVERLOADED the daemon serves as many clients as it may (its limit of open files)\r\n")
        case .full:
            note(
                "a client was turned away: limits.max-clients is reached", ["max-clients": "\(limits.maxClients)"])
            reject(descriptor, "-OVERLOADED the daemon serves as many clients as it may (limits.max-clients)\r\n")
        }
    }

    private func admit(_ warning: String) -> Int? {
        let limit = warnings[warning] ?? RateLimit(perInterval: 1, interval: .seconds(10))
        warnings[warning] = limit
        return limit.admit()
    }

    /// A warning at the rate that peers may cause.
    private func note(_ message: Logger.Message, _ metadata: Logger.Metadata) {
        guard let suppressed = admit(message.description) else { return }
        logger.warning(message, metadata: metadata.merging(["suppressed": "\(suppressed)"]) { first, _ in first })
    }

    private func reject(_ descriptor: Int32, _ reply: StaticString?) {
        if let reply {
            _ = send(descriptor, reply.utf8Start, reply.utf8CodeUnitCount, Int32(MSG_NOSIGNAL))
        }
        Glibc.close(descriptor)
    }

    // MARK: Turns

    /// Sends the connection's replies at the end of the turn, all at once.
    func flushLater(_ connection: ClientConnection) {
        dirty.append(connection)
        planTurnEnd()
    }

    private func planTurnEnd() {
        guard !isTurnEndPlanned else { return }
        isTurnEndPlanned = true
        loop.later { [self] in endTurn() }
    }

    private func endTurn() {
        isTurnEndPlanned = false
        let flushing = dirty
        dirty.removeAll(keepingCapacity: true)
        for connection in flushing { connection.flush() }
        retired.removeAll()
        announceIfDrained()
    }

    func forget(_ connection: ClientConnection) {
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        places.free(connection.place, user: connection.peer.userID)
        watched[connection.id] = nil
        retired.append(connection)
        planTurnEnd()
    }

    // MARK: Limit of input

    /// Takes down what a connection's incomplete request takes. Where all of them take more than `limits.max-input`, the
    /// oldest are given up: those that were all sent at once are complete soon.
    func holdIncomplete(_ bytes: Int, of connection: ClientConnection) {
        incomplete.hold(bytes, of: connection.id)
        while let oldest = incomplete.oldestPastLimit() {
            guard let victim = connections[oldest] else {
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

    // MARK: Limits of time

    func watchTimeouts(of connection: ClientConnection) {
        watched[connection.id] = connection
        startTimeoutTimer()
    }

    private func startTimeoutTimer() {
        let timer = timeoutTimer ?? loop.makeTimer { [unowned self] in checkTimeouts() }
        timeoutTimer = timer
        if !timer.isActive { timer.start(after: Self.timeoutCheck) }
    }

    private func checkTimeouts() {
        let now = MonotonicInstant.now()
        for connection in watched.values {
            if let since = connection.incompleteSince, since.duration(to: now) > limits.requestTimeout {
                close(connection, "an incomplete request was not finished in time (limits.request-timeout)")
            } else if let since = connection.stalledSince, since.duration(to: now) > limits.writeTimeout {
                close(connection, "a client did not read its replies in time (limits.write-timeout)")
            } else if connection.incompleteSince == nil, connection.stalledSince == nil {
                watched[connection.id] = nil
            }
        }
        if limits.idleTimeout > .zero {
            for connection in connections.values
            where connection.pendingReplies == 0 && connection.lastRequestAt.duration(to: now) > limits.idleTimeout {
                close(connection, "a client was idle for too long (limits.idle-timeout)")
            }
        }
        if !watched.isEmpty || limits.idleTimeout > .zero { startTimeoutTimer() }
    }

    private func close(_ connection: ClientConnection, _ reason: Logger.Message) {
        counters.timedOutConnections &+= 1
        logger.debug(reason, metadata: ["client": "\(connection.id)", "uid": "\(connection.peer.userID)"])
        connection.close()
    }

    // MARK: End

    /// Stops accepting, answers what has arrived, closes the connections; calls `done` when the last one is gone.
    func drain(_ done: @escaping () -> Void) {
        guard onDrained == nil else { return }
        onDrained = done
        listener?.close()
        listener = nil
        for connection in Array(connections.values) { connection.drain() }
        planTurnEnd()
    }

    /// Closes what is left, answered or not.
    func closeAll() {
        for connection in Array(connections.values) { connection.close() }
    }

    private func announceIfDrained() {
        guard connections.isEmpty, let done = onDrained else { return }
        onDrained = {}
        done()
    }
}

/// What happened at the socket since the start, for INFO.
struct ServerCounters {
    var acceptedConnections: UInt64 = 0
    var rejectedConnections: UInt64 = 0
    var deniedConnections: UInt64 = 0
    var timedOutConnections: UInt64 = 0
    var protocolErrors: UInt64 = 0
    /// Closed because of `limits.max-input`.
    var inputLimitConnections: UInt64 = 0
    var inputBytes: UInt64 = 0
    var outputBytes: UInt64 = 0
}
