public import EventLoop

/// Finds out which servers there are, and leads nodes to them.
public protocol RedisTopology: AnyObject {
    /// Those that are asked, for the operator.
    var informants: [RedisInformant] { get }

    func start()
    func close()
}

/// One that says which servers there are: a Sentinel, or a server of a cluster that `redis.url` names.
public struct RedisInformant: Sendable {
    public let endpoint: RedisEndpoint
    public let state: LinkState
    /// The master that it named last; nil where it names several, or has not said.
    public let master: String?
}

/// Knows which server a key belongs to. Nobody else knows whether there is one or a hundred.
///
/// Belongs to its loop's thread.
public final class RedisRouter {
    /// Keys of which every change is told from now on, and of which some may not have been told before.
    public enum Gap {
        /// All keys there are.
        case everything
        case slots(SlotSet)
    }

    public typealias Completion = (Result<RedisReply, RedisFault>, RedisNode) -> Void

    /// Called after every change of `state`.
    public var onStateChange: ((LinkState) -> Void)?
    /// Called with what has changed, whichever server told it.
    public var onInvalidation: ((Invalidation) -> Void)?
    /// Called when what is remembered of some keys may have changed untold.
    public var onGap: ((Gap) -> Void)?
    /// Called when keys have another server, which may lack what the one before acknowledged last.
    public var onSuccession: ((Gap) -> Void)?
    /// Called when changes are not told any more, or what is being read may be somebody else's by now: it is not to be
    /// kept.
    public var onDoubt: (() -> Void)?
    /// Called each time a server refuses user or password.
    public var onLoginRefused: (() -> Void)?
    /// How long what is remembered may be served while its server is silent; zero: not at all.
    public var serveStale = Duration.zero { didSet { for node in nodes { node.serveStale = serveStale } } }

    /// All servers. There is always one.
    public private(set) var nodes: [RedisNode]
    /// The server whose clock judges, and that is asked where any may be.
    public private(set) var first: RedisNode
    /// Nil where there is one server.
    weak var cluster: ClusterWatch?
    public let isCluster: Bool
    /// Whether another server may follow on one that fails.
    public let mayChangeServers: Bool

    /// By slot; empty where there is one server.
    private var owners: [RedisNode?] = []
    /// Slots that have gone to another server, and of which nothing is known to be true that is remembered: they are told
    /// together, as one after the other goes while a cluster is resharded.
    private var suspects = SlotSet()
    private var hasSuspects = false
    private var gapTimer: (any SchedulerTimer)?
    private var isGapPausing = false
    /// Between two times at which such slots are told.
    static let gapPause = Duration.milliseconds(500)
    /// How often slots went to another server: a walk over all keys that was under way may have missed some.
    public private(set) var handovers: UInt64 = 0
    /// What is remembered, of whatever server, answers up to this moment.
    private var freshUntil = MonotonicInstant.earliest
    private let activity: RequestActivity

    /// One server.
    public init(node: RedisNode) {
        first = node
        nodes = [node]
        activity = node.activity
        isCluster = false
        mayChangeServers = node.endpoint.address == nil
        listen(to: node)
    }

    /// A cluster, whose servers a `ClusterWatch` finds out.
    /// - Parameter node: leads nowhere yet.
    init(ofCluster node: RedisNode) {
        first = node
        nodes = [node]
        activity = node.activity
        isCluster = true
        mayChangeServers = true
        owners = Array(repeating: nil, count: KeySlot.count)
        listen(to: node)
        gapTimer = node.scheduler.makeTimer { [unowned self] in
            isGapPausing = false
            if hasSuspects { tellSuspects() }
        }
    }

    private func listen(to node: RedisNode) {
        node.serveStale = serveStale
        node.onStateChange = { [unowned self, unowned node] state in changed(node, state) }
        node.onInvalidation = { [unowned self] in onInvalidation?($0) }
        node.onArmed = { [unowned self, unowned node] isArmed in
            onDoubt?()
            if isArmed { onGap?(isCluster ? .slots(slots(of: node)) : .everything) }
        }
        node.onLedElsewhere = { [unowned self, unowned node] in
            onSuccession?(isCluster ? .slots(slots(of: node)) : .everything)
        }
        node.onFreshness = { [unowned self] in judgeFreshness() }
        node.onLoginRefused = { [unowned self] in onLoginRefused?() }
    }

    // MARK: Which server

    /// The server that owns a key; nil where nobody is known to.
    public func node(of key: [UInt8]) -> RedisNode? { isCluster ? owner(of: slot(of: key)) : first }

    /// 0 to 16,383; 0 where there is one server.
    public func slot(of key: [UInt8]) -> Int { isCluster ? KeySlot.of(key) : 0 }

