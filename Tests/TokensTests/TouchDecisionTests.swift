import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// The budget of writes (S8): when an access is recorded, and when that must come before the reply.
@Suite("S8: when an access is recorded")
struct TouchDecisionTests {
    @Test(
        "S8: an access is recorded once in a touch interval, before the reply where less than one remains",
        arguments: [
            (59_999, Touch.none), (60_000, .afterReply), (60_001, .afterReply), (7_200_000 - 60_000, .afterReply),
            (7_200_000 - 59_999, .beforeReply), (7_200_000, .beforeReply), (9_999_999, .beforeReply),
        ] as [(Milliseconds, Touch)])
    func onceAnInterval(
        age: Milliseconds, expected: Touch
    ) throws {
        let life = try Life(policy: TokenPolicy(rotationAfter: 1 << 40))
        #expect(life.access(0, at: Life.start + age) == .accept(expected))
    }

    @Test(
        "the touch interval is at most a tenth of the idle limit and never zero",
        arguments: [(600_000, 60_000), (599_990, 59_999), (1_000, 100), (10, 1), (9, 1), (1, 1)]
            as [(Milliseconds, Milliseconds)])
    func interval(
        idle: Milliseconds, interval: Milliseconds
    ) throws {
        var life = try Life(policy: TokenPolicy(rotationAfter: 1 << 40))
        life.record.idle = idle
        #expect(life.record.touchInterval(policy: life.policy) == interval)
    }

    @Test("the waiting and the overlapping token are touched by the same rule")
    func everyStanding() throws {
        var life = try Life()
        try life.rotate()
        #expect(life.access(0, at: life.now + 59_999) == .acceptAwaitingSuccessor(.none))
        #expect(life.access(0, at: life.now + 60_000) == .acceptAwaitingSuccessor(.afterReply))
        life.confirm()
        #expect(life.access(0, at: life.now + 59_999) == .accept(.none))
        #expect(life.access(0, at: life.now + 60_000) == .accept(.afterReply))
    }
}
