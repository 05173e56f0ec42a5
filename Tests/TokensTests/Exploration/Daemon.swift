import TokenCrypto

@testable import Tokens

/// The steps of a daemon, as the service takes them: load, decide, commit over the revision decided on, decide again
/// on what stands there. Decisions are those of the code under test; a removed rule replaces just its own.
struct Daemon {
    let symbols: Symbols
    let scenario: Scenario
    let removed: RemovedRule?
    private let policy: TokenPolicy

    init(symbols: Symbols, scenario: Scenario, removed: RemovedRule?) {
        self.symbols = symbols
        self.scenario = scenario
        self.removed = removed
        var policy = scenario.policy
        if removed == .previousIsRetired { policy.rotationOverlap = 1 << 40 }
        if removed == .graceBeforePunishment { policy.replayGrace = 0 }
        self.policy = policy
    }

    func candidate(_ request: Int) -> UInt8 { UInt8(request + 1) }

    /// Decides a request on a session just read or handed back by a script, at this moment.
    func decide(_ index: Int, in world: inout World) throws -> Violation? {
        switch world.requests[index].operation {
        case .validate: try validate(index, &world)
        case .login: try login(index, &world)
        case .rotate: try rotate(index, &world)
        case .revoke: revoke(index, &world)
        }
    }

    // MARK: VALIDATE

    private func validate(_ index: Int, _ world: inout World) throws -> Violation? {
        guard case .live(let record) = world.stored else { return answer(.refused, index, &world) }
        let token = world.requests[index].token
        let now = Ticks.milliseconds(world.now)
        switch decideAccess(record, token, now) {
        case .accept(let touch):
            grant(touch, record, &world)
            return answer(.accepted(successor: nil), index, &world)
        case .acceptAwaitingSuccessor(let touch):
            grant(touch, record, &world)
            if removed == .waitingTokenIsToldAgain { return answer(.accepted(successor: nil), index, &world) }
            guard let previous = record.previous,
                let opened = try symbols.crypto.open(
                    previous.sealedSuccessor, under: symbols.verifiers[Int(token)], sid: symbols.sid,
                    digest: record.current)
            else { return Violation(invariant: .s3, detail: "the successor does not open under token \(token)") }
            return answer(.accepted(successor: try symbols.number(of: opened)), index, &world)
        case .confirm:
            var next = record.confirmed(now: now)
            if removed == .confirmationNeverRotates {
                next = try rotated(next, token, index, now)
                commit(.live(next), .confirmAndRotate, over: record, index, &world)
            } else {
                commit(.live(next), .confirm, over: record, index, &world)
            }
        case .rotate:
            commit(.live(try rotated(record, token, index, now)), .rotate, over: record, index, &world)
        case .endReplayed:
            commit(.ended(Tombstone(reason: .replay)), .endByReplay, over: record, index, &world)
        case .refuseUnknown where removed == .forgedIsHarmless:
            commit(.ended(Tombstone(reason: .replay)), .endByReplay, over: record, index, &world)
        case .refuseReplayed, .refuseUnknown:
            return answer(.refused, index, &world)
        }
        return nil
    }

    private func decideAccess(_ record: SessionRecord, _ token: UInt8, _ now: Milliseconds) -> AccessDecision {
        var record = record
        switch removed {
        case .noPunishmentFromBeforeForced: record.forcedGeneration = 0
        case .previousWaitsForConfirmation where record.confirmedAt == nil:
            // As if the successor had been used when it was made.
            if token == symbols.number(of: record.current) { return .confirm }
            record.confirmedAt = (record.previous?.rotatedAt ?? now) - policy.rotationOverlap
        default: break
        }
        return record.decideAccess(digest: symbols.digests[Int(token)], policy: policy, now: now)
    }

    private func rotated(
        _ record: SessionRecord, _ token: UInt8, _ index: Int, _ now: Milliseconds
    ) throws -> SessionRecord {
        let successor = candidate(index)
        var next = record.rotated(
            to: symbols.digests[Int(successor)], sealed: try symbols.seal(successor, under: token), policy: policy,
            now: now)
        if removed == .absoluteEndStays { next.absoluteEnd = now + policy.absolute }
        return next
    }

