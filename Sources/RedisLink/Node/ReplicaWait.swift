public import EventLoop
internal import Logging

/// Finds out whether enough replicas have what was written: `redis.wait-replicas`.
///
/// It has a link of its own: WAIT blocks its connection, and behind it nothing else would be answered. But WAIT counts only
/// up to the last write of its own connection. So each is sent behind a small write, in one piece with it: replicas that have
/// that one have everything that the server wrote before, and so every change whose reply was read before it was sent. One
/// is under way at a time, for all changes that wait by then.
///
/// Belongs to its loop's thread, and to its node.
public final class ReplicaWait {
    /// The connections that a change was sent on: with others the replicas may be another server's.
    public struct Mark: Equatable, Sendable {
        let data: UInt64
        let wait: UInt64
    }

    public struct Counters: Equatable, Sendable {
        /// Times that replicas were asked.
        public var rounds: UInt64 = 0
        /// Changes that too few of them had in time, or of which nobody knows.
        public var shortfalls: UInt64 = 0
    }

    public typealias Completion = (RedisFault?) -> Void

    private struct Change {
        let mark: Mark
        let deadline: MonotonicInstant
        let done: Completion
    }

    static let script = RedisScript(
        name: "wait", source: Array("#!lua flags=allow-oom\n".utf8) + PackageResources.wait_lua)

    /// So many replicas, at least one.
    public let count: Int
    public private(set) var counters = Counters()
    /// Makes the key of its writes one of this node's, in a cluster; empty elsewhere.
    private var tag: [UInt8] = []
    /// That key's slot is still on its way to this node.
    private var isAsking = false
    /// Called when that key does not belong here.
    var onKeyMoved: (() -> Void)?
    private let keyPrefix: [UInt8]
    /// Of one of the daemons before the server; that two have the same does no harm.
    private let keyEnd: [UInt8]

    let link: RedisLink
    private let data: RedisLink
    private let scheduler: any Scheduler
    /// Kept of a change's time, so that its request is told in words why it failed, before it is given up.
    private let margin: Duration
    /// Whose write is on its way, and those that came since.
    private var covered: [Change] = []
    private var waiting: [Change] = []
    /// So many had the changes that wait when they were asked for last.
    private var last: Int64?
    private var isScheduled = false
    private var isUnderWay = false
    private var timer: (any SchedulerTimer)?
    /// When the timer runs out.
    private var wake = MonotonicInstant.latest

