import EventLoop
import Logging
import Testing

@testable import RedisLink

/// A watch of Sentinels that answer by a script, in virtual time. Each is known by the number of its port.
@Suite("Who asks the Sentinels")
struct SentinelWatchTests {
    /// What the Sentinels and the master say.
    private final class Site {
        let loop = VirtualLoop()
        let redis: ScriptedRedis
        let node: RedisNode
        let watch: SentinelWatch
        /// Those that answer, and whom each of them names.
        var others: [UInt16: Set<UInt16>] = [1: [2, 3], 2: [1, 3], 3: [1, 2]]
        var silent: Set<UInt16> = []
        /// Ports of the replicas that Sentinels know, and of those that have what the master wrote.
        var replicas: Set<UInt16> = [6380, 6381]
        var inStep: Set<UInt16> = [6380, 6381]
        var waits = 0
        /// Whom they name, and of which failover it is.
        var master: (port: UInt16, epoch: Int) = (6379, 1)
        var questions = 0
        private var subscribers: Set<ObjectIdentifier> = []
        var deniesReplicas = false

        let log = LogLines()

        init(configured: [UInt16], silent: Set<UInt16> = []) {
            self.silent = silent
            redis = ScriptedRedis(loop: loop)
            let logger = Logger(label: "t") { [log] _ in log }
            let host = LinkHost(scheduler: loop, streams: redis.network, seed: 1)
            node = RedisNode(
                host: host, endpoint: .sought(), settings: RedisNode.Settings(), scripts: [], logger: logger)
            var settings = SentinelWatch.Settings()
            settings.sentinels = configured.map { ("h", $0) }
            settings.masterName = "main"
            watch = SentinelWatch(host: host, node: node, settings: settings, logger: logger)
            let answerOfRedis = redis.network.answer
            redis.network.answer = { [unowned self] words, stream in
                guard case .tcp(_, let port)? = stream.address else { return nil }
                if port < 100, words[0] == "SUBSCRIBE" { subscribers.insert(ObjectIdentifier(stream)) }
                return port < 100 ? answer(of: port, words) : answerOfMaster(words) ?? answerOfRedis(words, stream)
            }
            watch.start()
        }

        var watched: Set<UInt16> {
            Set(watch.informants.compactMap { if case .tcp(_, let port, _) = $0.endpoint { port } else { nil } })
        }

        private func id(_ sentinel: UInt16) -> String {
            String(repeating: "a", count: 38) + (sentinel < 10 ? "0\(sentinel)" : "\(sentinel)")
        }

        private func list(_ words: [String]) -> String {
            "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        }

        private func answer(of sentinel: UInt16, _ words: [String]) -> String? {
            guard !silent.contains(sentinel), let others = others[sentinel] else { return nil }
            switch words.dropFirst().first {
            case "MYID": return "$40\r\n\(id(sentinel))\r\n"
            case "MASTER":
                questions += 1
                return list(["config-epoch", "\(master.epoch)", "num-other-sentinels", "\(others.count)"])
            case "get-master-addr-by-name": return list(["10.0.0.1", "\(master.port)"])
            case "+switch-master": return "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n"
            case "REPLICAS" where deniesReplicas: return "-NOPERM this user has no permissions\r\n"
            case "REPLICAS":
                return "*\(replicas.count)\r\n"
                    + replicas.sorted().map { list(["ip", "10.0.0.1", "port", "\($0)"]) }.joined()
            case "SENTINELS":
                return "*\(others.count)\r\n"
                    + others.sorted().map { list(["ip", "h", "port", "\($0)", "runid", id($0)]) }.joined()
            default: return "+PONG\r\n"
            }
        }

        /// To what no node asks by itself.
        private func answerOfMaster(_ words: [String]) -> String? {
            switch words[0] {
            case "EVALSHA" where words.count == 4: return "+OK\r\n"
            case "WAIT":
                waits += 1
                return ":\(inStep.count)\r\n"
            case "INFO" where words.last == "replication":
                let lines = replicas.sorted().enumerated().map { number, port in
                    "slave\(number):ip=10.0.0.1,port=\(port),state=online,offset=\(inStep.contains(port) ? 7 : 6),lag=0\r\n"
                }
                let text = "role:master\r\n\(lines.joined())master_repl_offset:7\r\n"
                return "$\(text.utf8.count)\r\n\(text)\r\n"
            default: return nil
            }
        }

        /// Every Sentinel publishes this.
        func tell(_ message: String) {
            for stream in redis.network.streams where !stream.isClosed && subscribers.contains(ObjectIdentifier(stream))
            {
                stream.say(list(["message", "+switch-master", message]))
            }
        }

        /// Whether every one of the requests that come within a span is answered.
        func serves(for span: Duration) -> [Bool] {
            var answers: [Bool] = []
            let end = loop.now + span
            while loop.now < end {
                node.send(RedisCommand("GET", "k"), repeatable: true) { result in
                    answers.append((try? result.get()) != nil)
                }
                loop.run(for: .milliseconds(50))
            }
            return answers
        }
    }

