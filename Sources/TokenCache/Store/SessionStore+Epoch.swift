internal import EventLoop
internal import RedisLink
internal import Tokens
internal import UnixTime

/// When everyone was logged out last, as the servers know it: each has a key of its own.
extension SessionStore {
    /// The key's name beside those of sessions; in a cluster with the tag of its server behind it.
    static let epochName = "~epoch"
    /// What the keys of all servers begin with.
    var epochKey: [UInt8] { keys.sessionPrefix + Array(Self.epochName.utf8) }

    /// Reads it at a server.
    /// - Parameters:
    ///   - isRequest: somebody waits for it: else it keeps no proofs going.
    ///   - done: is told the tag, too, of the key that was read.
    func readEpoch(
        at node: RedisNode, isRequest: Bool,
        _ done: @escaping (Result<UnixMilliseconds?, Unavailable>, _ tag: [UInt8]) -> Void
    ) {
        node.askOwn(epochKey) { key, completion in
            node.send(Self.reading(key), repeatable: true, isRequest: isRequest, completion: completion)
        } completion: { result, tag in
            done(result.mapToAvailable(Self.epoch), tag)
        }
    }

    /// A server has told that it was changed, under a key.
    func epochChanged(_ key: [UInt8]) {
        epoch.doubt()
        guard !router.servers.contains(where: { $0.ownKey(epochKey) == key }) else { return }
        // Whoever wrote it knows another tag than this daemon does.
        send(Self.reading(key)) { [self] result in
            guard case .success(let moment?) = result.mapToAvailable(Self.epoch) else { return }
            epoch.learn(moment)
            epoch.doubt()
        }
    }

    /// Reads it where that was not done since all changes are told, and tells whoever knows less than this daemon.
    func mindEpoch() {
        epoch.askWhereUnread()
        epoch.tellOthers()
    }

    private static func reading(_ key: [UInt8]) -> RedisCommand { RedisCommand([Array("GET".utf8), key], key: key) }

    private static func epoch(_ reply: RedisReply) throws -> UnixMilliseconds? {
        switch reply {
        case .null: return nil
        case .bulk(let text):
            guard let number = Int64(String(decoding: text, as: UTF8.self)), number >= 0 else {
                throw ScriptReply.unexpected
            }
            return UnixMilliseconds(number)
        default: throw ScriptReply.unexpected
        }
    }

    /// Logs everyone out, at all servers.
    /// - Parameters:
    ///   - lifetime: as long as any session or guest may live.
    ///   - done: is told what was missing, too: servers that did not say in time that they know of it. At the others it is in
    ///     force all the same, and whoever knows of it tells those when they are there again.
    func proclaimEpoch(
        lifetime: Milliseconds, arrival: MonotonicInstant, _ done: @escaping Completion<Proclamation>
    ) {
        let servers = router.servers
        guard !servers.isEmpty else { return later { [outage] in done(.failure(outage)) } }
        let round = Round(servers.count) { [self] round in
            guard let moment = round.known.values.max() else {
                return done(.failure(round.faults.values.first ?? .timeIsUp))
            }
            // Whose clock is far behind, or who knew of less.
            let behind = servers.filter { node in
                round.known[ObjectIdentifier(node)].map { $0 < moment } ?? false
            }
            let second = Round(behind.count) { second in
                let faults = round.faults.merging(second.faults) { first, _ in first }
                done(.success(Proclamation(moment: moment, missing: Self.missing(faults, of: servers))))
            }
            proclaim(moment, isNow: false, lifetime: lifetime, at: behind, arrival: arrival, second)
        }
        // Each daemon goes by the clock of one of them. How late that is nobody knows better than to some milliseconds.
        let latest = servers.count > 1 ? servers.compactMap { $0.serverTime(at: instant) }.max().map { $0 + 5 } : nil
        proclaim(latest, isNow: true, lifetime: lifetime, at: servers, arrival: arrival, round)
    }

    private static func missing(_ faults: [ObjectIdentifier: Unavailable], of servers: [RedisNode]) -> Unavailable? {
        guard let fault = servers.lazy.compactMap({ faults[ObjectIdentifier($0)] }).first else { return nil }
        guard servers.count > 1 else { return fault }
        return Unavailable(
            reason: "\(KnownFault.partlyProclaimed.text): \(faults.count) of \(servers.count), \(fault.reason)",
            isUnacknowledged: fault.isUnacknowledged)
    }

