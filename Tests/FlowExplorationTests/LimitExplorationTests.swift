import Testing
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// Logins of one subject that race over as many daemons, under a limit: their steps in every order.
@Suite("Every interleaving of racing logins under a limit")
struct LimitExplorationTests {
    /// What stands in Redis, and how far each login is. Sessions have numbers: those from before, then one for each login.
    private struct State {
        /// In the order of their entry, which is that of their numbers.
        var index: [Int]
        var living: Set<Int>
        var logins: [Login]

        /// All that the rest depends on.
        var key: [Int] {
            index + [-1] + living.sorted() + [-2]
                + logins.flatMap { [$0.steps, $0.answer == nil ? 0 : 1] + $0.seen + [-3] }
        }
    }

    private struct Login {
        var flow: LimitedFlow<IssueFlow>
        var step: FlowStep<LoginAnswer>
        var hasEntered = false
        var steps = 0
        /// What it was answered by Redis.
        var seen: [Int] = []
        var answer: LoginAnswer?
    }

    private let ground: Ground
    private let sids: [SessionID]
    private let subject = Array("alice".utf8)

    init() throws {
        ground = Ground(symbols: try Symbols(), policy: TokenPolicy())
        ground.time = Ticks.time(0)
        sids = (0..<8).map { number in
            var sid = SessionID()
            sid.withUnsafeMutableBytes { $0[0] = UInt8(number) }
            return sid
        }
    }

    private func number(_ sid: SessionID) -> Int { sids.firstIndex(of: sid) ?? -9 }

    private func begin(_ number: Int, limit: Int) throws -> Login {
        ground.freshSid = sids[number]
        var request = SessionRequest()
        request.subject = subject
        request.maxSessions = limit
        var flow = try LimitedFlow(IssueFlow(request, ground), request, ground)
        let step = try flow.next(.begin, ground)
        return Login(flow: flow, step: step)
    }

    /// Redis carries out one step of a login.
    private func advance(_ login: inout Login, _ state: inout State) throws {
        login.steps += 1
        let event: FlowEvent
        switch login.step {
        case .write(_, let sid) where !login.hasEntered:
            state.index.append(number(sid))
            login.hasEntered = true
            return
        case .write(_, let sid):
            state.living.insert(number(sid))
            event = .written(.changed(0))
        case .readIndex:
            login.seen += state.index
            event = .page(
                IndexPage(members: state.index.map { IndexMember(sid: sids[$0], score: Array("1".utf8)) }, next: nil))
        case .each(let parts):
            event = .gathered(
                parts.map { part in
                    switch part {
                    case .facts(let flow):
                        let lives = state.living.contains(number(flow.sid))
                        login.seen.append(lives ? 1 : 0)
                        return .success(.found(lives ? .living(facts, []) : .gone))
                    case .revoke(let flow):
                        let lived = state.living.remove(number(flow.sid)) != nil
                        return .success(.revoked(lived ? .revoked(.limit) : .unknown))
                    case .sweep: return .failure(.noKeys)
                    }
                })
        case .readNumbers(_, let sids):
            event = .numbers(sids.map { sid in Int64(state.index.firstIndex(of: number(sid)) ?? -1) })
        default: throw UnexpectedEvent()
        }
        login.step = try login.flow.next(event, ground)
        if case .answer(let answer, _) = login.step { login.answer = answer }
    }

    @Test("a login that was written is told its token, whatever cannot be read behind it", arguments: 0...3)
    func writtenIsTold(failing: Int) throws {
        var login = try begin(3, limit: 1)
        var state = State(index: [0, 1], living: [0, 1], logins: [])
        for _ in 0..<2 { try advance(&login, &state) }
        for _ in 0..<failing { try advance(&login, &state) }
        let fault = Unavailable.timeIsUp
        let event: FlowEvent =
            switch login.step {
            case .each(let parts): .gathered(parts.map { _ in .failure(ServiceFault(fault)) })
            default: .failed(fault)
            }
        guard case .answer(.issued(let view, _), _) = try login.flow.next(event, ground) else {
            Issue.record("step \(failing): not told")
            return
        }
        #expect(view.sid == sids[3] && view.newToken != nil)
    }

    private var facts: SessionFacts {
        SessionFacts(
            subject: subject, generation: 1, created: ground.time, lastAccess: ground.time, idle: 60_000,
            absoluteEnd: ground.time + 60_000, authTime: nil)
    }

    @Test(
        "exactly the n that logged in last remain",
        arguments: [(2, 1, 0), (2, 1, 1), (2, 2, 2), (3, 1, 0), (3, 1, 2), (3, 2, 1), (3, 3, 2)])
    func latestRemain(logins: Int, limit: Int, before: Int) throws {
        let start = State(
            index: Array(0..<before), living: Set(0..<before),
            logins: try (before..<before + logins).map { try begin($0, limit: limit) })
        var known: Set<[Int]> = [start.key]
        var open = [start]
        var ends = 0
        while let state = open.popLast() {
            let waiting = state.logins.indices.filter { state.logins[$0].answer == nil }
            if waiting.isEmpty {
                ends += 1
                let expected = Set(state.index.suffix(limit))
                #expect(state.living == expected, "order \(state.index), living \(state.living)")
                for (at, login) in state.logins.enumerated() {
                    // Who was refused has no session; who has one was told of it.
                    if case .refused = login.answer { #expect(!state.living.contains(before + at)) }
                }
            }
            for at in waiting {
                var next = state
                var login = next.logins[at]
                try advance(&login, &next)
                next.logins[at] = login
                if known.insert(next.key).inserted { open.append(next) }
            }
        }
        #expect(ends > 1)
    }
}
