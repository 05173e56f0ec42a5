import SeededRandom
import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// LOGIN: whose session it becomes, and that a repeated one is given the same answer (S3).
@Suite("LOGIN: whose session it becomes")
struct LoginDecisionTests {
    private let crypto: CryptoContext
    private let alice = Array("alice".utf8)
    private let bob = Array("bob".utf8)

    init() throws { crypto = try CryptoContext() }

    private func decide(
        _ session: StoredSession, _ life: Life, token: Int, subject: [UInt8], at moment: UnixMilliseconds? = nil
    ) throws -> LoginDecision {
        try session.decideLogin(
            token: SessionToken(sid: life.sid, verifier: life.tokens[token].verifier),
            digest: life.tokens[token].digest,
            subject: subject, policy: life.policy, now: moment ?? life.now, crypto: crypto)
    }

    /// After a LOGIN of `subject` with token number `from`; the new token is number 100.
    private func loggedIn(_ life: Life, from: Int, subject: [UInt8]) throws -> SessionRecord {
        let new = try TestToken(100)
        return life.record.loggedIn(
            to: new.digest, csrfSalt: new.digest, pageGuest: nil, memo: try memo(life, from: from, subject: subject),
            LoginTerms(
                subject: subject, idle: 1_000_000, absolute: 2_000_000, isPersistent: false, authTime: life.now),
            policy: life.policy, now: life.now)
    }

    private func memo(_ life: Life, from: Int, subject: [UInt8], sid: SessionID? = nil) throws -> LoginMemo {
        let new = try TestToken(100)
        return LoginMemo(
            sid: sid ?? life.sid, digest: new.digest,
            sealed: try crypto.seal(new.verifier, under: life.tokens[from].verifier, sid: life.sid),
            subjectDigest: try crypto.digest(subject), until: life.now + life.policy.rotationOverlap)
    }

    @Test("an anonymous session and one of the same subject are renewed, another's is replaced")
    func whoseSession() throws {
        var life = try Life()
        #expect(try decide(.live(life.record), life, token: 0, subject: alice) == .renew(life.record))
        life.record.subject = alice
        #expect(try decide(.live(life.record), life, token: 0, subject: alice) == .renew(life.record))
        #expect(try decide(.live(life.record), life, token: 0, subject: bob) == .replace(life.record))
    }

    @Test("every accepted token may log in: current, pending, waiting, overlapping")
    func everyAcceptedToken() throws {
        var life = try Life()
        try life.rotate()
        for token in 0...1 {
            #expect(try decide(.live(life.record), life, token: token, subject: alice) == .renew(life.record))
        }
        life.confirm()
        for token in 0...1 {
            #expect(try decide(.live(life.record), life, token: token, subject: alice) == .renew(life.record))
        }
        let retired = life.now + life.policy.rotationOverlap
        #expect(try decide(.live(life.record), life, token: 0, subject: alice, at: retired) == .fresh)
    }

    @Test("what is not accepted gets a new session and leaves what is stored alone")
    func notAccepted() throws {
        let life = try Life()
        var other = life
        other.record.current = try TestToken(50).digest
        #expect(try decide(.absent, life, token: 0, subject: alice) == .fresh)
        #expect(try decide(.live(other.record), life, token: 0, subject: alice) == .fresh)
        for reason in EndReason.allCases {
            #expect(try decide(.ended(Tombstone(reason: reason)), life, token: 0, subject: alice) == .fresh)
        }
    }

    @Test("S3: a LOGIN repeated with old token and subject gets the same new token, until the overlap has passed")
    func repeatedLogin()
        throws
    {
        let life = try Life()
        let stored = StoredSession.live(try loggedIn(life, from: 0, subject: alice))
        let answer = LoginDecision.repeatAnswer(
            SessionToken(sid: life.sid, verifier: try TestToken(100).verifier), since: life.now)
        #expect(try decide(stored, life, token: 0, subject: alice) == answer)
        let end = life.now + life.policy.rotationOverlap
        #expect(try decide(stored, life, token: 0, subject: alice, at: end - 1) == answer)
        #expect(try decide(stored, life, token: 0, subject: alice, at: end) == .fresh)
    }

    @Test("another subject or another token does not open the memo")
    func memoIsOwn() throws {
        var life = try Life()
        try life.rotate()
        let stored = StoredSession.live(try loggedIn(life, from: 1, subject: alice))
        #expect(try decide(stored, life, token: 1, subject: bob) == .fresh)
        #expect(try decide(stored, life, token: 0, subject: alice) == .fresh)
        #expect(try decide(stored, life, token: 1, subject: []) == .fresh)
    }

    @Test("the memo leads nowhere once its token is no longer the current one")
    func memoEnds() throws {
        var life = try Life()
        life.record = try loggedIn(life, from: 0, subject: alice)
        try life.force()
        #expect(life.record.login == nil)
        #expect(try decide(.live(life.record), life, token: 0, subject: alice) == .fresh)
        life.record = try loggedIn(try Life(), from: 0, subject: alice)
        try life.rotateAndConfirm()
        #expect(try decide(.live(life.record), life, token: 0, subject: alice) == .fresh)
    }

    @Test("S3: the tombstone of a replaced session leads the repeated LOGIN to the new one")
    func tombstoneLeadsToNew() throws {
        let life = try Life()
        var random = SeededRandom(seed: 12)
        let newSid: SessionID = try random.bytes()
        let stored = StoredSession.ended(
            Tombstone(reason: .login, login: try memo(life, from: 0, subject: bob, sid: newSid)))
        #expect(
            try decide(stored, life, token: 0, subject: bob)
                == .repeatAnswer(
                    SessionToken(sid: newSid, verifier: try TestToken(100).verifier), since: life.now))
        #expect(try decide(stored, life, token: 0, subject: alice) == .fresh)
    }

    @Test("S6: LOGIN sets subject and limits anew, and nothing else does")
    func loginSetsAnew() throws {
        var life = try Life()
        life.now += 5_000
        let record = try loggedIn(life, from: 0, subject: alice)
        #expect(record.subject == alice && record.idle == 1_000_000)
        #expect(record.absoluteEnd == life.now + 2_000_000)
        #expect(record.created == Life.start)
        #expect(
            record.standing(of: life.tokens[0].digest, policy: life.policy, now: life.now)
                == .retired(punishable: false))
        #expect(record.standing(of: try TestToken(100).digest, policy: life.policy, now: life.now) == .current)
    }
}
