import SeededRandom
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// The flows of the service, driven one step at a time. A removed rule is a lens between a flow and its world: it bends
/// what the flow sees of a session, or what it asks for.
struct Daemon {
    let symbols: Symbols
    let removed: RemovedRule?
    private let ground: Ground

    init(symbols: Symbols, scenario: Scenario, removed: RemovedRule?) {
        self.symbols = symbols
        self.removed = removed
        var policy = scenario.policy
        if removed == .previousIsRetired { policy.rotationOverlap = 1 << 40 }
        if removed == .graceBeforePunishment { policy.replayGrace = 0 }
        ground = Ground(symbols: symbols, policy: policy)
    }

    func candidate(_ request: Int) -> UInt8 { UInt8(request + 1) }

    /// A request reaches its daemon.
    func begin(_ index: Int, in world: inout World) throws -> Violation? {
        let request = world.requests[index]
        stand(index, &world)
        let claim = Claim(
            token: symbols.token(request.token), digest: symbols.digests[Int(request.token)], guest: nil,
            signals: Signals())
        let flow: World.Flow
        switch request.operation {
        case .validate: flow = .access(AccessFlow(claim, AccessRequest()))
        case .login:
            var login = SessionRequest()
            login.subject = Symbols.subject
            flow = .login(try LoginFlow(claim, login, ground))
        case .rotate: flow = .rotate(try RotateFlow(claim, pageGuest: nil, ground))
        case .revoke: flow = .revoke(RevokeFlow(sid: symbols.sid, claim: claim))
        }
        return try advance(flow, .begin, index, &world)
    }

    /// Redis takes up a read: the copy shows this moment, whenever it arrives.
    func take(_ index: Int, _ flow: World.Flow, in world: inout World) {
        stand(index, &world)
        world.look(for: index)
        world.requests[index].phase = .read(flow, look(index, world))
    }

    /// The copy arrives.
    func go(on index: Int, _ flow: World.Flow, _ copy: StoredCopy, in world: inout World) throws -> Violation? {
        stand(index, &world)
        return try advance(flow, .read(copy, .redis(mayBeKept: false)), index, &world)
    }

    /// What was sent to Redis was answered.
    func go(
        on index: Int, _ commit: World.Commit, isWritten: Bool, in world: inout World
    ) throws -> Violation? {
        world.settled(symbols.sid, daemon: world.requests[index].daemon)
        stand(index, &world)
        world.look(for: index)
        if !isWritten, commit.effect == .rotate, removed == .loserReturnsWhatStands {
            return try finish(.accepted(successor: candidate(index)), index, &world)
        }
        if !isWritten, commit.effect == .endByLogout, removed == .endIsAcknowledgedWhenWritten {
            return try finish(.revoked, index, &world)
        }
        if isWritten, commit.effect == .confirmAndRotate {
            return try finish(.accepted(successor: nil), index, &world)
        }
        let event: FlowEvent = isWritten ? .written(.changed(0)) : .overtaken(look(index, world))
        return try advance(commit.flow, event, index, &world)
    }

    /// The time of a request is up. A forced write that is out is denied before anybody who waits for it goes on.
    func giveUp(_ index: Int, in world: inout World) throws -> Violation? {
        let daemon = world.requests[index].daemon
        guard case .committing(let commit) = world.requests[index].phase else {
            return try finish(.unavailable, index, &world)
        }
        loseSight(of: commit, daemon, &world)
        if commit.effect == .endByLogout { world.gaveUpEnd[daemon] = true }
        let violation = try finish(.unavailable, index, &world)
        world.requests[index].phase = .adrift(commit)
        return violation
    }

    /// Nobody at the daemon knows whether a write was or will be carried out.
    func loseSight(of commit: World.Commit, _ daemon: Int, _ world: inout World) {
        switch commit.effect {
        case .confirm, .rotate, .confirmAndRotate: break
        case .rotateByForce, .login: world.deny(symbols.sid, ticks: Ticks.commandLifetime + 1, daemon: daemon)
        case .endByReplay, .endByLogout, .endByLogin: world.deny(symbols.sid, ticks: 60, daemon: daemon)
        }
    }

    private func stand(_ index: Int, _ world: inout World) {
        ground.time = Ticks.time(world.now)
        ground.candidate = candidate(index)
        ground.isSessionDenied =
            removed != .unknownEndIsDenied && world.isDenied(symbols.sid, daemon: world.requests[index].daemon)
    }

