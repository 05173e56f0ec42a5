@testable import TokenCache
@testable import Tokens

/// Visits every world that a scenario can come to, breadth first: the first violation found is one of the shortest.
///
/// What is lost is what is never taken up: a request, a command or a response that is lost, and a daemon that dies, are
/// worlds in which it is still under way when all else has happened. Only a lost reply of Redis needs a step of its
/// own, for then the link repeats a command that was carried out.
struct Explorer {
    struct Report {
        var states = 0
        var transitions = 0
        /// Worlds in which nothing more can happen.
        var ends = 0
        var depth = 0
        var violation: Violation?
        /// How the violation came about, step by step.
        var trace: [String] = []
        var isComplete = false
    }

    private enum Step: Equatable {
        case start, tick
        case send(Int), read(Int), go(Int), commit(Int), commitAndLoseReply(Int), giveUp(Int), act(Int)
        case deliver(Int), touchActs(Int)
    }

    private struct Visit {
        let world: World
        let number: Int
        let depth: Int
    }

    private let scenario: Scenario
    private let removed: RemovedRule?
    private let daemon: Daemon
    private let symbols: Symbols

    init(_ scenario: Scenario, removed: RemovedRule? = nil) throws {
        symbols = try Symbols()
        self.scenario = scenario
        self.removed = removed
        daemon = Daemon(symbols: symbols, scenario: scenario, removed: removed)
    }

    /// - Parameter limit: of states; bounds time and memory where the scenario is larger.
    func explore(limit: Int = 2_000_000) throws -> Report {
        var report = Report()
        let start = World(scenario, symbols: symbols)
        var seen: Set<[UInt8]> = [start.key(symbols)]
        var parents: [(parent: Int, step: Step)] = [(0, .start)]
        var frontier = [Visit(world: start, number: 0, depth: 0)]
        while !frontier.isEmpty {
            var next: [Visit] = []
            for visit in frontier {
                report.states += 1
                report.depth = visit.depth
                var successors = 0
                for step in steps(from: visit.world) {
                    var world = visit.world
                    let violation = try take(step, in: &world)
                    successors += 1
                    report.transitions += 1
                    if let violation {
                        report.violation = violation
                        report.trace = trace(to: visit.number, parents) + ["\(step)"]
                        return report
                    }
                    guard seen.insert(world.key(symbols)).inserted else { continue }
                    parents.append((visit.number, step))
                    next.append(Visit(world: world, number: parents.count - 1, depth: visit.depth + 1))
                }
                if successors == 0 { report.ends += 1 }
            }
            guard seen.count < limit else { return report }
            frontier = next
        }
        report.isComplete = true
        return report
    }

    private func trace(to number: Int, _ parents: [(parent: Int, step: Step)]) -> [String] {
        var number = number
        var steps: [String] = []
        while number != 0 {
            steps.append("\(parents[number].step)")
            number = parents[number].parent
        }
        return steps.reversed()
    }

    private func steps(from world: World) -> [Step] {
        var steps: [Step] = []
        if world.now < scenario.ticks { steps.append(.tick) }
        for (index, request) in world.requests.enumerated() {
            switch request.phase {
            case .unsent:
                if request.presenter == .jar, world.jar == Symbols.elsewhere { continue }
                // Equal requests are interchangeable: the first of them goes first.
                let isFirst = !world.requests[..<index].contains { other in
                    guard case .unsent = other.phase else { return false }
                    return other.operation == request.operation && other.presenter == request.presenter
                }
                if isFirst { steps.append(.send(index)) }
            case .waiting: break
            case .reading: steps.append(.read(index))
            case .read: steps.append(.go(index))
            case .committing(let commit):
                steps.append(.commit(index))
                if world.losses > 0 {
                    steps.append(.commitAndLoseReply(index))
                    // What is given up before it was sent changes nothing: the same as a response that is lost.
                    if commit.effect.isForced { steps.append(.giveUp(index)) }
                }
            case .adrift: steps.append(.act(index))
            case .answered:
                // An answer older than the overlap finds nobody who waits for it.
                if world.now - request.sentAt <= Ticks.overlap { steps.append(.deliver(index)) }
            case .finished: break
            }
        }
        for index in world.touches.indices { steps.append(.touchActs(index)) }
        return steps
    }

    private func take(_ step: Step, in world: inout World) throws -> Violation? {
        switch step {
        case .start: return nil
        case .tick: world.tick()
        case .send(let index):
            send(index, &world)
            return try daemon.begin(index, in: &world)
        case .read(let index):
            guard case .reading(let flow) = world.requests[index].phase else { return nil }
            daemon.take(index, flow, in: &world)
            return scenario.readsAtOnce ? try take(.go(index), in: &world) : nil
        case .go(let index):
            guard case .read(let flow, let copy) = world.requests[index].phase else { return nil }
            return try daemon.go(on: index, flow, copy, in: &world)
        case .giveUp(let index):
            world.losses -= 1
            return try daemon.giveUp(index, in: &world)
        case .act(let index): return act(index, &world)
        case .commit(let index): return try commit(index, repliesArrive: true, &world)
        case .commitAndLoseReply(let index):
            world.losses -= 1
            return try commit(index, repliesArrive: false, &world)
        case .deliver(let index): deliver(index, &world)
        case .touchActs(let index):
            return world.execute(world.touches.remove(at: index), removed: removed)
        }
        return nil
    }

    private func send(_ index: Int, _ world: inout World) {
        let token: UInt8 =
            switch world.requests[index].presenter {
            case .jar: world.jar
            case .firstToken: 0
            case .forger: Symbols.forged
            }
        world.requests[index].token = token
        world.requests[index].sentAt = world.now
        world.requests[index].interruptions = world.reference.interruptions
        world.requests[index].mustBeRefused = world.reference.isAcknowledgedDead(token)
        world.requests[index].wasGivenUp = world.gaveUpEnd[world.requests[index].daemon]
        world.look(for: index)
    }

    /// The link carries a command out, and repeats it where its reply was lost; a late one is made anew.
    private func commit(_ index: Int, repliesArrive: Bool, _ world: inout World) throws -> Violation? {
        guard case .committing(var commit) = world.requests[index].phase else { return nil }
        commit.notAfter = max(commit.notAfter, world.now)
        let (outcome, violation) = world.execute(commit, removed: removed)
        world.noteRights()
        if violation != nil || !repliesArrive { return violation }
        return try daemon.go(on: index, commit, isWritten: outcome == .done, in: &world)
    }

    /// A command that was given up acts, if its time has not passed; its daemon takes in its fate.
    private func act(_ index: Int, _ world: inout World) -> Violation? {
        guard case .adrift(let commit) = world.requests[index].phase else { return nil }
        world.requests[index].phase = .finished
        let (outcome, violation) = world.execute(commit, removed: removed)
        world.noteRights()
        if outcome == .late {
            daemon.loseSight(of: commit, world.requests[index].daemon, &world)
        } else {
            world.settled(symbols.sid, daemon: world.requests[index].daemon)
        }
        return violation
    }

    private func deliver(_ index: Int, _ world: inout World) {
        if case .answered(let answer) = world.requests[index].phase {
            switch answer {
            case .accepted(let successor?): world.jar = successor
            case .issued(let token): world.jar = world.reference.isEnded ? Symbols.elsewhere : token
            case .accepted(nil), .refused, .revoked, .unavailable: break
            }
        }
        world.requests[index].phase = .finished
    }
}
