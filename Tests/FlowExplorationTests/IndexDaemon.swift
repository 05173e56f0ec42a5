import EventLoop
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// The daemons of an exploration of S13: the flows of the service, each round trip a step of its own, and what
/// `Runner.swift` does between them and Redis.
struct IndexDaemon {
    typealias Pending = IndexWorld.Pending

    private enum Told {
        case waits(Pending)
        /// The session that somebody was told of.
        case made(SessionID?)
        case endedAll
        case failed
    }

    let scenario: IndexScenario
    let removed: RemovedIndexRule?
    let ground: Ground
    let symbols: Symbols
    let guest: Guest
    let sids: [SessionID]
    let index: SubjectIndex

    /// How long a script may be on its way.
    static let scriptLifetime: Milliseconds = 20_000
    /// No idle limit: sessions die of it by a step of their own.
    private static let idle: Milliseconds = 1_000_000_000

    init(_ scenario: IndexScenario, removed: RemovedIndexRule?) throws {
        self.scenario = scenario
        self.removed = removed
        symbols = try Symbols()
        ground = Ground(
            symbols: symbols, policy: TokenPolicy(tombstone: scenario.tombstone), sealer: try Ground.sealer())
        ground.time = UnixMilliseconds(IndexWorld.start)
        guest = try ground.makeGuest()
        index = try SubjectIndex(subject: IndexWorld.subject, crypto: symbols.crypto)
        let first = guest.sid
        // The one that commands are called with, then two for each that may make a session.
        sids =
            [first]
            + scenario.commands.flatMap { $0.isMaker ? [$0, $0] : [] }.indices.map { place in
                var sid = SessionID()
                sid.withUnsafeMutableBytes { $0[0] = UInt8(truncatingIfNeeded: first.mark) &+ UInt8(place + 1) }
                return sid
            }
    }

    func number(_ sid: SessionID) throws -> Int {
        guard let number = sids.firstIndex(of: sid) else { throw UnexpectedEvent() }
        return number
    }

    func start() -> IndexWorld {
        var world = IndexWorld(scenario, sessions: sids.count)
        func stand(_ subject: [UInt8], ticks: Int) {
            let record = SessionRecord(
                token: symbols.digests[0], subject: subject, idle: Self.idle,
                absolute: Milliseconds(ticks) * IndexWorld.tick, now: world.daemonTime)
            (world.sessions[0], world.ends[0]) = (.live(record), record.absoluteEnd)
            (world.lives[0], world.acknowledged[0]) = (1, 1)
        }
        switch scenario.start {
        case .guest: break
        case .living(let ticks):
            stand(IndexWorld.subject, ticks: ticks)
            world.enter(0, until: world.ends[0], without: nil)
        case .anothers(let subject): stand(Array(subject.utf8), ticks: 100)
        case .condemned:
            world.scores[0] = Double(world.indexTime.sinceEpoch) - 1_000.5
            world.condemned[0] = true
            world.indexEnd = world.time(100)
        }
        return world
    }

    // MARK: Steps

    /// A request comes, Redis carries out what it waits for, or its daemon reads the reply.
    /// - Returns: what is broken by it.
    func advance(_ place: Int, _ world: inout IndexWorld) throws -> String? {
        switch world.actors[place].phase {
        case .over: return nil
        case .unsent:
            world.actors[place].arrival = world.now
            world.actors[place].owed = world.acknowledged
            let broken = try tell(.begin, try flow(place, &world), place, &world)
            // Until Redis has taken up its first command it has done nothing.
            guard broken == nil, case .waiting = world.actors[place].phase else { return broken }
            return try advance(place, &world)
        case .written(let flow, let write, let sid):
            noteEnd(write, sid, place, &world)
            return try tell(.written(.changed(0)), flow, place, &world)
        case .waiting(let flow, let pending):
            switch pending {
            case .read(let sid):
                return try tell(.read(try copy(sid, world), .redis(mayBeKept: false)), flow, place, &world)
            case .note: return try tell(.noted, flow, place, &world)
            case .page: return try tell(.page(page(world)), flow, place, &world)
            case .parts(let parts): return try carryOut(parts, flow, place, &world)
            case .enter(let write, let sid, let latest):
                guard world.indexTime.sinceEpoch <= latest else { return try decideAnew(sid, flow, place, &world) }
                guard let end = write.entersIndex?.absoluteEnd else { throw UnexpectedEvent() }
                world.enter(try number(sid), until: end, without: removed)
                lookAfter(sid, &world)
                world.actors[place].phase = .waiting(
                    flow, .commit(write, sid, notAfter: notAfter(place, world.clocks.session, world)))
                return nil
            case .commit(let write, let sid, let latest):
                guard world.sessionTime.sinceEpoch <= latest else { return try decideAnew(sid, flow, place, &world) }
                guard try commit(write, sid, &world) else {
                    return try tell(.overtaken(try copy(sid, world)), flow, place, &world)
                }
                if removed == .entersFirst { send(write, sid, place, &world) }
                if case .end = write.kind, scenario.standsStill {
                    world.actors[place].phase = .written(flow, write, sid)
                    return nil
                }
                noteEnd(write, sid, place, &world)
                return try tell(.written(.changed(0)), flow, place, &world)
            }
        }
    }

