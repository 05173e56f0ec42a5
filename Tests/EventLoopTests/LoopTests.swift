import EventLoop
import Glibc
import Testing

@Suite("The monotonic clock")
struct MonotonicInstantTests {
    @Test("arithmetic ends at the ends of the range")
    func saturates() {
        #expect(MonotonicInstant.latest + .seconds(1) == .latest)
        #expect(MonotonicInstant.earliest - .seconds(1) == .earliest)
        #expect(MonotonicInstant.earliest + .seconds(-1) == .earliest)
        #expect(MonotonicInstant.latest - MonotonicInstant.earliest == .nanoseconds(Int64.max))
        #expect(MonotonicInstant.earliest - MonotonicInstant.latest == .nanoseconds(Int64.min))
        #expect(MonotonicInstant(nanoseconds: 0) + .seconds(Int64.max) == .latest)
        #expect(MonotonicInstant(nanoseconds: 5) + .milliseconds(1) == MonotonicInstant(nanoseconds: 1_000_005))
    }

    @Test("the clock never goes back")
    func neverGoesBack() {
        let first = MonotonicInstant.now()
        #expect(MonotonicInstant.now() >= first)
        #expect(first > .earliest)
    }
}

@Suite("The loop")
struct LoopTests {
    @Test("a stop before the run is remembered")
    func stopBeforeRun() throws {
        let loop = try EventLoop()
        loop.stop()
        loop.run(atMost: .seconds(5))
    }

    @Test("a timer runs out once a start")
    func timerRunsOutOnce() throws {
        let loop = try EventLoop()
        var count = 0
        let timer = loop.makeTimer { count += 1 }
        timer.start(after: .milliseconds(1))
        #expect(timer.isActive)
        loop.run(for: .milliseconds(40))
        #expect(count == 1)
        #expect(!timer.isActive)
    }

    @Test("a cancelled timer is silent")
    func cancelledTimer() throws {
        let loop = try EventLoop()
        var count = 0
        let timer = loop.makeTimer { count += 1 }
        timer.start(after: .zero)
        timer.cancel()
        #expect(!timer.isActive)
        loop.run(for: .milliseconds(20))
        #expect(count == 0)
    }

