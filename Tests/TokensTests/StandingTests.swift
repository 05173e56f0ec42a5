import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// The rotation rules of the session model as tables, at the exact milliseconds where they turn.
@Suite("The rotation rules, to the millisecond")
struct StandingTests {
    private static let after = TokenPolicy().rotationAfter
    private static let overlap = TokenPolicy().rotationOverlap
    private static let grace = TokenPolicy().replayGrace

    // MARK: Rule 1, on access past the threshold

    @Test(
        "rule 1: the first token's age counts from issue",
        arguments: [(-1, AccessDecision.accept(.afterReply)), (0, .rotate), (1, .rotate)]
            as [(Milliseconds, AccessDecision)])
    func ageOfFirstToken(offset: Milliseconds, expected: AccessDecision) throws {
        let life = try Life()
        #expect(life.access(0, at: Life.start + Self.after + offset) == expected)
    }

    @Test(
        "rule 1: a later token's age counts from its confirmation, not from its rotation",
        arguments: [(-1, AccessDecision.accept(.afterReply)), (0, .rotate), (1, .rotate)]
            as [(Milliseconds, AccessDecision)])
    func ageOfLaterToken(
        offset: Milliseconds, expected: AccessDecision
    ) throws {
        var life = try Life()
        life.now += Self.after
        try life.rotate()
        life.now += 5 * Life.minute
        life.confirm()
        #expect(life.access(1, at: life.now + Self.after + offset) == expected)
    }

    @Test("rule 1: a clock that went back never rotates and never traps")
    func clockWentBack() throws {
        let life = try Life()
        #expect(life.access(0, at: Life.start - 1) == .accept(.none))
        #expect(life.access(0, at: .earliest) == .accept(.none))
        #expect(life.access(0, at: .latest) == .rotate)
    }

    // MARK: Rules 2 and 4, the old token leads to one successor until that is used

    @Test("rule 4: while the successor is pending the old token is told it, however late and however often")
    func pendingSuccessorIsTold() throws {
        var life = try Life()
        life.now += Self.after
        try life.rotate()
        for wait in [0, 1, Self.overlap, Self.overlap + Self.grace, 30 * Self.after] {
            #expect(life.standing(0, at: life.now + wait) == .awaitingSuccessor)
            guard case .acceptAwaitingSuccessor = life.access(0, at: life.now + wait) else {
                Issue.record("not told its successor after \(wait) ms")
                continue
            }
        }
    }

    @Test("rule 4: the first presentation of the successor confirms, and does not rotate however old it is")
    func successorConfirms() throws {
        var life = try Life()
        life.now += Self.after
        try life.rotate()
        for wait in [0, Self.after, 10 * Self.after] {
            #expect(life.standing(1, at: life.now + wait) == .pending)
            #expect(life.access(1, at: life.now + wait) == .confirm)
        }
        life.now += 10 * Self.after
        life.confirm()
        #expect(life.access(1) == .accept(.none))
    }

    @Test(
        "rules 4 and 5: the overlap ends to the millisecond, the grace begins there",
        arguments: [
            (-1, Standing.overlapping), (0, .retired(punishable: false)), (1, .retired(punishable: false)),
            (TokenPolicy().replayGrace - 1, .retired(punishable: false)),
            (TokenPolicy().replayGrace, .retired(punishable: true)),
        ] as [(Milliseconds, Standing)])
    func endOfOverlap(
        offset: Milliseconds, expected: Standing
    ) throws {
        var life = try Life()
        life.now += Self.after
        try life.rotateAndConfirm()
        #expect(life.standing(0, at: life.now + Self.overlap + offset) == expected)
    }

    @Test("rule 4: within the overlap the old token is valid without a successor")
    func overlapWithoutSuccessor() throws {
        var life = try Life()
        life.now += Self.after
        try life.rotateAndConfirm()
        #expect(life.access(0) == .accept(.none))
        #expect(life.access(0, at: life.now + Self.overlap - 1) == .accept(.afterReply))
        #expect(life.access(1) == .accept(.none))
    }

