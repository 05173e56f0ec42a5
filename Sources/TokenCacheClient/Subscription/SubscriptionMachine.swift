/// One connection that is subscribed to sessions: which of them, and what its replies mean. It has no socket and no clock.
///
/// Replies and messages come in one stream, and the daemon does what it is asked in order. So it is known of each message
/// which SUBSCRIBE it answers: one that came after its session was left, or before it was subscribed to anew, is dropped.
struct SubscriptionMachine {
    /// Which SUBSCRIBE.
    typealias Number = UInt64

    /// What a reply means.
    enum Event {
        case none
        /// All of a SUBSCRIBE is confirmed.
        case confirmed(Number)
        case refused(Number, TokenCacheError)
        /// A session's end; `leave` is to be sent. The daemon counts the channel until then.
        case ended(SessionEnd, leave: Request?)
    }

    private enum Pending {
        /// The sessions whose confirmation is due, the last one first.
        case subscribe(Number, all: [SessionID], left: [SessionID])
        case unsubscribe(left: [SessionID])
        case ping
    }

    private struct Subscription {
        /// The first SUBSCRIBE that asked for it, since it was left.
        let first: Number
        /// The newest one.
        var number: Number
        /// Whether the newest one is confirmed.
        var isConfirmed = false
        /// Whether one of them is, and nothing was told since.
        var isArmed = false
    }

    private static let channelPrefix = "session:"

    private var pending = FIFO<Pending>()
    private var subscriptions: [SessionID: Subscription] = [:]
    private var latest: Number = 0

    /// Whether the daemon owes a reply.
    var isWaiting: Bool { !pending.isEmpty }

    /// - Parameter sids: At least one.
    mutating func subscribe(to sids: [SessionID]) -> (request: Request, number: Number) {
        latest += 1
        for sid in sids {
            subscriptions[sid, default: Subscription(first: latest, number: latest)].number = latest
            subscriptions[sid]?.isConfirmed = false
        }
        pending.append(.subscribe(latest, all: sids, left: sids.reversed()))
        return (Self.request("SUBSCRIBE", sids), latest)
    }

    /// Nothing is told of these any more.
    ///
    /// - Returns: `nil` where none of them was subscribed to.
    mutating func unsubscribe(from sids: [SessionID]) -> Request? {
        let sids = sids.filter { subscriptions.removeValue(forKey: $0) != nil }
        return sids.isEmpty ? nil : leave(sids)
    }

    /// Asks whether the daemon is there.
    mutating func ping() -> Request {
        pending.append(.ping)
        return RequestWriter("PING").finished()
    }

    /// Takes a reply or message.
    ///
    /// - Throws: Why the connection has to be ended.
    mutating func received(_ reply: Reply) throws(TokenCacheError) -> Event {
        if let error = reply.error { return try failed(error) }
        if reply.isText(at: 0, "PONG") { return try ponged() }
        guard case .array(let count) = reply[0] else { throw .protocolViolation }
        if reply.isText(at: 1, "pong") { return try ponged() }
        guard count == 3, let sid = Self.session(ofChannel: reply.bytes(at: 2)) else { throw .protocolViolation }
        if reply.isText(at: 1, "message") { return try told(sid, reply.string(at: 3)) }
        return try confirmed(sid, isSubscribe: reply.isText(at: 1, "subscribe"), reply)
    }

    // MARK: What comes

    private mutating func told(_ sid: SessionID, _ message: String?) throws(TokenCacheError) -> Event {
        guard let fate = message.flatMap({ SessionFate($0) }) else { throw .protocolViolation }
        guard let subscription = subscriptions[sid], subscription.isArmed else { return .none }
        guard subscription.isConfirmed else {
            // It is subscribed to anew already.
            subscriptions[sid]?.isArmed = false
            return .ended(SessionEnd(session: sid, fate: fate), leave: nil)
        }
        subscriptions[sid] = nil
        return .ended(SessionEnd(session: sid, fate: fate), leave: leave([sid]))
    }

    private mutating func confirmed(
        _ sid: SessionID, isSubscribe: Bool, _ reply: Reply
    ) throws(TokenCacheError) -> Event {
        switch (pending.first, isSubscribe) {
        case (.subscribe(let number, let all, var left), true):
            guard left.popLast() == sid else { throw .protocolViolation }
            if let subscription = subscriptions[sid], number >= subscription.first {
                subscriptions[sid]?.isArmed = true
                subscriptions[sid]?.isConfirmed = number == subscription.number
            }
            pending.replaceFirst(left.isEmpty ? nil : .subscribe(number, all: all, left: left))
            return left.isEmpty ? .confirmed(number) : .none
        case (.unsubscribe(var left), false):
            guard reply.isText(at: 1, "unsubscribe"), left.popLast() == sid else { throw .protocolViolation }
            pending.replaceFirst(left.isEmpty ? nil : .unsubscribe(left: left))
            return .none
        default:
            throw .protocolViolation
        }
    }

    private mutating func failed(_ error: TokenCacheError) throws(TokenCacheError) -> Event {
        guard case .subscribe(let number, let all, let left)? = pending.removeFirst(), all.count == left.count else {
            throw error
        }
        for sid in all where subscriptions[sid]?.number == number {
            // What an earlier one of the same session asked for stands.
            if subscriptions[sid]?.isArmed == true {
                subscriptions[sid]?.isConfirmed = true
            } else {
                subscriptions[sid] = nil
            }
        }
        return .refused(number, error)
    }

    private mutating func ponged() throws(TokenCacheError) -> Event {
        guard case .ping? = pending.removeFirst() else { throw .protocolViolation }
        return .none
    }

    // MARK: Requests

    private mutating func leave(_ sids: [SessionID]) -> Request {
        pending.append(.unsubscribe(left: sids.reversed()))
        return Self.request("UNSUBSCRIBE", sids)
    }

    private static func request(_ name: StaticString, _ sids: [SessionID]) -> Request {
        var writer = RequestWriter(name)
        for sid in sids { writer.append(channelPrefix + sid.text) }
        return writer.finished()
    }

    private static func session(ofChannel channel: ArraySlice<UInt8>) -> SessionID? {
        guard channel.starts(with: channelPrefix.utf8) else { return nil }
        return SessionID(digits: channel.dropFirst(channelPrefix.utf8.count), isStrict: true)
    }
}
