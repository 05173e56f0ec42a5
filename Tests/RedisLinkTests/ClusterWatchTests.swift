import EventLoop
import Logging
import Testing

@testable import RedisLink

/// A cluster of one master that answers by a script, in virtual time.
@Suite("Who asks for a cluster's map")
struct ClusterWatchTests {
    @Test("that no server is known is said once, and not while they are being asked first", arguments: [true, false])
    func unknown(isReachable: Bool) {
        let loop = VirtualLoop()
        let redis = ScriptedRedis(loop: loop)
        redis.network.isReachable = isReachable
        let answer = redis.network.answer
        redis.network.answer = { words, stream in
            guard words == ["CLUSTER", "NODES"] else { return answer(words, stream) }
            let id = String(repeating: "a", count: 40)
            let map = "\(id) 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-16383\n"
            return "$\(map.utf8.count)\r\n\(map)\r\n"
        }
        let log = LogLines()
        let logger = Logger(label: "t") { _ in log }
        let host = LinkHost(scheduler: loop, streams: redis.network, seed: 1)
        var settings = ClusterWatch.Settings()
        settings.seeds = [("h", 6379)]
        let watch = ClusterWatch(host: host, settings: settings, logger: logger) { endpoint, activity in
            RedisNode(
                host: host, endpoint: endpoint, settings: RedisNode.Settings(), scripts: [], activity: activity,
                logger: logger)
        }
        var missed: [String] { log.lines.filter { $0 == "Redis is unavailable: no server of the cluster is reached" } }
        watch.start()
        loop.run(for: .milliseconds(900))
        #expect(missed == [])
        loop.run(for: .seconds(100))
        #expect(missed.count == (isReachable ? 0 : 1))
        redis.network.isReachable = true
        loop.run(for: .seconds(5))
        #expect(watch.router.state == .ready && missed.count == (isReachable ? 0 : 1))
        watch.close()
    }
}
