import EventLoop
import RedisLink
import SeededRandom
import Testing
import TokenCrypto
import Tokens

@testable import TokenCache

/// Two daemons' services before one real Redis: random schedules of concurrent requests, each history held against
/// the invariants. Time is moved by setting back what the record says, so nothing sleeps.
@Suite("Two daemons before one Redis")
struct ScheduleTests {
    /// One browser's life. A reference, because completions write to it.
    private final class Life {
        let pair: ServicePair
        var random: SeededRandom
        var history: History
        var jar: SessionToken
        var genuine: [SessionToken]
        var isEnded = false

        init(pair: ServicePair, seed: UInt64) throws {
            self.pair = pair
            random = SeededRandom(seed: seed)
            history = History(seed: seed)
            jar = try pair.issue(SessionRequest(data: [RecordField(data: "basket", "full")]))
            genuine = [jar]
        }

        var key: String { "tc:s:\(genuine[0].sid)" }

        /// Makes the current token older: past the threshold of rotation, and so past every overlap.
        func age() throws {
            guard let confirmed = try pair.hash(key)["c"], let time = Int64(String(decoding: confirmed, as: UTF8.self))
            else { return }
            try pair.redis("HSET", key, "c", String(time - 16 * 60_000))
        }

        /// Sends a request, a few turns of the loop from now.
        func send(_ operation: History.Operation, _ token: SessionToken, isHonest: Bool) {
            let daemon = Int.random(in: 0...1, using: &random)
            later(turns: Int.random(in: 0...12, using: &random)) { [self] in
                let entry = history.begin(operation, token, daemon: daemon, isHonest: isHonest)
                let service = pair.services[daemon]
                switch operation {
                case .validate: service.validate(token) { [self] in finish(entry, $0) }
                case .rotate: service.rotate(token) { [self] in finish(entry, $0) }
                case .login:
                    service.login(token, SessionRequest(subject: "alice")) { [self] result in
                        finish(entry, result.map { .accepted($0.made) })
                    }
                case .revoke:
                    service.revoke(.token(token)) { [self] result in
                        switch result {
                        case .success(.revoked): history.finish(entry, .ended)
                        case .success(.unknown): history.finish(entry, .refused(.unknown))
                        case .success(.replayed): history.finish(entry, .refused(.replayed))
                        case .failure(let fault): Issue.record("no answer: \(fault)")
                        }
                        pair.loop.stop()
                    }
                }
            }
        }

        private func later(turns: Int, _ body: @escaping () -> Void) {
            sending += 1
            func wait(_ turns: Int) {
                pair.loop.later { [self] in
                    if turns > 0 { return wait(turns - 1) }
                    sending -= 1
                    body()
                }
            }
            wait(turns)
        }
        private var sending = 0

        private func finish(_ entry: Int, _ result: Result<Verdict, ServiceFault>) {
            switch result {
            case .failure(let fault): Issue.record("no answer: \(fault) (seed \(history.seed))")
            case .success(.refused(let refusal)): history.finish(entry, .refused(refusal))
            case .success(.accepted(let view)):
                history.finish(entry, .accepted(generation: view.generation, newToken: view.sessionToken))
                if let token = view.sessionToken {
                    if !genuine.contains(token) { genuine.append(token) }
                    if history.entries[entry].isHonest { jar = token }
                }
            }
            pair.loop.stop()
        }

        func settle() { pair.run { [self] in sending == 0 && history.isComplete } }

        func forged() throws -> SessionToken {
            SessionToken(sid: genuine[0].sid, verifier: try random.bytes())
        }
    }

    private func chance(_ percent: Int, _ life: Life) -> Bool { Int.random(in: 0..<100, using: &life.random) < percent }

    @Test("S1 S2 S3 S4 S5 S12 hold over random schedules of all commands on two daemons")
    func randomSchedules() throws {
        let pair = try ServicePair(policy: TokenPolicy(idle: 3_600_000))
        var rotations = 0
        for seed in 0..<60 as Range<UInt64> {
            let life = try Life(pair: pair, seed: seed)
            for round in 0..<5 {
                if chance(70, life) { try life.age() }
                for _ in 0..<Int.random(in: 1...6, using: &life.random) {
                    life.send(.validate, life.jar, isHonest: true)
                }
                let old = life.genuine[Int.random(in: 0..<life.genuine.count, using: &life.random)]
                if chance(40, life) { life.send(.validate, old, isHonest: false) }
                if chance(40, life) {
                    life.send(
                        [.validate, .rotate, .revoke, .login].randomElement(using: &life.random) ?? .validate,
                        try life.forged(), isHonest: false)
                }
                if round > 0, chance(25, life) { life.send(.rotate, life.jar, isHonest: true) }
                if round > 1, chance(25, life) {
                    life.send(.login, life.jar, isHonest: true)
                    life.send(.login, life.jar, isHonest: true)
                }
                if round == 4, chance(60, life) { life.send(.revoke, old, isHonest: false) }
                life.settle()
            }
            // Everything that was ever given out, once more: only what is alive may live.
            for token in life.genuine { life.send(.validate, token, isHonest: false) }
            life.settle()
            life.history.check(genuine: life.genuine)
            rotations += life.genuine.count
        }
        #expect(rotations > 150, "the schedules rotate")
        #expect(pair.services.allSatisfy { $0.counters.overtaken > 0 }, "the schedules race")
        try expectEveryKeyToExpire(pair)
    }

