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
        let watch = Self.watch("h", loop, redis, logger)
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

    @Test("that a master is dead is said once a minute for each reason, although the others name it all the time")
    func dead() {
        let loop = VirtualLoop()
        let redis = ScriptedRedis(loop: loop)
        let dead = "10.0.0.2"
        let answer = redis.network.answer
        redis.network.answer = { words, stream in
            guard case .tcp(let host, _)? = stream.address, words == ["CLUSTER", "NODES"] else {
                return answer(words, stream)
            }
            let map = [("a", "10.0.0.1", "0-8191"), ("b", dead, "8192-16383")].map { id, other, slots in
                let flags = other == host ? "myself,master" : "master"
                return "\(String(repeating: id, count: 40)) \(other):6379@16379 \(flags) - 0 0 1 connected \(slots)"
            }.joined(separator: "\n")
            return "$\(map.utf8.count)\r\n\(map)\r\n"
        }
        let log = LogLines()
        let logger = Logger(label: "t") { _ in log }
        let watch = Self.watch("10.0.0.1", loop, redis, logger)
        watch.start()
        loop.run(for: .seconds(2))
        let outages = { log.lines.filter { $0.hasPrefix("Redis is unavailable: ") } }
        #expect(watch.router.servers.allSatisfy { $0.state == .ready } && outages() == [])
        func kill() {
            redis.network.unreachable = [dead]
            redis.network.cut { $0.address == .tcp(host: dead, port: 6379) }
        }
        kill()
        let before = redis.network.streams.count
        loop.run(for: .seconds(59))
        #expect(redis.network.streams.count > before + 50, "it is tried again and again")
        #expect(Set(outages()).count == outages().count && (1...3).contains(outages().count), "\(outages())")
        loop.run(for: .seconds(60))
        #expect((2...6).contains(outages().count), "\(outages())")
        // What is reached in between is told anew.
        redis.network.unreachable = []
        loop.run(for: .seconds(5))
        let told = outages().count
        #expect(watch.router.servers.allSatisfy { $0.state == .ready })
        kill()
        loop.run(for: .seconds(5))
        #expect(outages().count > told)
        watch.close()
    }

    @Test(
        "a change that is sent on to a master without a slot of its own is waited for in the slot that is on its way there"
    )
    func importing() throws {
        let loop = VirtualLoop()
        let redis = ScriptedRedis(loop: loop)
        let slot = KeySlot.of(Array("k".utf8))
        let answer = redis.network.answer
        // Who has said ASKING, for the next command.
        var asking: Set<ObjectIdentifier> = []
        redis.network.answer = { words, stream in
            guard case .tcp(let host, _)? = stream.address else { return nil }
            let isAsking = asking.remove(ObjectIdentifier(stream)) != nil
            switch words[0] {
            case "CLUSTER":
                let map = [("a", "10.0.0.1", "0-16383"), ("b", "10.0.0.2", "")].map { id, other, slots in
                    let flags = other == host ? "myself,master" : "master"
                    return "\(String(repeating: id, count: 40)) \(other):6379@16379 \(flags) - 0 0 1 connected \(slots)"
                }.joined(separator: "\n")
                return "$\(map.utf8.count)\r\n\(map)\r\n"
            case "ASKING":
                asking.insert(ObjectIdentifier(stream))
                return "+OK\r\n"
            case "EVALSHA" where host == "10.0.0.1": return "-ASK \(slot) 10.0.0.2:6379\r\n"
            case "EVALSHA":
                return isAsking && KeySlot.of(Array(words[3].utf8)) == slot
                    ? "+OK\r\n" : "-MOVED \(KeySlot.of(Array(words[3].utf8))) 10.0.0.1:6379\r\n"
            case "WAIT": return ":1\r\n"
            default: return answer(words, stream)
            }
        }
        let logger = Logger(label: "t") { _ in SwiftLogNoOpLogHandler() }
        let host = LinkHost(scheduler: loop, streams: redis.network, seed: 1)
        var settings = ClusterWatch.Settings()
        settings.seeds = [("10.0.0.1", 6379)]
        let script = RedisScript(name: "change", source: Array("return 1".utf8))
        let watch = ClusterWatch(host: host, settings: settings, logger: logger) { endpoint, activity in
            var settings = RedisNode.Settings()
            (settings.prefix, settings.waitReplicas, settings.hasFeed) = (Array("tc:".utf8), 1, false)
            return RedisNode(
                host: host, endpoint: endpoint, settings: settings, scripts: [script], activity: activity,
                logger: logger)
        }
        watch.start()
        loop.run(for: .seconds(2))
        var faults: [RedisFault?] = []
        watch.router.run(script, keys: [Array("k".utf8)], arguments: [], repeatable: true) { result, node in
            #expect((try? result.get()) == .status("OK") && "\(node.endpoint)" == "10.0.0.2:6379")
            guard let replicas = node.replicas else { return }
            replicas.awaitReplicas(replicas.mark, by: loop.now + .milliseconds(200)) { faults.append($0) }
        }
        loop.run(for: .seconds(1))
        #expect(faults == [nil])
        watch.close()
    }

    /// Two masters of which the second has the mark of a move in the slots that are its own.
    private final class MarkedCluster {
        let loop = VirtualLoop()
        let redis: ScriptedRedis
        let watch: ClusterWatch
        var states: [LinkState] = []
        let fault = MoveMark(.moved, to: "redis://there:1").fault
        /// What the second answers to the question for its own mark; nil: that there is none.
        var mark: String?
        /// Whether the second has slots.
        var ownsSlots = true
        static let marked = "10.0.0.2"

        init() {
            redis = ScriptedRedis(loop: loop)
            watch = ClusterWatchTests.watch(
                "10.0.0.1", loop, redis, Logger(label: "t") { _ in SwiftLogNoOpLogHandler() }, heedsMoves: true)
            let text = "5 redis://there:1"
            mark = "$\(text.utf8.count)\r\n\(text)\r\n"
            let answer = redis.network.answer
            redis.network.answer = { [unowned self] words, stream in
                guard case .tcp(let host, _)? = stream.address else { return answer(words, stream) }
                if words == ["CLUSTER", "NODES"] { return map(at: host) }
                guard words[0] == "GET", words[1].hasPrefix("tc:d:moved") else { return answer(words, stream) }
                guard words[1].contains("{") else { return "-MOVED 1 10.0.0.3:6379\r\n" }
                return (host == Self.marked ? mark : nil) ?? "$-1\r\n"
            }
            watch.router.onStateChange = { [unowned self] in states.append($0) }
            watch.start()
            loop.run(for: .seconds(2))
        }

        private func map(at host: String) -> String {
            let slots = ownsSlots ? ["0-8191", "8192-16383"] : ["0-16383", ""]
            let map = zip(["a", "b"], slots).enumerated().map { number, master in
                let other = "10.0.0.\(number + 1)"
                let flags = other == host ? "myself,master" : "master"
                // Who takes slots over has the higher epoch.
                let epoch = number == 0 && !ownsSlots ? 3 : number + 1
                return "\(String(repeating: master.0, count: 40)) \(other):6379@16379 \(flags) - 0 0 \(epoch) "
                    + "connected \(master.1)"
            }.joined(separator: "\n")
            return "$\(map.utf8.count)\r\n\(map)\r\n"
        }

        /// What a read of the first master's is answered.
        func read() -> Result<RedisReply, RedisFault>? {
            var answer: Result<RedisReply, RedisFault>?
            watch.router.nodes[0].send(RedisCommand("GET", "k"), repeatable: true) { answer = $0 }
            loop.run(for: .milliseconds(10))
            return answer
        }
    }

    @Test(
        "a marked master that comes back while its cluster is down holds the others back until it says that it has none"
    )
    func markedAndDown() {
        let cluster = MarkedCluster()
        #expect(cluster.watch.router.state == .down(cluster.fault))
        #expect(cluster.read() == .failure(cluster.fault))
        cluster.mark = "-CLUSTERDOWN The cluster is down\r\n"
        for _ in 0..<500 {
            #expect(cluster.read() == .failure(cluster.fault))
            #expect(cluster.watch.router.state == .down(cluster.fault))
        }
        #expect(cluster.watch.router.nodes.allSatisfy { $0.state == .ready })
        // Nobody asks for anything: the heartbeat finds it.
        cluster.mark = nil
        cluster.loop.run(for: .seconds(2))
        #expect(cluster.watch.router.state == .ready && cluster.states.last == .ready)
        #expect((try? cluster.read()?.get()) != nil)
        cluster.watch.close()
    }

    @Test("that a marked master is led to at another address does not let the others go on")
    func markedAndMoved() {
        let cluster = MarkedCluster()
        let marked = cluster.watch.router.nodes[1]
        cluster.redis.network.unreachable = ["10.0.0.9"]
        marked.lead(
            to: .tcp(host: "10.0.0.9", port: 6379, login: RedisLogin()), leaving: RedisFault(.closed, .closed))
        for _ in 0..<20 { #expect(cluster.read() == .failure(cluster.fault)) }
        cluster.watch.close()
    }

    @Test("that a marked master is gone is told, as the others may go on")
    func markedAndGone() {
        let cluster = MarkedCluster()
        let first = cluster.watch.router.nodes[0]
        first.keepProving()
        cluster.loop.run(for: .seconds(1))
        #expect(cluster.states.last == .down(cluster.fault) && !first.isProved)
        #expect(first.nearCacheFault == cluster.fault.description)
        cluster.ownsSlots = false
        cluster.loop.run(for: .seconds(30))
        #expect(cluster.watch.router.nodes.count == 1)
        #expect(cluster.watch.router.state == .ready && cluster.states.last == .ready)
        cluster.loop.run(for: .seconds(10))
        #expect(first.isProved)
        cluster.watch.close()
    }

    @Test("a beat whose slot is elsewhere is followed by one in another slot at once, and by a few, where all are")
    func movedBeats() {
        let loop = VirtualLoop()
        let redis = ScriptedRedis(loop: loop)
        let answer = redis.network.answer
        // The highest slots are another's, as the map does not say yet.
        var firstElsewhere = KeySlot.count
        var beats: [(slot: Int, at: MonotonicInstant)] = []
        redis.network.answer = { words, stream in
            switch words[0] {
            case "CLUSTER":
                let id = String(repeating: "a", count: 40)
                let map = "\(id) 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-16383\n"
                return "$\(map.utf8.count)\r\n\(map)\r\n"
            case "EVALSHA":
                let slot = KeySlot.of(Array(words[3].utf8))
                beats.append((slot, loop.now))
                if slot >= firstElsewhere { return "-MOVED \(slot) 10.0.0.2:6379\r\n" }
                return answer(words, stream)
            default: return answer(words, stream)
            }
        }
        let watch = Self.watch("10.0.0.1", loop, redis, Logger(label: "t") { _ in SwiftLogNoOpLogHandler() })
        watch.start()
        loop.run(for: .seconds(1))
        for (moved, tries) in [(3, 4), (16_384, 1 + 8)] {
            firstElsewhere = KeySlot.count - moved
            beats = []
            watch.router.keepProving()
            loop.run(for: .milliseconds(250))
            let first = beats.first?.at ?? .latest
            let soon = beats.filter { first.duration(to: $0.at) < .milliseconds(20) }
            #expect(soon.count == tries, "\(moved): \(beats)")
            #expect(Set(soon.map(\.slot)).count == tries)
            firstElsewhere = KeySlot.count
            loop.run(for: .seconds(6))
        }
        #expect(watch.router.first.refusal == nil)
        watch.close()
    }

    /// Of the cluster that a server names.
    private static func watch(
        _ seed: String, _ loop: VirtualLoop, _ redis: ScriptedRedis, _ logger: Logger, heedsMoves: Bool = false
    ) -> ClusterWatch {
        let host = LinkHost(scheduler: loop, streams: redis.network, seed: 1)
        var settings = ClusterWatch.Settings()
        settings.seeds = [(seed, 6379)]
        return ClusterWatch(host: host, settings: settings, logger: logger) { endpoint, activity in
            var settings = RedisNode.Settings()
            if heedsMoves { (settings.prefix, settings.heedsMoves) = (Array("tc:".utf8), true) }
            return RedisNode(
                host: host, endpoint: endpoint, settings: settings, scripts: [], activity: activity,
                logger: logger)
        }
    }
}
