import Testing
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// The rules of data that an exploration can take away, each by a lens on what is sent, or in the link.
enum RemovedDataRule: String, CaseIterable {
    /// A daemon sends what is to be added, never the sum that it made itself.
    case redisAdds
    /// The condition of a SET is held against what stands there when it is written.
    case conditionIsSent
    /// GETDEL tells what it took, not what it read before.
    case takenIsTold
    /// After an unknown fate INCR, GETDEL, SET with IF are sent at most once.
    case incrIsSentOnce, getDelIsSentOnce, conditionIsSentOnce
    /// The same where a guest becomes a session by it.
    case promotionIsSentOnce
    /// A guest's session is made only where there is none.
    case promotionIsOverNothing
}

struct DataScenario: CustomTestStringConvertible {
    var name: String
    var commands: [(DataCommand, DataWorld.Presenter)]
    var start: [String: String] = [:]
    var losses = 2
    var logins = 0

    var testDescription: String { name }
}

/// Visits every world that racing commands on one session's data can come to. Each may be at a daemon of its own: of data
/// daemons know nothing together but what stands in Redis.
///
/// What is lost is what is never taken up; a lost reply, and a command that is given up, need steps of their own.
struct DataExplorer {
    struct Report {
        var states = 0
        var ends = 0
        var violation: String?
    }

    private enum Step {
        case send(Int), read(Int), go(Int), commit(Int), commitAndLoseReply(Int), giveUp(Int), act(Int), login
    }

    private let scenario: DataScenario
    private let removed: RemovedDataRule?
    private let ground: Ground
    private let symbols: Symbols
    private let guest: Guest

    init(_ scenario: DataScenario, removed: RemovedDataRule? = nil) throws {
        self.scenario = scenario
        self.removed = removed
        symbols = try Symbols()
        ground = Ground(symbols: symbols, policy: TokenPolicy(), sealer: try Ground.sealer())
        ground.time = Ticks.time(0)
        guest = try ground.makeGuest()
    }

    func explore() throws -> Report {
        var report = Report()
        let start = try world()
        var known: Set<[UInt8]> = [start.key]
        var open = [(world: start, trace: [Step]())]
        while let (world, trace) = open.popLast() {
            report.states += 1
            if isOver(world) {
                report.ends += 1
                if let violation = violation(of: world, from: start) {
                    report.violation = ([violation] + trace.map { "\($0)" }).joined(separator: "\n")
                    return report
                }
            }
            for step in steps(from: world) {
                var next = world
                try take(step, in: &next)
                if known.insert(next.key).inserted { open.append((next, trace + [step])) }
            }
        }
        return report
    }

    private func world() throws -> DataWorld {
        let isGuest = scenario.commands.contains { $0.1 == .guest }
        let record = SessionRecord(
            token: symbols.digests[0], subject: [], idle: 1_000_000, absolute: 2_000_000, now: ground.time)
        return DataWorld(
            session: isGuest ? nil : record,
            data: scenario.start.sorted { $0.key < $1.key }.map { RecordField($0.key, $0.value) },
            requests: scenario.commands.map { DataWorld.Request(command: $0.0, presenter: $0.1) },
            losses: scenario.losses, logins: scenario.logins)
    }

    /// Nobody waits for an answer.
    private func isOver(_ world: DataWorld) -> Bool {
        world.requests.allSatisfy { request in
            switch request.phase {
            case .unsent, .answered, .adrift: true
            case .reading, .read, .writing: false
            }
        }
    }

    private func violation(of world: DataWorld, from start: DataWorld) -> String? {
        let sent = world.requests.enumerated().filter { $0.element.answer != nil }
        let places = Dictionary(uniqueKeysWithValues: sent.enumerated().map { ($1.offset, $0) })
        let told = sent.map { _, request in
            DataStory.Told(
                command: request.command, answer: request.answer ?? .unavailable,
                after: places.reduce(0) { mask, place in
                    request.after >> UInt8(place.key) & 1 == 1 ? mask | 1 << UInt8(place.value) : mask
                })
        }
        if DataStory(told: told, start: start.reference, end: world.reference).isExplained { return nil }
        let answers = told.map { "\($0.command) → \($0.answer)" }.joined(separator: "; ")
        return "S14: no order of the commands explains \(answers); what is left: \(world.reference.fields)"
    }

    // MARK: Steps

    private func steps(from world: DataWorld) -> [Step] {
        var steps: [Step] = []
        for (index, request) in world.requests.enumerated() {
            switch request.phase {
            case .unsent: steps.append(.send(index))
            case .reading: steps.append(.read(index))
            case .read: steps.append(.go(index))
            case .writing:
                steps.append(.commit(index))
                if world.losses > 0 { steps += [.commitAndLoseReply(index), .giveUp(index)] }
            case .adrift: steps.append(.act(index))
            case .answered: break
            }
        }
        if world.logins > 0, world.session != nil { steps.append(.login) }
        return steps
    }

