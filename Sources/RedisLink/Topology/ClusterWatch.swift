internal import EventLoop
public import Logging

/// Finds out which servers a cluster has and which of them owns which slot, and leads every request to the right one.
///
/// The map is asked for at the start, when a server sends a request on, every five seconds, and every quarter of a second
/// while a server is lost. Belongs to its loop's thread.
public final class ClusterWatch: RedisTopology {
    public struct Settings {
        /// Servers that are asked at first: the others are learned from them.
        public var seeds: [(host: String, port: UInt16)] = []
        public var login = RedisLogin()
        /// Gives the password for each new connection; nil: that of `login`.
        public var password: PasswordSource?
        /// Whether servers are reached by the names that they announce, where they do: certificates are for names.
        public var prefersNames = false
        /// How long a request may be on its way. `redis.timeout`.
        public var timeout = Duration.milliseconds(250)

        public init() {}
    }

    /// One of the servers that own slots, or are about to.
    final class Member {
        let id: String
        let node: RedisNode
        fileprivate let source: Source
        var address: ClusterAddress
        var slots = SlotSet()
        /// On their way from here or to here, as it said itself.
        var moving = SlotSet()
        /// Of its own keys.
        var tagSlot: Int?
        /// While it owns none: on the way here, and taken for the keys of the link that waits for replicas.
        var importedSlot: Int?
        /// Where its own keys were not taken.
        var refused = SlotSet()
        /// Silent: it is not used again before another server's map names it.
        var isLost = false
        var lostAt = MonotonicInstant.earliest
        /// It was told that it is lost; told again once it was there in between.
        var isLossTold = false
        var idleSince: MonotonicInstant?

        fileprivate init(id: String, node: RedisNode, address: ClusterAddress, source: Source) {
            self.id = id
            self.node = node
            self.address = address
            self.source = source
        }
    }

    /// Whoever can be asked for the map.
    fileprivate final class Source {
        let link: RedisLink
        let host: String
        /// When the question was sent that is under way.
        var askedAt: MonotonicInstant?

        init(_ link: RedisLink, host: String) {
            self.link = link
            self.host = host
        }
    }

    static let tick = Duration.milliseconds(250)
    static let interval = Duration.seconds(5)
    /// So long a server may owe an answer.
    static let silenceLimit = Duration.seconds(1)
    /// A lost server that others name is not tried more often.
    private static let retryPause = Duration.milliseconds(500)
    /// How long a server is kept that owns nothing any more.
    private static let idleLimit = Duration.seconds(10)
    /// Servers that are asked for the map beside those of `redis.url`, where nobody else is left.
    private static let mostOthers = 16
    /// Servers that may send a request on.
    private static let mostHops = 5
    /// Between two tries of a command whose keys are just moving.
    private static let passingPause = Duration.milliseconds(20)
    /// Between two questions for the map, where many requests are sent on.
    private static let askPause = Duration.milliseconds(50)

    public let router: RedisRouter
    private let host: LinkHost
    private let settings: Settings
    private let makeNode: (RedisEndpoint, RequestActivity) -> RedisNode
    private let logger: Logger
    /// Leads nowhere yet: the first server's that is found.
    private var unused: RedisNode?
    private var seeds: [Source] = []
    private(set) var members: [Member] = []
    private var slotOwners = SlotOwners()
    private var map: ClusterMap?
    private var mappedAt = MonotonicInstant.earliest
    private var turn = 0
    private var timer: (any SchedulerTimer)?
    /// Runs while the map was asked for a moment ago because a request was sent on.
    private var pause: (any SchedulerTimer)?
    private var isPausing = false
    private var isWanted = false
    /// Requests that wait for a map.
    private var waiting: [() -> Void] = []
    private var lastWarning: MonotonicInstant?
    private var isClosed = false

    /// - Parameter makeNode: makes a node whose requests count for all; not started.
    public init(
        host: LinkHost, settings: Settings, logger: Logger,
        makeNode: @escaping (RedisEndpoint, RequestActivity) -> RedisNode
    ) {
        self.host = host
        self.settings = settings
        self.makeNode = makeNode
        self.logger = logger
        let node = makeNode(.sought(login: settings.login), RequestActivity())
        unused = node
        router = RedisRouter(ofCluster: node)
        router.cluster = self
        timer = host.scheduler.makeTimer { [unowned self] in tick() }
        pause = host.scheduler.makeTimer { [unowned self] in
            isPausing = false
            if isWanted { askAllSoon() }
        }
    }

