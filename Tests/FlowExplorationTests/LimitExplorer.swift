import EventLoop
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// Visits every world that racing logins of one subject under a limit can come to, over as many daemons.
struct LimitExplorer {
    struct Report {
        var states = 0
        var ends = 0
        var violation: String?
    }

    private enum Step { case advance(Int), loseReply(Int), giveUp(Int) }

    private let scenario: LimitScenario
    private let removed: RemovedLimitRule?
    private let ground: Ground
    private let symbols: Symbols
    private let sids: [SessionID]

    init(_ scenario: LimitScenario, removed: RemovedLimitRule? = nil) throws {
        self.scenario = scenario
        self.removed = removed
        symbols = try Symbols()
        var policy = TokenPolicy()
        policy.onLimit = scenario.policy
        ground = Ground(symbols: symbols, policy: policy)
        ground.time = Ticks.time(0)
        sids = (0..<12).map { number in
            var sid = SessionID()
            sid.withUnsafeMutableBytes { $0[0] = UInt8(number) }
            return sid
        }
    }

    private func number(_ sid: SessionID) -> Int { sids.firstIndex(of: sid) ?? -9 }
    private var anonymous: Int { scenario.before }
    /// The session that a login makes.
    private func own(_ login: Int) -> Int { scenario.before + 1 + login }
    /// The token of a session from before.
    private func token(_ number: Int) -> UInt8 { UInt8(10 + number) }

    func start() throws -> LimitWorld {
        func session(_ number: Int, _ subject: [UInt8], login: Int64? = nil) -> StoredSession {
            var record = SessionRecord(
                token: symbols.digests[Int(token(number))], subject: subject, idle: 60_000, absolute: 60_000,
                now: ground.time)
            record.loginNumber = login
            return .live(record)
        }
        var world = LimitWorld(
            index: [:], lastNumber: Int64(scenario.before), written: [:], sessions: [:], logins: [],
            losses: scenario.losses)
        for number in 0..<scenario.before {
            let login = Int64(number + 1)
            world.sessions[number] = session(number, LimitWorld.subject, login: login)
            (world.index[number], world.written[number]) = (login, login)
        }
        world.sessions[anonymous] = session(anonymous, [])
        for maker in scenario.makers { try begin(maker, &world) }
        return world
    }

    private func begin(_ maker: LimitScenario.Maker, _ world: inout LimitWorld) throws {
        let place = world.logins.count
        stand(place)
        var request = SessionRequest()
        request.subject = LimitWorld.subject
        request.maxSessions = scenario.limit
        let flow: LimitWorld.Login.Flow =
            switch maker {
            case .issue: .issue(try LimitedFlow(IssueFlow(request, ground), request, ground))
            case .login(let number): .login(try login(over: number, request))
            case .loginOverAnonymous: .login(try login(over: anonymous, request))
            }
        world.logins.append(LimitWorld.Login(maker: maker, flow: flow, step: .askTime))
        try tell(.begin, place, &world)
    }

    private func login(over number: Int, _ request: SessionRequest) throws -> LimitedFlow<LoginFlow> {
        let verifier = symbols.verifiers[Int(token(number))]
        let claim = Claim(
            token: SessionToken(sid: sids[number], verifier: verifier),
            digest: symbols.digests[Int(token(number))], guest: nil, signals: Signals())
        return try LimitedFlow(LoginFlow(claim, request, ground), request, ground)
    }

    private func stand(_ place: Int) {
        ground.candidate = UInt8(place + 1)
        ground.freshSid = sids[own(place)]
    }

    // MARK: All worlds

    func explore() throws -> Report {
        var report = Report()
        let start = try start()
        var known: Set<[Int]> = [start.key]
        var open = [start]
        while let world = open.popLast() {
            report.states += 1
            let steps = steps(from: world)
            if steps.isEmpty { report.ends += 1 }
            if let violation = try violation(of: world, isEnd: steps.isEmpty) {
                report.violation = violation
                return report
            }
            for step in steps {
                var next = world
                try take(step, in: &next)
                if known.insert(next.key).inserted { open.append(next) }
            }
        }
        return report
    }

    private func steps(from world: LimitWorld) -> [Step] {
        var steps: [Step] = []
        for (place, login) in world.logins.enumerated() where login.answer == nil {
            steps.append(.advance(place))
            guard world.losses > 0, case .write(let write, _) = login.step, !mustEnter(login, write) else { continue }
            steps += [.loseReply(place), .giveUp(place)]
        }
        return steps
    }

