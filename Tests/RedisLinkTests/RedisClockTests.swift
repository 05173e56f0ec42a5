import EventLoop
import Testing
import UnixTime

@testable import RedisLink

/// What is known of Redis's clock between two replies to TIME.
@Suite("The estimate of Redis's clock")
struct RedisClockTests {
    private let start = MonotonicInstant(nanoseconds: 50_000_000_000)
    /// Redis's clock at `start`.
    private let time = UnixMilliseconds(200_000)
    private var clock = RedisClock()

    init() {
        clock.sample(
            serverMicroseconds: time.sinceEpoch * 1_000, sentAt: start - .microseconds(500),
            receivedAt: start + .microseconds(500))
    }

    @Test("after a jump each script's reply is taken at its word", arguments: [700, 1_500, 60_000, -5_000])
    func jump(_ jump: Milliseconds) throws {
        var clock = clock
        // Replies are read after one to nine milliseconds.
        let delays: [Milliseconds] = [4, 3, 9, 1, 2, 5]
        for (delay, ranAt) in zip(delays, stride(from: Milliseconds(100), to: 900, by: 100)) {
            let readAt = start + .milliseconds(ranAt + delay)
            clock.observe(time + (ranAt + jump), at: readAt)
            let estimate = try #require(clock.time(at: readAt))
            let behind = time + (ranAt + delay + jump) - estimate
            #expect((0...10).contains(behind), "after \(ranAt) ms: \(behind) ms behind")
        }
    }

    @Test("a reply that is later than the estimate allows puts it right, and the earliest moment stays early enough")
    func narrower() throws {
        var clock = RedisClock()
        // What was sent 400 ms ago may have been answered at any moment since: here at the last one.
        clock.sample(
            serverMicroseconds: time.sinceEpoch * 1_000, sentAt: start - .milliseconds(400), receivedAt: start)
        #expect(clock.time(at: start) == time + 200)
        clock.observe(time + 250, at: start)
        #expect(clock.time(at: start) == time + 250)
        // It may be 150 ms ahead of that, as far as is known, and not more.
        let earliest = try #require(clock.earliestInstant(of: time + 250))
        #expect((start - .milliseconds(152)...start - .milliseconds(150)).contains(earliest))
    }
}
