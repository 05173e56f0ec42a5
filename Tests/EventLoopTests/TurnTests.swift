import EventLoop
import Glibc
import TestSupport
import Testing

/// Keeps the thread busy for a while, as slow work would.
private func work(for span: Duration) {
    let end = MonotonicInstant.now() + span
    while MonotonicInstant.now() < end {}
}

/// Handlers with work that takes its time, each on a socket pair of its own.
private final class SlowHandlers {
    let loop: EventLoop
    let pairs: [SocketPair]
    var handlers: [RecordingHandler] = []
    /// In order of the calls.
    var calls: [Int] = []
    var onCall: (Int) -> Void = { _ in }

    /// - Parameter span: that one call takes.
    init(_ count: Int, on loop: EventLoop, span: Duration = .milliseconds(1)) {
        self.loop = loop
        pairs = (0..<count).map { _ in SocketPair() }
        for (index, pair) in pairs.enumerated() {
            let handler = RecordingHandler()
            handler.watch = loop.watch(pair.ours, handler: handler)
            handler.onReadable = { [unowned self] _ in
                var byte: UInt8 = 0
                read(pair.ours, &byte, 1)
                work(for: span)
                calls.append(index)
                onCall(index)
            }
            handler.watch?.setReading(true)
            handlers.append(handler)
        }
    }

    func makeReady() { for pair in pairs { write(pair.theirs, "x", 1) } }
}

@Suite("A turn is bounded by time")
struct TurnTests {
    /// Calls of slow handlers that come at most between two turns of everybody else.
    private static let most = 8

    /// Runs the loop until it was stopped, and tells how many calls lay at most between two turns of a timer.
    private static func longestGap(_ slow: SlowHandlers) -> Int {
        var (longest, last) = (0, 0)
        var timer: LoopTimer?
        timer = slow.loop.makeTimer {
            longest = max(longest, slow.calls.count - last)
            last = slow.calls.count
            timer?.start(after: .zero)
        }
        timer?.start(after: .zero)
        slow.loop.run(atMost: .seconds(10))
        timer?.cancel()
        timer = nil
        return max(longest, slow.calls.count - last)
    }

    @Test("slow handlers let timers come between, and each is called once for its event, in order")
    func events() throws {
        let slow = SlowHandlers(150, on: try EventLoop())
        slow.onCall = { [unowned slow] _ in if slow.calls.count == 150 { slow.loop.stop() } }
        slow.makeReady()
        #expect(Self.longestGap(slow) <= Self.most)
        #expect(slow.calls == Array(0..<150))
    }

    @Test("a stream is read between slow handlers")
    func streams() throws {
        let loop = try EventLoop()
        let slow = SlowHandlers(150, on: loop)
        let folder = try TemporaryFolder()
        let bound = try UnixListener.bind(path: folder.path + "/s")
        let listener = loop.listen(on: bound.descriptor) { accepted in
            slow.makeReady()
            write(accepted, "hi", 2)
            close(accepted)
        }
        defer { listener.close() }
        let client = Client(loop: loop)
        var callsBefore: Int?
        client.onReceived = { callsBefore = slow.calls.count }
        client.stream.connect(unixPath: bound.path, timeout: .seconds(5))
        // The end of the stream stops the loop.
        loop.run(atMost: .seconds(10))
        #expect(try #require(callsBefore) <= 2 * Self.most)
        #expect(client.events.last == .closed(.endOfFile) && slow.calls.count < 150)
    }

    @Test("slow handlers that always have more take turns, and events, timers and new ones come between")
    func activations() throws {
        let loop = try EventLoop()
        let greedy = SlowHandlers(20, on: loop)
        for handler in greedy.handlers { handler.hasMore = true }
        let modest = SlowHandlers(1, on: loop)
        var callsBefore: Int?
        modest.onCall = { _ in callsBefore = greedy.calls.count }
        greedy.onCall = { [unowned greedy] _ in
            if greedy.calls.count == 100 { modest.makeReady() }
            if greedy.calls.count == 300 { loop.stop() }
        }
        greedy.makeReady()
        #expect(Self.longestGap(greedy) <= 2 * Self.most)
        #expect(try #require(callsBefore) <= 100 + 2 * Self.most)
        // Once all of them take turns.
        let counts = greedy.handlers.indices.map { index in greedy.calls[100..<300].count { $0 == index } }
        #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1, "somebody was passed over: \(counts)")
    }

    @Test("events and activations that a turn left do not come once their watch was cancelled")
    func cancelled() throws {
        let slow = SlowHandlers(60, on: try EventLoop())
        // By then some were called twice, some once, and most are still to be called.
        let (cancelling, odd) = (20, { (index: Int) in !index.isMultiple(of: 2) })
        slow.onCall = { [unowned slow] index in
            if slow.handlers[index].reads == 1 { slow.handlers[index].watch?.activateRead() }
            if slow.calls.count == cancelling {
                for index in slow.handlers.indices where odd(index) { slow.handlers[index].watch?.cancel() }
            }
            guard slow.handlers.indices.allSatisfy({ odd($0) || slow.handlers[$0].reads == 2 }) else { return }
            slow.loop.later { slow.loop.later { slow.loop.stop() } }
        }
        slow.makeReady()
        slow.loop.run(atMost: .seconds(10))
        #expect(!slow.calls.dropFirst(cancelling).contains(where: odd))
        #expect(Set(slow.calls.prefix(cancelling)).count < cancelling, "no activation came before the cancelling")
    }

    @Test("what a turn left when the loop was stopped is called when it runs again")
    func stopped() throws {
        let slow = SlowHandlers(40, on: try EventLoop())
        slow.onCall = { [unowned slow] _ in slow.loop.stop() }
        slow.makeReady()
        var turns = 0
        while slow.calls.count < 40, slow.loop.run(atMost: .seconds(5)) { turns += 1 }
        #expect(slow.calls == Array(0..<40))
        #expect(turns > 1, "all were called in one turn: this tested nothing")
    }
}
