import EventLoop
import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import RedisLink
@testable import TokenCache

/// Every request is answered `redis.timeout` after it came, however many round trips it takes; what was still out then is
/// not forgotten.
@Suite("The time of a request")
struct DeadlineTests {
    private static let timeout: Milliseconds = 1_000

    /// Redis does nothing for a while before it takes what the service sends behind this.
    private func hold(_ pair: ServicePair, seconds: String) {
        pair.nodes[0].send(RedisCommand("DEBUG", "SLEEP", seconds), repeatable: false) { _ in }
    }

    @Test("S10: a request of three round trips has one time for all of them")
    func threeRoundTrips() throws {
        let pair = try ServicePair(timeout: Self.timeout)
        // Of another subject: read, ended, and then the new one made.
        let old = try pair.issue(SessionRequest(subject: "bob"))
        let service = pair.services[0]
        let start = MonotonicInstant.now()
        // Each round trip alone would be in time.
        hold(pair, seconds: "0.6")
        let result: Result<LoginAnswer, ServiceFault> = pair.wait { done in
            service.login(old, SessionRequest(subject: "alice"), done)
            slowDown(pair, rounds: 4)
        }
        let elapsed = start.duration(to: .now())
        guard case .failure(.unavailable) = result else { return #expect(Bool(false), "\(result)") }
        #expect(elapsed >= .milliseconds(900) && elapsed < .milliseconds(1_700), "after \(elapsed)")
    }

    /// Puts a nap behind whatever the service sends next, again and again.
    private func slowDown(_ pair: ServicePair, rounds: Int) {
        guard rounds > 0 else { return }
        pair.nodes[0].send(RedisCommand("DEBUG", "SLEEP", "0.35"), repeatable: false) { _ in
            slowDown(pair, rounds: rounds - 1)
        }
    }

    @Test("S5: a REVOKE that is given up is denied in the same turn, and its fate is taken in when it comes")
    func revokeGivenUp()
        throws
    {
        let pair = try ServicePair(timeout: 2_000)
        let token = try pair.issue()
        let service = pair.services[0]
        // The read takes a second; the write that follows waits until the request was given up, and no longer than the
        // link waits for it.
        try pair.redis("CLIENT", "PAUSE", "2500", "WRITE")
        hold(pair, seconds: "1")
        var waiter: Result<Verdict, ServiceFault>?
        var latecomer: Result<Verdict, ServiceFault>?
        var wasDenied = false
        let start = MonotonicInstant.now()
        let revoked: Result<RevokeAnswer, ServiceFault> = pair.wait { done in
            service.revoke(.token(token)) { result in
                wasDenied = !service.ledger.mayAnswer(token.sid, at: .now())
                service.validate(token) { latecomer = $0 }
                done(result)
            }
            // Came later, so that its own time is not up when it hears of the other's end.
            pair.later(.milliseconds(600)) { service.validate(token) { waiter = $0 } }
        }
        let elapsed = start.duration(to: .now())
        guard case .failure(.unavailable) = revoked else { return #expect(Bool(false), "\(revoked)") }
        #expect(elapsed >= .milliseconds(1_900) && elapsed < .milliseconds(2_450), "after \(elapsed)")
        #expect(wasDenied)
        #expect(pair.eventually { waiter != nil && latecomer != nil })
        guard case .failure(.unavailable)? = waiter else { return #expect(Bool(false), "\(waiter as Any)") }
        // Its read stands behind the write.
        let verdict = try #require(latecomer).get()
        #expect(verdict.refusal == .revoked(.logout))
        #expect(!service.ledger.isUnderWay(token.sid))
        let lifted = pair.eventually { service.ledger.mayAnswer(token.sid, at: .now()) }
        #expect(lifted, "the fate of the write was not taken in")
        #expect(try pair.validate(token).refusal == .revoked(.logout))
    }

    @Test("a request that was answered in time is answered once, and its time costs nobody")
    func answeredOnce() throws {
        let pair = try ServicePair(timeout: Self.timeout)
        let token = try pair.issue(SessionRequest(subject: "alice"))
        for _ in 0..<5 {
            #expect(try pair.validate(token).view != nil)
            let list: SessionPage = try pair.wait {
                pair.services[0].list(subject: Array("alice".utf8), limit: 9, $0)
            }
            .get()
            #expect(list.sessions.count == 1)
            _ = pair.eventually(within: .milliseconds(300)) { false }
        }
    }

    @Test("LIST and REVOKEALL have the time of a request for each batch")
    func timeOfBatches() throws {
        // Both batches together take longer than one time, each of them a second less: of a busy machine's, too.
        let pair = try ServicePair(timeout: 3_000)
        for _ in 0..<3 { _ = try pair.issue(SessionRequest(subject: "alice")) }
        hold(pair, seconds: "2")
        let list: Result<SessionPage, ServiceFault> = pair.wait { done in
            pair.services[0].list(subject: Array("alice".utf8), limit: 9, done)
            // Behind the index, before the sessions.
            pair.later(.milliseconds(1_000)) { hold(pair, seconds: "2") }
        }
        #expect(try list.get().sessions.count == 3)
    }

    /// The node is led to the same server under another name, as to a new master: its clock is not known before it answers.
    private func leadElsewhere(_ pair: ServicePair, suffix: String = "") throws {
        guard case .unix(let path, let login, _) = pair.nodes[0].endpoint else { throw RedisFault(.other, "no socket") }
        let fault = RedisFault(.readOnly, .otherMaster)
        pair.nodes[0].lead(to: .unix(path: "/" + path + suffix, login: login), leaving: fault)
        #expect(pair.nodes[0].serverTime == nil)
    }

    @Test("S10: what comes between the new master's name and its first answer waits for it within its time")
    func newMaster() throws {
        let pair = try ServicePair(timeout: Self.timeout)
        let service = pair.services[0]
        try leadElsewhere(pair)
        let issued: Result<LoginAnswer, ServiceFault> = pair.wait { service.issue(SessionRequest(subject: "ann"), $0) }
        let token = try #require(issued.get().made.sessionToken)
        try leadElsewhere(pair)
        let login: Result<LoginAnswer, ServiceFault> = pair.wait { done in
            service.login(nil, SessionRequest(subject: "bob"), done)
        }
        #expect(try login.get().made.sessionToken != nil)
        try leadElsewhere(pair)
        let list: Result<SessionPage, ServiceFault> = pair.wait { done in
            service.list(subject: Array("ann".utf8), limit: 9, done)
        }
        #expect(try list.get().sessions.count == 1)
        #expect(try pair.validate(token).view != nil)
    }

    @Test("S10: and is told why where that one is not reached")
    func newMasterAway() throws {
        let pair = try ServicePair(timeout: Self.timeout)
        try leadElsewhere(pair, suffix: "-not-there")
        let start = MonotonicInstant.now()
        let issued: Result<LoginAnswer, ServiceFault> = pair.wait { done in
            pair.services[0].issue(SessionRequest(subject: "ann"), done)
        }
        #expect(start.duration(to: .now()) < .milliseconds(1_900))
        guard case .failure(.unavailable(let fault)) = issued else { return #expect(Bool(false), "\(issued)") }
        #expect(fault.hasPrefix("Redis "), "\(fault)")
    }
}
