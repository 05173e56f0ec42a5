internal import EventLoop
internal import WireProtocol

/// The life of the feed, the connection on which Redis tells what changes, without input or output: its methods return
/// what must be done.
///
/// RESP3 tracking on this very connection, without redirection. The order leaves no gap: tracking is switched on before
/// the subscription, and only what is read after the subscription was acknowledged may be kept.
/// Source: redis.io/docs/manual/client-side-caching.
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
        /// The beat with this number and tag was written. Comes behind the changes of its message.
        case beat(Int64, tag: [UInt8])
        /// A PING was answered.
        case pong(sentAt: MonotonicInstant)
        /// A PING was refused.
        case pingRefused(RedisFault)
        /// It was to authenticate again, and may not; changes are told as before.
        case loginRefused(RedisFault)
    }

    /// What the server was asked while changes are told.
    private enum Question {
        case ping(sentAt: MonotonicInstant)
        case authentication
    }

    enum Phase {
        /// Before the start and after the end.
        case closed
        case waiting(until: MonotonicInstant)
        case connecting(since: MonotonicInstant)
        case preparing(Handshake, since: MonotonicInstant)
        case subscribed(since: MonotonicInstant)
    }

    /// Preparing may take this long.
    static let preparationLimit = Duration.seconds(1)
    /// Questions that may be without an answer: a bound, since nobody asks sooner than every quarter of a second.
    static let maxQuestions = 16

    private(set) var phase = Phase.closed
    /// In the order of their answers.
    private var unanswered: [Question] = []
    private var backoff: Backoff
    /// The keys that are tracked begin with it, the beat's among them.
    private let prefix: [UInt8]
    private let channel: [UInt8]
    private let settings: LinkSettings

    /// - Parameters:
    ///   - prefix: of the keys whose changes are told.
    ///   - channel: to subscribe to; nobody uses it.
    ///   - seed: of the jitter between attempts.
    init(prefix: [UInt8], channel: [UInt8], settings: LinkSettings, seed: UInt64) {
        self.prefix = prefix
        self.channel = channel
        self.settings = settings
        backoff = Backoff(settings, seed: seed)
    }

    /// When the oldest PING without an answer was sent.
    var oldestPing: MonotonicInstant? {
        for case .ping(let sentAt) in unanswered { return sentAt }
        return nil
    }
    var isSubscribed: Bool { if case .subscribed = phase { true } else { false } }
    var isClosed: Bool { if case .closed = phase { true } else { false } }
    /// Whether what is received means something.
    var isListening: Bool {
        switch phase {
        case .preparing, .subscribed: true
        case .closed, .waiting, .connecting: false
        }
    }

    /// When `tick` is due next; nil: not until something else happens.
    var nextWake: MonotonicInstant? {
        switch phase {
        case .closed, .subscribed: nil
        case .waiting(let until): until
        case .connecting(let since), .preparing(_, let since): since + Self.preparationLimit
        }
    }

    mutating func start(now: MonotonicInstant) -> [Action] {
        guard isClosed else { return [] }
        phase = .connecting(since: now)
        return [.connect]
    }

    /// Ends the connection, and makes none until the next start.
    mutating func leave(_ fault: RedisFault) -> [Action] {
        let loss = isSubscribed ? [Action.lost(fault)] : []
        unanswered = []
        phase = .closed
        return loss + [.disconnect]
    }

    mutating func close() -> [Action] {
        phase = .closed
        unanswered = []
        return [.disconnect]
    }

    /// Drops the connection and makes a new one at once: the server behind it may be another one, or have another role.
    mutating func renew(now: MonotonicInstant) -> [Action] {
        guard !isClosed else { return [] }
        let left = leave(RedisFault(.closed, "the feed is renewed"))
        phase = .connecting(since: now)
        return left + [.connect]
    }

    mutating func connected(login: RedisLogin, now: MonotonicInstant) -> [Action] {
        guard case .connecting = phase else { return [] }
        let (handshake, commands) = Handshake.forFeed(login, prefix: prefix, channel: channel)
        phase = .preparing(handshake, since: now)
        return [.send(Array(commands.joined()))]
    }

    /// The connection could not be made, or ended, or is of no use.
    mutating func disconnected(_ fault: RedisFault, now: MonotonicInstant) -> [Action] {
        guard !isClosed else { return [] }
        let loss = isSubscribed ? Action.lost(fault) : .failed(fault)
        if case .subscribed(let since) = phase, backoff.isStable(after: now - since) { backoff.reset() }
        unanswered = []
        phase = .waiting(until: now + backoff.delay(after: fault))
        return [loss, .disconnect]
    }

    /// Time has passed: what is due.
    mutating func tick(now: MonotonicInstant) -> [Action] {
        switch phase {
        case .closed, .subscribed: return []
        case .waiting(let until):
            guard now >= until else { return [] }
            phase = .connecting(since: now)
            return [.connect]
        case .connecting(let since), .preparing(_, let since):
            guard now >= since + Self.preparationLimit else { return [] }
            return disconnected(RedisFault(.timeout, "the feed was not ready in time"), now: now)
        }
    }

    /// Asks for a sign of life, where a PING is one.
    mutating func ping(now: MonotonicInstant) -> [Action] {
        guard isSubscribed, unanswered.count < Self.maxQuestions else { return [] }
        unanswered.append(.ping(sentAt: now))
        return [.send(RedisCommand("PING").bytes)]
    }

    /// The password has changed: authenticates again, and goes on listening; what waits to try again does at once.
    mutating func authenticate(login: RedisLogin, now: MonotonicInstant) -> [Action] {
        switch phase {
        case .subscribed:
            guard unanswered.count < Self.maxQuestions, let (_, command) = Handshake.authentication(login).first else {
                return []
            }
            unanswered.append(.authentication)
            return [.send(command.bytes)]
        case .waiting:
            phase = .connecting(since: now)
            return [.connect]
        case .closed, .connecting, .preparing: return []
        }
    }

    /// The next value that was received.
    mutating func received(_ value: RESPValue, now: MonotonicInstant) -> [Action] {
        switch (phase, value) {
        case (.preparing(let handshake, let since), .push(let parts)):
            // The subscription is acknowledged by a push. What was changed before that may go untold.
            guard handshake.next == .subscribe, parts.first == Self.subscribe else { return [] }
            return handshakeAnswered(.null, handshake, since: since, now: now)
        case (.preparing(let handshake, let since), _):
            let reply = RedisReply(value)
            // Nothing but an error stands in the acknowledgement's place.
            if handshake.next == .subscribe, !reply.isError { return disconnected(Handshake.unexpected, now: now) }
            return handshakeAnswered(reply, handshake, since: since, now: now)
        case (.subscribed, .push(let parts)): return told(parts, now: now)
        case (.subscribed, _): return questionAnswered(value, now: now)
        case (.closed, _), (.waiting, _), (.connecting, _): return []
        }
    }

    // MARK: Preparing

    private static let subscribe = RESPValue.text(Array("subscribe".utf8))
    private static let invalidate = RESPValue.text(Array("invalidate".utf8))

    private mutating func handshakeAnswered(
        _ reply: RedisReply, _ handshake: Handshake, since: MonotonicInstant, now: MonotonicInstant
    ) -> [Action] {
        var handshake = handshake
        if case .failed(let fault) = handshake.received(reply) { return disconnected(fault, now: now) }
        phase = .preparing(handshake, since: since)
        guard handshake.isComplete else { return [] }
        guard let runID = handshake.server.runID else { return disconnected(Handshake.unexpected, now: now) }
        guard handshake.server.role == "master" || !settings.requiresMaster else {
            return disconnected(RedisFault(.readOnly, "the feed leads to a replica"), now: now)
        }
        phase = .subscribed(since: now)
        return [.subscribed(runID: runID)]
    }

    // MARK: Subscribed

    private func told(_ parts: [RESPValue], now: MonotonicInstant) -> [Action] {
        // Other kinds say nothing about keys.
        guard parts.first == Self.invalidate else { return [] }
        guard parts.count == 2, case .list(let elements) = parts[1] else { return [.invalidateAll] }
        var keys: [[UInt8]] = []
        var beats: [Action] = []
        keys.reserveCapacity(elements.count)
        for element in elements {
            guard case .text(let key) = element else { return [.invalidateAll] }
            if let (number, tag) = beat(key) { beats.append(.beat(number, tag: tag)) } else { keys.append(key) }
        }
        return (keys.isEmpty ? [] : [.invalidate(keys: keys)]) + beats
    }

    /// The beat that a key belongs to: digits behind the prefix and a `~`, in a cluster with a tag in `{}` between.
    private func beat(_ key: [UInt8]) -> (number: Int64, tag: [UInt8])? {
        guard key.count > prefix.count, key[prefix.count] == Beat.mark, key.starts(with: prefix) else { return nil }
        var rest = key.dropFirst(prefix.count + 1)
        var tag: [UInt8] = []
        if rest.first == UInt8(ascii: "{"), let end = rest.firstIndex(of: UInt8(ascii: "}")) {
            tag = Array(rest[rest.startIndex + 1..<end])
            rest = rest[(end + 1)...]
        }
        return rest.decimalNumber.map { ($0, tag) }
    }

    private mutating func questionAnswered(_ value: RESPValue, now: MonotonicInstant) -> [Action] {
        guard !unanswered.isEmpty else { return [] }
        let question = unanswered.removeFirst()
        var fault: RedisFault?
        if case .error(let text) = value {
            fault = RedisFault.classify(error: String(decoding: text, as: UTF8.self)).fault
        }
        switch (question, fault) {
        case (.ping(let sentAt), nil): return [.pong(sentAt: sentAt)]
        case (.ping, let fault?): return [.pingRefused(fault)]
        case (.authentication, nil): return []
        case (.authentication, let fault?): return [.loginRefused(fault)]
        }
    }
}

extension RedisReply {
    /// The same in RESP2's terms.
    init(_ value: RESPValue) {
        self =
            switch value {
            case .text(let bytes): .bulk(bytes)
            case .error(let text): .error(String(decoding: text, as: UTF8.self))
            case .integer(let number): .integer(number)
            case .null: .null
            case .list(let elements), .push(let elements): .array(RedisArray(elements.map(RedisReply.init)))
            }
    }

    var isError: Bool { if case .error = self { true } else { false } }
}
