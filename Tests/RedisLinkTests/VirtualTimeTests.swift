import EventLoop
import Glibc
import Logging
import Testing

@testable import RedisLink

@Suite("A link in virtual time")
struct VirtualTimeTests {
    /// Seconds that this thread has had the processor.
    private static var processorTime: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    @Test("a link's life of an hour in virtual time: silence, a lost connection, an outage")
    func anHourOfALink() throws {
        let loop = VirtualLoop()
        let redis = ScriptedRedis(loop: loop)
        let network = redis.network
        let link = RedisLink(
            host: LinkHost(scheduler: loop, streams: network, seed: 1),
            endpoint: .unix(path: "/r", login: RedisLogin()), scripts: [],
            logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() })
        var answers: [Result<RedisReply, RedisFault>] = []
        func ask() { link.send(RedisCommand("GET", "k"), repeatable: true) { answers.append($0) } }

        link.start()
        loop.run(for: .milliseconds(1))
        #expect(link.state == .ready)
        ask()
        loop.run(for: .milliseconds(1))
        #expect(answers.count == 1)
        // Silence: answered at its deadline to the millisecond, and the connection given up a second later.
        redis.isSilent = true
        ask()
        loop.run(for: .milliseconds(249))
        #expect(answers.count == 1)
        loop.run(for: .milliseconds(1))
        #expect(answers.count == 2)
        if case .failure(let fault) = answers[1] { #expect(fault.kind == .timeout) }
        redis.isSilent = false
        loop.run(for: .seconds(2))
        #expect(network.connections == 2 && link.state == .ready)
        let began = Self.processorTime
        // An outage of an hour: attempts at most every two seconds, and back within one wait of it.
        network.isReachable = false
        network.cutAll()
        loop.run(for: .seconds(3_600))
        #expect(link.state != .ready)
        let attempts = network.streams.count
        #expect(attempts > 1_800 && attempts < 2_500, "\(attempts) attempts")
        let spent = Self.processorTime - began
        print("an hour of outage: \(spent) s of processor time")
        #expect(spent < 0.3, "an hour of outage took \(spent) s")
        network.isReachable = true
        loop.run(for: .milliseconds(2_001))
        #expect(link.state == .ready)
    }
}
