internal import DequeModule
internal import EventLoop
internal import Logging
internal import RedisLink
internal import Tokens

extension TokenService {
    /// What this daemon would carry out once more on another master.
    public var acknowledgedWrites: (count: Int, bytes: Int) {
        ledger.acknowledged.forget(horizon)
        return (ledger.acknowledged.count, ledger.acknowledged.bytes)
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
    /// One that failed is tried again only when its server is there: others are not to wait for it.
    private struct Item {
        let wanted: StoredSession
        let data: DataChange
        var until: MonotonicInstant
        let hold: UInt64
        var hasFailed = false
    }

    /// Under way at a time.
    private static let width = 32
    /// Before what failed is tried again: the new master may not be there yet.
    private static let pause = Duration.milliseconds(250)

    private unowned let service: TokenService
    private var timer: (any SchedulerTimer)?
    private var items: [SessionID: Item] = [:]
    /// In the order in which they are tried; each sid once.
    private var order = Deque<SessionID>()
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
            let hold = items[write.sid]?.hold ?? service.ledger.begin(write.sid)
            if items[write.sid] == nil { order.append(write.sid) }
            items[write.sid] = Item(wanted: write.next, data: write.data, until: now + patience, hold: hold)
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
        for _ in 0..<order.count where underWay < Self.width {
            guard let sid = order.popFirst(), let item = items.removeValue(forKey: sid) else { continue }
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
        items[sid] = item
        order.append(sid)
        timer?.start(after: Self.pause)
    }

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
        case .failure where items[sid] != nil:
            // A newer one is to be repeated: that holds.
            release(sid, item.hold)
            goOn()
        case .failure:
            putBack(sid, item, until: item.until)
        }
    }

    private func finished() {
        if order.isEmpty, entries.isEmpty, underWay == 0, repeated > 0 { tell() }
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
