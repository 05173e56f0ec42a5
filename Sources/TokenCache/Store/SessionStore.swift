internal import EventLoop
internal import RedisLink
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// Nobody knows: Redis is out of reach or refuses. Never an answer about a token.
public struct Unavailable: Error, Equatable, Sendable {
    /// In plain words, without keys, arguments or secrets.
    public let reason: String
    /// Redis said nothing at all: what was asked for may have happened, or was never sent.
    public let isSilence: Bool
    /// What stands under the session's key is of another type, or damaged: nobody can be let in by it.
    public let isNoSession: Bool
    /// It was written, and too few replicas have it.
    public let isUnacknowledged: Bool
    /// It was refused before anything of it was carried out.
    public let isRefusal: Bool

    public init(
        reason: String, isSilence: Bool = false, isNoSession: Bool = false, isUnacknowledged: Bool = false,
        isRefusal: Bool = false
    ) {
        self.reason = reason
        self.isSilence = isSilence
        self.isNoSession = isNoSession
        self.isUnacknowledged = isUnacknowledged
        self.isRefusal = isRefusal
    }
}

/// A session as read from Redis, with its data.
struct StoredCopy {
    var session: StoredSession
    /// Names without mark, and values, in stored order.
    var data: [RecordField]

    static let absent = StoredCopy(session: .absent, data: [])

    /// The same, ended where everyone was logged out since it was made.
    func judged(by epoch: RevocationEpoch) -> StoredCopy {
        guard case .live(let record) = session, epoch.ends(made: record.created) else { return self }
        return StoredCopy(session: .ended(Tombstone(reason: .admin)), data: [])
    }
}

enum ChangeOutcome {
    /// Written, or nothing was to be written; with what became of the data.
    case done(DataOutcome)
    /// Another change came first; this is what stands there now.
    case overtaken(StoredCopy)
    /// The data would have had so many bytes. Nothing was changed.
    case tooLarge(bytes: Int64)
    /// What was to be added to is no integer of 64 bits, or the sum would be none. Nothing was changed.
    case notAnInteger
    /// Redis's clock was past the script's time: nothing was changed, but that a session may have its place in the index. The estimate of the clock is right now, and what
    /// was decided by the old one is to be decided anew.
    case late
}

/// The sessions in Redis: what is sent, and what the replies mean. Decides nothing.
///
/// Everything a caller passes as completion is called exactly once, on the loop's thread, never before the method has
/// returned.
final class SessionStore {
    typealias Completion<Value> = (Result<Value, Unavailable>) -> Void

    let router: RedisRouter
    let scheduler: any Scheduler
    let keys: KeyLayout
    /// The command that reads a session, for any `sid`.
    private let loadTemplate: RedisCommand
    /// A mutating script given up by everyone still may run for this long, and not a moment later.
    let scriptLifetime: Milliseconds
    /// `redis.timeout`.
    let timeout: Milliseconds
    private(set) lazy var epoch = RevocationEpoch(router) { [unowned self] node, isRequest, done in
        readEpoch(at: node, isRequest: isRequest, done)
    } tell: { [unowned self] node, moment, done in
        tellEpoch(moment, lifetime: longestLife(), to: node, done)
    }
    /// How long any session or guest may live.
    var longestLife: () -> Milliseconds = { 0 }

    init(router: RedisRouter, scheduler: any Scheduler, prefix: [UInt8], timeout: Milliseconds) {
        self.router = router
        self.scheduler = scheduler
        keys = KeyLayout(prefix: prefix)
        let key = keys.session(SessionID())
        loadTemplate = RedisCommand([Array("HGETALL".utf8), key], key: key)
        scriptLifetime = timeout + 1_000
        self.timeout = timeout
    }