    @Test("a learned Sentinel that does not answer is not asked any more once nobody has named it for five minutes")
    func gone() {
        let site = Site(configured: [1, 2])
        site.loop.run(for: .seconds(5))
        #expect(site.watched == [1, 2, 3])
        // It dies; the others know it until they are reset.
        site.others[3] = nil
        site.loop.run(for: .seconds(1_000))
        #expect(site.watched == [1, 2, 3])
        site.others = [1: [2, 4], 2: [1, 4], 4: [1, 2]]
        site.loop.run(for: .seconds(290))
        #expect(site.watched == [1, 2, 3, 4])
        site.loop.run(for: .seconds(30))
        #expect(site.watched == [1, 2, 4])
        // One that redis.url names is asked for ever, and while none answers nobody says who is gone.
        site.others = [2: [4], 4: [2]]
        site.loop.run(for: .seconds(400))
        #expect(site.watched == [1, 2, 4])
        site.silent = [2, 4]
        site.loop.run(for: .seconds(1_000))
        #expect(site.watched == [1, 2, 4])
    }

    @Test(
        "a Sentinel that tells of a new master is asked at once; what it tells of others, or says without one, changes nothing"
    )
    func told() {
        let site = Site(configured: [1, 2, 3])
        // Behind a question, and half a second before the next.
        site.loop.run(for: .milliseconds(5_010))
        #expect("\(site.node.endpoint)".hasSuffix(":6379"))
        let questions = site.questions
        site.tell("other 10.0.0.1 6379 10.0.0.1 6380")
        site.loop.run(for: .milliseconds(50))
        #expect(site.questions == questions)
        // The message alone leads nowhere.
        site.tell("main 10.0.0.1 6379 10.0.0.1 6380")
        site.loop.run(for: .milliseconds(50))
        #expect(site.questions == questions + 3 && "\(site.node.endpoint)".hasSuffix(":6379"))
        site.master = (6380, 2)
        site.tell("main 10.0.0.1 6379 10.0.0.1 6380")
        site.loop.run(for: .milliseconds(50))
        #expect("\(site.node.endpoint)".hasSuffix(":6380"))
    }

    @Test(
        "that no master is known is said once, and not while the Sentinels are being asked first",
        arguments: [[], [1, 2]])
    func unknown(silent: Set<UInt16>) {
        let site = Site(configured: [1, 2, 3], silent: silent)
        var missed: [String] { site.log.lines.filter { $0.hasPrefix("Redis is unavailable") } }
        site.loop.run(for: .milliseconds(900))
        #expect(missed == [])
        site.loop.run(for: .seconds(100))
        #expect(missed == (silent.isEmpty ? [] : ["Redis is unavailable: no majority of the Sentinels names a master"]))
        site.silent = []
        site.loop.run(for: .seconds(5))
        #expect(site.serves(for: .milliseconds(100)) == [true, true] && missed.count == (silent.isEmpty ? 0 : 1))
    }

    @Test("while most Sentinels are away the replicas are asked, and nothing is refused while all are in step")
    func replicas() {
        let site = Site(configured: [1, 2, 3])
        site.loop.run(for: .seconds(10))
        #expect(!site.serves(for: .seconds(5)).contains(false) && site.waits == 0)
        #expect(site.node.confirmer == .sentinels)
        site.silent = [1, 2]
        #expect(!site.serves(for: .seconds(30)).contains(false) && site.waits > 50)
        #expect(site.node.confirmer == .replicas)
        // One falls behind: a second later it is over.
        site.inStep = [6380]
        let answers = site.serves(for: .seconds(5))
        #expect((15...25).contains(answers.count { $0 }), "\(answers.count { $0 }) requests of 50 ms")
        #expect(answers.last == false && site.node.confirmer == nil)
        site.inStep = [6380, 6381]
        #expect(site.serves(for: .seconds(5)).last == true)
        site.silent = []
        _ = site.serves(for: .seconds(5))
        let waits = site.waits
        #expect(site.node.confirmer == .sentinels)
        #expect(!site.serves(for: .seconds(10)).contains(false) && site.waits == waits)
        #expect(site.redis.network.streams.count { !$0.isClosed } == 8, "a link, a feed, two to each Sentinel")
    }

    @Test("Sentinels that may not tell their replicas are believed about the master, as long as most of them answer")
    func denied() {
        let site = Site(configured: [1, 2, 3])
        site.deniesReplicas = true
        site.loop.run(for: .seconds(10))
        #expect(!site.serves(for: .seconds(5)).contains(false))
        site.silent = [1, 2]
        #expect(site.serves(for: .seconds(5)).last == false && site.waits == 0)
    }
}
