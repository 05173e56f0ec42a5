import EventLoop
import Glibc
import Logging
import TestSupport
import Testing

@testable import RedisLink

/// The link that waits for replicas, beside a node's own, before a real master and its replica.
@Suite("The link that waits for replicas")
final class ReplicaWaitTests {
    private let master: RedisProcess
    private let replica: RedisProcess
    private let witness: RESPClient
    private let loop: EventLoop
    private let node: RedisNode
    private let wait: ReplicaWait

    init() throws {
        let port = try FreePort.find()
        master = try RedisProcess("--port", "\(port)", "--repl-diskless-sync-delay", "0")
        replica = try RedisProcess("--replicaof", "127.0.0.1 \(port)")
        let witness = try RESPClient(path: master.socket)
        _ = try eventually("the replica is in step") {
            try witness.call("INFO", "replication").text?.contains("state=online") == true ? true : nil
        }
        self.witness = witness
        loop = try EventLoop()
        var settings = RedisNode.Settings()
        settings.prefix = Array("tc:".utf8)
        settings.hasFeed = false
        settings.waitReplicas = 1
        settings.link.timeout = .seconds(2)
        node = RedisNode(
            host: LinkHost(loop: loop), endpoint: master.endpoint, settings: settings, scripts: [],
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        wait = try #require(node.replicas)
        node.start()
        becomeReady()
    }

    deinit { node.close() }

    private func becomeReady() {
        loop.run("both links are ready", sourceLocation: #_sourceLocation) { done in
            poll(until: { [self] in node.state == .ready && wait.link.state == .ready }, done)
        }
    }

    private func poll(until condition: @escaping () -> Bool, _ done: @escaping () -> Void) {
        let timer = loop.makeTimer { [self] in condition() ? done() : poll(until: condition, done) }
        timers.append(timer)
        timer.start(after: .milliseconds(5))
    }
    private var timers: [LoopTimer] = []

    /// What becomes of so many changes that are waited for in one turn.
    private func awaitReplicas(_ mark: ReplicaWait.Mark, count: Int = 1, within limit: Duration = .seconds(2))
        -> [RedisFault?]
    {
        var told: [RedisFault?] = []
        loop.run("they are told", sourceLocation: #_sourceLocation) { done in
            for _ in 0..<count {
                wait.awaitReplicas(mark, by: loop.now + limit) { fault in
                    told.append(fault)
                    if told.count == count { done() }
                }
            }
            #expect(told.isEmpty)
        }
        return told
    }

    @Test("many changes are covered by one write and one WAIT, which go over a connection of their own")
    func many() throws {
        let told = awaitReplicas(wait.mark, count: 100)
        #expect(told.count == 100 && told.allSatisfy { $0 == nil })
        // One, or as many as a busy machine makes the replica late.
        #expect((1...3).contains(wait.counters.rounds) && wait.counters.shortfalls == 0)
        let keys = try witness.call("KEYS", "tc:w:*").elements?.compactMap(\.text) ?? []
        #expect(keys.count == 1)
        #expect((1...2_000).contains(try witness.call("PTTL", keys.first ?? "").integer ?? -1))
    }

    @Test("what was sent before a connection was made anew does not count, whichever of the two it was")
    func renewed() throws {
        let mark = wait.mark
        let clients = try witness.call("CLIENT", "LIST").text ?? ""
        let numbers = clients.split(separator: "\n").filter { $0.contains("name=tokencached") }.compactMap {
            $0.split(separator: " ").first?.dropFirst(3)
        }
        #expect(numbers.count == 2)
        var before = mark
        for number in numbers {
            #expect(try witness.call("CLIENT", "KILL", "ID", String(number)) == .integer(1))
            loop.run("it is made anew", sourceLocation: #_sourceLocation) { done in
                poll(
                    until: { [self] in
                        wait.mark != before && node.state == .ready && wait.link.state == .ready
                    }, done)
            }
            #expect(
                awaitReplicas(before) == [
                    RedisFault(.unacknowledged, "too few replicas have the change: a connection was lost")
                ]
            )
            #expect(awaitReplicas(wait.mark) == [nil])
            before = wait.mark
        }
        #expect(awaitReplicas(mark).first??.kind == .unacknowledged)
    }

    @Test("a server that has lost its scripts is asked once more")
    func scripts() throws {
        #expect(try witness.call("SCRIPT", "FLUSH") == .simple("OK"))
        #expect(awaitReplicas(wait.mark) == [nil])
        #expect((2...4).contains(wait.counters.rounds))
    }

    @Test(
        "a replica that stands still: each change is told at its own time, and those behind it are covered when it goes on"
    )
    func stopped() throws {
        replica.signal(SIGSTOP)
        let began = loop.now
        #expect(
            awaitReplicas(wait.mark, count: 3, within: .seconds(1))
                == Array(
                    repeating: RedisFault(.unacknowledged, "too few replicas have the change: 0 of 1"), count: 3))
        #expect((.milliseconds(700)...Duration.milliseconds(1_500)).contains(began.duration(to: loop.now)))
        let timer = loop.makeTimer { [replica] in replica.signal(SIGCONT) }
        timer.start(after: .milliseconds(300))
        #expect(awaitReplicas(wait.mark) == [nil])
        #expect(wait.counters.shortfalls == 3)
    }
}
