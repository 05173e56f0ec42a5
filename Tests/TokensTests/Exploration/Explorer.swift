@testable import Tokens

/// Visits every world that a scenario can come to, breadth first: the first violation found is one of the shortest.
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
        case send(Int), decide(Int), commit(Int), commitAndLoseReply(Int), giveUp(Int), deliver(Int), loseResponse(Int)
        case loseRequest(Int), strayActs(Int), touchActs(Int)
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
    /// Bounds the memory of a test: no scenario here has more.
    private static let maxStates = 2_000_000

    init(_ scenario: Scenario, removed: RemovedRule? = nil) throws {
        symbols = try Symbols()
        self.scenario = scenario
        self.removed = removed
        daemon = Daemon(symbols: symbols, scenario: scenario, removed: removed)
    }

    func explore() throws -> Report {
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
            guard seen.count < Self.maxStates else { return report }
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
        let mayLose = world.losses > 0
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
            case .sent:
                steps.append(.decide(index))
                if mayLose { steps.append(.loseRequest(index)) }
            case .committing:
                steps.append(.commit(index))
                if mayLose { steps += [.commitAndLoseReply(index), .giveUp(index)] }
            case .answered:
                // An answer older than the overlap finds nobody who waits for it.
                if world.now - request.sentAt <= Ticks.overlap { steps.append(.deliver(index)) }
                if mayLose || world.now - request.sentAt > Ticks.overlap { steps.append(.loseResponse(index)) }
            case .finished: break
            }
        }
        for index in world.strays.indices { steps.append(.strayActs(index)) }
        for index in world.touches.indices { steps.append(.touchActs(index)) }
        return steps
    }

    private func take(_ step: Step, in world: inout World) throws -> Violation? {
        switch step {
        case .start: return nil
        case .tick: world.tick()
        case .send(let index): send(index, &world)
        case .decide(let index): return try daemon.decide(index, in: &world)
        case .commit(let index): return try commit(index, repliesArrive: true, &world)
        case .commitAndLoseReply(let index):
            world.losses -= 1
            return try commit(index, repliesArrive: false, &world)
        case .giveUp(let index):
            guard case .committing(let commit) = world.requests[index].phase else { return nil }
            world.losses -= 1
            world.strays.append(commit)
            world.requests[index].phase = .answered(.unavailable)
        case .loseRequest(let index):
            world.losses -= 1
            world.requests[index].phase = .finished
        case .deliver(let index): deliver(index, &world)
        case .loseResponse(let index):
            if world.now - world.requests[index].sentAt <= Ticks.overlap { world.losses -= 1 }
            world.requests[index].phase = .finished
        case .strayActs(let index):
            return world.execute(world.strays.remove(at: index), removed: removed).1
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
        world.requests[index].phase = .sent
    }

    /// The link carries a command out, and repeats it where its reply was lost; a late one is made anew.
    private func commit(_ index: Int, repliesArrive: Bool, _ world: inout World) throws -> Violation? {
        guard case .committing(var commit) = world.requests[index].phase else { return nil }
        commit.notAfter = max(commit.notAfter, world.now)
        let (outcome, violation) = world.execute(commit, removed: removed)
        if violation != nil || !repliesArrive { return violation }
        if outcome == .overtaken, commit.effect == .rotate, removed == .loserReturnsWhatStands {
            world.requests[index].phase = .answered(.accepted(successor: daemon.candidate(index)))
            return Invariants.check(.accepted(successor: daemon.candidate(index)), of: index, in: &world)
        }
        if outcome == .done {
            switch commit.effect {
            case .login, .rotateByForce, .endByLogin: return finish(.issued(daemon.candidate(index)), index, &world)
            case .endByLogout: return finish(.revoked, index, &world)
            case .endByReplay: return finish(.refused, index, &world)
            case .confirm, .rotate, .confirmAndRotate: break
            }
        }
        return try daemon.decide(index, in: &world)
    }

    private func finish(_ answer: World.Answer, _ index: Int, _ world: inout World) -> Violation? {
        world.requests[index].phase = .answered(answer)
        return Invariants.check(answer, of: index, in: &world)
    }

    private func deliver(_ index: Int, _ world: inout World) {
        if case .answered(let answer) = world.requests[index].phase, world.requests[index].presenter == .jar {
            switch answer {
            case .accepted(let successor?): world.jar = successor
            case .issued(let token): world.jar = world.reference.isEnded ? Symbols.elsewhere : token
            case .accepted(nil), .refused, .revoked, .unavailable: break
            }
        }
        world.requests[index].phase = .finished
    }
}
