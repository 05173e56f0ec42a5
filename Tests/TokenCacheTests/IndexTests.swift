import EventLoop
import RedisLink
import TestSupport
import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

/// The index of a subject's sessions, on a real Redis.
@Suite("The index of a subject's sessions")
struct IndexTests {
    private let pair: ServicePair
    private let alice = Array("alice".utf8)
    private let keys: [String]

    init() throws {
        pair = try ServicePair()
        let name = try SubjectIndex(subject: alice, crypto: CryptoContext()).name
        keys = ["u", "n"].map { "tc:\($0):\(String(decoding: name, as: UTF8.self))" }
    }

    private func list(
        limit: Int = 100, from cursor: IndexCursor? = nil, on daemon: Int = 0
    ) throws -> SessionPage {
        try pair.wait { self.pair.services[daemon].list(subject: self.alice, limit: limit, from: cursor, $0) }.get()
    }

    private func count() throws -> Int {
        try pair.wait { self.pair.services[1].count(subject: self.alice, $0) }.get()
    }

    /// Members of sessions that are gone, as those of idle sessions are.
    private func addDead(_ count: Int, end: Int64) throws {
        let dead = (0..<count).flatMap { at in
            [String(end + Int64(at)), String(repeating: "0", count: 24) + String(10_000_000 + at)]
        }
        _ = try pair.redis((["ZADD", keys[0]] + dead).map { Array($0.utf8) })
    }

    @Test("S5, S13: a LOGIN that is repeated on a new master stands in its subject's index again")
    func repeatedLogin() throws {
        // A session of nobody, which lives longer than the login.
        var request = SessionRequest()
        request.absolute = 90 * 3_600_000
        let first = try pair.issue(request)
        let key = "tc:s:\(first.sid)"
        let dump: RedisReply = try pair.redis("DUMP", key)
        guard case .bulk(let before) = dump else { throw HarnessFailure("no dump") }
        let answer: LoginAnswer = try pair.wait { pair.services[0].login(first, SessionRequest(subject: "alice"), $0) }
            .get()
        guard case .issued(_, _) = answer else { throw HarnessFailure("no login") }
        let wanted: StoredSession = try pair.wait {
            pair.services[0].run(ReadFlow(sid: first.sid), at: nil, isHousekeeping: true, $0)
        }.get()
        // The new master has neither the login nor the index.
        for key in keys { _ = try pair.redis("DEL", key) }
        _ = try pair.redis(
            [key, "3600000"].reduce([Array("RESTORE".utf8)]) { $0 + [Array($1.utf8)] } + [
                before, Array("REPLACE".utf8),
            ])
        #expect(try list(on: 1).sessions.isEmpty)
        let wasLost = try pair.wait {
            pair.services[1].run(
                RepeatFlow(sid: first.sid, wanted: wanted, data: .set([])), at: nil, isHousekeeping: true, $0)
        }.get()
        #expect(wasLost)
        #expect(try list(on: 1).sessions.map(\.sid) == [first.sid])
        guard case .refused = try pair.validate(first, on: 1) else { throw HarnessFailure("the old token is accepted") }
    }