    init(
        count: Int, beside data: RedisLink, on host: LinkHost, settings: LinkSettings, prefix: [UInt8], logger: Logger
    ) {
        self.count = max(1, count)
        self.data = data
        scheduler = host.scheduler
        margin = max(.milliseconds(1), settings.timeout / 10)
        keyPrefix = prefix + Array("w:".utf8)
        keyEnd = Array(String(host.seed % 65_536).utf8)
        // That the server is away the link beside it says.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        link = RedisLink(
            host: host.forWait, endpoint: data.endpoint, settings: settings, scripts: [Self.script], logger: quiet)
        timer = scheduler.makeTimer { [unowned self] in schedule() }
    }

    /// The keys of its writes are to have this tag.
    func use(tag: [UInt8], isAsking: Bool = false) { (self.tag, self.isAsking) = (tag, isAsking) }

    /// Of a change that is sent now.
    public var mark: Mark { Mark(data: data.nextConnection, wait: link.nextConnection) }

    /// Waits until the replicas have a change whose reply has just been read.
    /// - Parameters:
    ///   - mark: from when it was sent.
    ///   - deadline: of the request.
    ///   - done: called once, from the loop, never before this has returned; nil: they have it. Else it stands at the master,
    ///     as far as anybody knows.
    public func awaitReplicas(_ mark: Mark, by deadline: MonotonicInstant, _ done: @escaping Completion) {
        waiting.append(Change(mark: mark, deadline: deadline, done: done))
        // What comes while one is under way is seen to when that has come back, or the timer runs out.
        if !isUnderWay || deadline - margin < wake { schedule() }
    }

    /// Behind all replies that are read in this turn.
    private func schedule() {
        guard !isScheduled else { return }
        isScheduled = true
        scheduler.later { [weak self] in
            guard let self else { return }
            isScheduled = false
            expire()
            begin()
            arm()
        }
    }

    private func begin() {
        guard !isUnderWay else { return }
        let mark = mark
        fail(remove { $0.mark != mark }, ": a connection was lost")
        (covered, waiting) = (waiting, [])
        guard let earliest = covered.map(\.deadline).min() else { return }
        isUnderWay = true
        counters.rounds += 1
        var written: Result<RedisReply, RedisFault>?
        let tagged = tag.isEmpty ? [] : [UInt8(ascii: "{")] + tag + [UInt8(ascii: "}")]
        link.run(
            Self.script, keys: [keyPrefix + tagged + keyEnd], arguments: [], repeatable: false, asking: isAsking
        ) { written = $0 }
        // A server may tell of the end of a WAIT a tenth of a second late.
        let milliseconds = max(1, scheduler.now.duration(to: earliest) / .milliseconds(2))
        link.send(RedisCommand("WAIT", count, Int(milliseconds)), repeatable: false) { [weak self] result in
            self?.answered(written, result)
        }
    }

    /// - Parameter written: nil where the write comes behind the WAIT: the script had to be loaded first.
    private func answered(_ written: Result<RedisReply, RedisFault>?, _ result: Result<RedisReply, RedisFault>) {
        isUnderWay = false
        let changes = covered
        covered = []
        switch (written, result) {
        case (.failure(let fault), _) where fault.kind == .cluster && !tag.isEmpty:
            // It belongs elsewhere, which says nothing of the changes: with another key they are asked for once more.
            waiting = changes + waiting
            onKeyMoved?()
        // What the operator has to mend is told in its own words, which have the remedy.
        case (.failure(let fault), _) where fault.needsOperator, (_, .failure(let fault)) where fault.needsOperator:
            fail(changes, RedisFault(.unacknowledged, fault.description))
        case (.failure(let fault), _), (_, .failure(let fault)): fail(changes, ": \(fault)")
        case (.success, .success(.integer(let replicas))) where replicas >= count:
            guard data.serverInfo.runID != nil, data.serverInfo.runID == link.serverInfo.runID else {
                fail(changes, ": the connections lead to different servers")
                break
            }
            let mark = mark
            for change in changes where change.mark == mark { change.done(nil) }
            fail(changes.filter { $0.mark != mark }, ": a connection was lost")
        case (_, .success(let reply)):
            if written != nil, case .integer(let replicas) = reply { last = replicas }
            // Whoever has time left is asked for once more.
            waiting = changes + waiting
        }
        schedule()
    }

    // MARK: Time

    /// Gives up what has no time left.
    private func expire() {
        let now = scheduler.now + margin
        let changes = remove { $0.deadline <= now }
        fail(changes, changes.isEmpty ? "" : last.map { ": \($0) of \(count)" } ?? "")
    }

    private func arm() {
        guard let earliest = (covered + waiting).map(\.deadline).min() else {
            last = nil
            wake = .latest
            timer?.cancel()
            return
        }
        wake = earliest - margin
        timer?.start(after: max(.zero, scheduler.now.duration(to: wake)))
    }

    private func remove(_ isOut: (Change) -> Bool) -> [Change] {
        let changes = (covered + waiting).filter(isOut)
        covered.removeAll(where: isOut)
        waiting.removeAll(where: isOut)
        return changes
    }

    private func fail(_ changes: [Change], _ detail: String) {
        fail(changes, RedisFault(.unacknowledged, .unacknowledged, detail))
    }

    private func fail(_ changes: [Change], _ fault: RedisFault) {
        counters.shortfalls += UInt64(changes.count)
        for change in changes { change.done(fault) }
    }
}
