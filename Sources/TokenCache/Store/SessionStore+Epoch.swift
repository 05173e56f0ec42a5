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
    /// - Parameter done: is told the tag, too, of the key that was read.
    func readEpoch(
        at node: RedisNode, _ done: @escaping (Result<UnixMilliseconds?, Unavailable>, _ tag: [UInt8]) -> Void
    ) {
        node.askOwn(epochKey) { key, completion in
            node.send(Self.reading(key), repeatable: true, completion: completion)
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

    /// Logs everyone out, at all servers. Where some do not know of it it is in force at the others all the same, and whoever
    /// knows of it tells those when they are there again.
    /// - Parameter lifetime: as long as any session or guest may live.
    func proclaimEpoch(
        lifetime: Milliseconds, arrival: MonotonicInstant, _ done: @escaping Completion<UnixMilliseconds>
    ) {
        let servers = router.servers
        // Its clock says when.
        guard let first = servers.first(where: { $0.state == .ready }) ?? servers.first else {
            return later { [outage] in done(.failure(outage)) }
        }
        proclaim(nil, lifetime: lifetime, at: first, arrival: arrival) { [self] moment, fault in
            guard let moment else { return done(.failure(fault ?? ScriptReply.unexpected)) }
            // Here it is in force whoever else knows of it.
            epoch.learn(moment)
            let others = router.servers.filter { $0 !== first }
            var (faults, left) = (fault.map { [$0] } ?? [], others.count)
            let end = {
                guard let fault = faults.first else { return done(.success(moment)) }
                guard !others.isEmpty else { return done(.failure(fault)) }
                done(.failure(fault.onSome(faults.count, of: others.count + 1)))
            }
            if others.isEmpty { return end() }
            for other in others {
                proclaim(moment, lifetime: lifetime, at: other, arrival: arrival) { _, fault in
                    if let fault { faults.append(fault) }
                    left -= 1
                    if left == 0 { end() }
                }
            }
        }
    }

    /// Has a server know of an epoch that others have.
    /// - Parameter lifetime: from the epoch on.
    func tellEpoch(
        _ moment: UnixMilliseconds, lifetime: Milliseconds, to node: RedisNode, _ done: @escaping () -> Void
    ) {
        let left = moment + lifetime - (node.serverTime ?? bestClock)
        // Nobody from before lives any more.
        guard left > 0 else { return done() }
        proclaim(moment, lifetime: left, at: node, arrival: instant) { _, _ in done() }
    }

    /// - Parameters:
    ///   - moment: nil: now.
    ///   - done: is told what the server knows now, and what went wrong: replicas may not have it.
    private func proclaim(
        _ moment: UnixMilliseconds?, lifetime: Milliseconds, at node: RedisNode, arrival: MonotonicInstant,
        mayRepeat: Bool = true, _ done: @escaping (UnixMilliseconds?, Unavailable?) -> Void
    ) {
        guard let time = node.serverTime(at: arrival) ?? clock(at: arrival) else {
            return later { [outage] in done(nil, outage) }
        }
        let arguments = [decimal(time + scriptLifetime), decimal(lifetime), moment.map(decimal) ?? []]
        let marks = replicaMarks()
        node.askOwn(epochKey) { key, completion in
            node.run(SessionScripts.epoch, keys: [key], arguments: arguments, repeatable: true, completion: completion)
        } completion: { [self] result, _ in
            do {
                let reply = try ScriptReply(try result.get())
                node.observe(serverTime: reply.serverTime)
                if reply.isLate, mayRepeat {
                    return proclaim(moment, lifetime: lifetime, at: node, arrival: arrival, mayRepeat: false, done)
                }
                guard !reply.isLate else { throw ScriptReply.late }
                guard case .integer(let number)? = reply.detail else { throw ScriptReply.unexpected }
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

extension Unavailable {
    /// Of what all servers were to know.
    fileprivate func onSome(_ count: Int, of all: Int) -> Unavailable {
        Unavailable(
            reason: "\(count) of \(all) servers do not know yet that everyone is logged out: \(reason)",
            isSilence: isSilence, isUnacknowledged: isUnacknowledged)
    }
}
