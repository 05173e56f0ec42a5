import TokenCrypto
import Tokens

@testable import TokenCache

/// What may be promised when masters change, held against what is answered.
extension Checker {
    /// How long a daemon may go on with a master that was replaced: as long as a majority's word counts.
    static let masterBound = SimulatedTime.milliseconds(2_010)
    /// The same after a Sentinel that it reaches has named another one.
    static let namedBound = SimulatedTime.milliseconds(1_000)
    /// A connection to a Sentinel stands so long after one is possible.
    static let reachBound = SimulatedTime.milliseconds(4_000)

    /// What was lost with a master stands on the next one so long after nothing is wrong any more.
    static let repetitionBound = SimulatedTime.milliseconds(2_000)

    /// What daemons were told of masters, and did with them.
    struct Masters {
        /// When another server became the one that counts.
        var successions: [SimulatedTime] = []
        /// The last change of a session by a daemon, and whether it was made where it counts.
        var writes: [SessionID: (server: Int, isCounted: Bool, daemon: Int, at: SimulatedTime)] = [:]
        /// Sessions that were changed where it does not count.
        var strays: Set<SessionID> = []
        /// Since when a Sentinel that a daemon reaches names another master than a server: by daemon, by server.
        var namedSince: [[SimulatedTime?]] = []
        /// Since when a daemon reaches a Sentinel.
        var reachedSince: [[SimulatedTime?]] = []
        /// What a daemon has acknowledged: of a session that ended nil, else the generation of its LOGIN or ROTATE.
        var promises: [Int: [SessionID: (generation: Int64?, at: SimulatedTime)]] = [:]
        /// Sessions with a subject that a daemon has acknowledged.
        var entered: [Int: Set<SessionID>] = [:]
        var isSettled = true
        var replicated = Replicated()
    }

    // MARK: Which master

    func succeeded() { masters.successions.append(agenda.now) }

    /// Whether a daemon may still have asked a master that was replaced.
    func isSucceeding(since start: SimulatedTime) -> Bool {
        masters.successions.contains { $0 > start - Self.masterBound }
    }

    func settled() {
        guard !masters.isSettled else { return }
        masters.isSettled = true
        endImpairments("failover", at: agenda.now)
    }

    func unsettled() {
        guard masters.isSettled else { return }
        masters.isSettled = false
        impair("failover", nil, until: .max)
    }

    /// Who can hear that which server is no master any more.
    func noteNames(_ fleet: SentinelFleet, daemons: Int) {
        let now = agenda.now
        if masters.reachedSince.isEmpty {
            masters.reachedSince = Array(repeating: Array(repeating: nil, count: fleet.sentinels.count), count: daemons)
            masters.namedSince = Array(repeating: Array(repeating: nil, count: fleet.servers.count), count: daemons)
        }
        for daemon in 0..<daemons {
            for sentinel in fleet.sentinels {
                let isReached =
                    !sentinel.isDown && fleet.isWay("d\(daemon)", sentinel.host) && fleet.isHeard(by: daemon)
                    && !fleet.ignores(sentinel.number, daemon)
                let since = masters.reachedSince[daemon][sentinel.number]
                masters.reachedSince[daemon][sentinel.number] = isReached ? since ?? now : nil
            }
            for server in fleet.servers {
                let isNamed = fleet.sentinels.contains { sentinel in
                    guard let since = masters.reachedSince[daemon][sentinel.number] else { return false }
                    return since <= max(0, now - Self.reachBound)
                        && sentinel.config.epoch > fleet.epochs[server.number] ?? 0
                }
                let since = masters.namedSince[daemon][server.number]
                masters.namedSince[daemon][server.number] = isNamed ? since ?? now : nil
            }
        }
    }

    /// Places in an index that a failover may have taken back: in a cluster it is another server's than the session.
    func lostIndexes(_ names: [String]) { for name in names { lossy.formUnion(sessionsOfIndex[name] ?? []) } }

    /// S13: what a cluster lost of an index is put back by the daemon that entered it, soon after nothing is wrong any more:
    /// whoever ends all sessions of a subject finds those that live.
    func checkPlaces() {
        guard let cluster else { return }
        let clock = truth.clock(at: agenda.now)
        for (daemon, sids) in masters.entered.sorted(by: { $0.key < $1.key }) {
            guard !isImpaired(daemon, from: agenda.now - Self.repetitionBound, to: agenda.now) else { continue }
            for sid in sids {
                guard case .live(let record)? = truth.last(sid)?.session(at: clock), !record.subject.isEmpty,
                    !masters.strays.contains(sid),
                    let index = try? SubjectIndex(subject: record.subject, crypto: crypto)
                else { continue }
                let members = cluster.standing(key(of: index))?.members ?? []
                if members.contains(where: { $0.member == sid.hex }) { continue }
                fail("S13", "daemon \(daemon) did not put \(sid.description.prefix(8)) back into its subject's index")
            }
        }
    }

    // MARK: What is written

    /// A key of any server was changed.
    func written(_ key: String, _ source: ModelRedis.ChangeSource, on server: ModelRedis, isCounted: Bool) {
        guard let path = source.path, let sid = Self.sid(of: key) else { return }
        masters.writes[sid] = (server.number, isCounted, path.daemon, agenda.now)
        guard !isCounted else { return }
        masters.strays.insert(sid)
        lossy.insert(sid)
    }

    /// S11: nothing is acknowledged long after its master was replaced, or was said to be.
    func checkMaster(_ request: Request, _ outcome: Outcome) {
        guard fleet != nil || cluster != nil else { return }
        let sid: SessionID?
        switch outcome {
        case .accepted: sid = outcome.newSession?.sid
        case .ended: sid = request.sid
        default: sid = nil
        }
        guard let sid, let write = masters.writes[sid], write.daemon == request.daemon, write.at >= request.began,
            !isImpaired(request.daemon, from: request.began - Self.reachBound, to: agenda.now, only: ["stopped"])
        else { return }
        if !write.isCounted, let replaced = masters.successions.last, write.at > replaced + Self.masterBound {
            fail("S11", "#\(request.number) was acknowledged by a master that another one had long succeeded")
        }
        if fleet != nil, let named = masters.namedSince[request.daemon][write.server],
            write.at > named + Self.namedBound
        {
            fail("S11", "#\(request.number) was acknowledged by a master after a Sentinel had named another one")
        }
    }

    // MARK: What was promised

    /// A daemon has said that a session is over, or that all its tokens are that are older than this generation.
    func promise(_ sid: SessionID, _ request: Request, generation: Int64?) {
        guard fleet != nil || cluster != nil, !guestSessions.contains(sid) else { return }
        masters.promises[request.daemon, default: [:]][sid] = (generation, agenda.now)
    }

    /// S5: whatever was lost, who said so never accepts the old token.
    func checkPromise(_ request: Request, _ sid: SessionID, _ digest: Digest) {
        guard request.guest == nil, !guestSessions.contains(sid),
            let promise = masters.promises[request.daemon]?[sid], promise.at < request.began
        else { return }
        if let generation = promise.generation {
            guard let own = genuine[sid]?.first(where: { $0.digest == digest }), own.generation < generation else {
                return
            }
        }
        fail("S5", "#\(request.number) accepted a token whose end this daemon had acknowledged")
    }
}
