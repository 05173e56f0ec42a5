public import EventLoop
public import Logging
public import UnixTime

/// When somebody asked last. All nodes of a cluster share one: whoever asks keeps all of them proved.
public final class RequestActivity {
    @usableFromInline var lastRequest = MonotonicInstant.earliest

    public init() {}
}

/// One Redis server as the daemon knows it: the link that commands go over, the feed of changes, the beat that proves
/// both, its clock, its scripts, and whether what is remembered of it may answer.
///
/// *Armed*: every change is being told, by the server that the commands go to. *Fresh*: and that was proved at most a
/// second ago. While neither, what is remembered is suspect: of use only while the server does not answer at all, and
/// only for `serveStale` after the last moment at which all proofs held.
///
/// Belongs to its loop's thread.
public final class RedisNode {
    /// What is a sign of life.
    public enum Proof: Sendable {
        /// A small write that comes back on the feed: it proves that the server is still the one to ask.
        case beat
        /// An answer on the feed: enough for a server that is nobody else's, and costs its disk nothing.
        case ping
    }

    public struct Settings {
        public var link = LinkSettings()
        /// Of all keys, `redis.prefix`. Changes of keys that begin with it and `s:` are told.
        public var prefix: [UInt8] = []
        /// Changes of all keys that begin with `prefix` are told, not of sessions alone.
        public var tellsAll = false
        /// Whether changes are to be told at all.
        public var hasFeed = true
        public var proof = Proof.beat
        /// A server that has the mark of a move is of no use. Off for whoever moves.
        public var heedsMoves = false
        /// How many replicas must have a change before it is acknowledged; 0: none is asked.
        public var waitReplicas = 0

        public init() {}
    }

    /// How old the proof may be that what is remembered is true.
    public static let proofLimit = Beat.proofLimit

    /// Called after every change of the link's state, and when a mark of a move is known to be gone, when the node has drawn
    /// its conclusions.
    public var onStateChange: ((LinkState) -> Void)?
    /// Called with what has changed, while subscribed.
    public var onInvalidation: ((Invalidation) -> Void)?
    /// Called after `isArmed` has become true or false.
    public var onArmed: ((Bool) -> Void)?
    /// Called each time the server refuses user or password.
    public var onLoginRefused: (() -> Void)?
    /// How long what is remembered may be served while the server is silent; zero: not at all.
    public var serveStale = Duration.zero

    /// Every change is told, by the server that the commands go to.
    public internal(set) var isArmed = false

    /// Asks the replicas; nil where none is asked.
    public private(set) var replicas: ReplicaWait?

    let link: RedisLink
    let scheduler: any Scheduler
    let settings: Settings
    let beatPrefix: [UInt8]
    let logger: Logger
    var feed: RedisFeed?
    var beat = Beat()
    /// What the beat of a server that was left is answered says nothing of the next one.
    var serversLeft = 0
    var timer: (any SchedulerTimer)?
    var isBeating = false
    var subscribedTo: String?
    var armedAt = MonotonicInstant(nanoseconds: 0)
    var wasReady = false
    /// When the log last said why the near cache does not work, and what it said.
    var lastWarning: (at: MonotonicInstant, text: String)?
    /// Somebody else's word that this is the server to ask; nil where nobody's is needed.
    var confirmation: Confirmation?
    /// How long the last beat took to be answered; nil before the first.
    public internal(set) var beatRoundTrip: Duration?
    /// When a beat was answered last.
    public internal(set) var beatAnsweredAt = MonotonicInstant.earliest
    /// The last moment at which all proofs held. Nil where the server said that it is not to be believed.
    var provedUntil: MonotonicInstant?
    /// What is remembered answers up to this moment.
    @usableFromInline var freshUntil = MonotonicInstant.earliest
    @usableFromInline let activity: RequestActivity
    /// Called when `freshUntil` has become another.
    var onFreshness: (() -> Void)?
    /// Called when it leads to a server, and has led to one before.
    var onLedElsewhere: (() -> Void)?
    private var hasLed = false
    /// Called when a key with the tag does not belong here; nil where there is no cluster.
    var onTagMoved: (() -> Void)?
    /// Called when a connection has ended because the server owed an answer for too long; nil where there is no cluster.
    var onSilence: (() -> Void)?
    /// Why nothing is asked here although this server says nothing of it: another one has the mark of a move.
    var barrier: RedisFault? { didSet { if barrier != oldValue { update() } } }
    /// What its mark said last; nil where it has none, as far as is known.
    private(set) var moveFault: RedisFault?
    /// Makes a key one of this node's, in a cluster; empty elsewhere. It changes as slots come and go.
    public private(set) var tag: [UInt8] = []
    /// How often it changed since a beat was due.
    var tagChanges = 0
    /// How often it became armed: what was read before the last time may have changed untold.
    public internal(set) var armings = 0

