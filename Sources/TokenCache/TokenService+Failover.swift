internal import EventLoop
internal import Logging
internal import Tokens

/// Another master, which may lack what the one before acknowledged last: ends, LOGINs and ROTATEs of this daemon are carried
/// out there once more, and until they stand the sessions are not called good. So the daemon that acknowledged never accepts
/// the old token.
final class Repetition {
    /// Under way at a time.
    private static let width = 32
    private static let pause = Duration.milliseconds(250)

    private unowned let service: TokenService
    private let log: Logger
    private var timer: (any SchedulerTimer)?
    private var waiting: [(sid: SessionID, next: StoredSession, until: MonotonicInstant)] = []
    private var underWay = 0
    private var repeated = 0
    private var lost = 0

    init(_ service: TokenService) {
        self.service = service
        log = service.logger
        timer = service.store.scheduler.makeTimer { [unowned self] in goOn() }
    }

    /// - Parameter isMeant: whether the session's master is another one now.
    func begin(_ isMeant: (SessionID) -> Bool) {
        let now = service.store.instant
        let writes = service.ledger.acknowledged.all(at: now).filter { isMeant($0.sid) }
        guard !writes.isEmpty else { return }
        for write in writes {
            service.ledger.deny(write.sid, at: now, for: AcknowledgedWrites.memory)
            waiting.append((write.sid, write.next, now + AcknowledgedWrites.memory))
        }
        goOn()
    }

    private func goOn() {
        let now = service.store.instant
        waiting.removeAll { $0.until <= now }
        let some = waiting.prefix(max(0, Self.width - underWay))
        waiting.removeFirst(some.count)
        underWay += some.count
        for write in some {
            service.run(RepeatFlow(sid: write.sid, wanted: write.next), at: nil, isHousekeeping: true) {
                [self] result in
                underWay -= 1
                guard case .success(let wasLost) = result else {
                    // The new master is not there yet.
                    waiting.append(write)
                    return timer?.start(after: Self.pause) ?? ()
                }
                repeated += 1
                lost += wasLost ? 1 : 0
                service.ledger.settled(write.sid)
                if waiting.isEmpty, underWay == 0 { tell() } else { goOn() }
            }
        }
    }

    private func tell() {
        log.notice(
            "another master: what was acknowledged lately stands there",
            metadata: ["looked_at": "\(repeated)", "were_lost": "\(lost)"])
        (repeated, lost) = (0, 0)
    }
}