    @Test("an overlap of zero retires the old token with the confirmation")
    func noOverlap() throws {
        var life = try Life(policy: TokenPolicy(rotationOverlap: 0))
        life.now += Self.after
        try life.rotate()
        #expect(life.standing(0) == .awaitingSuccessor)
        life.confirm()
        #expect(life.standing(0) == .retired(punishable: false))
    }

    // MARK: Rule 5, replay is seen and honest late requests are not punished

    @Test("rule 5: the previous token and seven before it are recognised, the next is forgotten")
    func rememberedTokens() throws {
        var life = try Life()
        for _ in 0..<12 {
            life.now += Self.after
            try life.rotateAndConfirm()
        }
        life.now += Self.overlap
        #expect(life.record.remembered.count == SessionRecord.maxRemembered)
        for token in 4...11 { #expect(life.standing(token).isOwn && !life.standing(token).isAccepted) }
        for token in 0...3 { #expect(life.standing(token) == .forged) }
        #expect(life.standing(12) == .current)
    }

    @Test(
        "rule 5: a remembered token becomes punishable when the grace after its overlap has passed",
        arguments: [(-1, false), (0, true), (1, true)] as [(Milliseconds, Bool)])
    func becomesPunishable(
        offset: Milliseconds, punishable: Bool
    ) throws {
        var life = try Life()
        life.now += Self.after
        try life.rotateAndConfirm()
        let retired = life.now + Self.overlap
        life.now = retired + 3
        try life.rotateAndConfirm()
        #expect(life.standing(0, at: retired + Self.grace + offset) == .retired(punishable: punishable))
    }

    @Test("rule 5: an overlap that a second rotation cut short is not held against its token until it would have ended")
    func cutOverlap()
        throws
    {
        // Grace shorter than the rest of the overlap: the overlap's natural end decides.
        let policy = TokenPolicy(rotationAfter: 1_000, rotationOverlap: 60_000, replayGrace: 5_000)
        var life = try Life(policy: policy)
        life.now += 1_000
        try life.rotateAndConfirm()
        let naturalEnd = life.now + 60_000
        life.now += 1_000
        try life.rotateAndConfirm()
        #expect(life.standing(0) == .retired(punishable: false))
        #expect(life.standing(0, at: life.now + 5_000) == .retired(punishable: false))
        #expect(life.standing(0, at: naturalEnd - 1) == .retired(punishable: false))
        #expect(life.standing(0, at: naturalEnd) == .retired(punishable: true))
    }

    @Test("rule 5: where the grace outlasts a cut overlap it counts from the retirement")
    func graceOutlastsOverlap() throws {
        let policy = TokenPolicy(rotationAfter: 1_000, rotationOverlap: 60_000, replayGrace: 600_000)
        var life = try Life(policy: policy)
        life.now += 1_000
        try life.rotateAndConfirm()
        life.now += 1_000
        try life.rotateAndConfirm()
        #expect(life.standing(0, at: life.now + 599_999) == .retired(punishable: false))
        #expect(life.standing(0, at: life.now + 600_000) == .retired(punishable: true))
    }

    @Test("rule 5: a made-up verifier is unknown to every record and under every policy")
    func madeUpVerifier() throws {
        var life = try Life(policy: TokenPolicy(onReplay: .revoke))
        let forged = try TestToken(1_000).digest
        for _ in 0..<4 {
            life.now += Self.after
            try life.rotateAndConfirm()
            for wait in [0, Self.overlap, Self.grace * 10] {
                #expect(life.record.standing(of: forged, policy: life.policy, now: life.now + wait) == .forged)
                #expect(
                    life.record.decideAccess(digest: forged, policy: life.policy, now: life.now + wait)
                        == .refuseUnknown)
            }
        }
    }

    @Test("rule 5: on-replay decides what the return of a punishable token does", arguments: ReplayPolicy.allCases)
    func onReplay(onReplay: ReplayPolicy) throws {
        var life = try Life(policy: TokenPolicy(onReplay: onReplay))
        life.now += Self.after
        try life.rotateAndConfirm()
        let retired = life.now + Self.overlap
        #expect(life.access(0, at: retired) == .refuseReplayed)
        #expect(life.access(0, at: retired + Self.grace - 1) == .refuseReplayed)
        #expect(life.access(0, at: retired + Self.grace) == (onReplay == .revoke ? .endReplayed : .refuseReplayed))
    }
}