    @Test("a timer may be let go of in its own body")
    func timerReleasedInItsBody() throws {
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

    @Test("what is put off runs in order and after the turn")
    func later() throws {
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

    @Test("a signal is delivered in the loop")
    func signal() throws {
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

@Suite("Watched descriptors")
struct DescriptorWatchTests {
    @Test("a descriptor is told readable and writable as it is")
    func readableAndWritable() throws {
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

    @Test("a handler may let go of itself with both events ready")
    func handlerReleasesItself() throws {
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

    @Test("no call follows a cancel")
    func noCallAfterCancel() throws {
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
        loop.run(for: .milliseconds(20))
        #expect(handler.reads == 1)
    }

    @Test("no call follows when a watch closes its descriptor, and the peer finds the end")
    func closing() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let handler = RecordingHandler()
        handler.watch = loop.watch(pair.ours, handler: handler)
        handler.onReadable = {
            $0.watch?.activateRead()
            $0.watch?.close()
            pair.ownsOurs = false
            loop.later { loop.stop() }
        }
        handler.watch?.setReading(true)
        write(pair.theirs, "x", 1)
        loop.run(atMost: .seconds(5))
        var byte: UInt8 = 0
        #expect(read(pair.theirs, &byte, 1) == -1 && errno == ECONNRESET, "the peer finds that it was closed unread")

        loop.run(for: .milliseconds(20))
        #expect(handler.reads == 1)
    }

    @Test("reading on at once lets others come between")
    func activateRead() throws {
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

    /// Read in pieces of `piece` bytes.
    @Test(
        "bytes and the end that come together are read to the end",
        arguments: [(64, [5, 0]), (5, [5, 0]), (2, [2, 2, 1, 0])])
    func bytesWithTheEnd(piece: Int, expected: [Int]) throws {
        let loop = try EventLoop()
        var pair: SocketPair? = SocketPair()
        let ours = dup(pair?.ours ?? -1)
        defer { close(ours) }
        let handler = RecordingHandler()
        handler.watch = loop.watch(ours, handler: handler)
        var counts: [Int] = []
        handler.onReadable = {
            var bytes = [UInt8](repeating: 0, count: piece)
            let count = read(ours, &bytes, piece)
            counts.append(count)
            $0.hasMore = count == piece
            guard count == 0 else { return }
            $0.watch?.setReading(false)
            loop.stop()
        }
        write(pair?.theirs ?? -1, "bytes", 5)
        // Closing alone is no end while a child that another test starts holds the descriptor, too.
        shutdown(pair?.theirs ?? -1, Int32(SHUT_RDWR))
        pair = nil
        handler.watch?.setReading(true)
        loop.run(atMost: .seconds(5))
        #expect(counts == expected)
    }

    @Test("what a handler leaves unread it is told of again only if it says that there is more")
    func moreToRead() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let handler = RecordingHandler()
        handler.watch = loop.watch(pair.ours, handler: handler)
        let pause = loop.makeTimer { loop.stop() }
        handler.onReadable = {
            $0.hasMore = $0.reads < 3
            if $0.reads == 3 { pause.start(after: .milliseconds(20)) }
        }
        write(pair.theirs, "bytes", 5)
        handler.watch?.setReading(true)
        loop.run(atMost: .seconds(5))
        #expect(handler.reads == 3)
        // New bytes are news.
        handler.onReadable = { _ in loop.stop() }
        write(pair.theirs, "more", 4)
        loop.run(atMost: .seconds(5))
        #expect(handler.reads == 4)
    }

    @Test("bytes that came while reading was off are found when it is on")
    func readingTurnedOn() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let handler = RecordingHandler()
        handler.watch = loop.watch(pair.ours, handler: handler)
        handler.watch?.setReading(true)
        handler.watch?.setReading(false)
        write(pair.theirs, "bytes", 5)
        loop.run(for: .milliseconds(20))
        #expect(handler.reads == 0)
        handler.onReadable = { _ in loop.stop() }
        handler.watch?.setReading(true)
        loop.run(atMost: .seconds(5))
        #expect(handler.reads == 1)
    }

    @Test("room to write is told as long as it is wanted")
    func roomToWrite() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let handler = RecordingHandler()
        handler.watch = loop.watch(pair.ours, handler: handler)
        handler.onWritable = {
            guard $0.writes == 3 else { return }
            $0.watch?.setWriting(false)
            loop.stop()
        }
        handler.watch?.setWriting(true)
        loop.run(atMost: .seconds(5))
        #expect(handler.writes == 3)
    }

    @Test("a descriptor that the kernel does not watch is not read")
    func refusedDescriptor() throws {
        let loop = try EventLoop()
        let handler = RecordingHandler()
        handler.watch = loop.watch(-1, handler: handler)
        handler.watch?.setReading(true)
        #expect(handler.watch?.isReading == false)
    }

    /// Many ready at once, some of which end others, themselves, or both, before those have had their call.
    @Test("handlers may end each other", arguments: 1...4)
    func handlersEndEachOther(seed: Int) throws {
        let loop = try EventLoop()
        let pairs = (0..<150).map { _ in SocketPair() }
        var handlers: [RecordingHandler?] = pairs.map { pair in
            let handler = RecordingHandler()
            handler.watch = loop.watch(pair.ours, handler: handler)
            return handler
        }
        var calls = [Int](repeating: 0, count: pairs.count)
        var ended = Set<Int>()
        for (index, handler) in handlers.enumerated() {
            let victims = (0..<(index + seed) % 3).map { (index * 37 + $0 * 53 + seed * 11) % pairs.count }
            let activates = index % 7 < seed
            handler?.onReadable = {
                #expect(!ended.contains(index))
                calls[index] += 1
                if activates, calls[index] == 1 { $0.watch?.activateRead() }
                for victim in victims {
                    ended.insert(victim)
                    if victim.isMultiple(of: 2) { handlers[victim] = nil } else { handlers[victim]?.watch?.cancel() }
                }
            }
            write(pairs[index].theirs, "x", 1)
            handler?.watch?.setReading(true)
        }
        loop.run(for: .milliseconds(20))
        for index in pairs.indices where !ended.contains(index) { #expect((1...2).contains(calls[index])) }
        #expect(calls.contains(0), "nobody was ended in time: this tested nothing")
    }
}