    static let beatScript = RedisScript(
        name: "beat", source: Array("#!lua flags=allow-oom\n".utf8) + PackageResources.beat_lua)

    /// Makes a node; nothing happens before `start()`.
    /// - Parameters:
    ///   - scripts: those that `run` takes.
    ///   - activity: what all nodes of a cluster share.
    public init(
        host: LinkHost, endpoint: RedisEndpoint, settings: Settings, scripts: [RedisScript],
        activity: RequestActivity = RequestActivity(), logger: Logger
    ) {
        self.activity = activity
        scheduler = host.scheduler
        self.settings = settings
        self.logger = logger
        let sessionPrefix = settings.prefix + Array("s:".utf8)
        beatPrefix = sessionPrefix + [Beat.mark]
        // Whoever sends no beat needs no right to run scripts.
        link = RedisLink(
            host: host, endpoint: endpoint, settings: settings.link,
            scripts: scripts + (settings.proof == .beat ? [Self.beatScript] : []), logger: logger)
        if settings.hasFeed {
            feed = RedisFeed(
                host: host.forFeed, endpoint: endpoint, settings: settings.link,
                prefix: settings.tellsAll ? settings.prefix : sessionPrefix,
                channel: settings.prefix + Array("none".utf8), logger: logger
            ) { [weak self] in self?.told($0) }
        }
        if settings.waitReplicas > 0 {
            replicas = ReplicaWait(
                count: settings.waitReplicas, beside: link, on: host, settings: settings.link, prefix: settings.prefix,
                logger: logger)
        }
        nameMoveMarks()
        // Requests under way may outlive the node, of a server that has left its cluster.
        link.onStateChange = { [weak self] in self?.linkChanged($0) }
        link.faultOfReads = { [weak self] in
            guard let self else { return nil }
            return beat.refusal.flatMap { $0.isLossOfRole ? $0 : nil } ?? confirmationFault
        }
        link.onLoss = { [weak self] in self?.linkLost($0) }
        link.onNotMoved = { [weak self] in self?.notMoved() }
        link.onLoginRefused = { [weak self] _ in self?.onLoginRefused?() }
        replicas?.link.onLoginRefused = { [weak self] _ in self?.onLoginRefused?() }
        replicas?.onKeyMoved = { [weak self] in self?.onTagMoved?() }
        timer = scheduler.makeTimer { [weak self] in self?.tick() }
    }

    /// Begins to connect, and keeps at it until `close()`.
    public func start() {
        link.start()
        feed?.start()
        replicas?.link.start()
    }

    public func close() {
        timer?.cancel()
        feed?.close()
        replicas?.link.close()
        link.close()
    }

    /// The password of its settings has changed: every connection that stands authenticates again, without ending; what
    /// waits to try again does at once.
    public func authenticateAgain() {
        link.authenticateAgain()
        feed?.authenticateAgain()
        replicas?.link.authenticateAgain()
    }

    // MARK: Which server

    /// Who has said that the server is still the one.
    public enum Confirmer: String, Sendable {
        /// Most of the Sentinels.
        case sentinels
        /// All of its replicas: too few Sentinels answer.
        case replicas
    }

    /// Who is asked whether the server is still the one: its word holds for a while, and without it nothing is served.
    struct Confirmation {
        /// When the word that stands was asked for; nil: there is none.
        var askedAt: MonotonicInstant?
        /// Whose it is.
        var confirmer = Confirmer.sentinels
        let lifetime: Duration
        /// What is answered without it.
        let fault: RedisFault
    }

    /// Leads to another server from now on: connections, proofs and clock begin anew.
    func lead(to endpoint: RedisEndpoint, leaving fault: RedisFault) {
        // Of the same one what is remembered is as old as it was.
        let proved = endpoint == self.endpoint ? provedUntil : nil
        forgetServer()
        provedUntil = proved
        link.lead(to: endpoint, leaving: fault)
        feed?.lead(to: endpoint, leaving: fault)
        replicas?.link.lead(to: endpoint, leaving: fault)
        if hasLed { onLedElsewhere?() }
        hasLed = true
    }

    /// Nothing is asked and nothing answered, with this fault, until `lead` or `start`: it is said that the server is no
    /// master, or nothing is there yet to start with.
    public func leave(_ fault: RedisFault) {
        forgetServer()
        link.leave(fault)
        feed?.leave(fault)
        replicas?.link.leave(fault)
    }