    /// Redis's time as estimated now; nil before Redis was ever reached.
    var clock: UnixMilliseconds? { router.first.serverTime }
    /// The same, or this host's own clock before Redis was ever reached.
    var bestClock: UnixMilliseconds { clock ?? scheduler.hostTime }
    /// This moment.
    var instant: MonotonicInstant { scheduler.now }
    func clock(at instant: MonotonicInstant) -> UnixMilliseconds? { router.first.serverTime(at: instant) }

    /// Changes with every start of the server; nil before it was reached.
    var serverRun: String? { router.serverRun }
    func serverRun(of key: [UInt8]) -> String? { router.node(of: key)?.serverInfo.runID }
    var isCluster: Bool { router.isCluster || router.first.serverInfo.isCluster }

    /// Whether Redis answers, as far as is known.
    var isReady: Bool { router.state == .ready }
    /// Whether what is asked now fails at once, and is never sent.
    var isOut: Bool { if case .down = router.state { true } else { false } }

    /// Why Redis was never reached.
    var outage: Unavailable {
        if case .down(let fault) = router.state { return Unavailable(reason: fault.description) }
        return Unavailable(.notReachedYet)
    }

    // MARK: One session

    func load(_ sid: SessionID, _ done: @escaping Completion<StoredCopy>) {
        let command = sid.withUnsafeBytes { RedisCommand(loadTemplate, keyEnd: $0) }
        let judged: Completion<StoredCopy> = { [epoch] in done($0.map { $0.judged(by: epoch) }) }
        epoch.accompany(by: { [router] in router.node(of: command.key ?? []) }, judged) { done in
            send(command) { result in done(result.mapToAvailable { reply in try StoredCopy(reply) }) }
        }
    }

    /// Carries out a change.
    /// - Parameter arrival: of the request; a script does nothing past its time, which counts from then.
    func commit(
        _ change: Change, of sid: SessionID, maxData: Int, arrival: MonotonicInstant,
        _ done: @escaping Completion<ChangeOutcome>
    ) {
        let script = change.needsMemory ? SessionScripts.store : SessionScripts.commit
        commit(change, by: script, keys: [keys.session(sid)], maxData: maxData, arrival: arrival) { reply in
            done(reply.map(\.outcome))
        }
    }

    /// Carries out a change that needs memory, and at the same moment enters the session into its subject's index, which
    /// stands on the same server: no limit is looked at. Where in the index it stands is told whether the change was made
    /// or another came first.
    func admit(
        _ change: Change, _ entry: IndexEntry, maxData: Int, arrival: MonotonicInstant,
        _ done: @escaping Completion<(outcome: ChangeOutcome, place: IndexPlace?)>
    ) {
        let asked = instant
        var change = change
        // The script says what it is.
        change.delete.removeAll { $0 == RecordCodec.loginNumberField }
        commit(
            change, by: SessionScripts.admit, keys: [keys.session(entry.sid)] + indexKeys(entry.index),
            behind: [entry.sid.hex, decimal(entry.absoluteEnd), entry.login.argument], maxData: maxData,
            arrival: arrival
        ) { result in
            done(
                result.flatMap { outcome, place in
                    Result { (outcome, try place.map { try Self.place($0, asked: asked) }) }.mapError(Unavailable.init)
                })
        }
    }

    /// - Parameters:
    ///   - keys: the first is the session's.
    ///   - further: arguments behind those of `commit.lua`.
    private func commit(
        _ change: Change, by script: RedisScript, keys: [[UInt8]], behind further: [[UInt8]] = [], maxData: Int,
        arrival: MonotonicInstant, _ done: @escaping Completion<(outcome: ChangeOutcome, place: RedisReply?)>
    ) {
        let key = keys[0]
        guard let notAfter = notAfter(arrival, key) else { return later { [outage] in done(.failure(outage)) } }
        let judged: Completion<(outcome: ChangeOutcome, place: RedisReply?)> = { [epoch] result in
            done(
                result.map { outcome, place in
                    guard case .overtaken(let copy) = outcome else { return (outcome, place) }
                    return (.overtaken(copy.judged(by: epoch)), place)
                })
        }
        epoch.accompany(by: { [router] in router.node(of: key) }, judged) { done in
            run(
                script, keys: keys, arguments: commitArguments(change, notAfter: notAfter, maxData: maxData) + further,
                repeatable: change.isRepeatable, replicatedBy: change.kind.awaitsReplicas ? deadline(arrival) : nil
            ) { result in done(result.flatMap { reply in reply.changeOutcome.map { ($0, reply.place) } }) }
        }
    }

