internal import DequeModule
internal import EventLoop
internal import Logging
internal import RedisLink
internal import Tokens

/// Of what is kept for a failover, for INFO.
public struct AcknowledgedFigures: Sendable {
    public let count: Int
    /// Of the data that they hold.
    public let bytes: Int
    /// Those that made room for later ones: a failover may have lost them, or may lose them.
    public let dropped: UInt64
}

extension TokenService {
    /// What this daemon would carry out once more on another master.
    public var acknowledgedWrites: AcknowledgedFigures {
        ledger.acknowledged.forget(horizon)
        return AcknowledgedFigures(
            count: ledger.acknowledged.count, bytes: ledger.acknowledged.bytes,
            dropped: ledger.acknowledged.dropped &+ repetition.dropped)
    }

    /// Up to when what was acknowledged is over.
    var horizon: AcknowledgedWrites.Horizon {
        AcknowledgedWrites.Horizon(
            answeredAt: store.router.answeredAt, now: store.instant, tombstone: .milliseconds(policy.tombstone))
    }
}

/// Another master, which may lack what the one before acknowledged last: ends, LOGINs and ROTATEs that this daemon
/// acknowledged are carried out there once more, and requests with tokens of those sessions wait until they stand. So the
/// daemon that acknowledged never accepts the old token. In a cluster sessions that it entered lately into an index are
/// entered once more.
final class Repetition {
    private typealias Item = RepeatedWrites.Item

    /// Under way at a time.
    private static let width = 32
    /// Before what failed is tried again: the new master may not be there yet.
    private static let pause = Duration.milliseconds(250)

    private unowned let service: TokenService
    private var timer: (any SchedulerTimer)?
    private var writes = RepeatedWrites()
    private var entries = Deque<(entry: IndexEntry, until: MonotonicInstant, hasFailed: Bool)>()
    private var underWay = 0
    private var repeated = 0
    private var lost = 0

    init(_ service: TokenService) {
        self.service = service
        timer = service.store.scheduler.makeTimer { [unowned self] in goOn() }
    }

    /// - Parameter isMeant: whether another master has what is of a slot.
    func begin(_ isMeant: (_ slot: Int) -> Bool) {
        let now = service.store.instant
        // The server that follows says nothing of when the one before was there.
        var horizon = service.horizon
        horizon.answeredAt = .earliest
        service.ledger.acknowledged.forget(horizon)
        service.ledger.entered.forget(horizon)
        for write in service.ledger.acknowledged.all(where: isMeant) {
            // What is here of the session, or is just being read, is from before.
            service.forget(write.sid)
            let hold = writes[write.sid]?.hold ?? service.ledger.begin(write.sid)
            let item = Item(wanted: write.next, data: write.data, until: now + patience, hold: hold)
            put(write.sid, item)
        }
        let entered = service.ledger.entered.all(where: isMeant)
        entries.removeFirst(max(0, entries.count + entered.count - EnteredSessions.capacity))
        entries += entered.map { ($0, now + patience, false) }
        goOn()
    }

    /// How long a server that is there may refuse: as long as an end would be remembered.
    private var patience: Duration {
        max(AcknowledgedWrites.memory, .milliseconds(service.policy.tombstone))
    }

    /// Whether the server of a key is there. While it is not, nothing is tried, and the time of a try does not run out.
    private func isThere(_ key: [UInt8]) -> Bool { service.store.router.node(of: key)?.state == .ready }

    private func goOn() {
        let now = service.store.instant
        for _ in 0..<writes.count where underWay < Self.width {
            guard let (sid, item) = writes.popFirst() else { break }
            guard !item.hasFailed || isThere(service.store.keys.session(sid)) else {
                putBack(sid, item, until: now + patience)
                continue
            }
            guard now < item.until else {
                release(sid, item.hold)
                continue
            }
            underWay += 1
            let flow = RepeatFlow(sid: sid, wanted: item.wanted, data: item.data)
            service.run(flow, at: nil, isHousekeeping: true) { [self] in ended(sid, item, $0) }
        }
        for _ in 0..<entries.count where underWay < Self.width {
            guard let next = entries.popFirst() else { break }
            guard !next.hasFailed || isThere(service.store.key(of: next.entry.index)) else {
                putBack(next.entry, until: now + patience)
                continue
            }
            guard now < next.until else { continue }
            underWay += 1
            service.store.enter(next.entry, arrival: now) { [self] result in
                underWay -= 1
                if case .success(.entered) = result { return finished() }
                putBack(next.entry, until: next.until)
            }
        }
    }

    /// To be tried again in a while.
    private func putBack(_ sid: SessionID, _ item: Item, until: MonotonicInstant) {
        var item = item
        (item.until, item.hasFailed) = (until, true)
        put(sid, item)
        timer?.start(after: Self.pause)
    }

    private func put(_ sid: SessionID, _ item: Item) {
        for dropped in writes.insert(item, of: sid) { release(dropped.sid, dropped.hold) }
    }

    /// Writes that made room for later ones.
    var dropped: UInt64 { writes.dropped }

    private func putBack(_ entry: IndexEntry, until: MonotonicInstant) {
        entries.append((entry, until, true))
        timer?.start(after: Self.pause)
    }

    private func ended(_ sid: SessionID, _ item: Item, _ result: Result<Bool, ServiceFault>) {
        underWay -= 1
        switch result {
        case .success(let wasLost):
            repeated += 1
            lost += wasLost ? 1 : 0
            release(sid, item.hold)
            finished()
        case .failure where writes[sid] != nil:
            // A newer one is to be repeated: that holds.
            release(sid, item.hold)
            goOn()
        case .failure:
            putBack(sid, item, until: item.until)
        }
    }

    private func finished() {
        if writes.count == 0, entries.isEmpty, underWay == 0, repeated > 0 { tell() }
        goOn()
    }

    private func release(_ sid: SessionID, _ hold: UInt64) {
        for resume in service.ledger.end(hold, of: sid) { resume(nil) }
    }

    private func tell() {
        service.logger.notice(
            "another master: what was acknowledged lately stands there",
            metadata: ["looked_at": "\(repeated)", "were_lost": "\(lost)"])
        (repeated, lost) = (0, 0)
    }
}