    public func start() {
        unused?.leave(RedisFault(.unreachable, .noMap))
        for (name, port) in settings.seeds { watch(name, port) }
        timer?.start(after: Self.tick)
        after(Self.silenceLimit) { [weak self] in self?.unused?.link.missed() }
    }

    /// The password has changed: those that are asked first are told, too. The members' links are their nodes'.
    func authenticateAgain() { for source in seeds { source.link.authenticateAgain() } }

    public var informants: [RedisInformant] {
        seeds.map { RedisInformant(endpoint: $0.link.endpoint, state: $0.link.state, master: nil) }
    }

    public func close() {
        isClosed = true
        timer?.cancel()
        pause?.cancel()
        for source in seeds {
            source.link.onStateChange = nil
            source.link.close()
        }
        flushWaiting()
    }

    /// Those of `redis.url` may be gone, and all others lost at once: whoever was in the map is asked as well.
    private func findOthers() {
        for master in map?.masters ?? [] where seeds.count < settings.seeds.count + Self.mostOthers {
            let place = endpoint(master.address)
            guard case .tcp(let name, let port, _) = place, !seeds.contains(where: { $0.link.endpoint == place }) else {
                continue
            }
            watch(name, port)
        }
    }

    private func watch(_ name: String, _ port: UInt16) {
        var link = LinkSettings()
        link.timeout = Self.silenceLimit
        link.requiresMaster = false
        link.password = settings.password
        let source = Source(
            RedisLink(
                host: host, endpoint: .tcp(host: name, port: port, login: settings.login), settings: link,
                scripts: [], logger: logger), host: name)
        source.link.onStateChange = { [weak self, weak source] state in
            if state == .ready, let self, let source, map == nil { ask(source) }
        }
        source.link.onLoss = { [unowned self] in if $0.isRefusedLogin { router.onLoginRefused?() } }
        source.link.onLoginRefused = { [unowned self] _ in router.onLoginRefused?() }
        seeds.append(source)
        source.link.start()
    }

    /// Whether every slot's owner is known.
    private(set) var isWhole = false
    /// Servers that own slots, in the order of their ids.
    private(set) var owners: [RedisNode] = []

    // MARK: The map

    private func tick() {
        let now = host.scheduler.now
        for member in members where !member.isLost {
            if isSilent(member) { lose(member) } else if member.node.state == .ready { member.isLossTold = false }
        }
        if !sources.contains(where: { $0.link.state == .ready }) { findOthers() }
        if map == nil || !waiting.isEmpty || members.contains(where: \.isLost) {
            for source in sources { ask(source) }
        } else if mappedAt.duration(to: now) >= Self.interval {
            let ready = sources.filter { $0.link.state == .ready }
            turn &+= 1
            if !ready.isEmpty { ask(ready[turn % ready.count]) }
        }
        for member in members {
            if let idle = member.idleSince, idle.duration(to: now) > Self.idleLimit { retire(member) }
        }
        flushWaiting()
        timer?.start(after: Self.tick)
    }

    private var sources: [Source] { seeds + members.filter { !$0.isLost }.map(\.source) }

    private func ask(_ source: Source) {
        let now = host.scheduler.now
        guard source.link.state == .ready, source.askedAt.map({ $0.duration(to: now) > Self.silenceLimit }) ?? true
        else { return }
        source.askedAt = now
        source.link.inquire(RedisCommand("CLUSTER", "NODES")) { [weak self, weak source] result in
            guard let self, let source else { return }
            source.askedAt = nil
            switch result {
            case .success(let reply):
                guard let map = ClusterMap(reply, host: source.host) else {
                    return warn("a server does not know of a cluster with slots", source)
                }
                learn(map)
            case .failure(let fault):
                if !fault.isSilence { warn("a server does not tell of its cluster: \(fault)", source) }
            }
        }
    }

    private func warn(_ text: String, _ source: Source) {
        let now = host.scheduler.now
        if let lastWarning, lastWarning.duration(to: now) < .seconds(60) { return }
        lastWarning = now
        logger.warning("\(text)", metadata: ["redis": "\(source.link.endpoint)"])
    }

