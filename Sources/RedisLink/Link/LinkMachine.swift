internal import DequeModule
internal import EventLoop

/// The life of one link to Redis, as a value: events and the time go in, actions and bytes come out.
///
/// It owns no socket, clock or timer; `RedisLink` is the thin shell that does, and the tests drive a whole life by
/// hand. The promise it keeps: every request completes exactly once, with its own reply or a fault, at the latest
/// when its deadline is `tick`ed past.
///
/// Replies carry no identity, only their position, so everything sent has an entry in `inFlight` until its reply
/// came; `requests` holds what somebody still waits for.
struct LinkMachine<Waiter> {
    enum Action {
        /// Open a connection and report `connected` or `disconnected`.
        case connect
        /// Close the connection, if there is one; it is not to report any more.
        case disconnect
        case complete(Waiter, Result<RedisReply, RedisFault>)
        case stateChanged(LinkState)
        /// Call `transmitWaiting`. It stands behind the news that the link is ready: whoever hears that goes first.
        case sendWaiting
        /// The connection, or the attempt at one, is over, for this reason.
        case lost(RedisFault)
        /// What a connection that stands left open is known: its server has no mark of a move.
        case notMoved
        /// Tell the operator: a fault of single requests that only configuration cures.
        case refused(RedisFault)
        /// A connection that stands was to authenticate again, and may not; it stands as before.
        case loginRefused(RedisFault)
        /// This was published on a channel that is subscribed to.
        case told([UInt8])
    }

    /// Where the connection stands. Legal ways:
    /// `closed → connecting → preparing → ready`; from each of the last three to `connecting` (a ready one that was
    /// lost, at once), to `backoff` and, by `close`, to `closed`; `backoff → connecting`.
    enum Phase: Equatable {
        /// Not started, or closed by the owner.
        case closed
        /// A connection is being opened.
        case connecting(since: MonotonicInstant)
        /// Connected; the commands that make the connection fit for use are in flight, nothing else.
        case preparing(since: MonotonicInstant)
        /// In use.
        case ready(since: MonotonicInstant, nextHeartbeat: MonotonicInstant)
        /// The last attempt failed; the next one is due then.
        case backoff(until: MonotonicInstant)
    }

    /// What a reply that is still to come is for.
    enum Purpose {
        case request(SlotReference)
        case handshake
        case heartbeat
        case scriptLoad(Int)
        /// An `ASKING`: whether it was taken shows in the reply to the command behind it.
        case asking
        case authentication
        /// Whether the server has the mark of a move.
        case moved
    }

    struct Expected {
        let purpose: Purpose
        let sentAt: MonotonicInstant
        let byteCount: Int
    }

    let settings: LinkSettings
    /// `settings.timeout`, and how long the server may owe an answer, ns.
    let timeout: Int64
    private let longestSilence: Int64
    let scripts: [RedisScript]
    var phase: Phase = .closed
    private(set) var state: LinkState = .closed
    var counters = LinkCounters()
    var clock = RedisClock()
    /// What the connection under way is asked first.
    private var handshake: Handshake?
    /// What Redis said about itself when this connection was made.
    private(set) var serverInfo = RedisServerInfo()

    /// To be performed by the shell, in order.
    var actions = Deque<Action>()
    /// To be written by the shell, as it stands at the end of the turn.
    var output: [UInt8] = []

    /// In the order of their replies.
    var inFlight = Deque<Expected>()
    /// Accepted and not sent: the connection is not ready.
    var waiting = Deque<WaitingRequest>()
    var requests = RequestTable<Waiter>()
    /// Bytes of everything in `inFlight` and `waiting`.
    var pendingBytes = 0
    /// SHA-1 in hex by script, once Redis told it. It depends on the source only, so it outlives connections.
    var digests: [[UInt8]?]
    /// SCRIPT LOADs in flight by script, so that many refused calls cause one load.
    var loadsInFlight: [Int]

    /// The keys that tell of a move, and whether they still have to.
    var move = OpenMove()

    private var isHeartbeatInFlight = false
    /// Whether a loss has already been answered by an attempt without a wait, since then.
    private var hasRetriedAtOnce = false
    private var backoff: Backoff

    init(settings: LinkSettings, scripts: [RedisScript], seed: UInt64) {
        self.settings = settings
        timeout = settings.timeout.saturatedNanoseconds
        longestSilence = (settings.timeout + settings.lateReplyLimit).saturatedNanoseconds
        self.scripts = scripts
        digests = Array(repeating: nil, count: scripts.count)
        loadsInFlight = Array(repeating: 0, count: scripts.count)
        backoff = Backoff(settings, seed: seed)
    }

    /// Whether what is received means something.
    var isConnected: Bool {
        switch phase {
        case .preparing, .ready: true
        case .closed, .connecting, .backoff: false
        }
    }