    /// A script is carried out, and its reply lost: the link repeats what may be repeated.
    func loseReply(_ place: Int, _ world: inout IndexWorld) throws {
        guard case .waiting(_, let pending) = world.actors[place].phase else { return }
        switch pending {
        case .enter(let write, let sid, let notAfter):
            guard world.indexTime.sinceEpoch <= notAfter, let end = write.entersIndex?.absoluteEnd else { return }
            world.enter(try number(sid), until: end, without: removed)
        case .commit(let write, let sid, let notAfter):
            guard world.sessionTime.sinceEpoch <= notAfter else { return }
            _ = try commit(write, sid, &world)
            if try !write.change(tombstoneEnd: world.daemonTime).isRepeatable { world.actors[place].phase = .over }
        case .read, .note, .page, .parts: break
        }
    }

    /// An index is told, if it is not too late.
    func act(_ script: IndexWorld.Script, _ world: inout IndexWorld) {
        guard world.indexTime.sinceEpoch <= script.notAfter else { return }
        switch script.kind {
        case .tidy(let findings): world.tidy(findings, sids, without: removed)
        case .enter(let sid, let end):
            guard let number = sids.firstIndex(of: sid) else { return }
            world.enter(number, until: end, without: removed)
        }
    }

    /// What can do nothing any more is forgotten.
    func forget(in world: inout IndexWorld) {
        guard world.failovers == 0 else { return }
        let (index, session) = (world.indexTime.sinceEpoch, world.sessionTime.sinceEpoch)
        world.scripts.removeAll { index > $0.notAfter }
        for place in world.actors.indices {
            guard case .waiting(_, let pending) = world.actors[place].phase else { continue }
            switch pending {
            case .enter(_, _, let notAfter) where index > notAfter && isGivenUp(place, world): break
            case .commit(_, _, let notAfter) where session > notAfter && isGivenUp(place, world): break
            default: continue
            }
            world.actors[place].phase = .over
        }
    }

    /// Somebody reads the whole index, at one moment.
    func look(_ world: inout IndexWorld) throws {
        ground.time = world.daemonTime
        var findings: [IndexFinding] = []
        ground.tidied = { findings += $0 }
        var flow = TallyFlow(index)
        _ = try flow.next(.begin, ground)
        let page = page(world)
        _ = try flow.next(.page(page), ground)
        _ = try flow.next(.gathered(try page.members.map { .success(.found(try facts($0.sid, world))) }), ground)
        world.tidy(findings, sids, without: removed)
    }

    // MARK: Flows

    private func flow(_ place: Int, _ world: inout IndexWorld) throws -> IndexWorld.Flow {
        stand(place, world)
        func request(_ ticks: Int) -> SessionRequest {
            var request = SessionRequest()
            request.subject = IndexWorld.subject
            (request.idle, request.absolute) = (Self.idle, Milliseconds(ticks) * IndexWorld.tick)
            return request
        }
        func limits(_ ticks: Int) -> SessionLimits { SessionLimits(absolute: Milliseconds(ticks) * IndexWorld.tick) }
        switch world.actors[place].command {
        case .issue(let ticks):
            let request = request(ticks)
            return .issue(LimitedFlow(try IssueFlow(request, ground), request, ground))
        case .login(let ticks):
            let request = request(ticks)
            return .login(LimitedFlow(try LoginFlow(try claim(), request, ground), request, ground))
        case .expire(let ticks): return .expire(ExpireFlow(Judging(sids[0], nil), limits(ticks)))
        case .rotate(let ticks): return .rotate(try RotateFlow(try claim(), limits(ticks), pageGuest: nil, ground))
        case .repetition(let ticks):
            var wanted = SessionRecord(
                token: symbols.digests[place + 1], subject: IndexWorld.subject, idle: Self.idle,
                absolute: Milliseconds(ticks) * IndexWorld.tick, now: UnixMilliseconds(IndexWorld.start))
            (wanted.revision, wanted.generation, wanted.forcedGeneration) = (2, 2, 2)
            return .repetition(RepeatFlow(sid: sids[0], wanted: .live(wanted), data: .none))
        case .revoke: return .revoke(RevokeFlow(sid: sids[0], claim: nil))
        case .revokeAll:
            return .revokeAll(RevokeAllFlow(subject: IndexWorld.subject, index: index, except: nil))
        case .count: return .tally(TallyFlow(index))
        case .list: return .list(ListFlow(index, .fixed, limit: 10, cursor: nil))
        case .look: return .look(LookFlow(index, page(world).members))
        }
    }

