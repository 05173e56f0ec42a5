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
    }

    /// One command on its way: the flow itself.
    enum Flow {
        case access(AccessFlow), login(LoginFlow), rotate(RotateFlow), revoke(RevokeFlow)

        /// What of its state the rest of the world does not show.
        var key: UInt8 {
            if case .access(let flow) = self { (flow.hasConfirmed ? 1 : 0) | (flow.wasTouched ? 2 : 0) } else { 0 }
        }
    }

    enum Answer {
        case accepted(successor: UInt8?)
        case issued(UInt8)
        case refused
        case revoked
    }

    enum Phase {
        case unsent
        case sent
        case committing(Commit)
        case answered(Answer)
        case finished
    }

    struct Request {
        var operation: Scenario.Operation
        var presenter: Scenario.Presenter
        var phase = Phase.unsent
        var token: UInt8 = 0
        var sentAt = 0
        /// Interruptions that the reference had counted when the request was sent.
        var interruptions: UInt8 = 0
        /// S5: its token was acknowledged dead before it was sent.
        var mustBeRefused = false
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

    init(_ scenario: Scenario, symbols: Symbols) {
        var record = SessionRecord(
            token: symbols.digests[0], subject: scenario.subject, idle: scenario.policy.idle,
            absolute: Milliseconds(scenario.absoluteTicks + Ticks.rotationAfter) * 1_000,
            now: Ticks.milliseconds(-Ticks.rotationAfter))
        record.lastAccess = Ticks.milliseconds(0)
        stored = .live(record)
        requests = scenario.requests.map { Request(operation: $0.operation, presenter: $0.presenter) }
        losses = scenario.losses
        reference = Reference(absoluteEnd: scenario.absoluteTicks)
    }

    /// A daemon's answer is on its way. One that changes nothing where it arrives need not arrive.
    mutating func answer(_ answer: Answer, _ index: Int) -> Violation? {
        switch answer {
        case .accepted(successor: .some), .issued:
            requests[index].phase = requests[index].presenter == .jar ? .answered(answer) : .finished
        case .accepted(nil), .refused, .revoked: requests[index].phase = .finished
        }
        return Invariants.check(answer, of: index, in: &self)
    }

    /// Equal for worlds whose future is the same.
    func key(_ symbols: Symbols) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(160)
        key += [UInt8(now), jar, UInt8(losses), UInt8(touches.count)]
        append(stored, symbols, to: &key)
        for request in requests {
            switch request.phase {
            case .unsent:
                key.append(0)
                continue
            case .finished:
                key.append(1)
                continue
            case .sent: key.append(2)
            case .committing(let commit):
                key.append(3)
                append(commit, symbols, to: &key)
            case .answered(let answer):
                switch answer {
                case .accepted(nil): key.append(4)
                case .accepted(let successor?): key += [5, successor]
                case .issued(let token): key += [6, token]
                case .refused: key.append(7)
                case .revoked: key.append(8)
                }
            }
            key += [request.token, UInt8(request.sentAt), request.interruptions, request.mustBeRefused ? 1 : 0]
        }
        for touch in touches { key.append(UInt8(touch.notAfter)) }
        reference.appendKey(to: &key)
        return key
    }

    private func append(_ commit: Commit, _ symbols: Symbols, to key: inout [UInt8]) {
        key += [
            UInt8(clamping: commit.revision), commit.effect.rawValue, UInt8(commit.request), UInt8(commit.decidedAt),
            UInt8(commit.notAfter), commit.flow.key,
        ]
        append(commit.next, symbols, to: &key)
    }

    private func append(_ session: StoredSession, _ symbols: Symbols, to key: inout [UInt8]) {
        switch session {
        case .absent: key.append(0)
        case .ended(let tombstone): key += [1, tombstone.login.map { symbols.number(of: $0.digest) } ?? 255]
        case .live(let record):
            key += [
                2, UInt8(clamping: record.revision), symbols.number(of: record.current),
                record.confirmedAt.map(Ticks.tick) ?? 0, UInt8(clamping: record.generation),
                Ticks.tick(record.lastAccess), Ticks.tick(record.absoluteEnd), UInt8(clamping: record.forcedGeneration),
                record.previous.map { symbols.number(of: $0.digest) } ?? 255, UInt8(record.remembered.count),
            ]
            for token in record.remembered {
                key += [symbols.number(of: token.prefix), Ticks.tick(token.retiredAt), Ticks.tick(token.overlapEnd)]
            }
            if let login = record.login { key += [1, symbols.number(of: login.digest), Ticks.tick(login.until)] }
            key.append(UInt8(clamping: record.subject.count))
        }
    }
}
