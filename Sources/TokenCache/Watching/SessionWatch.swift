internal import EventLoop
public import Tokens
internal import UnixTime

/// Tells whoever watches a session that it has ended, or has a new token by force: once, as soon as Redis or this daemon's
/// own write says so, and within two seconds of its limit.
///
/// `WatchedSessions` decides, this shell reads Redis and keeps the time: one timer for all, which runs while anything is
/// watched. Belongs to the loop's thread.
public final class SessionWatch {
    /// Why nobody can be told of anything.
    public enum Refusal: Error, Equatable, Sendable {
        /// There is no near cache, and so nothing that tells of changes.
        case off
        /// Redis does not tell at the moment, for this reason.
        case untold(String)
    }

    /// Behind a whole second by Redis's clock, in which what ends is looked at: the loop's timers may be early.
    private static let lateness: Milliseconds = 20
    /// Between two steps where there is too much for one.
    private static let step = Duration.milliseconds(5)

    /// Called once for each subscriber that is told; never before `add` has returned.
    public var onFate: (_ subscriber: UInt64, SessionID, SessionFate) -> Void = { _, _, _ in }
    /// How many were told since the start.
    public private(set) var told: UInt64 = 0

    private var watched = WatchedSessions()
    private let store: SessionStore
    private let sessions: CachedSessions?
    private var timer: (any SchedulerTimer)?
    private var isRunning = false

    init(store: SessionStore, sessions: CachedSessions?) {
        self.store = store
        self.sessions = sessions
    }

    /// How many sessions are watched: those whose end was told are not.
    public var count: Int { watched.count }

    /// Why a session cannot be watched; nil where it can.
    public var refusal: Refusal? {
        guard let sessions else { return .off }
        return sessions.isTold ? nil : .untold(sessions.fault ?? store.outage.reason)
    }

    /// Watches a session for a connection, until it is told. Does nothing where it is watched for it already.
    public func add(_ sid: SessionID, for subscriber: UInt64) {
        run()
        act { $0.watch(sid, for: subscriber) }
    }

    public func remove(_ sid: SessionID, for subscriber: UInt64) {
        if !watched.isEmpty { watched.forget(sid, for: subscriber) }
    }

    // MARK: What happens

    func changed(_ sid: SessionID) { if !watched.isEmpty { act { $0.changed(sid) } } }

    func changedAll() { if !watched.isEmpty { act { $0.changedAll() } } }

    /// A change stands that this daemon wrote.
    func written(_ write: SessionWrite, of sid: SessionID) {
        guard !watched.isEmpty else { return }
        let fate: SessionFate
        switch (write.kind, write.next) {
        case (.end, .ended(let tombstone)): fate = .revoked(tombstone.reason)
        case (.login, _): fate = .replaced(.login)
        case (.rotateByForce, _): fate = .replaced(.rotate)
        default: return
        }
        act { $0.happened(fate, to: sid) }
    }

    private func act(_ body: (inout WatchedSessions) -> [WatchedSessions.Action]) {
        watched.mayRead = store.isReady
        perform(body(&watched))
    }

    private func perform(_ actions: [WatchedSessions.Action]) {
        for action in actions {
            switch action {
            case .read(let sid, let number):
                store.load(sid) { [weak self] result in
                    guard let self else { return }
                    let now = store.bestClock
                    act { $0.found(SessionSight(result), of: sid, number: number, now: now) }
                }
            case .tell(let subscriber, let sid, let fate):
                told &+= 1
                onFate(subscriber, sid, fate)
            }
        }
    }

    // MARK: Time

    private func run() {
        guard !isRunning else { return }
        isRunning = true
        if timer == nil { timer = store.scheduler.makeTimer { [unowned self] in tick() } }
        plan()
    }

    private func plan(isBehind: Bool = false) {
        guard !isBehind else {
            timer?.start(after: Self.step)
            return
        }
        let intoSecond = store.bestClock - store.bestClock.seconds.milliseconds
        timer?.start(after: .milliseconds(1_000 - intoSecond + Self.lateness))
    }

    private func tick() {
        guard !watched.isEmpty else {
            isRunning = false
            return
        }
        // Where nobody asks anything, a feed that fell silent would not be noticed.
        sessions?.keepProving()
        watched.mayRead = store.isReady
        let (actions, isBehind) = watched.tick(now: store.bestClock)
        perform(actions)
        plan(isBehind: isBehind)
    }
}

extension SessionSight {
    init(_ result: Result<StoredCopy, Unavailable>) {
        switch result {
        case .success(let copy):
            switch copy.session {
            case .absent: self = .absent
            case .ended(let tombstone): self = .ended(tombstone.reason)
            case .live(let record):
                self = .living(
                    Living(
                        end: record.expireAt, forcedGeneration: record.forcedGeneration,
                        renewedByLogin: record.renewedByLogin))
            }
        // Nobody can be let in by it.
        case .failure(let fault): self = fault.isNoSession ? .absent : .failed
        }
    }
}