    private func claim() throws -> Claim {
        switch scenario.start {
        case .guest, .condemned: try ground.claim(of: guest)
        case .living, .anothers:
            Claim(
                token: SessionToken(sid: sids[0], verifier: symbols.verifiers[0]), digest: symbols.digests[0],
                guest: nil, signals: Signals())
        }
    }

    func stand(_ place: Int, _ world: IndexWorld) {
        ground.time = world.daemonTime
        ground.candidate = UInt8(place + 1)
        let makers = scenario.commands.prefix(place).count(where: \.isMaker)
        let own = sids.indices.dropFirst(1 + 2 * makers).prefix(2)
        ground.freshSid = own.first { world.lives[$0] == 0 }.map { sids[$0] }
    }

    /// Steps until the flow waits for Redis, or has answered.
    func tell(
        _ event: FlowEvent, _ flow: IndexWorld.Flow, _ place: Int, _ world: inout IndexWorld
    ) throws -> String? {
        stand(place, world)
        var findings: [IndexFinding] = []
        ground.tidied = { findings += $0 }
        note(event, place, &world)
        let (next, told): (IndexWorld.Flow, Told)
        switch flow {
        case .issue(var flow):
            told = try step(&flow, event, place, &world)
            next = .issue(flow)
        case .login(var flow):
            told = try step(&flow, event, place, &world)
            next = .login(flow)
        case .expire(var flow):
            told = try step(&flow, event, place, &world)
            next = .expire(flow)
        case .rotate(var flow):
            told = try step(&flow, event, place, &world)
            next = .rotate(flow)
        case .repetition(var flow):
            told = try step(&flow, event, place, &world)
            next = .repetition(flow)
        case .revoke(var flow):
            told = try step(&flow, event, place, &world)
            next = .revoke(flow)
        case .revokeAll(var flow):
            told = try step(&flow, event, place, &world)
            next = .revokeAll(flow)
        case .tally(var flow):
            told = try step(&flow, event, place, &world)
            next = .tally(flow)
        case .list(var flow):
            told = try step(&flow, event, place, &world)
            next = .list(flow)
        case .look(var flow):
            told = try step(&flow, event, place, &world)
            next = .look(flow)
        }
        send(findings, &world)
        switch told {
        case .waits(let pending):
            world.actors[place].phase = .waiting(next, pending)
            return nil
        case .made(let sid):
            world.actors[place].phase = .over
            guard let sid else { return nil }
            let number = try number(sid)
            world.acknowledged[number] = world.lives[number]
            return nil
        case .failed:
            world.actors[place].phase = .over
            return nil
        case .endedAll:
            world.actors[place].phase = .over
            let owed = world.actors[place].owed
            guard
                let left = owed.indices.first(where: { number in
                    owed[number] > 0 && owed[number] == world.lives[number] && world.record(number) != nil
                })
            else { return nil }
            return "S5: REVOKEALL is acknowledged, and session \(left) from before it lives"
        }
    }

    private func step<F: TokenCache.Flow>(
        _ flow: inout F, _ first: FlowEvent, _ place: Int, _ world: inout IndexWorld
    ) throws -> Told {
        var event = first
        while true {
            let step: FlowStep<F.Answer>
            do { step = try flow.next(event, ground) } catch is Unavailable { return .failed } catch is ServiceFault {
                return .failed
            }
            switch step {
            case .whenSettled: event = .settled
            case .whenReplicated: event = .replicated
            case .hold: event = .held
            case .askTime: event = .time(ground.time)
            case .each(let parts) where parts.isEmpty: event = .gathered([])
            case .read(.anew(let sid)), .read(.shared(let sid)): return .waits(.read(sid))
            case .noteLogin: return .waits(.note)
            case .write(let write, let sid): return .waits(begin(write, sid, place, &world))
            case .readIndex(_, let query): return .waits(.page(query))
            case .each(let parts): return .waits(.parts(try parts.map { try begin($0) }))
            case .answer(let answer, _):
                if let answer = answer as? LoginAnswer, case .issued(let view, _) = answer { return .made(view.sid) }
                if let answer = answer as? Judged<Int>, case .accepted = answer { return .endedAll }
                return .made(nil)
            case .touch, .spend, .enter, .scan, .proclaimEpoch, .sweep, .readFacts: throw UnexpectedEvent()
            }
        }
    }

    /// All that makes a difference for what a flow does from now on.
    private func note(_ event: FlowEvent, _ place: Int, _ world: inout IndexWorld) {
        var seen: [UInt64] = [UInt64(world.now), UInt64(bitPattern: Int64(world.clocks.daemons))]
        if case .gathered = event { seen = [0] }
        switch event {
        case .read(let copy, _), .overtaken(let copy): seen += [1, copy.session.mark]
        case .page(let page):
            for member in page.members { seen += [2, member.sid.mark, member.number.bitPattern] }
        case .written: seen.append(3)
        default: break
        }
        world.actors[place].seen = .mixed(seen, from: world.actors[place].seen)
    }
}