    /// When `tick` is due next; nil: not until something else happens. It changes nothing; but a machine that is only read is
    /// copied as a whole, with every reply.
    var nextWake: MonotonicInstant? {
        mutating get {
            var wake: MonotonicInstant
            switch phase {
            case .closed: wake = .latest
            case .connecting(let since), .preparing(let since): wake = since + settings.connectTimeout
            case .backoff(let until): wake = until
            case .ready(_, let nextHeartbeat):
                wake = settings.isSentinel ? .latest : nextHeartbeat
                if let oldest = inFlight.first { wake = min(wake, tooLate(oldest)) }
            }
            if let first = requests.firstDeadline { wake = min(wake, first) }
            return wake == .latest ? nil : wake
        }
    }

    /// What the shell is to do next. What comes of it stands behind.
    mutating func nextAction() -> Action? { actions.popFirst() }

    /// Begins the first attempt.
    mutating func start(now: MonotonicInstant) {
        guard phase == .closed else { return }
        backoff.reset()
        hasRetriedAtOnce = false
        setState(.connecting)
        attempt(now: now)
    }

    /// Ends the connection, and makes none: what is under way, and what comes, fails with this fault until the next start,
    /// which may be with another server.
    mutating func leave(_ fault: RedisFault) {
        phase = .closed
        serverInfo = RedisServerInfo()
        forgetConnection()
        failAll(fault)
        actions.append(.disconnect)
        setState(.down(fault))
    }

    /// The next connection is to another server, which has a clock of its own.
    mutating func forgetClock() { clock = RedisClock() }

    /// Ends everything; what is under way fails.
    mutating func close() {
        guard phase != .closed else { return }
        phase = .closed
        forgetConnection()
        failAll(RedisFault(.closed, .closed))
        actions.append(.disconnect)
        setState(.closed)
    }

    /// The connection stands: makes it fit for use.
    mutating func connected(login: RedisLogin, now: MonotonicInstant) {
        guard case .connecting(let since) = phase else { return }
        phase = .preparing(since: since)
        serverInfo = RedisServerInfo()
        let (handshake, commands) =
            settings.isSentinel
            ? Handshake.forSentinel(login)
            : Handshake.forCommands(login, scripts: scripts, moveMarks: move.keys)
        self.handshake = handshake
        for command in commands {
            expect(.handshake, byteCount: command.count, now: now)
            output.append(contentsOf: command)
        }
    }

    /// The connection could not be made, or ended.
    mutating func disconnected(_ fault: RedisFault, now: MonotonicInstant) {
        guard phase != .closed else { return }
        lose(fault, now: now)
    }

    /// The connection delivered what is no reply.
    mutating func garbage(now: MonotonicInstant) {
        counters.protocolErrors += 1
        lose(RedisFault(.protocolError, .notAReply), now: now)
    }

    /// The password has changed: a connection that stands authenticates again behind what was sent; what waits to try
    /// again does at once.
    mutating func authenticate(login: RedisLogin, now: MonotonicInstant) {
        switch phase {
        case .ready:
            guard let (_, command) = Handshake.authentication(login).first else { return }
            expect(.authentication, byteCount: command.bytes.count, now: now)
            output.append(contentsOf: command.bytes)
        case .backoff: attempt(now: now)
        case .closed, .connecting, .preparing: break
        }
    }

    /// Time has passed.
    mutating func tick(now: MonotonicInstant) {
        expireRequests(now: now)
        switch phase {
        case .closed: break
        case .connecting(let since), .preparing(let since):
            guard now >= since + settings.connectTimeout else { break }
            lose(RedisFault(.timeout, .silent), now: now)
        case .backoff(let until):
            if now >= until { attempt(now: now) }
        case .ready(let since, let nextHeartbeat):
            if let oldest = inFlight.first, now >= tooLate(oldest) {
                lose(RedisFault(.timeout, .silent), now: now)
            } else if now >= nextHeartbeat, !settings.isSentinel {
                phase = .ready(since: since, nextHeartbeat: now + settings.heartbeat)
                sendHeartbeat(now: now)
            }
        }
    }

