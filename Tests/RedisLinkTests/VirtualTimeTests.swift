import EventLoop
import Glibc
import Logging
import Testing

@testable import RedisLink

/// Turns and timers in virtual time: nothing sleeps, and time passes only when nothing is left to do.
final class VirtualLoop: Scheduler {
    final class Timer: SchedulerTimer {
        fileprivate let loop: VirtualLoop
        fileprivate let body: () -> Void
        /// Moves on with every start and cancel: an older entry of the agenda does nothing.
        fileprivate var generation = 0

        init(loop: VirtualLoop, body: @escaping () -> Void) {
            self.loop = loop
            self.body = body
        }

        func start(after duration: Duration) {
            generation += 1
            loop.after(duration) { [weak self, generation] in
                if let self, self.generation == generation { body() }
            }
        }
        func cancel() { generation += 1 }
    }

    private(set) var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
    var hostMilliseconds: Int64 { 1_700_000_000_000 + now.nanoseconds / 1_000_000 }
    private var deferred: [() -> Void] = []
    /// In order of time, then of arrival.
    private var agenda: [(at: MonotonicInstant, body: () -> Void)] = []

    func later(_ body: @escaping () -> Void) { deferred.append(body) }
    func makeTimer(_ body: @escaping () -> Void) -> Timer { Timer(loop: self, body: body) }

    func after(_ duration: Duration, _ body: @escaping () -> Void) {
        let at = now + max(duration, .zero)
        agenda.insert((at, body), at: agenda.firstIndex { $0.at > at } ?? agenda.endIndex)
    }

    func run(for span: Duration) {
        let end = now + span
        while true {
            while !deferred.isEmpty {
                let turn = deferred
                deferred = []
                for body in turn { body() }
            }
            guard let next = agenda.first, next.at <= end else { break }
            agenda.removeFirst()
            now = max(now, next.at)
            next.body()
        }
        now = end
    }
}

/// A network of one server that answers by a script. Bytes travel for `delay` each way.
final class ScriptedNetwork: StreamMaker {
    let loop: VirtualLoop
    var delay = Duration.microseconds(100)
    /// Nil: silence. What is behind it waits as well.
    var answer: ([String]) -> String? = { _ in "+OK\r\n" }
    var isReachable = true
    private(set) var connections = 0
    private(set) var streams: [VirtualStream] = []

    init(loop: VirtualLoop) { self.loop = loop }

    func makeStream() -> any OutgoingStream {
        let stream = VirtualStream(network: self)
        streams.append(stream)
        return stream
    }

    fileprivate func accept() { connections += 1 }
    func cutAll() { for stream in streams { stream.end(.endOfFile) } }
}

final class VirtualStream: OutgoingStream {
    weak var delegate: (any ByteStreamDelegate)?
    private let network: ScriptedNetwork
    private let parser: ReplyParser
    private var isClosed = false

    init(network: ScriptedNetwork) {
        self.network = network
        guard let parser = ReplyParser(maxElements: 1_000, maxBytes: 1 << 20) else { fatalError("no memory") }
        self.parser = parser
    }

    func connect(to address: StreamAddress, timeout: Duration) {
        network.loop.after(network.delay) { [self] in
            guard !isClosed else { return }
            guard network.isReachable else { return end(.failed(number: 111, connecting: true)) }
            network.accept()
            delegate?.streamConnected()
        }
    }

    func write(_ bytes: [UInt8]) {
        network.loop.after(network.delay) { [self] in if !isClosed { arrived(bytes) } }
    }

    private func arrived(_ bytes: [UInt8]) {
        do {
            try bytes.withUnsafeBytes { try parser.feed($0) }
            while case .array(let words)? = try parser.next() {
                let command = words.map {
                    if case .bulk(let text) = $0 { String(decoding: text, as: UTF8.self) } else { "" }
                }
                guard let reply = network.answer(command) else { continue }
                network.loop.after(network.delay) { [self] in
                    if !isClosed { Array(reply.utf8).withUnsafeBytes { delegate?.streamReceived($0) } }
                }
            }
        } catch { end(.endOfFile) }
    }

    func close() { isClosed = true }

    func end(_ reason: StreamCloseReason) {
        guard !isClosed else { return }
        isClosed = true
        delegate?.streamClosed(reason)
    }
}

@Suite struct VirtualTimeTests {
    /// Seconds that this thread has had the processor.
    private static var processorTime: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func redis(_ command: [String]) -> String? {
        switch command[0] {
        case "INFO":
            let text = command[1] == "server" ? "redis_version:7.0.15\r\nrun_id:abc\r\n" : "role:master\r\n"
            return "$\(text.utf8.count)\r\n\(text)\r\n"
        case "TIME": return "*2\r\n$10\r\n1700000000\r\n$1\r\n5\r\n"
        case "CONFIG": return "*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n"
        case "CLIENT" where command[1] == "ID": return ":7\r\n"
        case "GET": return "$1\r\n1\r\n"
        case "SUBSCRIBE": return "*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n"
        case "PING": return "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
        default: return "+OK\r\n"
        }
    }

    @Test func `a link's life of an hour in virtual time: silence, a lost connection, an outage`() throws {
        let loop = VirtualLoop()
        let network = ScriptedNetwork(loop: loop)
        network.answer = redis
        let link = RedisLink(
            scheduler: loop, streams: network, seed: 1, endpoint: .unix(path: "/r", login: RedisLogin()), scripts: [],
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
        network.answer = { $0[0] == "GET" ? nil : nil }
        ask()
        loop.run(for: .milliseconds(249))
        #expect(answers.count == 1)
        loop.run(for: .milliseconds(1))
        #expect(answers.count == 2)
        if case .failure(let fault) = answers[1] { #expect(fault.kind == .timeout) }
        network.answer = redis
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

    @Test func `a feed proves itself four times a second in virtual time, and is lost a second after the last`() throws
    {
        let loop = VirtualLoop()
        let network = ScriptedNetwork(loop: loop)
        network.answer = redis
        let feed = InvalidationFeed(
            scheduler: loop, streams: network, endpoint: .unix(path: "/r", login: RedisLogin()),
            settings: LinkSettings(), prefix: Array("tc:s:".utf8),
            logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() })
        var lost: MonotonicInstant?
        var runID: String?
        feed.onSubscription = { id in
            runID = id
            if id == nil { lost = loop.now }
        }
        feed.start()
        loop.run(for: .seconds(10))
        #expect(runID == "abc")
        let proof = try #require(feed.lastProof)
        #expect(proof.duration(to: loop.now) < .milliseconds(400))
        network.answer = { _ in nil }
        let silent = loop.now
        loop.run(for: .seconds(10))
        let end = try #require(lost)
        #expect(silent.duration(to: end) < .milliseconds(1_400), "lost \(silent.duration(to: end)) after the silence")
    }
}
