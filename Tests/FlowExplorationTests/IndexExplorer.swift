import EventLoop
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// Visits every world that a scenario of S13 can come to, breadth first: the first violation found is one of the shortest.
///
/// The flows are the daemon's; what it does between them and Redis (`Runner.swift`, `Fates.swift`) is in
/// `IndexDaemon`. A script that is lost is one that never acts, a daemon that dies or stands still one whose step never
/// comes, or late.
struct IndexExplorer {
    struct Report {
        var states = 0
        /// Moments at which nothing was under way, and an index was looked at.
        var rests = 0
        var violation: String?
    }

    private enum Step {
        case start, tick, failover
        case advance(Int), loseReply(Int), act(Int), actTwice(Int), die(Int)
    }

    private let scenario: IndexScenario
    private let daemon: IndexDaemon

    init(_ scenario: IndexScenario, removed: RemovedIndexRule? = nil) throws {
        self.scenario = scenario
        daemon = try IndexDaemon(scenario, removed: removed)
    }

    func explore() throws -> Report {
        var report = Report()
        let start = daemon.start()
        var known: Set<UInt64> = [start.key]
        var parents: [(parent: Int, step: Step)] = [(0, .start)]
        var frontier = [(world: start, number: 0)]
        var looked: Set<UInt64> = []
        while !frontier.isEmpty {
            var next: [(world: IndexWorld, number: Int)] = []
            for (world, number) in frontier {
                report.states += 1
                for step in steps(from: world) {
                    var world = world
                    let broken = try take(step, in: &world) ?? violation(of: world)
                    guard broken != nil || known.insert(world.key).inserted else { continue }
                    parents.append((number, step))
                    let rest = broken == nil ? try restViolation(of: world, &looked) : nil
                    if let broken = broken ?? rest {
                        report.violation = "\(broken)\n" + trace(to: parents.count - 1, parents)
                        return report
                    }
                    next.append((world, parents.count - 1))
                }
            }
            frontier = next
        }
        report.rests = looked.count
        return report
    }

    private func trace(to last: Int, _ parents: [(parent: Int, step: Step)]) -> String {
        var (number, steps) = (last, [String]())
        while number != 0 {
            steps.append("\(parents[number].step)")
            number = parents[number].parent
        }
        return "\(scenario.commands): " + steps.reversed().joined(separator: ", ")
    }

    private func steps(from world: IndexWorld) -> [Step] {
        var steps: [Step] = []
        // Nothing can come any more; what only time does is seen in `restViolation`.
        if !world.actors.contains(where: { !$0.isOver }), world.scripts.isEmpty { return [] }
        if world.now < scenario.ticks { steps.append(.tick) }
        if world.failovers > 0 { steps.append(.failover) }
        for (place, actor) in world.actors.enumerated() {
            switch actor.phase {
            case .over: break
            case .unsent:
                // Equal ones are interchangeable.
                let isFirst = !world.actors[..<place].contains { other in
                    guard case .unsent = other.phase else { return false }
                    return other.command == actor.command
                }
                if isFirst { steps.append(.advance(place)) }
            case .written: steps.append(.advance(place))
            case .waiting(_, let pending):
                steps.append(.advance(place))
                switch pending {
                case .enter where world.losses > 0, .commit where world.losses > 0: steps.append(.loseReply(place))
                default: break
                }
            }
        }
        for place in world.scripts.indices {
            steps.append(.act(place))
            if world.losses > 0 { steps.append(.actTwice(place)) }
        }
        if world.deaths > 0 {
            for number in world.sessions.indices where world.record(number) != nil { steps.append(.die(number)) }
        }
        return steps
    }

    private func take(_ step: Step, in world: inout IndexWorld) throws -> String? {
        switch step {
        case .start: break
        case .tick:
            world.now += 1
            world.expire()
            daemon.forget(in: &world)
        case .failover:
            guard let (master, ahead) = scenario.failover else { return nil }
            world.failovers -= 1
            switch master {
            case .daemons: world.clocks.daemons = ahead
            case .session: world.clocks.session = ahead
            case .index: world.clocks.index = ahead
            }
            world.expire()
        case .advance(let place): return try daemon.advance(place, &world)
        case .loseReply(let place):
            world.losses -= 1
            try daemon.loseReply(place, &world)
        case .act(let place): daemon.act(world.scripts.remove(at: place), &world)
        case .actTwice(let place):
            world.losses -= 1
            daemon.act(world.scripts[place], &world)
        case .die(let number):
            world.deaths -= 1
            world.sessions[number] = .absent
            world.ends[number] = .earliest
        }
        return nil
    }

    // MARK: What must hold

    /// At every moment.
    private func violation(of world: IndexWorld) -> String? {
        for number in world.sessions.indices {
            guard let record = world.record(number) else { continue }
            guard let score = world.scores[number] else { return "S13: session \(number) lives outside its index" }
            if score < Double(record.absoluteEnd.sinceEpoch), !world.condemned[number] {
                return "S13: the place of session \(number) ends before it, and nobody had found none"
            }
        }
        return nil
    }

    /// When nothing is under way, and nothing comes: to the end of all sessions.
    private func aged(_ world: IndexWorld) -> String? {
        var world = world
        while world.sessions.indices.contains(where: { world.record($0) != nil }) {
            world.now += 1
            world.expire()
            if let broken = violation(of: world) { return broken }
        }
        return nil
    }

    /// When nothing is under way somebody looks, and once more when four minutes have passed.
    private func restViolation(of world: IndexWorld, _ looked: inout Set<UInt64>) throws -> String? {
        guard world.scripts.isEmpty, !world.actors.contains(where: \.isUnderWay) else { return nil }
        let moment = [UInt64(world.now), UInt64(bitPattern: Int64(world.clocks.index))] + world.stored
        guard looked.insert(.mixed(moment)).inserted else { return nil }
        if let broken = aged(world) { return broken }
        var world = world
        let dead = world.sessions.indices.filter { world.record($0) == nil }
        try daemon.look(&world)
        for number in world.sessions.indices {
            guard let record = world.record(number) else { continue }
            if world.scores[number] ?? 0 < Double(record.absoluteEnd.sinceEpoch) {
                return "S13: session \(number) was seen to live, and its place ends before it"
            }
        }
        // Those that would have ended about now are left alone the first time.
        world.now += 2 * Int(IndexWorld.margin / IndexWorld.tick) + 1
        world.expire()
        try daemon.look(&world)
        if let left = dead.first(where: { world.scores[$0] != nil }) {
            return "S13: session \(left) is dead, was looked for twice, and is in the index"
        }
        return violation(of: world)
    }
}

extension IndexWorld.Actor {
    fileprivate var isOver: Bool { if case .over = phase { true } else { false } }

    fileprivate var isUnderWay: Bool {
        switch phase {
        case .unsent, .over: false
        case .waiting, .written: true
        }
    }
}
