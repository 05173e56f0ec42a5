import RedisLink
import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

/// What `TokenService` promises to those who call it, where the design leaves no room.
@Suite("What the service promises its callers")
struct ContractTests {
    @Test("a completion never comes before its method has returned")
    func completionComesLater() throws {
        let pair = try ServicePair()
        let service = pair.services[0]
        var hasReturned = false
        var early: [String] = []
        func note(_ command: String) { if !hasReturned { early.append(command) } }
        service.validate(nil) { _ in note("validate") }
        service.rotate(nil) { _ in note("rotate") }
        service.revoke(.token(nil)) { _ in note("revoke") }
        service.get(.token(nil)) { _ in note("get") }
        service.inspect(.token(nil)) { _ in note("inspect") }
        service.change(.token(nil), .set([])) { _ in note("set") }
        service.revokeAll(subject: [1], except: Presented(nil)) { _ in note("revokeAll") }
        hasReturned = true
        #expect(early.isEmpty)
    }

    @Test("an answer that is there at once makes no use of the completion")
    func answerAtOnce() throws {
        let pair = try ServicePair()
        let service = pair.services[0]
        var completions = 0
        func completion<Answer>() -> TokenService.Completion<Answer> {
            completions += 1
            return { _ in }
        }
        let now = service.store.instant
        guard case .refused(.unknown) = try service.validate(Presented(nil), at: now, completion()) else {
            return #expect(Bool(false), "what can be no token")
        }
        guard case .refused(.unknown)? = try service.holder(Presented(nil), at: now, completion()) else {
            return #expect(Bool(false), "no holder without a token")
        }
        #expect(completions == 0)
        // Nobody knows without Redis.
        let token = try pair.issue()
        guard case .asked = try service.validate(Presented(token), at: now, completion()) else {
            return #expect(Bool(false), "without a near cache")
        }
        if let data = service.get(.token(token), at: now, completion()) { Issue.record("answered at once: \(data)") }
        #expect(completions == 2)
    }

    /// A daemon whose estimate of Redis's clock is 1.5 s ahead, a previous token whose overlap lasts 1 s more.
    private func aheadOfOverlap() throws -> (pair: ServicePair, old: SessionToken) {
        let pair = try ServicePair()
        let old = try pair.issue()
        let key = "tc:s:\(old.sid)"
        let now = try pair.time()
        try pair.redis("HSET", key, "c", String(now - 16 * 60_000))
        let successor = try #require(try pair.validate(old).view?.sessionToken)
        _ = try pair.validate(successor)
        try pair.redis("HSET", key, "c", String(try pair.time() - 119_000))
        pair.nodes[0].observe(serverTime: UnixMilliseconds(try pair.time() + 1_500))
        return (pair, old)
    }

    @Test("S1: the daemon's clock never refuses a VALIDATE: Redis's own time is asked")
    func clockAndValidate() throws {
        let (pair, old) = try aheadOfOverlap()
        let view = try #require(try pair.validate(old).view)
        #expect(view.sid == old.sid && view.generation == 2 && view.newToken == nil)
    }

    @Test("S1: the daemon's clock never refuses a GET, SET, INSPECT, ROTATE or LOGIN")
    func clockAndOthers() throws {
        let (pair, old) = try aheadOfOverlap()
        let service = pair.services[0]
        let got: Judged<HeldData> = try pair.wait { service.get(.token(old), $0) }.get()
        #expect(got.accepted?.sid == old.sid, "\(got)")
        let data = [RecordField(data: "a", "1")]
        let set: Judged<ChangedData> = try pair.wait { service.change(.token(old), .set(data), $0) }.get()
        #expect(set.accepted?.sid == old.sid, "\(set)")
        let inspected: Judged<Inspection> = try pair.wait { service.inspect(.token(old), $0) }.get()
        #expect(inspected.accepted?.session.sid == old.sid, "\(inspected)")
        let (second, previous) = try aheadOfOverlap()
        let rotated: Verdict = try second.wait { second.services[0].rotate(Presented(previous), $0) }.get()
        #expect(rotated.view?.sid == previous.sid, "\(rotated)")
        let login: LoginAnswer = try pair.wait { service.login(old, SessionRequest(subject: "alice"), $0) }.get()
        #expect(login.made.sid == old.sid)
    }

    @Test("rule 4: an access that confirms never also rotates, however small rotation.after is")
    func confirmsNeverRotates() throws {
        let pair = try ServicePair(policy: TokenPolicy(rotationAfter: 1))
        let first = try pair.issue()
        try pair.redis("HSET", "tc:s:\(first.sid)", "c", "1")
        let successor = try #require(try pair.validate(first).view?.sessionToken)
        // Redis is slow for a moment between the confirmation and its reply.
        let verdict: Result<Verdict, ServiceFault> = pair.wait { done in
            pair.services[0].validate(successor, done)
            pair.nodes[1].send(RedisCommand("DEBUG", "SLEEP", "0.02"), repeatable: false) { _ in }
        }
        let answer = try #require(try verdict.get().view)
        #expect(answer.sessionToken == nil && answer.generation == 2)
    }

    @Test("S10: a damaged record is UNAVAILABLE, never unknown")
    func damagedRecord() throws {
        let pair = try ServicePair()
        let token = try pair.issue()
        try pair.redis("HSET", "tc:s:\(token.sid)", "g", "many")
        let result: Result<Verdict, ServiceFault> = pair.wait { pair.services[0].validate(token, $0) }
        guard case .failure(.unavailable(let reason)) = result else { return #expect(Bool(false), "\(result)") }
        #expect(reason == "a session record is damaged in field g")
        try pair.redis("HSET", "tc:s:\(token.sid)", "g", "1", "v", "3")
        let newer: Result<Verdict, ServiceFault> = pair.wait { pair.services[1].validate(token, $0) }
        guard case .failure(.unavailable(let other)) = newer else { return #expect(Bool(false), "\(newer)") }
        #expect(other == "a session record has version 3, this daemon reads up to 2")
    }

    @Test("a record with times that no clock shows has limits in the past, and does not end the process")
    func impossibleTimes() {
        let record = SessionRecord(token: Digest(), subject: [], idle: 1, absolute: 1, now: .earliest)
        let view = SessionView(
            record, sid: SessionID(), now: UnixMilliseconds(1_700_000_000_000), newToken: nil, data: [])
        #expect(view.expiresIn <= 0 && view.absoluteIn <= 0)
    }
}