    /// Nothing was heard of the server for too long: both connections end, and what it may still say is not read. What is
    /// remembered of it is as old as it was.
    func suspend(_ fault: RedisFault) {
        let proved = provedUntil
        leave(fault)
        provedUntil = proved
    }

    private func forgetServer() {
        provedUntil = nil
        if freshUntil != .earliest {
            freshUntil = .earliest
            onFreshness?()
        }
        wasReady = false
        beat = Beat()
        serversLeft += 1
    }

    /// The word that this is the server to ask, asked for at this moment, has come; nil: there is none any more.
    func confirm(askedAt: MonotonicInstant?, by confirmer: Confirmer = .sentinels) {
        confirmation?.askedAt = askedAt
        confirmation?.confirmer = confirmer
        update()
    }

    /// Why a request that comes now is not sent; nil: it is.
    var confirmationFault: RedisFault? {
        if let barrier { return barrier }
        guard let confirmation else { return nil }
        guard let askedAt = confirmation.askedAt, askedAt.duration(to: scheduler.now) <= confirmation.lifetime else {
            return confirmation.fault
        }
        return nil
    }

    /// Whose word stands; nil where none does, or none is needed.
    public var confirmer: Confirmer? { confirmationFault == nil ? confirmation?.confirmer : nil }

    /// Keys are to have this tag, so that they are this node's.
    func use(tag: [UInt8]) {
        replicas?.use(tag: tag)
        guard tag != self.tag else { return }
        self.tag = tag
        beat.keyChanged()
        nameMoveMarks()
        // What was on its way proves nothing of this key. Where its slot, too, is elsewhere the next one follows at once; but
        // a server that has none any more is not asked for each that it had.
        tagChanges += 1
        if isBeating, tagChanges <= Self.mostTags { askForProof() }
    }

    private func nameMoveMarks() {
        guard settings.heedsMoves else { return }
        let key = MoveMark.key(prefix: settings.prefix)
        link.moveMarks = tag.isEmpty ? [key] : [key, ownKey(key)]
    }

    /// A mark counts until its server, or whoever followed on it, has said that there is none: a connection that stands
    /// says nothing of that by itself.
    func noteMove(_ state: LinkState) {
        switch state {
        case .down(let fault) where fault.kind == .moved: moveFault = fault
        case .ready where !link.isMoveOpen: moveFault = nil
        case .ready, .down, .connecting, .closed: break
        }
    }

    private func notMoved() {
        guard moveFault != nil else { return }
        moveFault = nil
        onStateChange?(link.state)
    }

    // MARK: Requests

    /// Whether what is remembered may answer a request that came at `now`. Called for every request: the beat goes on
    /// for as long as they come.
    @inlinable
    public func isFresh(at now: MonotonicInstant) -> Bool {
        activity.lastRequest = now
        return now.nanoseconds <= freshUntil.nanoseconds
    }

    /// Whether what is remembered may answer although Redis does not.
    /// - Parameter isUnanswered: Redis was asked about it just now, and said nothing: a silence that is younger than a
    ///   proof may be.
    public func mayServeStale(at now: MonotonicInstant, isUnanswered: Bool) -> Bool {
        // Where the data has moved, what is remembered of it is old, whatever this server says.
        guard serveStale > .zero, barrier == nil, let provedUntil else { return false }
        guard isUnanswered || (isSilent && now > freshUntil) else { return false }
        return provedUntil.duration(to: now) <= serveStale
    }

    /// Sends a command that reads, behind all that were sent before. Its answer is not believed where the server has
    /// lost its role.
    /// - Parameters: as for `RedisLink.send`.
    ///   - isRequest: somebody waits for it: proofs go on for a while.
    public func send(
        _ command: RedisCommand, repeatable: Bool, asking: Bool = false, isRequest: Bool = true,
        completion: @escaping RedisLink.Completion
    ) {
        if isRequest { awaken() }
        if let unsentFault { return scheduler.later { completion(.failure(unsentFault)) } }
        link.send(command, repeatable: repeatable, asking: asking, completion: completion)
    }

    /// Runs a script by its digest.
    /// - Parameters: as for `RedisLink.run`.
    public func run(
        _ script: RedisScript, keys: [[UInt8]], arguments: [[UInt8]], repeatable: Bool, asking: Bool = false,
        isRequest: Bool = true, completion: @escaping RedisLink.Completion
    ) {
        if isRequest { awaken() }
        if let unsentFault { return scheduler.later { completion(.failure(unsentFault)) } }
        link.run(
            script, keys: keys, arguments: arguments, repeatable: repeatable, asking: asking,
            completion: confirmed(completion))
    }