    private func learn(_ new: ClusterMap) {
        // One that has slept knows nothing of what happened.
        let isLost = members.contains { $0.isLost && $0.id == new.teller }
        guard !isLost || members.allSatisfy(\.isLost) else { return }
        mappedAt = host.scheduler.now
        let changes = slotOwners.learn(new)
        map = new
        let byOwner = changes.all.isEmpty ? [:] : slotOwners.byOwner
        for master in new.masters {
            let isOwner = byOwner[master.id]?.isEmpty == false
            guard let member = members.first(where: { $0.id == master.id }) ?? (isOwner ? join(master) : nil) else {
                continue
            }
            if new.teller == master.id, member.moving != master.moving {
                member.moving = master.moving
                chooseTag(member)
            }
        }
        if !changes.all.isEmpty { assign(changes, byOwner) }
        for master in new.masters {
            guard let member = members.first(where: { $0.id == master.id }) else { continue }
            // Its own word that it lives is worth nothing, but where nobody else could say it.
            let isNamed = !master.isFailing && (new.teller != master.id || new.isOnlyMaster(master))
            let mayTry = member.isLost && member.lostAt.duration(to: mappedAt) >= Self.retryPause
            guard isNamed, mayTry || member.address != master.address else { continue }
            // Who tells of it may know a name for the same place, or not yet.
            let isMoved = endpoint(member.address) != endpoint(master.address)
            member.address = master.address
            if mayTry || isMoved { lead(member) }
        }
        flushWaiting()
    }

    /// Hands the slots to their owners.
    private func assign(_ changes: SlotOwners.Changes, _ byOwner: [String: SlotSet]) {
        let now = host.scheduler.now
        var owners = [RedisNode?](repeating: nil, count: KeySlot.count)
        for member in members {
            member.slots = byOwner[member.id] ?? SlotSet()
            for slot in member.slots { owners[slot] = member.node }
        }
        isWhole = !owners.contains { $0 == nil }
        self.owners = members.filter { !$0.slots.isEmpty }.sorted { $0.id < $1.id }.map(\.node)
        for member in members {
            if !member.slots.isEmpty {
                member.idleSince = nil
            } else if member.idleSince == nil {
                member.idleSince = now
            }
            chooseTag(member)
        }
        router.assign(owners, changes)
    }

    /// The highest slot that stays, so that all daemons choose the same. Who moves slots begins with the lowest.
    private func chooseTag(_ member: Member) {
        let settled = member.slots.subtracting(member.moving)
        if member.slots.isEmpty { member.tagSlot = nil } else { member.importedSlot = nil }
        if let slot = settled.subtracting(member.refused).highest ?? settled.highest, slot != member.tagSlot {
            member.tagSlot = slot
            member.node.use(tag: KeySlot.tag(of: slot))
        }
    }

    // MARK: Servers

    private func join(_ master: ClusterMap.Master) -> Member {
        let node = unused ?? makeNode(endpoint(master.address), router.first.activity)
        let source = Source(node.link, host: master.address.host)
        let member = Member(id: master.id, node: node, address: master.address, source: source)
        if unused != nil { unused = nil } else { router.adopt(node) }
        members.append(member)
        node.onTagMoved = { [weak self, weak member] in
            guard let self, let member else { return }
            if let slot = member.slots.subtracting(member.moving).subtracting(member.refused).highest {
                member.refused.insert(slot)
            }
            if member.slots.subtracting(member.moving).subtracting(member.refused).isEmpty {
                member.refused = SlotSet()
            }
            chooseTag(member)
            askAllSoon()
        }
        // The connection may end because of it before the next look.
        node.onSilence = { [weak self, weak member] in
            guard let self, let member else { return }
            host.scheduler.later { [weak self] in
                guard let self, !member.isLost, members.contains(where: { $0 === member }) else { return }
                lose(member)
            }
        }
        logger.info(
            "a master of the cluster", metadata: ["redis": "\(endpoint(master.address))", "id": "\(master.id)"])
        node.lead(to: endpoint(master.address), leaving: RedisFault(.closed, .closed))
        return member
    }

    private func lead(_ member: Member) {
        member.isLost = false
        member.node.lead(to: endpoint(member.address), leaving: RedisFault(.closed, .lost))
    }

    private func isSilent(_ member: Member) -> Bool {
        if case .down(let fault) = member.node.state, fault.isSilence { return true }
        return member.node.isSilent(for: Self.silenceLimit)
    }

    /// A process that wakes answers what lay in its socket as it was when it fell asleep: nothing of that is read.
    private func lose(_ member: Member) {
        member.isLost = true
        member.lostAt = host.scheduler.now
        if !member.isLossTold {
            member.isLossTold = true
            logger.warning(
                "a master of the cluster is silent: it is not asked before another one names it",
                metadata: ["redis": "\(member.node.endpoint)"])
        }
        member.node.suspend(RedisFault(.timeout, .silent))
    }