    private func advance(
        _ flow: World.Flow, _ event: FlowEvent, _ index: Int, _ world: inout World
    ) throws -> Violation? {
        do {
            switch flow {
            case .access(var flow):
                return try drive(&flow, World.Flow.access, event, index, &world) { try verdict($0, index, $1) }
            case .login(var flow):
                return try drive(&flow, World.Flow.login, event, index, &world) { try issued($0, index, $1) }
            case .rotate(var flow):
                return try drive(&flow, World.Flow.rotate, event, index, &world) { verdict, world in
                    guard case .accepted(let view) = verdict else { return .refused }
                    return try issued(view, index, world)
                }
            case .revoke(var flow):
                return try drive(&flow, World.Flow.revoke, event, index, &world) { answer, world in
                    if case .revoked = answer { return .revoked }
                    if case .absent = world.stored { return .revoked }
                    return .refused
                }
            }
        } catch is Unavailable { return try finish(.unavailable, index, &world) }
    }

    /// Steps until the flow waits for something, or has answered.
    private func drive<F: Flow>(
        _ flow: inout F, _ wrap: (F) -> World.Flow, _ first: FlowEvent, _ index: Int, _ world: inout World,
        answer: (F.Answer, World) throws -> World.Answer
    ) throws -> Violation? {
        var event = first
        let daemon = world.requests[index].daemon
        while true {
            switch try flow.next(event, ground) {
            case .whenSettled(let sid):
                guard world.ledgers[daemon].wait(for: sid, index) else {
                    event = .settled
                    continue
                }
                var others: UInt8 = 0
                for (other, request) in world.requests.enumerated() where request.daemon == daemon {
                    if request.held != nil { others |= 1 << UInt8(other) }
                }
                world.requests[index].phase = .waiting(wrap(flow), for: others)
                return nil
            case .hold(let sid, _):
                hold(sid, index, &world)
                event = .held
            case .read(.shared(let sid)), .read(.anew(let sid)):
                guard sid == symbols.sid else {
                    // The other session, of which this world tells nothing: to be made by who asks.
                    event = .read(.absent, .redis(mayBeKept: false))
                    continue
                }
                world.requests[index].phase = .reading(wrap(flow))
                return nil
            case .askTime: event = .time(ground.time)
            // Of a tombstone, for what VISIT tells: of no weight here.
            case .noteLogin: event = .noted
            case .whenReplicated: event = .replicated
            case .touch:
                world.touch()
                event = .touched
            case .write(let write, let sid):
                guard sid == symbols.sid else {
                    event = .written(.changed(0))
                    continue
                }
                if write.isForced { hold(sid, index, &world) }
                let (next, effect) = try bend(write, index, world)
                world.requests[index].phase = .committing(
                    World.Commit(
                        revision: write.over?.revision ?? 0, next: next, effect: effect, request: index,
                        decidedAt: world.now, notAfter: world.requests[index].sentAt + Ticks.commandLifetime,
                        flow: wrap(flow)))
                return nil
            case .spend, .readIndex, .enter, .readFacts, .scan, .proclaimEpoch, .sweep, .each:
                throw UnexpectedEvent()
            case .answer(let told, let touch):
                if touch != nil, world.touches.isEmpty, case .live(let record) = world.stored {
                    world.touches.append(World.Touch(notAfter: world.now + Ticks.commandLifetime, record: record))
                }
                let answer = try answer(told, world)
                if case .refused = answer, removed == .forgedIsHarmless,
                    let end = punishment(index, world, wrap(flow))
                {
                    world.requests[index].phase = .committing(end)
                    return nil
                }
                return try finish(answer, index, &world)
            }
        }
    }

    // MARK: Holding

    private func hold(_ sid: SessionID, _ index: Int, _ world: inout World) {
        guard world.requests[index].held == nil else { return }
        world.requests[index].held = world.ledgers[world.requests[index].daemon].begin(sid)
    }

    /// Answers a request, and lets those go on who waited for it and for no other.
    private func finish(_ answer: World.Answer, _ index: Int, _ world: inout World) throws -> Violation? {
        let daemon = world.requests[index].daemon
        let held = world.requests[index].held
        world.requests[index].held = nil
        let released = held.map { world.ledgers[daemon].end($0, of: symbols.sid) } ?? []
        if let violation = world.answer(answer, index) { return violation }
        for other in world.requests.indices {
            guard case .waiting(let flow, let others) = world.requests[other].phase else { continue }
            world.requests[other].phase = .waiting(flow, for: others & ~(1 << UInt8(index)))
        }
        for other in released {
            // It may have been given up meanwhile.
            guard case .waiting(let flow, _) = world.requests[other].phase else { continue }
            if case .unavailable = answer {
                if let violation = try finish(.unavailable, other, &world) { return violation }
                continue
            }
            stand(other, &world)
            if let violation = try advance(flow, .settled, other, &world) { return violation }
        }
        return nil
    }