    /// Records an access if nobody did within `interval`. The completion says whether the session still lives.
    func touch(
        _ sid: SessionID, interval: Milliseconds, arrival: MonotonicInstant, _ done: @escaping Completion<Bool>
    ) {
        runInTime(SessionScripts.touch, key: keys.session(sid), arguments: [decimal(interval)], arrival: arrival) {
            done($0.map { $0.verdict != "absent" })
        }
    }

    /// Notes in a tombstone that LOGIN was called with a token of this digest. Does nothing where there is none.
    func noteLogin(_ sid: SessionID, _ digest: Digest, arrival: MonotonicInstant, _ done: @escaping Completion<Void>) {
        runInTime(
            SessionScripts.note, key: keys.session(sid),
            arguments: [Array(digest.bytes.prefix(8)), decimal(Int64(8 * Tombstone.maxMarks))], arrival: arrival
        ) { done($0.map { _ in }) }
    }

    /// Spends a captcha. The completion says whether this attempt was the first.
    /// - Parameters:
    ///   - nonce: of this attempt.
    ///   - ttl: how long the mark is kept.
    func spend(
        _ captcha: CaptchaID, nonce: SessionID, ttl: Milliseconds, arrival: MonotonicInstant,
        _ done: @escaping Completion<Bool>
    ) {
        runInTime(
            SessionScripts.spend, key: keys.captcha(captcha), arguments: [nonce.bytes, decimal(ttl)], arrival: arrival
        ) { done($0.map { $0.verdict == "done" }) }
    }

    /// Runs a script whose arguments are no times by Redis's clock: where it came too late it is tried once more, with the
    /// clock put right.
    func runInTime(
        _ script: RedisScript, key: [UInt8], arguments: [[UInt8]], arrival: MonotonicInstant, mayRepeat: Bool = true,
        _ done: @escaping Completion<ScriptReply>
    ) {
        guard let notAfter = notAfter(arrival, key) else { return later { [outage] in done(.failure(outage)) } }
        run(script, key: key, arguments: [decimal(notAfter)] + arguments, repeatable: true) { [self] result in
            guard case .success(let reply) = result, reply.isLate else { return done(result) }
            guard mayRepeat else { return done(.failure(ScriptReply.late)) }
            runInTime(script, key: key, arguments: arguments, arrival: arrival, mayRepeat: false, done)
        }
    }

    /// Runs a body in the next turn of the loop.
    func later(_ body: @escaping () -> Void) { scheduler.later(body) }

    /// Redis's own time, asked now: for a decision that the estimate must not make.
    func askTime(_ done: @escaping Completion<UnixMilliseconds>) {
        let node = router.first
        node.send(RedisCommand([Array("TIME".utf8)]), repeatable: true) { [node] result in
            done(
                result.mapToAvailable { reply in
                    guard case .array(let parts) = reply, parts.count == 2,
                        case .bulk(let seconds) = parts[0], case .bulk(let microseconds) = parts[1],
                        let whole = Int64(String(decoding: seconds, as: UTF8.self)),
                        let part = Int64(String(decoding: microseconds, as: UTF8.self)),
                        // Times from 1970 to the year 5138: nothing else is believed.
                        (0..<100_000_000_000).contains(whole), (0..<1_000_000).contains(part)
                    else { throw ScriptReply.unexpected }
                    let time = UnixSeconds(whole).milliseconds + part / 1_000
                    node.observe(serverTime: time)
                    return time
                })
        }
    }

