import EventLoop
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// What is sent, and what Redis says.
extension IndexDaemon {
    /// By the clock of the master that it goes to.
    func notAfter(_ place: Int, _ ahead: Int, _ world: IndexWorld) -> Int64 {
        if removed == .lateDoesNothing { return .max }
        let arrival = Int64(world.actors[place].arrival + ahead) * IndexWorld.tick
        return IndexWorld.start + arrival + Self.scriptLifetime
    }

    /// Whether nobody waits for an actor any more: the request's time is over before its scripts'.
    func isGivenUp(_ place: Int, _ world: IndexWorld) -> Bool {
        Int64(world.now - world.actors[place].arrival) * IndexWorld.tick > Self.scriptLifetime
    }

    // MARK: Writes

    /// `Runner.beginChange`.
    func begin(_ write: SessionWrite, _ sid: SessionID, _ place: Int, _ world: inout IndexWorld) -> Pending {
        var enters = write.entersIndex != nil && !write.isEntered
        switch (removed, write.kind) {
        case (.entersFirst, _), (.laterEndEnters, .amend), (.laterEndEnters, .rotateByForce): enters = false
        case (.newSubjectEnters, .rotateByForce) where write.over?.subject != IndexWorld.subject: enters = false
        case (.entryIsAwaited, _) where enters:
            send(write, sid, place, &world)
            enters = false
        default: break
        }
        return enters
            ? .enter(write, sid, notAfter: notAfter(place, world.clocks.index, world))
            : .commit(write, sid, notAfter: notAfter(place, world.clocks.session, world))
    }

    /// A session enters its index, and nobody waits for it.
    func send(_ write: SessionWrite, _ sid: SessionID, _ place: Int, _ world: inout IndexWorld) {
        guard let end = write.entersIndex?.absoluteEnd else { return }
        world.scripts.append(
            IndexWorld.Script(
                kind: .enter(sid, end), notAfter: notAfter(place, world.clocks.index, world)))
    }

    func commit(_ write: SessionWrite, _ sid: SessionID, _ world: inout IndexWorld) throws -> Bool {
        let change = try write.change(tombstoneEnd: world.daemonTime + scenario.tombstone)
        defer { world.expire() }
        return world.commit(write, try number(sid), change)
    }

    /// `Runner.decideAnew`: a script came too late by a clock that its daemon did not know, or it was given up.
    func decideAnew(
        _ sid: SessionID, _ flow: IndexWorld.Flow, _ place: Int, _ world: inout IndexWorld
    ) throws -> String? {
        if isGivenUp(place, world) {
            world.actors[place].phase = .over
            return nil
        }
        return try tell(.overtaken(try copy(sid, world)), flow, place, &world)
    }

    // MARK: The index

    /// `SessionStore.tidy`.
    func send(_ findings: [IndexFinding], _ world: inout IndexWorld) {
        guard let oldest = findings.map(\.asked).min() else { return }
        var (since, lifetime) = (IndexWorld.ticks(oldest), IndexFinding.lifetime)
        let isEnd = findings.contains { if case .ended = $0 { true } else { false } }
        if removed == (isEnd ? .endsAge : .findingsAge) { (since, lifetime) = (world.now, Self.scriptLifetime) }
        world.scripts.append(
            IndexWorld.Script(
                kind: .tidy(findings),
                notAfter: IndexWorld.start + Int64(since + world.clocks.index) * IndexWorld.tick + lifetime))
    }

    /// `TokenService.written`: the index is told of an end.
    func noteEnd(_ write: SessionWrite, _ sid: SessionID, _ place: Int, _ world: inout IndexWorld) {
        guard case .end = write.kind, let old = write.over, old.subject == IndexWorld.subject else { return }
        let tombstone = removed == .tombstoneOutlives ? .max : scenario.tombstone
        let asked = IndexWorld.instant(world.actors[place].arrival)
        send(
            [IndexFinding(endOf: sid, asked: asked, absoluteEnd: old.absoluteEnd, tombstone: tombstone)], &world)
    }

    /// `TokenService.lookAfter`: some other members are looked at.
    func lookAfter(_ sid: SessionID, _ world: inout IndexWorld) {
        guard scenario.looks, !world.actors.contains(where: { $0.command == .look }),
            page(world).members.contains(where: { $0.sid != sid })
        else { return }
        world.actors.append(IndexWorld.Actor(command: .look))
    }