    func owner(of slot: Int) -> RedisNode? { owners.indices.contains(slot) ? owners[slot] : nil }

    private func slots(of node: RedisNode) -> SlotSet {
        var slots = SlotSet()
        for slot in owners.indices where owners[slot] === node { slots.insert(slot) }
        return slots
    }

    /// A server of a cluster is found.
    func adopt(_ node: RedisNode) {
        nodes.append(node)
        listen(to: node)
        heedMoves()
    }

    /// It has nothing to say any more.
    func dismiss(_ node: RedisNode) {
        guard nodes.count > 1 else { return }
        let before = state
        nodes.removeAll { $0 === node }
        if first === node { first = nodes.first { $0.state == .ready } ?? nodes[0] }
        (node.onStateChange, node.onArmed, node.onInvalidation) = (nil, nil, nil)
        (node.onFreshness, node.onLedElsewhere, node.onLoginRefused) = (nil, nil, nil)
        (node.onTagMoved, node.onSilence) = (nil, nil)
        heedMoves()
        judgeFreshness()
        // It may have been the one that all rested on, or stood in the way of all.
        if state != before { onStateChange?(state) }
    }

    /// - Parameter owners: of all slots.
    /// - Parameter changes: which of them were another's before.
    func assign(_ owners: [RedisNode?], _ changes: SlotOwners.Changes) {
        self.owners = owners
        chooseFirst()
        if !changes.inherited.isEmpty { handovers &+= 1 }
        if !changes.all.isEmpty {
            suspects.formUnion(changes.all)
            hasSuspects = true
        }
        judgeFreshness()
        guard !changes.all.isEmpty else { return }
        onDoubt?()
        if !isGapPausing { tellSuspects() }
        if !changes.inherited.isEmpty { onSuccession?(.slots(changes.inherited)) }
    }

    private func tellSuspects() {
        let slots = suspects
        (suspects, hasSuspects) = (SlotSet(), false)
        judgeFreshness()
        isGapPausing = true
        gapTimer?.start(after: Self.gapPause)
        onGap?(.slots(slots))
    }

    private func isSuspect(_ key: [UInt8]) -> Bool { hasSuspects && suspects.contains(slot(of: key)) }

    /// Where one server of a cluster has the mark of a move, the others' data has moved, too.
    private func heedMoves() {
        guard isCluster else { return }
        let fault = moveFault
        for node in nodes { node.barrier = fault }
    }

    private var moveFault: RedisFault? { nodes.lazy.compactMap(\.moveFault).first }

    private func changed(_ node: RedisNode, _ state: LinkState) {
        heedMoves()
        chooseFirst()
        onStateChange?(self.state)
    }

    /// The clock that judges is that of the first server that has one, of those that own keys. One that owns none any more
    /// may have said before that the cluster is down, and no beat takes that back.
    private func chooseFirst() {
        guard isCluster, first.state != .ready || !servers.contains(where: { $0 === first }) else { return }
        let other = servers.first { $0.state == .ready }
        first = other ?? (first.state == .ready ? first : nodes.first { $0.state == .ready }) ?? first
    }

    // MARK: Freshness

    private func judgeFreshness() {
        guard isCluster else {
            freshUntil = first.freshUntil
            return
        }
        guard let cluster, cluster.isWhole, !hasSuspects else {
            freshUntil = .earliest
            return
        }
        freshUntil = cluster.owners.map(\.freshUntil).min() ?? .earliest
    }

    /// Whether what is remembered, of whatever key, may answer a request that came at `now`. Called for every request: the
    /// beat goes on for as long as they come.
    @inline(__always)
    public func isAllFresh(at now: MonotonicInstant) -> Bool {
        activity.lastRequest = now
        return now.nanoseconds <= freshUntil.nanoseconds
    }

    /// The same of one key: where one server is silent the others' keys are as fresh as before.
    public func isFresh(_ key: [UInt8], at now: MonotonicInstant) -> Bool {
        !isSuspect(key) && node(of: key)?.isFresh(at: now) ?? false
    }

    /// Whether what is remembered of a key may answer although its server does not.
    public func mayServeStale(_ key: [UInt8], at now: MonotonicInstant, isUnanswered: Bool) -> Bool {
        !isSuspect(key) && node(of: key)?.mayServeStale(at: now, isUnanswered: isUnanswered) ?? false
    }

    /// Whether every change of a key is told.
    public func isArmed(_ key: [UInt8]) -> Bool { node(of: key)?.isArmed ?? false }

    /// Whether every change is told.
    public var isArmed: Bool { !servers.isEmpty && servers.allSatisfy(\.isArmed) }
    /// Every change that servers made before it was told.
    public var provedAt: MonotonicInstant { freshUntil - RedisNode.proofLimit }
    /// Whether what is remembered answers, or would behind the next request.
    public var isProved: Bool { !servers.isEmpty && servers.allSatisfy(\.isProved) }
    /// Why what is remembered does not answer, in plain words; nil while it does, and where nothing is known.
    public var nearCacheFault: String? { servers.lazy.compactMap(\.nearCacheFault).first }