    @Test(
        "S2: concurrent presenters of one old token get one successor and one generation",
        arguments: 0..<8 as Range<UInt64>)
    func concurrentPresenters(seed: UInt64) throws {
        let pair = try ServicePair(seed: seed)
        let life = try Life(pair: pair, seed: seed)
        try life.age()
        for _ in 0..<40 { life.send(.validate, life.jar, isHonest: false) }
        life.settle()
        let answers = life.history.entries.compactMap { entry -> SessionToken? in
            guard case .accepted(2, let token?) = entry.outcome else { return nil }
            return token
        }
        #expect(answers.count == 40)
        #expect(Set(answers.map(\.secretText)).count == 1)
        #expect(pair.services.map(\.counters.rotations).reduce(0, +) == 1)
        // S3: whoever lost the answer comes again.
        let again = try pair.validate(life.jar, on: 1)
        #expect(again.view?.sessionToken == answers[0] && again.view?.generation == 2)
    }

    @Test("S3: racing and repeated LOGINs of one old token get the same new token", arguments: ["", "alice", "bob"])
    func racingLogins(holder: String) throws {
        let pair = try ServicePair()
        let old = try pair.issue(SessionRequest(subject: holder))
        var results: [Result<SessionView, ServiceFault>] = []
        for index in 0..<10 {
            pair.services[index % 2].login(old, SessionRequest(subject: "alice")) { result in
                results.append(result.map(\.made))
                pair.loop.stop()
            }
        }
        pair.run { results.count == 10 }
        let answers = try results.map { try #require(try $0.get().sessionToken) }
        try #require(answers.count == 10)
        let repeated: LoginAnswer = try pair.wait { pair.services[1].login(old, SessionRequest(subject: "alice"), $0) }
            .get()
        #expect(Set((answers + [try #require(repeated.made.sessionToken)]).map(\.secretText)).count == 1)
        #expect((answers[0].sid == old.sid) == (holder != "bob"))
        #expect(try pair.validate(old).refusal == (holder == "bob" ? .revoked(.login) : .replayed))
        #expect(try pair.validate(answers[0]).view?.subject == Array("alice".utf8))
        try expectEveryKeyToExpire(pair)
    }

    @Test("S5: REVOKEALL ends all of a subject but the one spared, on both daemons")
    func revokeAll() throws {
        let pair = try ServicePair()
        let tokens = try (0..<5).map { _ in try pair.issue(SessionRequest(subject: "alice")) }
        let other = try pair.issue(SessionRequest(subject: "bob"))
        let answer: Judged<Int> = try pair.wait {
            pair.services[1].revokeAll(subject: Array("alice".utf8), except: Presented(tokens[2]), $0)
        }.get()
        guard case .accepted(4) = answer else { return #expect(Bool(false), "\(answer)") }
        for (index, token) in tokens.enumerated() {
            #expect(try pair.validate(token, on: index % 2).refusal == (index == 2 ? nil : .revoked(.logoutAll)))
        }
        #expect(try pair.validate(other).view?.subject == Array("bob".utf8))
    }

    @Test("S4: a retired token that returns after the grace ends the session only where that is the policy")
    func retiredTokenReturns() throws {
        for onReplay in ReplayPolicy.allCases {
            let pair = try ServicePair(policy: TokenPolicy(onReplay: onReplay))
            let life = try Life(pair: pair, seed: 1)
            try life.age()
            let successor = try #require(try pair.validate(life.jar).view?.sessionToken)
            #expect(try pair.validate(successor, on: 1).view?.sessionToken == nil)
            #expect(try pair.validate(life.jar).view?.sessionToken == nil, "within the overlap")
            #expect(try pair.validate(life.forged(), on: 1).refusal == .unknown)
            // Fifteen minutes later: overlap and grace have passed, the next rotation is not due.
            let confirmed = try #require(
                try pair.hash(life.key)["c"].flatMap { Int64(String(decoding: $0, as: UTF8.self)) })
            try pair.redis("HSET", life.key, "c", String(confirmed - 11 * 60_000))
            #expect(try pair.validate(life.jar).refusal == .replayed)
            #expect(try pair.validate(successor).view?.generation == 2, "the grace has not passed")
            try pair.redis("HSET", life.key, "c", String(confirmed - 13 * 60_000))
            #expect(try pair.validate(life.jar).refusal == .replayed)
            let after = try pair.validate(successor, on: 1)
            #expect(after.refusal == (onReplay == .revoke ? .revoked(.replay) : nil))
        }
    }
}

/// S9, at this moment.
func expectEveryKeyToExpire(_ pair: ServicePair) throws {
    let keys = try pair.keys()
    #expect(!keys.isEmpty)
    for key in keys { #expect(try pair.integer("PTTL", key) > 0, "S9: \(key) has no TTL") }
}