    private func grant(_ touch: Touch, _ record: SessionRecord, _ world: inout World) {
        guard touch != .none, world.touches.isEmpty else { return }
        world.touches.append(World.Touch(notAfter: world.now + Ticks.commandLifetime, record: record))
    }

    // MARK: LOGIN, ROTATE, REVOKE

    private func login(_ index: Int, _ world: inout World) throws -> Violation? {
        let token = world.requests[index].token
        let digest = symbols.digests[Int(token)]
        let now = Ticks.milliseconds(world.now)
        if let known = candidateStands(index, world) { return answer(.issued(known), index, &world) }
        let decision = try world.stored.decideLogin(
            token: symbols.token(token), digest: digest, subject: Symbols.subject, policy: policy, now: now,
            crypto: symbols.crypto)
        let new = candidate(index)
        let memo = LoginMemo(
            sid: symbols.sid, digest: symbols.digests[Int(new)], sealed: try symbols.seal(new, under: token),
            subjectDigest: symbols.subjectDigest, until: now + policy.rotationOverlap)
        switch decision {
        case .renew(let record):
            var next = record.loggedIn(
                to: symbols.digests[Int(new)], csrfSalt: Digest(), memo: memo, subject: Symbols.subject,
                idle: policy.idle, absolute: policy.absolute, policy: policy, now: now)
            if removed == .loginIsRemembered { next.login = nil }
            commit(.live(try keepingPrevious(next, of: record, token, new)), .login, over: record, index, &world)
            return nil
        case .replace(let record):
            let tombstone = Tombstone(reason: .login, login: removed == .loginIsRemembered ? nil : memo)
            commit(.ended(tombstone), .endByLogin, over: record, index, &world)
            return nil
        case .repeatAnswer(let repeated, since: _):
            return answer(.issued(try symbols.number(of: repeated.verifier)), index, &world)
        case .fresh:
            return answer(.issued(Symbols.elsewhere), index, &world)
        }
    }

    private func rotate(_ index: Int, _ world: inout World) throws -> Violation? {
        if let known = candidateStands(index, world) { return answer(.issued(known), index, &world) }
        let token = world.requests[index].token
        let now = Ticks.milliseconds(world.now)
        guard case .live(let record) = world.stored,
            record.standing(of: symbols.digests[Int(token)], policy: policy, now: now).isAccepted
        else { return answer(.refused, index, &world) }
        let new = candidate(index)
        let next = record.forced(to: symbols.digests[Int(new)], csrfSalt: Digest(), policy: policy, now: now)
        commit(.live(try keepingPrevious(next, of: record, token, new)), .rotateByForce, over: record, index, &world)
        return nil
    }

    private func candidateStands(_ index: Int, _ world: World) -> UInt8? {
        guard removed != .candidateIsRecognised, case .live(let record) = world.stored,
            record.current == symbols.digests[Int(candidate(index))]
        else { return nil }
        return candidate(index)
    }

    private func keepingPrevious(
        _ next: SessionRecord, of record: SessionRecord, _ token: UInt8, _ new: UInt8
    ) throws -> SessionRecord {
        guard removed == .forcedRetiresPrevious else { return next }
        var next = next
        next.previous = PreviousToken(
            digest: record.current, sealedSuccessor: try symbols.seal(new, under: token), rotatedAt: next.lastAccess)
        return next
    }

    private func revoke(_ index: Int, _ world: inout World) -> Violation? {
        let token = world.requests[index].token
        guard case .live(let record) = world.stored else { return answer(.revoked, index, &world) }
        let standing = record.standing(
            of: symbols.digests[Int(token)], policy: policy, now: Ticks.milliseconds(world.now))
        guard standing.isOwn else { return answer(.refused, index, &world) }
        commit(.ended(Tombstone(reason: .logout)), .endByLogout, over: record, index, &world)
        return nil
    }

    // MARK: What follows

    private func commit(
        _ next: StoredSession, _ effect: World.Effect, over record: SessionRecord, _ index: Int, _ world: inout World
    ) {
        world.requests[index].phase = .committing(
            World.Commit(
                revision: record.revision, next: next, effect: effect, request: index, decidedAt: world.now,
                notAfter: world.now + Ticks.commandLifetime))
    }

    private func answer(_ answer: World.Answer, _ index: Int, _ world: inout World) -> Violation? {
        world.answer(answer, index)
    }
}