    // MARK: Answers

    private func verdict(_ verdict: Verdict, _ index: Int, _ world: World) throws -> World.Answer {
        guard case .accepted(let view) = verdict else { return .refused }
        guard case .session(let token)? = view.newToken else { return .accepted(successor: nil) }
        let successor = try symbols.number(of: token.verifier)
        if removed == .waitingTokenIsToldAgain, successor != candidate(index) { return .accepted(successor: nil) }
        return .accepted(successor: successor)
    }

    private func issued(_ view: SessionView, _ index: Int, _ world: World) throws -> World.Answer {
        guard case .session(let token)? = view.newToken else { return .refused }
        if token.sid == symbols.sid { return .issued(try symbols.number(of: token.verifier)) }
        // The session that the tombstone leads to, or one that nothing leads to.
        let digest = try symbols.crypto.digest(token.verifier)
        guard case .ended(let tombstone) = world.stored, tombstone.login?.digest == digest else {
            return .issued(Symbols.elsewhere)
        }
        return .issued(symbols.number(of: digest))
    }

    // MARK: What a flow sees, bent by a removed rule

    private func look(_ index: Int, _ world: World) -> StoredCopy {
        guard case .live(var record) = world.stored else { return StoredCopy(session: world.stored, data: []) }
        let token = world.requests[index].token
        switch removed {
        case .noPunishmentFromBeforeForced: record.forcedGeneration = 0
        case .previousWaitsForConfirmation
        where record.confirmedAt == nil && token != symbols.number(of: record.current):
            record.confirmedAt =
                (record.previous?.rotatedAt ?? ground.time) - ground.policy.rotationOverlap
        case .candidateIsRecognised
        where world.requests[index].operation != .validate
            && record.current == symbols.digests[Int(candidate(index))]:
            record.current = symbols.digests[Int(Symbols.forged)]
        default: break
        }
        return StoredCopy(session: .live(record), data: [])
    }

    // MARK: What a flow writes, bent by a removed rule

    private func bend(
        _ write: SessionWrite, _ index: Int, _ world: World
    ) throws -> (next: StoredSession, effect: World.Effect) {
        let new = candidate(index)
        let token = world.requests[index].token
        switch (write.kind, write.next) {
        case (.confirm, .live(let next)):
            guard removed == .confirmationNeverRotates else { return (write.next, .confirm) }
            let now = ground.time
            let both = next.rotated(
                to: symbols.digests[Int(new)], sealed: try symbols.seal(new, under: token), policy: ground.policy,
                now: now)
            return (.live(both), .confirmAndRotate)
        case (.rotate, .live(var next)):
            if removed == .absoluteEndStays { next.absoluteEnd = ground.time + ground.policy.absolute }
            return (.live(next), .rotate)
        case (.login, .live(var next)):
            if removed == .loginIsRemembered { next.login = nil }
            return (.live(try keepingPrevious(next, write, token, new)), .login)
        case (.rotateByForce, .live(let next)):
            return (.live(try keepingPrevious(next, write, token, new)), .rotateByForce)
        case (.end, .ended(var tombstone)):
            if removed == .loginIsRemembered { tombstone.login = nil }
            let effect: World.Effect =
                switch tombstone.reason {
                case .replay: .endByReplay
                case .login: .endByLogin
                case .logout, .logoutAll, .limit, .admin: .endByLogout
                }
            return (.ended(tombstone), effect)
        default: throw UnexpectedEvent()
        }
    }

    private func keepingPrevious(
        _ next: SessionRecord, _ write: SessionWrite, _ token: UInt8, _ new: UInt8
    ) throws -> SessionRecord {
        guard removed == .forcedRetiresPrevious, let old = write.over else { return next }
        var next = next
        next.previous = PreviousToken(
            digest: old.current, sealedSuccessor: try symbols.seal(new, under: token), rotatedAt: next.lastAccess)
        return next
    }

    private func punishment(_ index: Int, _ world: World, _ flow: World.Flow) -> World.Commit? {
        guard case .live(let record) = world.stored, world.requests[index].operation == .validate,
            record.standing(
                of: symbols.digests[Int(world.requests[index].token)], policy: ground.policy, now: ground.time)
                == .forged
        else { return nil }
        return World.Commit(
            revision: record.revision, next: .ended(Tombstone(reason: .replay)), effect: .endByReplay, request: index,
            decidedAt: world.now, notAfter: world.now + Ticks.commandLifetime, flow: flow)
    }
}
