internal import EventLoop

/// The life of the invalidation connection, without input or output: its methods return what must be done.
///
/// RESP2 tracking redirected to the connection itself. The order leaves no gap: tracking is switched on before the
/// subscription, and only what is read after the subscription was acknowledged may be kept.
/// Source: redis.io/docs/manual/client-side-caching, "Two connections mode" with one connection.
struct FeedMachine {
    enum Action: Equatable {
        case connect
        case disconnect
        case send([UInt8])
        /// From now on every change is told; `runID` names the server.
        case subscribed(runID: String)
        /// Nothing is told any more.
        case lost(RedisFault)
        /// Nothing is told yet, for this reason.
        case failed(RedisFault)
        case invalidate(keys: [[UInt8]])
        case invalidateAll
    }

    enum Phase: Equatable {
        /// Before the start and after the end.
        case closed
        case waiting(until: MonotonicInstant)
        case connecting(since: MonotonicInstant)
        /// The replies to the preparing commands are awaited, in this order.
        case preparing([Step], since: MonotonicInstant)
        case subscribed
    }

    enum Step: Equatable {
        case authenticate, name, server, replication, identify, track, subscribe
    }

    static let channel = "__redis__:invalidate"
    /// How often the connection is proved alive.
    static let pingInterval = Duration.milliseconds(250)
    /// The oldest unanswered PING may be this old; preparing may take this long.
    static let silenceLimit = Duration.seconds(1)

    private(set) var phase = Phase.closed
    /// When the last PING that was answered had been sent.
    private(set) var lastProof: MonotonicInstant?
    private var unanswered: [MonotonicInstant] = []
    private var lastPing: MonotonicInstant?
    private var backoff: Duration
    private var runID: String?
    private var isMaster = false
    private let prefix: [UInt8]
    private let settings: LinkSettings

    init(prefix: [UInt8], settings: LinkSettings) {
        self.prefix = prefix
        self.settings = settings
        backoff = settings.reconnectMinimum
    }

    mutating func start(now: MonotonicInstant) -> [Action] {
        guard phase == .closed else { return [] }
        phase = .connecting(since: now)
        return [.connect]
    }

    mutating func close() -> [Action] {
        phase = .closed
        forget()
        return [.disconnect]
    }

    /// Drops the connection and makes a new one at once: the server behind it may have changed its role.
    mutating func renew(now: MonotonicInstant) -> [Action] {
        guard phase != .closed else { return [] }
        let wasSubscribed = phase == .subscribed
        forget()
        phase = .connecting(since: now)
        let loss = wasSubscribed ? [Action.lost(RedisFault(.closed, "the invalidation connection is renewed"))] : []
        return loss + [.disconnect, .connect]
    }

    mutating func connected(login: RedisLogin, now: MonotonicInstant) -> [Action] {
        guard case .connecting = phase else { return [] }
        var steps: [Step] = []
        var bytes: [UInt8] = []
        if let password = login.password {
            steps.append(.authenticate)
            bytes +=
                RedisCommand(
                    ["AUTH".redisArgument] + (login.user.map { [$0.redisArgument] } ?? []) + [password.bytes]
                ).bytes
        }
        steps += [.name, .server, .replication, .identify]
        bytes += RedisCommand("CLIENT", "SETNAME", "tokencached-invalidation").bytes
        bytes += RedisCommand("INFO", "server").bytes
        bytes += RedisCommand("INFO", "replication").bytes
        bytes += RedisCommand("CLIENT", "ID").bytes
        phase = .preparing(steps, since: now)
        return [.send(bytes)]
    }

    mutating func received(_ reply: RedisReply, now: MonotonicInstant) -> [Action] {
        switch phase {
        case .preparing(let steps, let since):
            guard let step = steps.first else { return [] }
            phase = .preparing(Array(steps.dropFirst()), since: since)
            return prepared(step, reply, since: since, now: now)
        case .subscribed:
            return told(reply, now: now)
        case .closed, .waiting, .connecting:
            return []
        }
    }

    mutating func disconnected(_ fault: RedisFault, now: MonotonicInstant) -> [Action] {
        guard phase != .closed else { return [] }
        let wasSubscribed = phase == .subscribed
        forget()
        phase = .waiting(until: now + backoff)
        backoff = min(backoff * 2, settings.reconnectMaximum)
        return [wasSubscribed ? .lost(fault) : .failed(fault), .disconnect]
    }

