internal import EventLoop
internal import RedisLink
internal import Tokens
internal import UnixTime

/// When everyone was logged out last: sessions and guests that were made until then are ended, whatever stands in Redis.
///
/// It is a key of its own under the prefix of sessions, so the feed tells of it as of any session. It is known for
/// certain while every change is told and it was read since that began. While that is not so, what is read of sessions is
/// answered only when the epoch was read, too.
final class RevocationEpoch {
    /// Nil where none was ever read.
    private(set) var moment: UnixMilliseconds?
    /// Called when a later one was learned: everything known of sessions from before is over.
    var onChange: (UnixMilliseconds) -> Void = { _ in }
    /// Whether every change is told at the moment.
    var isTold: () -> Bool = { false }

    /// Sends the question.
    private let read: (@escaping (Result<UnixMilliseconds?, Unavailable>) -> Void) -> Void
    private var isRead = false
    /// Questions sent, and the last that was answered: replies come in order.
    private var asked: UInt64 = 0
    private var answered: UInt64 = 0
    /// The first question that was sent after it may have changed.
    private var needed: UInt64 = 0
    private var waiting: [(question: UInt64, body: (Unavailable?) -> Void)] = []

    init(_ read: @escaping (@escaping (Result<UnixMilliseconds?, Unavailable>) -> Void) -> Void) { self.read = read }

    var isCertain: Bool { isRead && isTold() }

    func ends(made: UnixMilliseconds) -> Bool {
        guard let moment else { return false }
        return made <= moment
    }

    /// It may have changed.
    func doubt() {
        isRead = false
        needed = asked + 1
        ask()
    }

    /// Asks Redis with `send`, and holds its answer back until an epoch is known that is at least as new.
    func accompany<Value>(
        _ done: @escaping SessionStore.Completion<Value>, _ send: (@escaping SessionStore.Completion<Value>) -> Void
    ) {
        let isUncertain = !isCertain
        let question = asked + 1
        send { [self] result in
            if !isUncertain, isCertain { return done(result) }
            let question = isUncertain ? question : ask()
            guard answered < question else { return done(result) }
            waiting.append((question, { fault in done(fault.map(Result.failure) ?? result) }))
        }
        // Behind it: no older than what was read.
        if isUncertain { ask() }
    }

    /// - Returns: which question it is.
    @discardableResult
    private func ask() -> UInt64 {
        asked += 1
        let question = asked
        read { [self] result in
            answered = max(answered, question)
            var fault: Unavailable?
            switch result {
            case .success(let moment):
                if question >= needed { isRead = true }
                learn(moment)
            case .failure(let unavailable): fault = unavailable
            }
            let ready = waiting.filter { $0.question <= question }
            waiting.removeAll { $0.question <= question }
            for waiter in ready { waiter.body(fault) }
        }
        return question
    }

    /// Takes in what was read or written; only ever later.
    func learn(_ moment: UnixMilliseconds?) {
        guard let moment, moment > self.moment ?? UnixMilliseconds(0) else { return }
        self.moment = moment
        onChange(moment)
    }
}

extension SessionStore {
    /// The key's name beside those of sessions.
    static let epochName = "~epoch"
    var epochKey: [UInt8] { keys.sessionPrefix + Array(Self.epochName.utf8) }

    func readEpoch(_ done: @escaping Completion<UnixMilliseconds?>) {
        send(RedisCommand([Array("GET".utf8), epochKey], key: epochKey)) { result in
            done(
                result.mapToAvailable { reply in
                    switch reply {
                    case .null: return nil
                    case .bulk(let text):
                        guard let number = Int64(String(decoding: text, as: UTF8.self)), number >= 0 else {
                            throw ScriptReply.unexpected
                        }
                        return UnixMilliseconds(number)
                    default: throw ScriptReply.unexpected
                    }
                })
        }
    }

    /// Logs everyone out.
    /// - Parameter lifetime: as long as any session or guest may live.
    func proclaimEpoch(
        lifetime: Milliseconds, arrival: MonotonicInstant, _ done: @escaping Completion<UnixMilliseconds>
    ) {
        let mark = replicaMark(of: epochKey)
        runInTime(SessionScripts.epoch, key: epochKey, arguments: [decimal(lifetime)], arrival: arrival) {
            [self] result in
            let proclaimed: Result<UnixMilliseconds, Unavailable> = result.flatMap { reply in
                guard case .integer(let moment)? = reply.detail else { return .failure(ScriptReply.unexpected) }
                // Here it is in force whether replicas have it or not.
                epoch.learn(UnixMilliseconds(moment))
                return .success(UnixMilliseconds(moment))
            }
            guard let mark, case .success(let moment) = proclaimed else { return done(proclaimed) }
            awaitReplicas(mark, of: epochKey, arrival: arrival) { done($0.map { moment }) }
        }
    }

