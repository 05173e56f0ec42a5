import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// Rule 6, LOGIN and ROTATE; and what an access may move (S6).
@Suite("LOGIN and ROTATE: forced rotation, and what an access may move")
struct ForcedRotationTests {
    @Test("rule 6: current, previous and pending are retired at once, the new one is current")
    func retiresAllAtOnce() throws {
        var life = try Life()
        life.now += life.policy.rotationAfter
        try life.rotateAndConfirm()
        life.now += life.policy.rotationAfter
        try life.rotate()
        #expect([0, 1, 2].map { life.standing($0) } == [.retired(punishable: true), .awaitingSuccessor, .pending])
        try life.force()
        for token in 0...2 { #expect(life.standing(token) == .retired(punishable: false)) }
        #expect(life.standing(3) == .current)
        #expect(life.access(3) == .accept(.none))
        #expect(life.record.previous == nil)
        #expect(life.record.generation == 4 && life.record.forcedGeneration == 4)
    }

    @Test("rule 6: within the overlap, too, the previous token dies with the forced rotation")
    func previousDiesInOverlap() throws {
        var life = try Life()
        life.now += life.policy.rotationAfter
        try life.rotateAndConfirm()
        #expect(life.standing(0) == .overlapping)
        try life.force()
        #expect(life.standing(0) == .retired(punishable: false))
        #expect(life.standing(1) == .retired(punishable: false))
    }

    @Test("rule 5: tokens from before a forced rotation never become punishable, later ones do")
    func olderTokensNeverPunishable() throws {
        var life = try Life(policy: TokenPolicy(onReplay: .revoke))
        life.now += life.policy.rotationAfter
        try life.rotateAndConfirm()
        try life.force()
        for _ in 0..<3 {
            life.now += life.policy.rotationAfter
            try life.rotateAndConfirm()
        }
        let muchLater = life.now + 100 * life.policy.replayGrace
        for token in 0...1 { #expect(life.standing(token, at: muchLater) == .retired(punishable: false)) }
        for token in 2...4 { #expect(life.standing(token, at: muchLater) == .retired(punishable: true)) }
        #expect(life.standing(5, at: muchLater) == .current)
    }

    @Test("rule 5: it is the last forced rotation that counts", arguments: 1...3)
    func lastForcedRotationCounts(rotationsBetween: Int) throws {
        var life = try Life(policy: TokenPolicy(onReplay: .revoke))
        try life.force()
        for _ in 0..<rotationsBetween {
            life.now += life.policy.rotationAfter
            try life.rotateAndConfirm()
        }
        try life.force()
        let muchLater = life.now + 100 * life.policy.replayGrace
        for token in 0..<life.tokens.count - 1 {
            #expect(life.access(token, at: muchLater) == .refuseReplayed)
        }
    }

    @Test("rule 6: seven older tokens survive a forced rotation, its own counted")
    func sevenOlderTokensSurvive() throws {
        var life = try Life()
        for _ in 0..<10 { try life.force() }
        for token in 3...9 { #expect(life.standing(token) == .retired(punishable: false)) }
        #expect(life.standing(2) == .forged)
    }

    @Test("a forced rotation renews the salt of CSRF tokens, a rotation on access keeps it")
    func forcedRotationRenewsSalt() throws {
        var life = try Life()
        #expect(life.record.csrfSalt == nil)
        try life.force()
        #expect(life.record.csrfSalt == life.tokens[1].digest)
        try life.rotateAndConfirm()
        #expect(life.record.csrfSalt == life.tokens[1].digest)
        try life.force()
        #expect(life.record.csrfSalt == life.tokens[3].digest)
    }

    @Test("S6: rotation, confirmation and ROTATE never move the absolute end, and all renew the access")
    func absoluteEndStays() throws {
        var life = try Life()
        let end = life.record.absoluteEnd
        #expect(end == Life.start + life.policy.absolute)
        for step in 0..<6 {
            life.now += life.policy.rotationAfter
            switch step % 3 {
            case 0: try life.rotate()
            case 1: life.confirm()
            default: try life.force()
            }
            #expect(life.record.absoluteEnd == end)
            #expect(life.record.lastAccess == life.now)
            #expect(life.record.expireAt == min(life.now + life.policy.idle, end))
        }
    }

    @Test("the TTL is the idle limit until the absolute end is nearer")
    func timeToLive() throws {
        var life = try Life(policy: TokenPolicy(idle: 1_000, absolute: 1_500))
        #expect(life.record.expireAt == Life.start + 1_000)
        life.now += 900
        try life.force()
        #expect(life.record.expireAt == Life.start + 1_500)
    }
}