    private func take(_ step: Step, in world: inout DataWorld) throws {
        switch step {
        case .send(let index):
            world.requests[index].after = world.requests.enumerated().reduce(0) { mask, other in
                other.element.answer == nil ? mask : mask | 1 << UInt8(other.offset)
            }
            world.requests[index].flow = DataFlow(
                try judging(world.requests[index].presenter), world.requests[index].command.change)
            try advance(index, .begin, &world)
        case .read(let index): world.requests[index].phase = .read(world.copy)
        case .go(let index):
            guard case .read(let copy) = world.requests[index].phase else { return }
            try advance(index, .read(copy, .redis(mayBeKept: false)), &world)
        case .commit(let index):
            guard case .writing(let write) = world.requests[index].phase else { return }
            try advance(index, commit(write, index, &world), &world)
        case .commitAndLoseReply(let index):
            guard case .writing(let write) = world.requests[index].phase else { return }
            world.losses -= 1
            _ = commit(write, index, &world)
            // The link repeats what may be repeated: it goes on waiting.
            let mayRepeat = try write.change(tombstoneEnd: ground.time).isRepeatable || isRepeatedAnyway(write)
            if mayRepeat { world.requests[index].seen.append(250) } else { answer(index, .unavailable, &world) }
        case .giveUp(let index):
            guard case .writing(let write) = world.requests[index].phase else { return }
            world.losses -= 1
            answer(index, .unavailable, &world)
            world.requests[index].phase = .adrift(write)
        case .act(let index):
            guard case .adrift(let write) = world.requests[index].phase else { return }
            world.requests[index].phase = .answered
            _ = commit(write, index, &world)
        case .login:
            world.logins -= 1
            world.session = world.session?.forced(
                to: symbols.digests[9], csrfSalt: Digest(), pageGuest: nil, policy: ground.policy, now: ground.time)
        }
    }

    private func judging(_ presenter: DataWorld.Presenter) throws -> Judging {
        let token = SessionToken(sid: guest.sid, verifier: symbols.verifiers[0])
        return switch presenter {
        case .worker: Judging(guest.sid, nil)
        case .token:
            Judging(guest.sid, Claim(token: token, digest: symbols.digests[0], guest: nil, signals: Signals()))
        case .guest: Judging(guest.sid, try ground.claim(of: guest))
        }
    }

    /// Steps until the flow waits for something, or has answered.
    private func advance(_ index: Int, _ first: FlowEvent, _ world: inout DataWorld) throws {
        guard var flow = world.requests[index].flow else { return }
        ground.candidate = UInt8(index + 1)
        var event = first
        while true {
            note(event, index, &world)
            switch try flow.next(event, ground) {
            case .whenSettled: event = .settled
            case .whenReplicated: event = .replicated
            case .askTime: event = .time(ground.time)
            case .read:
                world.requests[index].phase = .reading
                world.requests[index].flow = flow
                return
            case .write(let write, _):
                world.requests[index].phase = .writing(write)
                world.requests[index].flow = flow
                return
            case .answer(.refused, _): return answer(index, .refused, &world)
            case .answer(.accepted(let changed), _): return answer(index, DataAnswer(changed.outcome), &world)
            default: throw UnexpectedEvent()
            }
        }
    }

    private func note(_ event: FlowEvent, _ index: Int, _ world: inout DataWorld) {
        var seen: [UInt8] = [255]
        switch event {
        case .read(let copy, _), .overtaken(let copy):
            seen = [254] + DataWorld.mark(copy)
            world.requests[index].decidedOn = copy.data
        case .written(let outcome): seen = [253] + DataAnswer(outcome).mark
        default: break
        }
        world.requests[index].seen += seen
    }

    private func answer(_ index: Int, _ answer: DataAnswer, _ world: inout DataWorld) {
        world.requests[index].phase = .answered
        world.requests[index].answer = answer
        world.requests[index].flow = nil
        world.requests[index].seen = []
    }

    // MARK: Rules removed

    private func commit(_ write: SessionWrite, _ index: Int, _ world: inout DataWorld) -> FlowEvent {
        let event = world.commit(
            bent(write, world.requests[index].decidedOn), isOverAnything: removed == .promotionIsOverNothing)
        guard case .written(let outcome) = event else { return event }
        switch (removed, world.requests[index].command) {
        case (.redisAdds, .incr(let field, let number)):
            let before = world.requests[index].decidedOn.value(of: Array(field.utf8))
            return .written(.sum((Int64(strict: before) ?? 0) + Int64(number)))
        case (.takenIsTold, .getDel(let field)):
            return .written(.taken(world.requests[index].decidedOn.picked([Array(field.utf8)])))
        default: return .written(outcome)
        }
    }

    private func bent(_ write: SessionWrite, _ data: [RecordField]) -> SessionWrite {
        switch (removed, write.data) {
        case (.redisAdds, .add(let number, let name)):
            let sum = (Int64(strict: data.value(of: name)) ?? 0) + number
            return .data(.set([RecordField(name: name, value: Array(String(sum).utf8))]), over: write.over)
        case (.conditionIsSent, .set(let fields, _)):
            guard case .setData = write.kind else { return write }
            return .data(.set(fields), over: write.over)
        default: return write
        }
    }

    private func isRepeatedAnyway(_ write: SessionWrite) -> Bool {
        switch (removed, write.kind, write.data) {
        case (.incrIsSentOnce, .setData, .add), (.getDelIsSentOnce, .setData, .take): true
        case (.conditionIsSentOnce, .setData, .set(_, let conditions)): !conditions.isEmpty
        case (.promotionIsSentOnce, .promote, _): true
        default: false
        }
    }
}