    /// Puts a tombstone in the place of a session from before the epoch. The completion says whether there was one.
    func sweep(
        _ sid: SessionID, epoch: UnixMilliseconds, tombstone: Milliseconds, arrival: MonotonicInstant,
        _ done: @escaping Completion<Bool>
    ) {
        runInTime(
            SessionScripts.sweep, key: keys.session(sid),
            arguments: [decimal(epoch), decimal(tombstone), decimal(RecordCodec.version)], arrival: arrival
        ) { done($0.map { $0.verdict == "done" }) }
    }

    // MARK: All keys

    /// A page of all keys of a kind, as SCAN goes: each that is there throughout is seen at least once, while the servers
    /// stay the same and no slot goes from one to another. One server is walked over after the other.
    func scan(_ query: ScanQuery, _ done: @escaping Completion<ScanPage>) {
        let servers = router.servers
        guard let place = query.place(among: servers.count) else {
            return later { [outage] in done(.failure(outage)) }
        }
        let start: [UInt8] =
            switch query.kind {
            case .sessions: keys.sessionPrefix
            case .indexes: keys.prefix + Array(KeyLayout.indexMark.utf8)
            }
        let words: [[UInt8]] = [
            Array("SCAN".utf8), place.cursor, Array("MATCH".utf8), KeyPattern.beginning(with: start),
            Array("COUNT".utf8),
            decimal(Int64(query.count)),
        ]
        servers[place.server].send(RedisCommand(words), repeatable: true) { result in
            done(
                result.mapToAvailable { reply in
                    guard case .array(let parts) = reply, parts.count == 2, case .bulk(let next) = parts[0],
                        case .array(let found) = parts[1]
                    else { throw ScriptReply.unexpected }
                    let names = found.compactMap { key -> ArraySlice<UInt8>? in
                        guard case .bulk(let key) = key, key.starts(with: start) else { return nil }
                        return key.dropFirst(start.count)
                    }
                    return ScanPage(names: names.map(Array.init), next: try place.next(next))
                })
        }
    }
}

/// A page of a walk over all keys of a kind.
struct ScanQuery {
    enum Kind { case sessions, indexes }

    let kind: Kind
    /// Redis's own; in a cluster with the number of the server in it.
    var cursor = ScanQuery.start
    /// About so many keys of the database are looked at.
    var count = 100

    static let start = [UInt8(ascii: "0")]

    /// Where a walk is: on which of the servers, and how far.
    struct Place {
        let server: Int
        let cursor: [UInt8]
        let servers: Int

        /// Servers of which a cursor can tell.
        private static let most: UInt64 = 1_024

        /// - Parameter next: what the server answered.
        func next(_ next: [UInt8]) throws -> [UInt8]? {
            guard servers > 1 else { return next == ScanQuery.start ? nil : next }
            if next == ScanQuery.start { return server + 1 < servers ? Array(String(server + 1).utf8) : nil }
            guard let number = UInt64(String(decoding: next, as: UTF8.self)), number < .max / Self.most else {
                throw ScriptReply.unexpected
            }
            return Array(String(number * Self.most + UInt64(server)).utf8)
        }

        fileprivate init?(_ text: [UInt8], servers: Int) {
            self.servers = servers
            guard servers > 1 else {
                guard servers == 1 else { return nil }
                (server, cursor) = (0, text)
                return
            }
            guard let number = UInt64(String(decoding: text, as: UTF8.self)) else { return nil }
            // There are fewer servers than there were: whoever needs all walks once more.
            server = min(Int(number % Self.most), servers - 1)
            cursor = Array(String(number / Self.most).utf8)
        }
    }

    /// Nil where there is no server.
    func place(among servers: Int) -> Place? { Place(cursor, servers: servers) }
}

struct ScanPage {
    /// What stands behind the prefix of the kind.
    var names: [[UInt8]]
    /// Where the walk goes on; nil at its end.
    var next: [UInt8]?
}
