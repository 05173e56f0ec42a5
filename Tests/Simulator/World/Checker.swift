import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

/// Holds a run against S1–S14 of the session model while it goes on: what was answered, what was acknowledged and when,
/// and what stood in Redis.
final class Checker {
    let setup: Setup
    let agenda: Agenda
    let crypto: CryptoContext
    let policy: TokenPolicy
    var truth: Truth
    weak var redis: ModelRedis?
    /// Nil where there is one server.
    weak var fleet: SentinelFleet?
    weak var cluster: ModelCluster?
    var masters = Masters()
    private(set) var violations: [Violation] = []
    var onViolation: (Violation) -> Void = { _ in }

    /// Requests under way and those of the last seconds, in order of arrival.
    var recent: [Request] = []
    /// Sessions of which a crash or FLUSHALL took something back, and those whose token was copied.
    var lossy: Set<SessionID> = []
    var lastLoss = SimulatedTime.min / 2
    var stolenSessions: Set<SessionID> = []
    /// Of guests that were handed out.
    var guestSessions: Set<SessionID> = []
    /// Sessions whose end or forced rotation a daemon has acknowledged, and when.
    var acknowledged: [Int: [SessionID: SimulatedTime]] = [:]
    /// Sessions whose end a daemon has sent and could not confirm, and when its client was told so.
    var unconfirmed: [Int: [SessionID: SimulatedTime]] = [:]
    var endsSent: [Int: [SessionID: SimulatedTime]] = [:]
    /// Token presented → successor told.
    var successors: [[UInt8]: (token: SessionToken, at: SimulatedTime)] = [:]
    var generations: [GenerationName: Digest] = [:]
    /// Digests of every token of a session that was handed out, and its generation.
    /// The last LOGIN or ROTATE of a session that was acknowledged: what is older is dead.
    var lastForced: [SessionID: (generation: Int64, daemon: Int, at: SimulatedTime)] = [:]
    var genuine: [SessionID: [(digest: Digest, generation: Int64)]] = [:]
    var sessionsOfIndex: [String: [SessionID]] = [:]
    var verifierHeads: Set<UInt64> = []
    var longArguments: [[UInt8]] = []
    /// What was changed of data, in order, and what stands.
    var dataSteps: [DataStep] = []
    var data: [SessionID: [String: [UInt8]]] = [:]
    /// Beats that were written, by their keys.
    var beats: Set<String> = []
    var impairments: [Impairment] = []
    /// Since when every connection to a Redis that has the mark of a move was made behind it; nil: it is nobody's any more.
    var movedAt: SimulatedTime?
    /// Until when whatever was made is over, as daemons know that have acknowledged it and live.
    var everyone: [Int: UnixMilliseconds] = [:]

    struct GenerationName: Hashable {
        let sid: SessionID
        let generation: Int64
    }

    struct Impairment {
        let name: String
        /// Nil: of Redis, so of all.
        let daemon: Int?
        let start: SimulatedTime
        var end: SimulatedTime
    }

    // MARK: Bounds

    /// S5: an invalidation link that is healthy.
    static let healthyBound = SimulatedTime.milliseconds(50)
    /// S5: a feed that is silently dead; and for so long after a fault nothing is called healthy.
    static let silentBound = SimulatedTime.milliseconds(1_010)
    static let settling = SimulatedTime.milliseconds(1_300)
    /// S10: `redis.timeout`, so often: each step of a command has its own until there is one deadline for all.
    static let timeout = SimulatedTime.milliseconds(250)
    static let mostSteps: Int64 = 7
    /// Connections are back after this: the longest wait between two attempts, and the attempt.
    static let recovery = SimulatedTime.milliseconds(4_500)
    /// A script may run so long after its request was given up.
    static let scriptLifetime = SimulatedTime.milliseconds(1_250 + 60)

    init(setup: Setup, agenda: Agenda, crypto: CryptoContext, offset: Int64) {
        self.setup = setup
        self.agenda = agenda
        self.crypto = crypto
        policy = setup.policy
        truth = Truth(policy: setup.policy, offset: offset)
    }