    /// Why a request that comes now is not even kept for a connection. One that does not stand says by itself what is wrong.
    private var unsentFault: RedisFault? { barrier ?? (link.state == .ready ? confirmationFault : nil) }

    /// What a script has done counts only where the server is still the one when it answers: the word may have gone while
    /// the request waited for its connection or for its answer; in a cluster another server may have told of a move.
    private func confirmed(_ completion: @escaping RedisLink.Completion) -> RedisLink.Completion {
        guard confirmation != nil || onTagMoved != nil else { return completion }
        return { [weak self] result in
            if case .success = result, let confirmationFault = self?.confirmationFault {
                return completion(.failure(confirmationFault))
            }
            completion(result)
        }
    }

    /// The key of this name that is this node's own: in a cluster each has one.
    public func ownKey(_ name: [UInt8]) -> [UInt8] {
        tag.isEmpty ? name : name + [UInt8(ascii: "{")] + tag + [UInt8(ascii: "}")]
    }

    /// Makes a request about a key of this node's own; where its slot has gone to another by now, about the next one.
    /// - Parameters:
    ///   - send: is given the key.
    ///   - completion: is told the tag, too, of the key that was asked about.
    public func askOwn(
        _ name: [UInt8], send: @escaping ([UInt8], @escaping RedisLink.Completion) -> Void,
        completion: @escaping (Result<RedisReply, RedisFault>, _ tag: [UInt8]) -> Void
    ) {
        askOwn(name, tries: Self.mostTags, send: send, completion: completion)
    }

    private static let mostTags = 8

    private func askOwn(
        _ name: [UInt8], tries: Int, send: @escaping ([UInt8], @escaping RedisLink.Completion) -> Void,
        completion: @escaping (Result<RedisReply, RedisFault>, _ tag: [UInt8]) -> Void
    ) {
        let tag = tag
        send(ownKey(name)) { [weak self] result in
            guard case .failure(let fault) = result, fault.kind == .cluster, tries > 1, let self, let onTagMoved else {
                return completion(result, tag)
            }
            if tag == self.tag { onTagMoved() }
            askOwn(name, tries: tries - 1, send: send, completion: completion)
        }
    }

    /// Whether the server owes an answer for so long.
    func isSilent(for span: Duration) -> Bool {
        link.oldestUnanswered.map { $0.duration(to: scheduler.now) > span } ?? false
    }

    /// Somebody relies on being told of changes although nobody asks: that they are told goes on being proved for a few
    /// seconds more.
    public func keepProving() { awaken() }

    // MARK: What is known of the server

    public var state: LinkState { link.state }
    public var endpoint: RedisEndpoint { link.endpoint }
    public var counters: LinkCounters { link.counters }
    public var serverInfo: RedisServerInfo { link.serverInfo }
    public var serverTime: UnixMilliseconds? { link.serverTime }
    public func serverTime(at now: MonotonicInstant) -> UnixMilliseconds? { link.serverTime(at: now) }
    public func observe(serverTime: UnixMilliseconds) { link.observe(serverTime: serverTime) }
    /// Every change that the server made before it was told.
    public var provedAt: MonotonicInstant { freshUntil - Self.proofLimit }
    /// Why the server does not take the beat; nil while it does, and before it was asked.
    public var refusal: RedisFault? { beat.refusal }

    /// Whether what is remembered answers, or would behind the next request: armed, and proved where requests come.
    public var isProved: Bool {
        isArmed && (confirmationFault ?? beat.refusal) == nil && (!isBeating || scheduler.now <= freshUntil)
    }

    /// Why what is remembered does not answer, in plain words; nil while it does, and where nothing is known.
    public var nearCacheFault: String? {
        if isProved { return nil }
        return (confirmationFault ?? beat.refusal ?? feed?.fault)?.description ?? (isArmed ? lastWarning?.text : nil)
    }

    /// Since Sentinels or replicas confirmed that it is the master; nil where nobody is asked, or has.
    public var confirmationAge: Duration? { confirmation?.askedAt.map { $0.duration(to: scheduler.now) } }

    /// How long ago it was proved that every change is told; nil where nothing is proved.
    public var proofAge: Duration? {
        freshUntil == .earliest ? nil : provedAt.duration(to: scheduler.now)
    }

    /// Why the server is of no use, in plain words; nil while it is.
    public var fault: String? {
        if case .down(let fault) = link.state { return fault.description }
        return (confirmationFault ?? beat.refusal)?.description
    }

    /// Nothing is heard of the server, as far as is known.
    private var isSilent: Bool {
        switch link.state {
        case .closed, .connecting: true
        case .ready: beat.refusal == nil
        case .down(let fault): fault.isSilence
        }
    }
}