    func page(_ world: IndexWorld) -> IndexPage {
        let members = sids.indices.compactMap { number in
            world.scores[number].map { score in
                IndexMember(
                    sid: sids[number], score: Array("\(score)".utf8), asked: IndexWorld.instant(world.now))
            }
        }
        return IndexPage(members: members, next: nil)
    }

    // MARK: Sessions

    func copy(_ sid: SessionID, _ world: IndexWorld) throws -> StoredCopy {
        StoredCopy(session: world.sessions[try number(sid)], data: [])
    }

    func facts(_ sid: SessionID, _ world: IndexWorld) throws -> FoundSession {
        guard case .live(let record) = world.sessions[try number(sid)] else { return .gone }
        let facts = SessionFacts(
            subject: record.subject, generation: record.generation, created: record.created,
            lastAccess: record.lastAccess, idle: record.idle, absoluteEnd: record.absoluteEnd,
            authTime: record.authTime, loginNumber: record.loginNumber)
        return .living(facts, [])
    }

    // MARK: Many sessions

    func begin(_ part: FlowPart) throws -> IndexWorld.Part {
        switch part {
        case .facts(let flow): return .facts(flow.sid)
        case .revoke(var flow):
            _ = try flow.next(.begin, ground)
            _ = try flow.next(.held, ground)
            return .revoke(flow, .read(flow.sid))
        case .sweep: throw UnexpectedEvent()
        }
    }

    /// Redis carries out one step of the first part that is not done; when all are, the flow goes on, soon or late where
    /// daemons may stand still.
    func carryOut(
        _ parts: [IndexWorld.Part], _ flow: IndexWorld.Flow, _ place: Int, _ world: inout IndexWorld
    ) throws -> String? {
        var parts = parts
        guard let at = parts.firstIndex(where: { if case .done = $0 { false } else { true } }) else {
            let answers = parts.compactMap { if case .done(let answer) = $0 { answer } else { nil } }
            world.actors[place].arrival = world.now
            return try tell(.gathered(answers), flow, place, &world)
        }
        switch parts[at] {
        case .done: break
        case .facts(let sid):
            let found = try facts(sid, world)
            parts[at] = .done(.success(.found(found)))
            see(found, place, &world)
        case .revoke(var flow, let pending):
            parts[at] = try advance(&flow, pending, place, &world)
        }
        world.actors[place].phase = .waiting(flow, .parts(parts))
        let isDone = parts.allSatisfy { if case .done = $0 { true } else { false } }
        return isDone && !scenario.standsStill ? try carryOut(parts, flow, place, &world) : nil
    }

    private func advance(
        _ flow: inout RevokeFlow, _ pending: Pending, _ place: Int, _ world: inout IndexWorld
    ) throws -> IndexWorld.Part {
        stand(place, world)
        var step: FlowStep<RevokeAnswer>
        switch pending {
        case .read(let sid):
            world.actors[place].arrival = world.now
            step = try flow.next(.read(try copy(sid, world), .redis(mayBeKept: false)), ground)
        case .commit(_, _, let notAfter) where world.sessionTime.sinceEpoch > notAfter:
            see([9], place, &world)
            return .done(.failure(ServiceFault(Unavailable.timeIsUp)))
        case .commit(let write, let sid, _):
            if try commit(write, sid, &world) {
                noteEnd(write, sid, place, &world)
                step = try flow.next(.written(.changed(0)), ground)
            } else {
                step = try flow.next(.overtaken(try copy(sid, world)), ground)
            }
        default: throw UnexpectedEvent()
        }
        if case .whenReplicated = step { step = try flow.next(.replicated, ground) }
        switch step {
        case .answer(let answer, _):
            let isEnded = answer != .unknown
            see([isEnded ? 4 : 5], place, &world)
            return .done(.success(.revoked(answer)))
        case .write(let write, let sid):
            see([6, UInt64(world.now), write.over.map { UInt64(bitPattern: $0.revision) } ?? 0], place, &world)
            return .revoke(flow, .commit(write, sid, notAfter: notAfter(place, world.clocks.session, world)))
        default: throw UnexpectedEvent()
        }
    }

    private func see(_ found: FoundSession, _ place: Int, _ world: inout IndexWorld) {
        switch found {
        case .gone: see([7], place, &world)
        case .living(let facts, _): see([8, UInt64(bitPattern: facts.absoluteEnd.sinceEpoch)], place, &world)
        }
    }

    private func see(_ what: [UInt64], _ place: Int, _ world: inout IndexWorld) {
        world.actors[place].seen = .mixed(what, from: world.actors[place].seen)
    }
}