    /// Time has passed: what is due.
    mutating func tick(now: MonotonicInstant) -> [Action] {
        switch phase {
        case .closed: return []
        case .waiting(let until):
            guard now >= until else { return [] }
            phase = .connecting(since: now)
            return [.connect]
        case .connecting(let since), .preparing(_, let since):
            guard since.duration(to: now) > Self.silenceLimit else { return [] }
            return disconnected(RedisFault(.timeout, "the invalidation connection was not ready in time"), now: now)
        case .subscribed:
            if let oldest = unanswered.first, oldest.duration(to: now) >= Self.silenceLimit {
                return disconnected(RedisFault(.timeout, "the invalidation connection fell silent"), now: now)
            }
            return pingIfDue(now: now)
        }
    }

    // MARK: Preparing

    private mutating func prepared(
        _ step: Step, _ reply: RedisReply, since: MonotonicInstant, now: MonotonicInstant
    ) -> [Action] {
        if case .error(let text) = reply, step != .name {
            return disconnected(RedisFault.classify(error: text).fault, now: now)
        }
        switch step {
        case .authenticate, .name, .track: return []
        case .server:
            runID = InformationText.field("run_id", in: reply)
            return []
        case .replication:
            isMaster = InformationText.field("role", in: reply) == "master"
            return []
        case .identify:
            guard case .integer(let id) = reply else { return unexpected(now: now) }
            phase = .preparing([.track, .subscribe], since: since)
            let track = RedisCommand(
                "CLIENT", "TRACKING", "ON", "REDIRECT", id, "BCAST", "PREFIX", prefix)
            return [.send(track.bytes + RedisCommand("SUBSCRIBE", Self.channel).bytes)]
        case .subscribe:
            guard case .array = reply, let runID else { return unexpected(now: now) }
            guard isMaster || !settings.requiresMaster else {
                return disconnected(RedisFault(.readOnly, "the invalidation connection leads to a replica"), now: now)
            }
            phase = .subscribed
            backoff = settings.reconnectMinimum
            // The acknowledgement proves as much as a PONG would: that Redis answered to what was sent then.
            lastProof = since
            return [.subscribed(runID: runID)] + pingIfDue(now: now)
        }
    }

    private mutating func unexpected(now: MonotonicInstant) -> [Action] {
        disconnected(RedisFault(.protocolError, "the invalidation connection was answered unexpectedly"), now: now)
    }

    // MARK: Subscribed

    private mutating func told(_ reply: RedisReply, now: MonotonicInstant) -> [Action] {
        guard case .array(let parts) = reply, parts.count == 3, parts[0] == .bulk(Array("message".utf8)) else {
            // A PONG, or an error in its place, as MISCONF: Redis lives and has told everything up to here.
            if !unanswered.isEmpty { lastProof = unanswered.removeFirst() }
            return []
        }
        guard case .array(let keys) = parts[2] else { return [.invalidateAll] }
        return [
            .invalidate(
                keys: keys.compactMap { key in
                    guard case .bulk(let bytes) = key else { return nil }
                    return bytes
                })
        ]
    }

    private mutating func pingIfDue(now: MonotonicInstant) -> [Action] {
        if let lastPing, lastPing.duration(to: now) < Self.pingInterval { return [] }
        lastPing = now
        unanswered.append(now)
        return [.send(RedisCommand("PING").bytes)]
    }

    private mutating func forget() {
        unanswered = []
        lastPing = nil
        runID = nil
        isMaster = false
    }
}

/// The text that `INFO` answers.
enum InformationText {
    /// The value of a field; nil where it is missing. Bounded: it goes to INFO and the log.
    static func field(_ name: String, in reply: RedisReply) -> String? {
        guard case .bulk(let bytes) = reply else { return nil }
        let prefix = Array("\(name):".utf8)
        for line in bytes.split(whereSeparator: { $0 == 0x0d || $0 == 0x0a }) where line.starts(with: prefix) {
            return String(decoding: line.dropFirst(prefix.count).prefix(64), as: UTF8.self)
        }
        return nil
    }
}