    private func retire(_ member: Member) {
        members.removeAll { $0 === member }
        member.node.close()
        if router.nodes.count > 1 { router.dismiss(member.node) } else { unused = member.node }
    }

    private func endpoint(_ address: ClusterAddress) -> RedisEndpoint {
        let name = settings.prefersNames && !address.name.isEmpty ? address.name : address.host
        return .tcp(host: name, port: address.port, login: settings.login)
    }

    // MARK: Requests

    func carryOut(_ request: RoutedRequest) {
        let now = host.scheduler.now
        request.expires = now + settings.timeout
        // Whoever asks one server keeps all of them proved.
        if !router.isAllFresh(at: now) { for node in owners { node.keepProving() } }
        dispatch(request)
    }

    private func dispatch(_ request: RoutedRequest) {
        if let owner = request.slot.map(router.owner) ?? router.first {
            return send(request, to: owner, asking: false)
        }
        let fault = map == nil ? RedisFault(.unreachable, .noMap) : RedisFault(.clusterDown, .clusterDown)
        host.scheduler.later { [router] in request.done(.failure(fault), router.first) }
    }

    private func send(_ request: RoutedRequest, to node: RedisNode, asking: Bool) {
        request.send(node, asking) { [weak self] result in
            guard let self, case .failure(let fault) = result, fault.kind == .cluster, request.slot != nil,
                host.scheduler.now < request.expires
            else { return request.done(result, node) }
            sentOn(request, by: node, asking: asking, fault)
        }
    }

    private func sentOn(_ request: RoutedRequest, by node: RedisNode, asking: Bool, _ fault: RedisFault) {
        if fault.isPassing {
            return after(Self.passingPause) { [weak self] in self?.send(request, to: node, asking: asking) }
        }
        request.hops += 1
        guard let there = fault.redirection, request.hops <= Self.mostHops else {
            return request.done(.failure(fault), node)
        }
        // It has no name for whoever owns the slot; the map may.
        if there.host == "?" {
            askAllSoon()
            return after(Self.askPause) { [weak self] in self?.dispatch(request) }
        }
        let from = members.first { $0.node === node }
        let name = there.host.isEmpty ? from?.address.host ?? "" : there.host
        find(name, there.port, for: request) { [weak self] member in
            guard let self else { return }
            guard let member else { return request.done(.failure(fault), node) }
            if there.isOnce {
                // What a server answers whose slot this is not yet is not kept.
                router.onDoubt?()
                if member.idleSince != nil { member.idleSince = host.scheduler.now }
                if member.slots.isEmpty, member.importedSlot != there.slot {
                    member.importedSlot = there.slot
                    member.node.replicas?.use(tag: KeySlot.tag(of: there.slot), isAsking: true)
                }
                return send(request, to: member.node, asking: true)
            }
            if slotOwners.hand(there.slot, to: member.id) {
                var changes = SlotOwners.Changes()
                changes.all.insert(there.slot)
                changes.inherited.insert(there.slot)
                assign(changes, slotOwners.byOwner)
            }
            askAllSoon()
            send(request, to: member.node, asking: false)
        }
    }

    /// The member at an address, which may be known with the next map only.
    private func find(_ name: String, _ port: UInt16, for request: RoutedRequest, _ found: @escaping (Member?) -> Void)
    {
        if let member = members.first(where: { $0.address.isTarget(host: name, port: port) && !$0.isLost }) {
            return found(member)
        }
        if let master = map?.masters.first(where: { $0.address.isTarget(host: name, port: port) }),
            !members.contains(where: { $0.id == master.id })
        {
            let member = join(master)
            member.idleSince = host.scheduler.now
            return found(member)
        }
        guard !isClosed, host.scheduler.now < request.expires else { return found(nil) }
        waiting.append { [weak self] in self?.find(name, port, for: request, found) ?? found(nil) }
        askAllSoon()
    }

    private func flushWaiting() {
        let ready = waiting
        waiting = []
        for body in ready { body() }
    }

    /// The map is old: all are asked for a new one, once for many.
    private func askAllSoon() {
        isWanted = isPausing
        guard !isPausing else { return }
        isPausing = true
        for source in sources { ask(source) }
        pause?.start(after: Self.askPause)
    }

    private func after(_ span: Duration, _ body: @escaping () -> Void) {
        var timer: (any SchedulerTimer)?
        timer = host.scheduler.makeTimer {
            body()
            timer = nil
        }
        timer?.start(after: span)
    }
}