    private func take(_ step: Step, in world: inout LimitWorld) throws {
        switch step {
        case .advance(let place): try advance(place, &world)
        case .loseReply(let place):
            guard case .write(let write, let sid) = world.logins[place].step else { return }
            world.losses -= 1
            _ = world.commit(write, number(sid), given: world.logins[place].given)
            // The link repeats what may be repeated.
            if try write.change(tombstoneEnd: ground.time).isRepeatable {
                world.logins[place].seen.append(-7)
            } else {
                try tell(.failed(.timeIsUp), place, &world)
            }
        case .giveUp(let place):
            world.losses -= 1
            try tell(.failed(.timeIsUp), place, &world)
        }
    }

    /// Redis cannot carry out what a login waits for.
    func fail(_ place: Int, _ world: inout LimitWorld) throws {
        let fault = Unavailable.timeIsUp
        guard case .each(let parts) = world.logins[place].step else { return try tell(.failed(fault), place, &world) }
        try tell(.gathered(parts.map { _ in .failure(ServiceFault(fault)) }), place, &world)
    }

    private func mustEnter(_ login: LimitWorld.Login, _ write: SessionWrite) -> Bool {
        write.entersIndex != nil && !login.hasEntered
    }

    /// Redis carries out one step of a login.
    func advance(_ place: Int, _ world: inout LimitWorld) throws {
        let login = world.logins[place]
        switch login.step {
        case .read(.anew(let sid)), .read(.shared(let sid)):
            world.logins[place].seen += world.mark(number(sid))
            try tell(.read(world.copy(number(sid)), .redis(mayBeKept: false)), place, &world)
        case .noteLogin: try tell(.noted, place, &world)
        case .enter(let entry):
            let isFull = world.isFull(for: number(entry.sid), limit: entry.limit ?? .max)
            let isTaken = !isFull || removed == .placeIsTakenFirst
            let given = isTaken ? world.enter(number(entry.sid), by: place, removed: removed) : nil
            world.logins[place].seen.append(Int(given ?? 0))
            try tell(.entered(isTaken ? .entered(IndexPlace(number: given, others: [])) : .full), place, &world)
        case .write(var write, let sid) where mustEnter(login, write):
            write.take(number: world.enter(number(sid), by: place, removed: removed))
            world.logins[place].step = .write(write, of: sid)
            world.logins[place].hasEntered = true
        case .write(let write, let sid):
            let event = world.commit(write, number(sid), given: login.given)
            world.logins[place].hasEntered = false
            world.logins[place].seen += world.mark(number(sid)) + [-8]
            try tell(event, place, &world)
        case .readIndex:
            let index = world.index.keys.sorted()
            world.logins[place].seen += index
            let members = index.map { IndexMember(sid: sids[$0], score: Array("1".utf8), asked: .earliest) }
            try tell(.page(IndexPage(members: members, next: nil)), place, &world)
        case .each(let parts): try carryOut(parts, place, &world)
        default: throw UnexpectedEvent()
        }
    }

    private func carryOut(_ parts: [FlowPart], _ place: Int, _ world: inout LimitWorld) throws {
        if let ending = world.logins[place].ending {
            world.logins[place].ending = nil
            let answers = try ending.map { try end($0.0, $0.1, place, &world) }
            return try tell(.gathered(answers), place, &world)
        }
        var answers: [Result<PartAnswer, ServiceFault>] = []
        var ending: [(RevokeFlow, FlowStep<RevokeAnswer>)] = []
        for part in parts {
            switch part {
            case .facts(let flow):
                world.logins[place].seen += world.mark(number(flow.sid))
                answers.append(.success(.found(world.facts(number(flow.sid), removed: removed))))
            case .revoke(var flow):
                if removed == .renewedIsLeft { flow.generation = nil }
                world.logins[place].seen += world.mark(number(flow.sid))
                ending.append((flow, try begin(&flow, world)))
                ending[ending.count - 1].0 = flow
            case .sweep: throw UnexpectedEvent()
            }
        }
        if ending.isEmpty { return try tell(.gathered(answers), place, &world) }
        world.logins[place].ending = ending
    }

