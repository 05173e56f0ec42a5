import EventLoop
import Glibc
import Testing

@Suite struct MonotonicInstantTests {
    @Test func arithmeticSaturates() {
        #expect(MonotonicInstant.latest + .seconds(1) == .latest)
        #expect(MonotonicInstant.earliest - .seconds(1) == .earliest)
        #expect(MonotonicInstant.earliest + .seconds(-1) == .earliest)
        #expect(MonotonicInstant.latest - MonotonicInstant.earliest == .nanoseconds(Int64.max))
        #expect(MonotonicInstant.earliest - MonotonicInstant.latest == .nanoseconds(Int64.min))
        #expect(MonotonicInstant(nanoseconds: 0) + .seconds(Int64.max) == .latest)
        #expect(MonotonicInstant(nanoseconds: 5) + .milliseconds(1) == MonotonicInstant(nanoseconds: 1_000_005))
    }

    @Test func neverGoesBack() {
        let first = MonotonicInstant.now()
        #expect(MonotonicInstant.now() >= first)
        #expect(first > .earliest)
    }
}

@Suite struct LoopTests {
    @Test func stopBeforeRunIsRemembered() throws {
        let loop = try EventLoop()
        loop.stop()
        loop.run(atMost: .seconds(5))
    }

    @Test func timerRunsOutOncePerStart() throws {
        let loop = try EventLoop()
        var count = 0
        let timer = loop.makeTimer { count += 1 }
        timer.start(after: .milliseconds(1))
        #expect(timer.isActive)
        let end = loop.makeTimer { loop.stop() }
        end.start(after: .milliseconds(40))
        loop.run(atMost: .seconds(5))
        #expect(count == 1)
        #expect(!timer.isActive)
    }

    @Test func cancelledTimerIsSilent() throws {
        let loop = try EventLoop()
        var count = 0
        let timer = loop.makeTimer { count += 1 }
        timer.start(after: .zero)
        timer.cancel()
        #expect(!timer.isActive)
        let end = loop.makeTimer { loop.stop() }
        end.start(after: .milliseconds(20))
        loop.run(atMost: .seconds(5))
        #expect(count == 0)
    }

    @Test func timerMayBeLetGoOfInItsOwnBody() throws {
        let loop = try EventLoop()
        var timer: LoopTimer?
        timer = loop.makeTimer {
            timer = nil
            loop.later { loop.stop() }
        }
        timer?.start(after: .zero)
        loop.run(atMost: .seconds(5))
        #expect(timer == nil)
    }

    @Test func laterRunsInOrderAndAfterTheTurn() throws {
        let loop = try EventLoop()
        var order: [Int] = []
        loop.later {
            order.append(1)
            loop.later {
                order.append(3)
                loop.stop()
            }
        }
        loop.later { order.append(2) }
        #expect(order.isEmpty)
        loop.run(atMost: .seconds(5))
        #expect(order == [1, 2, 3])
    }

    @Test func signalIsDelivered() throws {
        let loop = try EventLoop()
        var count = 0
        let watch = loop.onSignal(SIGUSR2) {
            count += 1
            loop.stop()
        }
        loop.later { kill(getpid(), SIGUSR2) }
        loop.run(atMost: .seconds(5))
        watch.cancel()
        #expect(count == 1)
    }
}

@Suite struct DescriptorWatchTests {
    @Test func readableAndWritable() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let handler = RecordingHandler()
        handler.watch = loop.watch(pair.ours, handler: handler)
        handler.onWritable = {
            $0.watch?.setWriting(false)
            write(pair.theirs, "x", 1)
        }
        handler.onReadable = { _ in
            var byte: UInt8 = 0
            read(pair.ours, &byte, 1)
            loop.stop()
        }
        handler.watch?.setReading(true)
        handler.watch?.setWriting(true)
        loop.run(atMost: .seconds(5))
        #expect(handler.reads == 1)
        #expect(handler.writes == 1)
    }

    @Test func handlerMayLetGoOfItselfWithBothEventsReady() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        var handler: RecordingHandler? = RecordingHandler()
        weak let observed = handler
        handler?.watch = handler.map { loop.watch(pair.ours, handler: $0) }
        var calls = 0
        let vanish: (RecordingHandler) -> Void = { _ in
            calls += 1
            handler = nil
            loop.later { loop.stop() }
        }
        handler?.onReadable = vanish
        handler?.onWritable = vanish
        write(pair.theirs, "x", 1)
        handler?.watch?.setReading(true)
        handler?.watch?.setWriting(true)
        loop.run(atMost: .seconds(5))
        #expect(calls == 1)
        #expect(observed == nil)
    }

    @Test func noCallFollowsACancel() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let handler = RecordingHandler()
        handler.watch = loop.watch(pair.ours, handler: handler)
        handler.onReadable = {
            $0.watch?.activateRead()
            $0.watch?.cancel()
            $0.watch?.setReading(true)
            $0.watch?.activateRead()
        }
        write(pair.theirs, "x", 1)
        handler.watch?.setReading(true)
        let end = loop.makeTimer { loop.stop() }
        end.start(after: .milliseconds(20))
        loop.run(atMost: .seconds(5))
        #expect(handler.reads == 1)
    }

    @Test func activateReadLetsOthersComeBetween() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let greedy = RecordingHandler()
        let modest = RecordingHandler()
        greedy.watch = loop.watch(-1, handler: greedy)
        modest.watch = loop.watch(pair.ours, handler: modest)
        greedy.onReadable = {
            if $0.reads == 3 { write(pair.theirs, "x", 1) }
            if $0.reads < 1000 { $0.watch?.activateRead() } else { loop.stop() }
        }
        modest.onReadable = { _ in loop.stop() }
        modest.watch?.setReading(true)
        greedy.watch?.activateRead()
        loop.run(atMost: .seconds(5))
        #expect(modest.reads == 1)
        #expect(greedy.reads <= 5)
    }
}
