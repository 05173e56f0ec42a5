import SeededRandom
import TokenCrypto

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

    /// A request reaches its daemon, which reads the session at this moment.
    func decide(_ index: Int, in world: inout World) throws -> Violation? {
        let request = world.requests[index]
        stand(index, world)
        let claim = Claim(
            token: symbols.token(request.token), digest: symbols.digests[Int(request.token)], guest: nil,
            signals: Signals())
        let flow: World.Flow
        switch request.operation {
        case .validate: flow = .access(AccessFlow(claim, needsData: false))
        case .login:
            var login = SessionRequest()
            login.subject = Symbols.subject
            flow = .login(try LoginFlow(claim, login, ground))
        case .rotate: flow = .rotate(try RotateFlow(claim, ground))
        case .revoke: flow = .revoke(RevokeFlow(sid: symbols.sid, claim: claim))
        }
        return try advance(flow, .begin, index, &world)
    }

    /// What was sent to Redis was answered.
    func go(
        on index: Int, _ commit: World.Commit, isWritten: Bool, in world: inout World
    ) throws -> Violation? {
        stand(index, world)
        if !isWritten, commit.effect == .rotate, removed == .loserReturnsWhatStands {
            return world.answer(.accepted(successor: candidate(index)), index)
        }
        if isWritten, commit.effect == .confirmAndRotate {
            return world.answer(.accepted(successor: nil), index)
        }
        return try advance(commit.flow, isWritten ? .written : .overtaken(look(index, world)), index, &world)
    }

    private func stand(_ index: Int, _ world: World) {
        ground.time = Ticks.milliseconds(world.now)
        ground.candidate = candidate(index)
    }

    private func advance(
        _ flow: World.Flow, _ event: FlowEvent, _ index: Int, _ world: inout World
    ) throws -> Violation? {
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
    }

    /// Steps until the flow waits for Redis to be changed, or has answered.
    private func drive<F: Flow>(
        _ flow: inout F, _ wrap: (F) -> World.Flow, _ first: FlowEvent, _ index: Int, _ world: inout World,
        answer: (F.Answer, World) throws -> World.Answer
    ) throws -> Violation? {
        var event = first
        while true {
            switch try flow.next(event, ground) {
            case .whenSettled: event = .settled
            case .hold: event = .held
            case .read(let source): event = .read(look(source, index, world), .redis(mayBeKept: false))
            case .askTime: event = .time(ground.time)
            case .touch:
                world.touch()
                event = .touched
            case .write(let write, let sid):
                guard sid == symbols.sid else {
                    event = .written
                    continue
                }
                let (next, effect) = try bend(write, index, world)
                world.requests[index].phase = .committing(
                    World.Commit(
                        revision: write.over?.revision ?? 0, next: next, effect: effect, request: index,
                        decidedAt: world.now, notAfter: world.now + Ticks.commandLifetime, flow: wrap(flow)))
                return nil
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
                return world.answer(answer, index)
            }
        }
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

    private func look(_ source: ReadSource, _ index: Int, _ world: World) -> StoredCopy {
        let sid =
            switch source {
            case .shared(let sid), .anew(let sid): sid
            }
        // The other session, of which this world tells nothing: to be made by who asks.
        return sid == symbols.sid ? look(index, world) : .absent
    }

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
                case .logout, .logoutAll, .admin: .endByLogout
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

/// What flows stand on in an exploration: symbols for randomness, ticks for a clock, no near cache.
final class Ground: FlowContext {
    let symbols: Symbols
    let policy: TokenPolicy
    let stateless: StatelessTokens
    var time: Milliseconds = 0
    var candidate: UInt8 = 0

    init(symbols: Symbols, policy: TokenPolicy) {
        self.symbols = symbols
        self.policy = policy
        stateless = StatelessTokens(policy: StatelessPolicy(), sealer: nil, random: SeededRandom(seed: 1))
    }

    var crypto: CryptoContext { symbols.crypto }
    func now() throws(Unavailable) -> Milliseconds { time }
    var guestSeconds: Int64 { time / 1_000 }

    func randomBytes<Value: FixedBytes>() throws(CryptoError) -> Value {
        if let verifier = symbols.verifiers[Int(candidate)] as? Value { return verifier }
        if let sid = symbols.otherSid as? Value { return sid }
        return Value()
    }

    func checkDenials(_ sid: SessionID) {}
    func noteSession(ofGuest sid: SessionID) {}
    func keep(_ record: SessionRecord, sid: SessionID, verifier: Verifier?, data: [RecordField], now: Milliseconds) {}
    func keep(_ tombstone: Tombstone, sid: SessionID) {}
    func staleView(_ claim: Claim, needsData: Bool, isUnanswered: Bool) -> SessionView? { nil }
    func count(_ refusal: Refusal) {}
    func countAccepted(isRotated: Bool) {}
    func countLogin() {}
    func nearCopy(_ claim: Claim, needsData: Bool) -> StoredCopy? { nil }
    func verdict(on guest: Guest, _ signals: Signals) -> Verdict { .refused(.unknown) }
    func report(_ notice: FlowNotice) {}
}

extension World {
    mutating func touch() {
        guard case .live(var record) = stored else { return }
        if Ticks.milliseconds(now) - record.lastAccess >= 1_000 { record.lastAccess = Ticks.milliseconds(now) }
        stored = .live(record)
    }
}