    @Test("S13: a thousand dead sessions hide no living one, and leave after two looks")
    func deadHideNobody() throws {
        let token = try pair.issue(SessionRequest(subject: "alice"))
        let later = try pair.time() + 90 * 86_400_000
        try addDead(1_000, end: later)
        #expect(try list(limit: 1).sessions.map(\.sid) == [token.sid])
        #expect(try count() == 1)
        #expect(
            pair.eventually {
                (try? pair.integer("ZCOUNT", keys[0], "-inf", String(later - 1))) == 1_001
            }, "each has two minutes left")
        #expect(try pair.integer("ZCARD", keys[0]) == 1_001)
        // The two minutes are over.
        let now = try pair.time()
        let condemned = (0..<1_000).flatMap { at in
            ["\(now - 1).5", String(repeating: "0", count: 24) + String(10_000_000 + at)]
        }
        _ = try pair.redis((["ZADD", keys[0]] + condemned).map { Array($0.utf8) })
        #expect(try list(on: 1).sessions.count == 1)
        #expect(pair.eventually { (try? pair.integer("ZCARD", keys[0])) == 1 })
        #expect(pair.services[1].counters.indexRemovals == 1_000)
    }

    @Test("S13: a living session that was condemned has its place again after a look")
    func condemnedLives() throws {
        let token = try pair.issue(SessionRequest(subject: "alice"))
        let key = keys[0]
        let end = try pair.redis("ZSCORE", key, "\(token.sid)")
        try pair.redis("ZADD", key, "\(try pair.time() - 1).5", "\(token.sid)")
        #expect(try list().sessions.count == 1)
        #expect(pair.eventually { (try? pair.redis("ZSCORE", key, "\(token.sid)")) == end })
    }

    @Test("S13: what was found of a session half a minute ago is told no more, nor that it was ended")
    func findingsAge() throws {
        let token = try pair.issue(SessionRequest(subject: "alice"))
        func score() throws -> [UInt8] {
            guard case .bulk(let score) = try pair.redis("ZSCORE", keys[0], "\(token.sid)") else { return [] }
            return score
        }
        let before = try score()
        let index = try SubjectIndex(subject: alice, crypto: CryptoContext())
        func tell(_ finding: (MonotonicInstant) -> IndexFinding, secondsAgo: Int) {
            let store = pair.services[0].store
            let asked = store.instant - .seconds(secondsAgo)
            let _: Int64 = pair.wait { store.tidy(index, [finding(asked)], $0) }
        }
        func gone(_ asked: MonotonicInstant) -> IndexFinding {
            .gone(IndexMember(sid: token.sid, score: before, asked: asked))
        }
        tell(gone, secondsAgo: 31)
        tell({ .ended(token.sid, asked: $0) }, secondsAgo: 31)
        #expect(try score() == before)
        tell(gone, secondsAgo: 10)
        #expect(try score().suffix(2).elementsEqual(".5".utf8))
        tell({ .ended(token.sid, asked: $0) }, secondsAgo: 10)
        #expect(try pair.integer("EXISTS", keys[0]) == 0)
    }

    @Test("a session of another subject takes no place, and leaves")
    func anotherSubject() throws {
        let bob = try pair.issue(SessionRequest(subject: "bob"))
        _ = try pair.issue(SessionRequest(subject: "alice"))
        try pair.redis("ZADD", keys[0], "\(try pair.time() - 1).5", "\(bob.sid)")
        #expect(try count() == 1)
        #expect(pair.eventually { (try? pair.integer("ZCARD", keys[0])) == 1 })
    }

    @Test("an ended session leaves at once, with its login's number; the last one leaves nothing")
    func endedLeaves() throws {
        _ = try issue(max: 9)
        let tokens = try (0..<3).map { _ in try pair.issue(SessionRequest(subject: "alice")) }
        #expect(try pair.hash(keys[1]).count == 5, "where a limit was kept once, all have numbers")
        let revoked: RevokeAnswer = try pair.wait { pair.services[0].revoke(.token(Presented(tokens[0])), $0) }.get()
        #expect(revoked == .revoked(.logout))
        #expect(pair.eventually { (try? pair.integer("ZCARD", keys[0])) == 3 })
        #expect(try pair.hash(keys[1])["\(tokens[0].sid)"] == nil)
        let all: Judged<Int> = try pair.wait { pair.services[1].revokeAll(subject: alice, except: nil, $0) }.get()
        #expect(all.accepted == 3)
        #expect(pair.eventually { (try? pair.integer("EXISTS", keys[0], keys[1])) == 0 })
    }

    @Test("LIST by cursor finds each session, so many a page", arguments: [1, 7, 1_000])
    func cursor(limit: Int) throws {
        let tokens = try (0..<25).map { _ in try pair.issue(SessionRequest(subject: "alice")) }
        try addDead(40, end: try pair.time() + 80_000_000)
        var found: Set<SessionID> = []
        var cursor: IndexCursor? = .start
        var calls = 0
        while let from = cursor, calls < 200 {
            // As a client hands it back.
            let text = Array(from.text.utf8)
            let page = try list(limit: limit, from: text.withUnsafeBytes { IndexCursor(text: $0) })
            #expect(page.sessions.count <= limit)
            found.formUnion(page.sessions.map(\.sid))
            cursor = page.next
            calls += 1
        }
        #expect(found == Set(tokens.map(\.sid)))
    }

    @Test(
        "what is no cursor is none",
        arguments: ["", "1", "x:y:0", "0:0", "1::0:", "nan:AAAA:0", "1:A*:0", "1:AAAA:-1"])
    func noCursor(text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { IndexCursor(text: $0) } == nil)
    }

    // MARK: Limits

    private func issue(max: Int?, on daemon: Int = 0, absolute: Milliseconds? = nil) throws -> LoginAnswer {
        var request = SessionRequest(subject: "alice")
        request.maxSessions = max
        request.absolute = absolute
        return try pair.wait { self.pair.services[daemon].issue(request, $0) }.get()
    }

    private func living() throws -> Set<SessionID> { Set(try list().sessions.map(\.sid)) }

    @Test("MAX: the sessions that logged in last remain, and the reply says how many were ended")
    func keepsTheLatest() throws {
        var sids: [SessionID] = []
        for round in 0..<6 {
            guard case .issued(let view, let ended) = try issue(max: 3, on: round % 2) else { throw UnexpectedEvent() }
            sids.append(view.sid)
            #expect(ended == (round < 3 ? 0 : 1))
        }
        #expect(try living() == Set(sids.suffix(3)))
        let first = SessionToken(sid: sids[0], verifier: Verifier())
        #expect(try pair.validate(first).refusal == .revoked(.limit))
        guard case .issued(_, let ended) = try issue(max: 1) else { throw UnexpectedEvent() }
        #expect(ended == 3)
    }

    @Test("MAX: many are ended: some before the answer, all in the end")
    func manyGiveWay() throws {
        for _ in 0..<50 { _ = try issue(max: 0) }
        guard case .issued(let view, let ended) = try issue(max: 2) else { throw UnexpectedEvent() }
        #expect(ended == 49)
        #expect(pair.eventually { (try? living().count) == 2 })
        #expect(try living().contains(view.sid))
    }

    @Test("MAX: a login that renews its session counts as the latest")
    func renewalIsLatest() throws {
        let first = try pair.issue(SessionRequest(subject: "alice"))
        let second = try pair.issue(SessionRequest(subject: "alice"))
        var request = SessionRequest(subject: "alice")
        request.maxSessions = 1
        let answer: LoginAnswer = try pair.wait { pair.services[0].login(first, request, $0) }.get()
        #expect(answer.made.sid == first.sid)
        #expect(try living() == [first.sid])
        #expect(try pair.validate(second).refusal == .revoked(.limit))
    }

    @Test("MAX: a session that logged in again since it was found to be among the oldest stays")
    func renewedSinceItWasRanked() throws {
        let token = try pair.issue(SessionRequest(subject: "alice"))
        let answer: LoginAnswer = try pair.wait {
            pair.services[1].login(token, SessionRequest(subject: "alice"), $0)
        }.get()
        func end(asOf generation: Int64) throws -> RevokeAnswer {
            try pair.wait {
                pair.services[0].run(
                    RevokeFlow(sid: token.sid, subject: alice, reason: .limit, generation: generation), at: nil, $0)
            }.get()
        }
        #expect(try end(asOf: 1) == .unknown)
        let renewed = try #require(answer.made.sessionToken)
        #expect(try pair.validate(renewed).view?.subject == alice)
        #expect(try end(asOf: 2) == .revoked(.limit))
    }

    @Test("refuse: nothing is changed where there is no place; an end makes one, and so does a session that is gone")
    func refuses() throws {
        let pair = try ServicePair(policy: TokenPolicy(maxPerSubject: 2, onLimit: .refuse))
        func login(_ old: SessionToken?, _ data: [RecordField] = []) throws -> LoginAnswer {
            try pair.wait { done in
                pair.services[0].login(Presented(old).credential, SessionRequest(subject: "alice", data: data), done)
            }.get()
        }
        let first = try pair.issue(SessionRequest(subject: "alice"))
        _ = try pair.issue(SessionRequest(subject: "alice"))
        let anonymous = try pair.issue()
        let bob = try pair.issue(SessionRequest(subject: "bob"))
        for old in [nil, anonymous, bob] {
            guard case .refused(2) = try login(old) else { throw UnexpectedEvent() }
        }
        #expect(try pair.validate(anonymous).view?.subject == [], "not a login")
        #expect(try pair.validate(bob).view?.subject == Array("bob".utf8), "not ended")
        let renewed = try login(first).made
        #expect(renewed.sid == first.sid, "one's own session is renewed")
        #expect(try login(first).made.sid == first.sid, "and the login repeated")
        #expect(try login(first, [RecordField(data: "a", "b")]).made.sid == first.sid, "with what it changes")
        // Gone without a word, as the idle limit ends it, and too long ago to be on its way.
        try pair.redis("DEL", "tc:s:\(first.sid)")
        try pair.redis("HSET", keys[1], "\(first.sid)", String(try pair.time() - 60_000))
        #expect(try login(bob).made.subject == alice)
        guard case .refused(2) = try login(nil) else { throw UnexpectedEvent() }
    }

    @Test("MAX: of racing logins over both daemons exactly the latest remain", arguments: 0..<60)
    func racingLogins(seed: Int) throws {
        let before = seed % 3
        for _ in 0..<before { _ = try issue(max: 0) }
        let limit = 1 + seed / 3 % 3
        var answers: [LoginAnswer] = []
        var request = SessionRequest(subject: "alice")
        request.maxSessions = limit
        let logins = 4
        for login in 0..<logins {
            // Some turns apart, so that their steps meet in another order each time.
            pair.later(.microseconds(Int64((seed * 7 + login * 13) % 11 * 90))) { [pair] in
                pair.services[login % 2].issue(request) { result in
                    if let answer = try? result.get() { answers.append(answer) }
                    pair.loop.stop()
                }
            }
        }
        pair.run { answers.count == logins }
        let made = answers.compactMap { answer in if case .issued(let view, _) = answer { view.sid } else { nil } }
        let numbers = try pair.hash(keys[1]).compactMapValues { Int64(String(decoding: $0, as: UTF8.self)) }
        #expect(pair.eventually { (try? living().count) == min(limit, logins + before) })
        let left = try living()
        // Those are the highest of all that were given out, which are told of those that live.
        let lowest = left.compactMap { numbers["\($0)"] }.min() ?? 0
        for (sid, number) in numbers where sid != "#" && number > lowest {
            #expect(left.contains { "\($0)" == sid })
        }
        #expect(before > 0 || left.isSubset(of: made), "who was told of a session has it")
    }
}

/// Reads what stands in Redis.
private struct ReadFlow: Flow {
    let sid: SessionID

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<StoredSession> {
        switch event {
        case .begin: return .read(.anew(sid))
        case .read(let copy, _): return .answer(copy.session)
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }
}
