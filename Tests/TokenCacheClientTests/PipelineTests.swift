import SeededRandom
import Testing

@testable import TokenCacheClient

@Suite("Pipeline", .timeLimit(.minutes(10)))
struct PipelineTests {
    private static let later = ContinuousClock.now + .seconds(60)
    private let places = Places(maximumCalls: 100)

    private func call(_ number: Int, repeatable: Bool = true) throws -> AsyncCall {
        let token = WireReply.token(number)
        return repeatable
            ? try AsyncCall(.validate(token), deadline: Self.later, places: places)
            : try AsyncCall(.rotate(token), deadline: Self.later, places: places)
    }

    /// What the task of a call gets; `body` does the I/O thread's part.
    private func outcome(of call: AsyncCall) -> Task<Reply, any Error> {
        Task {
            try await withUnsafeThrowingContinuation { continuation in
                if !call.begin(continuation) { continuation.resume(throwing: CancellationError()) }
            }
        }
    }

    private func feed(_ text: some StringProtocol, to pipeline: inout Pipeline) throws -> [AsyncCall] {
        var answered: [AsyncCall] = []
        try Array(text.utf8).withUnsafeBytes { try pipeline.received($0, answered: &answered) }
        return answered
    }

    private func reply(_ number: Int) -> String { WireReply.holder(sid: WireReply.sid(number)) }

    @Test("replies go to their calls in order, however the bytes are cut", arguments: [1, 2, 3, 7, 64, 100_000])
    func chunks(size: Int) throws {
        var pipeline = try Pipeline()
        let calls = try (0..<20).map { try call($0) }
        for call in calls { pipeline.add(Pipeline.Ticket(call: call)) }
        pipeline.wrote(pipeline.backlog)
        let wire = (0..<20).map(reply).joined()
        var answered: [AsyncCall] = []
        var rest = wire[...]
        while !rest.isEmpty {
            answered += try feed(rest.prefix(size), to: &pipeline)
            rest = rest.dropFirst(size)
        }
        #expect(answered.map(ObjectIdentifier.init) == calls.map(ObjectIdentifier.init))
        let left = pipeline.count
        #expect(left == 0 && places.occupied == 0)
    }

    @Test("a cancelled call keeps its position, and its reply is dropped there")
    func cancelled() async throws {
        var pipeline = try Pipeline()
        let (first, second) = (try call(1), try call(2))
        let (one, two) = (outcome(of: first), outcome(of: second))
        while !first.isWaiting || !second.isWaiting { await Task.yield() }
        pipeline.add(Pipeline.Ticket(call: first))
        pipeline.add(Pipeline.Ticket(call: second))
        pipeline.wrote(pipeline.backlog)
        first.cancel()
        await #expect(throws: CancellationError.self) { try await one.value }
        #expect(places.occupied == 2)
        for call in try feed(reply(1) + reply(2), to: &pipeline) { call.resume() }
        let reply = try await two.value
        #expect(reply.string(at: 8) == WireReply.sid(2))
        #expect(places.occupied == 0)
    }

    @Test("a reply about another session, one that was not asked for, and garbage end the connection")
    func violations() throws {
        for wire in [reply(2), "+OK\r\n", ":1\r\n", "HTTP\r\n", reply(1) + "+more\r\n"] {
            var pipeline = try Pipeline()
            pipeline.add(Pipeline.Ticket(call: try call(1)))
            pipeline.wrote(pipeline.backlog)
            do {
                _ = try feed(wire, to: &pipeline)
                Issue.record("taken: \(wire)")
            } catch TokenCacheError.protocolViolation {}
        }
    }

    @Test("when the daemon hangs up, only what is safe goes out again, and only once")
    func hangUp() throws {
        var pipeline = try Pipeline()
        let sentSafe = try call(1)
        let sentUnsafe = try call(2, repeatable: false)
        let tired = try call(3)
        let unsentUnsafe = try call(4, repeatable: false)
        let cancelled = try call(5)
        for (call, isSecond) in [(sentSafe, false), (sentUnsafe, false), (tired, true)] {
            pipeline.add(Pipeline.Ticket(call: call, isSecond: isSecond))
        }
        pipeline.wrote(pipeline.backlog)
        pipeline.add(Pipeline.Ticket(call: unsentUnsafe))
        pipeline.wrote(pipeline.backlog - 1)
        pipeline.add(Pipeline.Ticket(call: cancelled))
        cancelled.cancel()
        let again = pipeline.end(.hungUp(.connection(reason: "x")))
        #expect(again.count == 2 && again[0].call === sentSafe && again[1].call === unsentUnsafe)
        #expect(again.map(\.isSecond) == [true, true])
        #expect(places.occupied == 2)
    }

    @Test("nothing is sent again once a byte of its reply has come, or when the replies cannot be trusted")
    func begun() throws {
        var pipeline = try Pipeline()
        for number in 1...2 { pipeline.add(Pipeline.Ticket(call: try call(number))) }
        pipeline.wrote(pipeline.backlog)
        _ = try feed(reply(1).prefix(5), to: &pipeline)
        let unbegun = pipeline.end(.hungUp(.connection(reason: "x")))
        #expect(unbegun.count == 1)

        var other = try Pipeline()
        other.add(Pipeline.Ticket(call: try call(1)))
        let again = other.end(.untrusted(.protocolViolation))
        #expect(again.isEmpty)
    }

    @Test("places are bounded by calls and by bytes")
    func bounds() throws {
        let places = Places(maximumCalls: 2)
        let token = WireReply.token(1)
        let first = try AsyncCall(.validate(token), deadline: Self.later, places: places)
        _ = try AsyncCall(.validate(token), deadline: Self.later, places: places)
        #expect(throws: TokenCacheError.self) {
            try AsyncCall(.validate(token), deadline: Self.later, places: places)
        }
        first.abandon()
        #expect(places.occupied == 1)
        var data = SessionData()
        data.append("x", [UInt8](repeating: 1, count: Places.maximumBytes))
        #expect(throws: TokenCacheError.self) {
            try AsyncCall(.set(token, data), deadline: Self.later, places: places)
        }
        #expect(places.occupied == 1)
    }

    @Test("a queue keeps its order over any mix of adding and taking")
    func queue() {
        var random = SeededRandom(seed: 5)
        var queue = FIFO<Int>()
        var model: [Int] = []
        for number in 0..<5_000 {
            if Bool.random(using: &random) || number % 7 < 2 {
                queue.append(number)
                model.append(number)
            } else {
                #expect(queue.removeFirst() == (model.isEmpty ? nil : model.removeFirst()))
            }
            #expect(queue.count == model.count && queue.first == model.first)
        }
        #expect(queue.removeAll() == model && queue.isEmpty)
    }

    @Test("pauses grow to their limit, and a connection that worked ends them")
    func backoff() {
        var backoff = Backoff(pauses: .milliseconds(10) ... .milliseconds(35))
        let now = ContinuousClock.now
        for pause in [10, 20, 35, 35] {
            backoff.failed(at: now)
            #expect(backoff.notBefore == now + .milliseconds(pause))
        }
        backoff.succeeded()
        #expect(backoff.notBefore == nil)
    }
}