    /// Has a server know of an epoch that others have.
    /// - Parameter lifetime: from the epoch on.
    func tellEpoch(
        _ moment: UnixMilliseconds, lifetime: Milliseconds, to node: RedisNode, _ done: @escaping (Bool) -> Void
    ) {
        let left = moment + lifetime - (node.serverTime ?? bestClock)
        // Nobody from before lives any more.
        guard left > 0 else { return done(false) }
        proclaim(moment, isNow: false, lifetime: left, at: node, arrival: instant) { known, _ in done(known != nil) }
    }

    /// Asks servers, all at once, and ends the round when all have answered, or a little before the request's time is up: so
    /// it is told how many did.
    private func proclaim(
        _ moment: UnixMilliseconds?, isNow: Bool, lifetime: Milliseconds, at nodes: [RedisNode],
        arrival: MonotonicInstant,
        _ round: Round
    ) {
        guard !nodes.isEmpty else { return round.end() }
        for node in nodes {
            let id = ObjectIdentifier(node)
            round.faults[id] = .timeIsUp
            proclaim(moment, isNow: isNow, lifetime: lifetime, at: node, arrival: arrival) { known, fault in
                round.answered(id, known, fault)
            }
        }
        let left = instant.duration(to: deadline(arrival))
        round.timer = scheduler.makeTimer { [round] in round.end() }
        round.timer?.start(after: max(.zero, left - left / 20))
    }

    /// - Parameters:
    ///   - moment: at the least.
    ///   - isNow: by the server's clock, too.
    ///   - done: is told what the server knows now, and what went wrong: replicas may not have it.
    private func proclaim(
        _ moment: UnixMilliseconds?, isNow: Bool, lifetime: Milliseconds, at node: RedisNode,
        arrival: MonotonicInstant, mayRepeat: Bool = true, _ done: @escaping (UnixMilliseconds?, Unavailable?) -> Void
    ) {
        guard let time = node.serverTime(at: arrival) ?? clock(at: arrival) else {
            return later { [outage] in done(nil, outage) }
        }
        let arguments = [
            decimal(time + scriptLifetime), decimal(lifetime), decimal(moment?.sinceEpoch ?? 0), isNow ? [0x31] : [],
        ]
        let marks = replicaMarks()
        node.askOwn(epochKey) { key, completion in
            node.run(
                SessionScripts.epoch, keys: [key], arguments: arguments, repeatable: true, isRequest: isNow,
                completion: completion)
        } completion: { [self] result, _ in
            do {
                let reply = try ScriptReply(try result.get())
                node.observe(serverTime: reply.serverTime)
                if reply.isLate, mayRepeat {
                    return proclaim(
                        moment, isNow: isNow, lifetime: lifetime, at: node, arrival: arrival, mayRepeat: false, done)
                }
                guard !reply.isLate else { throw ScriptReply.late }
                guard case .integer(let number)? = reply.detail else { throw ScriptReply.unexpected }
                // Here it is in force whoever else knows of it, and however late this is.
                epoch.learn(UnixMilliseconds(number))
                guard node.replicas != nil else { return done(UnixMilliseconds(number), nil) }
                awaitReplicasOfAll(at: node, marks, by: deadline(arrival)) { done(UnixMilliseconds(number), $0) }
            } catch { done(nil, Unavailable(error)) }
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
}

/// When everyone was logged out, and which servers did not say that they know it.
struct Proclamation {
    let moment: UnixMilliseconds
    let missing: Unavailable?
}

/// The answers of several servers to one question.
private final class Round {
    var known: [ObjectIdentifier: UnixMilliseconds] = [:]
    var faults: [ObjectIdentifier: Unavailable] = [:]
    var timer: (any SchedulerTimer)?
    private var left: Int
    private var onEnd: ((Round) -> Void)?

    init(_ count: Int, onEnd: @escaping (Round) -> Void) {
        left = count
        self.onEnd = onEnd
    }

    func answered(_ id: ObjectIdentifier, _ moment: UnixMilliseconds?, _ fault: Unavailable?) {
        known[id] = moment
        faults[id] = fault
        left -= 1
        if left == 0 { end() }
    }

    func end() {
        let body = onEnd
        (onEnd, timer) = (nil, nil)
        body?(self)
    }
}