    // MARK: Arguments, clock

    /// Past it, by the clock of the server that owns a key, a script of a request changes nothing. Nil before Redis was ever
    /// reached.
    /// - Parameter lifetime: from the arrival on; nil: that of a request's scripts.
    func notAfter(
        _ arrival: MonotonicInstant, _ key: [UInt8], lifetime: Milliseconds? = nil
    ) -> UnixMilliseconds? {
        (router.node(of: key)?.serverTime(at: arrival) ?? clock(at: arrival)).map { $0 + (lifetime ?? scriptLifetime) }
    }

    /// Sends a command that may be sent twice.
    func send(_ command: RedisCommand, _ done: @escaping RedisLink.Completion) {
        router.send(command, repeatable: true, completion: done)
    }

    func run(
        _ script: RedisScript, key: [UInt8], arguments: [[UInt8]], repeatable: Bool,
        replicatedBy deadline: MonotonicInstant? = nil,
        _ done: @escaping Completion<ScriptReply>
    ) {
        run(script, keys: [key], arguments: arguments, repeatable: repeatable, replicatedBy: deadline, done)
    }

    /// - Parameters:
    ///   - keys: at least one; all of one slot.
    ///   - deadline: it has failed where the replicas that are waited for do not have it by then; nil: none is waited for.
    func run(
        _ script: RedisScript, keys: [[UInt8]], arguments: [[UInt8]], repeatable: Bool,
        replicatedBy deadline: MonotonicInstant? = nil, _ done: @escaping Completion<ScriptReply>
    ) {
        let marks = deadline == nil ? [] : replicaMarks()
        router.run(script, keys: keys, arguments: arguments, repeatable: repeatable) { [self] result, node in
            let reply = result.mapToAvailable { reply in
                let reply = try ScriptReply(reply)
                node.observe(serverTime: reply.serverTime)
                return reply
            }
            guard let deadline, node.replicas != nil, case .success(let written) = reply, !written.isLate else {
                return done(reply)
            }
            awaitReplicasOfAll(at: node, marks, by: deadline) { fault in done(fault.map(Result.failure) ?? reply) }
        }
    }

    private func commitArguments(_ change: Change, notAfter: UnixMilliseconds, maxData: Int) -> [[UInt8]] {
        let basis: [UInt8] =
            switch change.basis {
            case .absent: []
            case .revision(let revision): decimal(revision)
            case .anyLiving: [UInt8(ascii: "*")]
            }
        let (fields, conditions, how) = change.data.arguments
        var arguments = [
            decimal(notAfter), basis, change.expireAt.map(decimal) ?? [], change.replacesAll ? [UInt8(ascii: "1")] : [],
            decimal(Int64(maxData)), decimal(Int64(change.set.count)), decimal(Int64(change.delete.count)),
            decimal(Int64(fields.count)), decimal(Int64(conditions.count)), how,
        ]
        for field in change.set { arguments += [field.name, field.value] }
        arguments += change.delete
        for field in fields + conditions { arguments += [field.name, field.value] }
        return arguments
    }
}

extension DataChange {
    /// As `commit.lua` takes it.
    fileprivate var arguments: (fields: [RecordField], conditions: [RecordField], how: [UInt8]) {
        switch self {
        case .set(let fields, let conditions): (fields, conditions, [])
        case .add(let number, let name): ([RecordField(name: name, value: decimal(number))], [], Array("add".utf8))
        case .take(let names): (names.map { RecordField(name: $0, value: []) }, [], Array("take".utf8))
        }
    }
}

/// As Redis reads numbers.
func decimal(_ number: Int64) -> [UInt8] { Array(String(number).utf8) }
func decimal(_ time: UnixMilliseconds) -> [UInt8] { decimal(time.sinceEpoch) }