    /// See `RedisNode`.
    public func keepProving() { for node in servers { node.keepProving() } }

    /// Those that own keys, in an order that stays while they do.
    public var servers: [RedisNode] { cluster?.owners ?? [first] }

    /// When every server was last known to be there; `.earliest` where one was not yet, and where slots have none.
    public var answeredAt: MonotonicInstant {
        guard cluster?.isWhole ?? true else { return .earliest }
        return servers.map(\.beatAnsweredAt).min() ?? .earliest
    }

    /// The slots of a server, as `0-5460 5462`; empty where there is one server.
    public func slotRanges(of node: RedisNode) -> String { slots(of: node).ranges }

    // MARK: State

    /// Of the servers together: ready where one is, and none says that the data has moved.
    public var state: LinkState {
        if isCluster, let moveFault { return .down(moveFault) }
        return nodes.contains { $0.state == .ready } ? .ready : first.state
    }

    /// Changes with every start of any server; nil before one was reached.
    public var serverRun: String? {
        isCluster ? servers.map { $0.serverInfo.runID ?? "" }.joined(separator: " ") : first.serverInfo.runID
    }

    /// How many keys there are, of all servers together, asked now. Calls back once, from the loop.
    public func countKeys(_ done: @escaping (Result<Int64, RedisFault>) -> Void) {
        var sum: Result<Int64, RedisFault> = .success(0)
        let servers = servers
        guard !servers.isEmpty else {
            return first.send(RedisCommand("DBSIZE"), repeatable: true) { done($0.map { _ in 0 }) }
        }
        var left = servers.count
        for server in servers {
            server.send(RedisCommand("DBSIZE"), repeatable: true) { result in
                sum = sum.flatMap { sum in
                    result.flatMap { reply in
                        guard case .integer(let count) = reply else {
                            return .failure(RedisFault(.protocolError, .unexpected))
                        }
                        let (total, overflow) = sum.addingReportingOverflow(count)
                        return .success(overflow ? .max : total)
                    }
                }
                left -= 1
                if left == 0 { done(sum) }
            }
        }
    }

    public func close() {
        gapTimer?.cancel()
        for node in nodes { node.close() }
    }

    /// The password has changed: every connection that stands authenticates again, without ending; what waits to try
    /// again does at once.
    public func authenticateAgain() {
        for node in nodes { node.authenticateAgain() }
        cluster?.authenticateAgain()
    }

    // MARK: Requests

    /// Sends a command that reads, to the server of its key; one without a key to the first.
    /// - Parameters: as for `RedisLink.send`.
    public func send(_ command: RedisCommand, repeatable: Bool, completion: @escaping RedisLink.Completion) {
        guard let cluster else { return first.send(command, repeatable: repeatable, completion: completion) }
        cluster.carryOut(
            RoutedRequest(slot: command.key.map { KeySlot.of($0) }) { node, asking, done in
                node.send(command, repeatable: repeatable, asking: asking, completion: done)
            } done: { result, _ in
                completion(result)
            })
    }

    /// Runs a script by its digest.
    /// - Parameters:
    ///   - keys: at least one; all of one slot.
    ///   - completion: is told who answered, too: the times in the reply are by that server's clock.
    public func run(
        _ script: RedisScript, keys: [[UInt8]], arguments: [[UInt8]], repeatable: Bool,
        completion: @escaping Completion
    ) {
        guard let cluster else {
            let first = first
            return first.run(script, keys: keys, arguments: arguments, repeatable: repeatable) {
                completion($0, first)
            }
        }
        cluster.carryOut(
            RoutedRequest(slot: keys.first.map { KeySlot.of($0) }) { node, asking, done in
                node.run(
                    script, keys: keys, arguments: arguments, repeatable: repeatable, asking: asking, completion: done)
            } done: {
                completion($0, $1)
            })
    }
}

/// A request on its way to whoever owns its slot.
final class RoutedRequest {
    /// Nil: any server may answer.
    let slot: Int?
    let send: (RedisNode, _ asking: Bool, @escaping RedisLink.Completion) -> Void
    let done: RedisRouter.Completion
    /// When it is given up.
    var expires = MonotonicInstant.latest
    /// Servers that sent it on.
    var hops = 0

    init(
        slot: Int?, send: @escaping (RedisNode, _ asking: Bool, @escaping RedisLink.Completion) -> Void,
        done: @escaping RedisRouter.Completion
    ) {
        self.slot = slot
        self.send = send
        self.done = done
    }
}
