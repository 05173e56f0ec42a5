import EventLoop
import UnixTime

@testable import TokenCache
@testable import Tokens

/// One moment of an exploration: Redis, the requests on their way through two daemons, the browser's cookie jar.
struct World {
    /// A change that a daemon decided on: what `commit.lua` is sent.
    struct Commit {
        var revision: Int64
        var next: StoredSession
        var effect: Effect
        var request: Int
        var decidedAt: Int
        var notAfter: Int
        var flow: Flow
    }

    /// What a change means, for the reference.
    enum Effect: UInt8 {
        case confirm, rotate, confirmAndRotate, rotateByForce, login, endByReplay, endByLogout, endByLogin

        var isForced: Bool {
            switch self {
            case .confirm, .rotate, .confirmAndRotate: false
            case .rotateByForce, .login, .endByReplay, .endByLogout, .endByLogin: true
            }
        }
    }

    /// One command on its way: the flow itself.
    enum Flow {
        case access(AccessFlow), login(LoginFlow), rotate(RotateFlow), revoke(RevokeFlow)
    }

    enum Answer {
        case accepted(successor: UInt8?)
        case issued(UInt8)
        case refused
        case revoked
        /// Nobody knows: right at any time.
        case unavailable
    }

    enum Phase {
        case unsent
        /// For ends that are under way at its daemon: the requests that carry them out, one bit each.
        case waiting(Flow, for: UInt8)
        /// Redis has not taken up its read yet.
        case reading(Flow)
        /// It has; the copy is on its way back.
        case read(Flow, StoredCopy)
        case committing(Commit)
        /// Answered before its time was up for Redis: it may act still, and its daemon takes in its fate.
        case adrift(Commit)
        case answered(Answer)
        case finished

        /// Whether it is under way at its daemon.
        var isOpen: Bool {
            switch self {
            case .waiting, .reading, .read, .committing: true
            case .unsent, .adrift, .answered, .finished: false
            }
        }
    }

    struct Request {
        var operation: Scenario.Operation
        var presenter: Scenario.Presenter
        /// The daemon that it goes to.
        var daemon: Int
        var phase = Phase.unsent
        var token: UInt8 = 0
        var sentAt = 0
        /// Interruptions that the reference had counted when the request was sent.
        var interruptions: UInt8 = 0
        /// S5: its token was acknowledged dead before it was sent.
        var mustBeRefused = false
        /// An end of its session had been given up at its daemon before it was sent.
        var wasGivenUp = false
        /// What would have been right at some moment since its daemon last looked.
        var right = Reference.Rights()
        /// Its number in the ledger, while others wait for it.
        var held: UInt64?
    }

    struct Touch: Equatable {
        var notAfter: Int
        /// What the session was when the access was granted; for the mutation that creates.
        var record: SessionRecord
    }

    var now = 0
    var stored: StoredSession
    var requests: [Request]
    var jar: UInt8 = 0
    var losses: Int
    var touches: [Touch] = []
    var reference: Reference
    /// Of each daemon: what it knows of the session beside Redis, and who waits.
    var ledgers: [Ledger<Int>]
    /// Of each daemon: until when an end of unknown fate is denied there, as its ledger should have it.
    var deniedUntil = [0, 0]
    /// Of each daemon: a REVOKE was given up while its write was out, and no write has been answered since.
    var gaveUpEnd = [false, false]

    init(_ scenario: Scenario, symbols: Symbols) {
        var record = SessionRecord(
            token: symbols.digests[0], subject: scenario.subject, idle: scenario.policy.idle,
            absolute: Milliseconds(scenario.absoluteTicks + Ticks.rotationAfter) * 1_000,
            now: Ticks.time(-Ticks.rotationAfter))
        record.lastAccess = Ticks.time(0)
        stored = .live(record)
        requests = scenario.requests.enumerated().map { index, request in
            Request(operation: request.operation, presenter: request.presenter, daemon: index % 2)
        }
        losses = scenario.losses
        reference = Reference(absoluteEnd: scenario.absoluteTicks)
        let filter = ChangeFilter(key: ChangeFilter.Key(first: 1, second: 2), capacity: 64)
        ledgers = Array(repeating: Ledger(GuestKnowledge(changes: filter)), count: 2)
    }

    /// A daemon's answer is on its way. One that changes nothing where it arrives need not arrive.
    mutating func answer(_ answer: Answer, _ index: Int) -> Violation? {
        switch answer {
        case .accepted(successor: .some), .issued:
            requests[index].phase = requests[index].presenter == .jar ? .answered(answer) : .finished
        case .accepted(nil), .refused, .revoked, .unavailable: requests[index].phase = .finished
        }
        return Invariants.check(answer, of: index, in: &self)
    }

    /// Something changed: what is right now may be the answer of who looked before.
    mutating func noteRights() {
        for index in requests.indices where requests[index].phase.isOpen {
            requests[index].right.formUnion(reference.rights(of: requests[index].token, at: now))
        }
    }

    /// The daemon of a request looks at Redis: what was right before is no excuse any more.
    mutating func look(for index: Int) {
        requests[index].right = reference.rights(of: requests[index].token, at: now)
    }

    // MARK: Ledgers

    static func moment(_ tick: Int) -> MonotonicInstant { MonotonicInstant(nanoseconds: Int64(tick) * 1_000_000_000) }

    mutating func deny(_ sid: SessionID, ticks: Int, daemon: Int) {
        ledgers[daemon].deny(sid, at: Self.moment(now), for: .seconds(ticks))
        deniedUntil[daemon] = max(deniedUntil[daemon], now + ticks)
    }

    mutating func settled(_ sid: SessionID, daemon: Int) {
        ledgers[daemon].settled(sid)
        deniedUntil[daemon] = 0
        gaveUpEnd[daemon] = false
    }

    mutating func isDenied(_ sid: SessionID, daemon: Int) -> Bool {
        !ledgers[daemon].mayAnswer(sid, at: Self.moment(now))
    }
}