    /// The next reply, in its position.
    mutating func received(_ reply: RedisReply, now: MonotonicInstant) {
        guard isConnected else { return }
        if settings.isSubscriber, let message = reply.message { return actions.append(.told(message)) }
        guard let expected = inFlight.popFirst() else { return garbage(now: now) }
        counters.replies += 1
        pendingBytes -= expected.byteCount
        switch expected.purpose {
        case .handshake: shakeHands(reply, sentAt: expected.sentAt, now: now)
        case .request(let reference): answered(reference, reply: reply, now: now)
        case .heartbeat:
            isHeartbeatInFlight = false
            if case .error(let text) = reply { return consider(RedisFault.classify(error: text), now: now) }
            takeTime(reply, sentAt: expected.sentAt, now: now)
        case .asking: break
        case .moved:
            if let fault = move.answered(reply) {
                lose(fault, now: now)
            } else if !move.isOpen {
                actions.append(.notMoved)
            }
        case .authentication:
            guard case .error(let text) = reply else { break }
            let verdict = RedisFault.classify(error: text)
            // Redis goes on with whom it knew the connection for.
            guard verdict.fault.kind == .credentials else { return consider(verdict, now: now) }
            actions.append(.loginRefused(verdict.fault))
        case .scriptLoad(let index):
            loadsInFlight[index] -= 1
            if case .bulk(let digest) = reply, digest.count == RedisScript.digestLength { digests[index] = digest }
        }
    }

    private mutating func shakeHands(_ reply: RedisReply, sentAt: MonotonicInstant, now: MonotonicInstant) {
        guard let outcome = handshake?.received(reply) else { return }
        switch outcome {
        case .nothing: break
        case .time(let reply): takeTime(reply, sentAt: sentAt, now: now)
        case .digest(let number, let digest): digests[number] = digest
        case .failed(let fault): return lose(fault, now: now)
        }
        if let handshake, handshake.isComplete {
            serverInfo = handshake.server
            move.connected(isOpen: handshake.isMoveOpen)
            self.handshake = nil
            becomeReady(now: now)
        }
    }

    /// Draws the consequences of an error reply for the connection.
    mutating func consider(
        _ verdict: (fault: RedisFault, consequence: RedisFault.Consequence), now: MonotonicInstant
    ) {
        if verdict.consequence == .reconnect { lose(verdict.fault, now: now) }
    }

    mutating func expect(_ purpose: Purpose, byteCount: Int, now: MonotonicInstant) {
        inFlight.append(Expected(purpose: purpose, sentAt: now, byteCount: byteCount))
        pendingBytes += byteCount
    }

    @inline(__always)
    private func tooLate(_ expected: Expected) -> MonotonicInstant {
        expected.sentAt.advanced(nanoseconds: longestSilence)
    }

    private mutating func sendHeartbeat(now: MonotonicInstant) {
        guard !isHeartbeatInFlight else { return }
        isHeartbeatInFlight = true
        askForMove(now: now)
        let command = RedisCommand("TIME").bytes
        expect(.heartbeat, byteCount: command.count, now: now)
        output.append(contentsOf: command)
    }

    private mutating func becomeReady(now: MonotonicInstant) {
        // What INFO says here is what ROLE would say: both look whether the server has a master at that moment
        // (`server.masterhost`), and each connection asks anew before it is used. A master that is demoted later refuses the
        // beat, as does a replica that may not be asked for INFO, and a Sentinel that demotes it has it end its connections.
        // Source: redis.io/docs/reference/sentinel-clients.
        if settings.requiresMaster, !settings.isSentinel, serverInfo.role == "slave" {
            return lose(RedisFault(.readOnly, .readOnly), now: now)
        }
        phase = .ready(since: now, nextHeartbeat: now + settings.heartbeat)
        counters.connects += 1
        setState(.ready)
        actions.append(.sendWaiting)
    }

    private mutating func attempt(now: MonotonicInstant) {
        phase = .connecting(since: now)
        actions.append(.connect)
    }

    /// The connection, or the attempt at one, is over. A loss of one that had been good is followed by an attempt at
    /// once, and requests wait for it; whatever fails after that backs off.
    private mutating func lose(_ fault: RedisFault, now: MonotonicInstant) {
        var isFirstLoss = false
        switch phase {
        case .closed, .backoff: return
        case .connecting, .preparing: break
        case .ready(let since, _):
            if backoff.isStable(after: now - since) {
                backoff.reset()
                hasRetriedAtOnce = false
            }
            isFirstLoss = !hasRetriedAtOnce && !fault.needsOperator
        }
        counters.failures += 1
        counters.faults.note(fault.description, at: now)
        actions.append(.disconnect)
        actions.append(.lost(fault))
        retrieveInFlight(fault)
        forgetConnection()
        if isFirstLoss {
            hasRetriedAtOnce = true
            setState(.connecting)
            attempt(now: now)
        } else {
            phase = .backoff(until: now + backoff.delay(after: fault))
            setState(.down(fault))
            failNewcomers(fault)
        }
    }

    private mutating func forgetConnection() {
        inFlight.removeAll(keepingCapacity: true)
        pendingBytes = waiting.reduce(0) { $0 + $1.byteCount }
        output.removeAll()
        handshake = nil
        isHeartbeatInFlight = false
        for index in loadsInFlight.indices { loadsInFlight[index] = 0 }
    }

    private mutating func setState(_ new: LinkState) {
        guard new != state else { return }
        state = new
        actions.append(.stateChanged(new))
    }
}