    func fail(_ invariant: String, _ detail: String) {
        let violation = Violation(invariant: invariant, detail: detail, at: agenda.now)
        violations.append(violation)
        onViolation(violation)
    }

    // MARK: Requests

    func began(_ request: Request) {
        let horizon = agenda.now - .milliseconds(6_000)
        recent.removeAll { request in request.finished.map { $0 < horizon } ?? request.isAbandoned }
        recent.append(request)
    }

    func finished(_ request: Request, _ daemon: SimulatedDaemon) {
        guard let outcome = request.outcome else { return }
        checkTime(request, outcome)
        checkMaster(request, outcome)
        checkMove(request, outcome)
        switch outcome {
        case .accepted(let view): accepted(request, view)
        case .refused(let refusal, let guest):
            refused(request, refusal)
            if let guest { guestSessions.insert(guest.sid) }
        case .ended: ended(request)
        case .allEnded where request.operation == .revokeAll: allEnded(request)
        case .allEnded where request.operation == .revokeEveryone: everyoneEnded(request)
        case .unavailable: unavailable(request)
        case .notFound, .allEnded, .listed: break
        }
        acknowledgeReplicated(request, outcome)
    }

    /// Where the data has moved nobody is accepted by what it was, but from memory, for as long as a Redis that is away allows
    /// that. Guests are nobody's yet.
    private func checkMove(_ request: Request, _ outcome: Outcome) {
        guard case .accepted(let view) = outcome, request.digest != nil, request.guest == nil, let movedAt,
            redis?.isMarked == true
        else { return }
        let stale = view.isStale ? SimulatedTime.milliseconds(setup.number("serve-stale")) : 0
        guard request.began > movedAt + stale + Self.silentBound else { return }
        fail("moved", "#\(request.number) was accepted from where the data has moved")
    }

    /// S10: within the time, and only where something is wrong.
    private func checkTime(_ request: Request, _ outcome: Outcome) {
        let (start, end) = (request.began, agenda.now)
        if end - start > Self.timeout * Self.mostSteps, !isImpaired(request.daemon, from: start, to: end, but: others) {
            fail("S10", "#\(request.number) took \((end - start) / 1_000_000) ms")
        }
        guard outcome.isUnavailable else { return }
        var spared: Set<String> = []
        // A full Redis logs nobody out, and does not keep anybody from going.
        switch (request.operation, request.brought) {
        case (.visit, _), (.validate, _), (.logout, _), (.revoke, _), (.rotate, .session): spared = ["memory"]
        default: break
        }
        if let sid = request.sid, recent.contains(where: { isUnconfirmed($0, sid, at: request.daemon) }) { return }
        if let sid = request.sid, lossy.contains(sid) { return }
        if [.revokeAll, .revokeEveryone, .login, .issue].contains(request.operation),
            isImpaired(request.daemon, from: start - Self.recovery, to: end)
        {
            return
        }
        guard !isImpaired(request.daemon, from: start - Self.recovery, to: end, but: spared) else { return }
        fail("S10", "#\(request.number) was told unavailable although nothing is wrong")
    }

    /// Its end or forced rotation could not be confirmed: the session is denied for a while.
    private func isUnconfirmed(_ request: Request, _ sid: SessionID, at daemon: Int) -> Bool {
        request.sid == sid && request.daemon == daemon && request.operation.isForced
            && (request.outcome?.isUnavailable ?? true)
    }

    private var others: Set<String> {
        [
            "network", "kill", "cut", "refuse", "half-open", "hold", "slow", "down", "pause", "busy", "role",
            "replicas",
            "disk", "memory", "clients", "flush", "clock", "restart",
            "move",
        ]
    }

