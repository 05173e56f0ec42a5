import Foundation
import Synchronization
import TestSupport

/// How late this machine wakes a thread up that asked for a millisecond: what a measured lateness is to be held against.
final class StallMeter: Sendable {
    private let worst = Mutex<Duration>(.zero)
    private let background = Mutex<Background?>(nil)

    init() {
        background.withLock {
            $0 = Background { [weak self] in
                let start = ContinuousClock.now
                letPass(.milliseconds(1))
                let late = ContinuousClock.now - start - .milliseconds(1)
                self?.worst.withLock { $0 = max($0, late) }
            }
        }
    }

    func reset() { worst.withLock { $0 = .zero } }
    var longest: Duration { worst.withLock { $0 } }
    func stop() throws { try background.withLock { try $0?.stop() } }
}

/// How long after an acknowledgement the dead token was still accepted, over many rounds.
struct Lateness {
    private(set) var longest = Duration.zero
    private(set) var rounds = 0
    private(set) var lateAccepts = 0

    mutating func note(acknowledged: ContinuousClock.Instant, lastAccepted: ContinuousClock.Instant?) {
        rounds += 1
        guard let lastAccepted, lastAccepted > acknowledged else { return }
        lateAccepts += 1
        longest = max(longest, lastAccepted - acknowledged)
    }

    mutating func add(_ other: Lateness) {
        longest = max(longest, other.longest)
        rounds += other.rounds
        lateAccepts += other.lateAccepts
    }

    func report(_ what: String) {
        print(
            "S5 \(what): \(rounds) ends, \(lateAccepts) tokens accepted after the acknowledgement, at the latest \(longest)"
        )
    }
}