    /// Reads the session that is to be ended.
    private func begin(_ flow: inout RevokeFlow, _ world: LimitWorld) throws -> FlowStep<RevokeAnswer> {
        _ = try flow.next(.begin, ground)
        _ = try flow.next(.held, ground)
        return try flow.next(.read(world.copy(number(flow.sid)), .redis(mayBeKept: false)), ground)
    }

    /// Writes its end; where it was changed meanwhile, by what stands there then.
    private func end(
        _ flow: RevokeFlow, _ first: FlowStep<RevokeAnswer>, _ place: Int, _ world: inout LimitWorld
    ) throws -> Result<PartAnswer, ServiceFault> {
        var (flow, step) = (flow, first)
        while true {
            switch step {
            case .answer(let answer, _):
                world.logins[place].seen.append(answer == .unknown ? 0 : 1)
                return .success(.revoked(answer))
            case .write where removed == .overtakenEndsItself && number(flow.sid) == own(place):
                step = .answer(.unknown)
            case .write(let write, let sid): step = try flow.next(world.commit(write, number(sid)), ground)
            case .whenReplicated: step = try flow.next(.replicated, ground)
            default: throw UnexpectedEvent()
            }
        }
    }

    /// Steps until the login waits for Redis, or has answered.
    private func tell(_ first: FlowEvent, _ place: Int, _ world: inout LimitWorld) throws {
        stand(place)
        var event = first
        while true {
            let step: FlowStep<LoginAnswer>
            do {
                switch world.logins[place].flow {
                case .issue(var flow):
                    step = try flow.next(event, ground)
                    world.logins[place].flow = .issue(flow)
                case .login(var flow):
                    step = try flow.next(event, ground)
                    world.logins[place].flow = .login(flow)
                }
            } catch is Unavailable {
                world.logins[place].answer = .unavailable
                return
            }
            world.logins[place].step = step
            switch step {
            case .hold: event = .held
            case .askTime: event = .time(ground.time)
            case .whenReplicated: event = .replicated
            case .each(let parts) where parts.isEmpty: event = .gathered([])
            case .answer(.issued(let view, _), _):
                world.logins[place].answer = .issued(number(view.sid))
                return
            case .answer(.refused, _):
                world.logins[place].answer = .refused
                return
            default: return
            }
        }
    }

    // MARK: What must hold

    private func violation(of world: LimitWorld, isEnd: Bool) throws -> String? {
        let living = world.living
        func broken(_ what: String) -> String {
            let told = world.logins.map { "\($0.maker) → \($0.answer.map { "\($0)" } ?? "nothing yet")" }
            return "\(what): numbers \(world.written), living \(living), \(told)"
        }
        for (place, login) in world.logins.enumerated() where login.answer == .refused && world.lives(own(place)) {
            return broken("who was refused has a session")
        }
        if scenario.policy == .refuse, living.count > max(scenario.limit, scenario.before) {
            return broken("more sessions than places")
        }
        if scenario.policy == .endOldest, let ended = world.latest(scenario.limit).first(where: { !world.lives($0) }) {
            return broken("\(ended) is among the latest and was ended")
        }
        guard isEnd else { return nil }
        for login in world.logins {
            if scenario.policy == .refuse, login.answer == .refused, case .login = login.maker {
                return broken("the renewal of one's own session was refused")
            }
        }
        if scenario.losses == 0, let missed = missed(world) { return broken("there should live \(missed)") }
        return scenario.policy == .endOldest ? try afterOneMore(world).map(broken) : nil
    }

    /// Where nothing was lost: the sessions that should live and do not, or how many should.
    private func missed(_ world: LimitWorld) -> String? {
        if scenario.policy == .refuse {
            let asked = scenario.makers.count { if case .login = $0 { false } else { true } }
            let count = min(max(scenario.limit, scenario.before), scenario.before + asked)
            return world.living.count == count ? nil : "\(count)"
        }
        let latest = world.latest(scenario.limit)
        return world.living == latest ? nil : "\(latest)"
    }

    /// Whatever was lost: the next login leaves exactly the latest of those that live.
    private func afterOneMore(_ world: LimitWorld) throws -> String? {
        var world = world
        let candidates = world.living + [own(world.logins.count)]
        world.losses = 0
        try begin(.issue, &world)
        let place = world.logins.count - 1
        while world.logins[place].answer == nil { try advance(place, &world) }
        let latest = world.latest(scenario.limit, of: candidates)
        return world.living == latest ? nil : "one more login leaves \(world.living), not \(latest)"
    }
}