    /// From which moment on the truth may be what an answer is based on.
    func earliest(_ request: Request, isStale: Bool, isGuest: Bool) -> SimulatedTime {
        let isHealthy = !isImpaired(request.daemon, from: request.began - Self.settling, to: request.began)
        var start = request.began - (isHealthy ? Self.healthyBound : Self.silentBound)
        if isSucceeding(since: request.began) { start = min(start, request.began - Self.masterBound) }
        if isStale { start = request.began - .milliseconds(setup.number("serve-stale") + 10) }
        // Guests are served while Redis is away: there is nothing to lose yet.
        // And where there is no near cache nobody tells of others' changes.
        let isUntold =
            setup.number("near-cache") == 0
            || isImpaired(request.daemon, from: request.began - Self.recovery, to: request.began)
        if isGuest, isUntold { start = 0 }
        // Whoever acknowledged an end knows of it.
        if let sid = request.sid, let end = acknowledged[request.daemon]?[sid], end <= request.began {
            start = max(start, end)
        }
        return start
    }

    private func unavailable(_ request: Request) {
        guard request.operation == .logout || request.operation == .revoke, let sid = request.sid,
            let sent = endsSent[request.daemon]?[sid], sent >= request.began
        else { return }
        unconfirmed[request.daemon, default: [:]][sid] = agenda.now
    }

    private func ended(_ request: Request) {
        guard let sid = request.sid else { return }
        acknowledge(sid, request)
        promise(sid, request, generation: nil)
        guard !masters.strays.contains(sid) else { return }
        let states = truth.states(of: sid, from: request.began, to: agenda.now)
        let isGone = states.contains { if case .live = $0.session { false } else { true } }
        if !isGone { fail("S5", "#\(request.number) acknowledged an end that is not there") }
    }

    /// Everything that was acknowledged before it began is dead.
    private func allEnded(_ request: Request) {
        guard let index = try? SubjectIndex(subject: request.subject, crypto: crypto) else { return }
        // A master that was replaced may not know all of them.
        guard !isSucceeding(since: request.began) else { return }
        for sid in sessionsOfIndex[key(of: index)] ?? [] where !lossy.contains(sid) {
            let states = truth.states(of: sid, from: request.began, to: agenda.now)
            let survives = states.allSatisfy { state in
                if case .live(let record) = state.session { record.subject == request.subject } else { false }
            }
            if survives { fail("S5", "#\(request.number) left \(sid.description.prefix(8)) of its subject alive") }
            // One that was made since it began may live on.
            if case .live? = states.last?.session { continue }
            acknowledge(sid, request)
        }
    }

    /// From its acknowledgement on nobody is logged in who was before it began.
    private func everyoneEnded(_ request: Request) {
        let moment = truth.epochs.filter { $0.at >= request.began }.compactMap(\.moment).max()
        everyone[request.daemon] = max(moment ?? UnixMilliseconds(0), everyone[request.daemon] ?? UnixMilliseconds(0))
        if moment == nil, agenda.now - lastLoss > .milliseconds(3_000) {
            fail("S5", "#\(request.number) acknowledged the end of everyone's session, and nothing says so")
        }
    }

    /// Whoever knows until when everyone is logged out has every server know it that has lost it: else a daemon that starts
    /// now would let them in.
    private func checkEveryone() {
        guard let moment = everyone.values.max(), setup.number("near-cache") == 1 else { return }
        for server in cluster?.leaders ?? [redis].compactMap({ $0 }) {
            let known = server.keys.names.filter { $0.hasPrefix("tc:s:~epoch") }.compactMap { name -> Int64? in
                if case .string(let content)? = server.keys[name]?.value { number(content) } else { nil }
            }
            guard known.max() ?? 0 < moment.sinceEpoch else { continue }
            fail("S5", "\(server.host) does not know that everyone was logged out, and a daemon does")
        }
    }

    /// In a cluster its name is its slot.
    func key(of index: SubjectIndex) -> String {
        "tc:u:" + (cluster == nil ? text(index.name) : "{" + text(index.name) + "}")
    }

    func acknowledge(_ sid: SessionID, _ request: Request) {
        guard !lossy.contains(sid) else { return }
        acknowledged[request.daemon, default: [:]][sid] = agenda.now
        unconfirmed[request.daemon]?[sid] = nil
    }

    /// The end of the run.
    func finish(_ requests: [Request]) {
        for request in requests where request.finished == nil && !request.isAbandoned {
            fail("S10", "#\(request.number) \(request.operation.rawValue) was never answered")
        }
        checkEveryone()
        checkPlaces()
        checkData(requests)
        checkSecrets()
    }
}
