import EventLoop
import Logging
import Testing
import UnixTime

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
    var hostTime: UnixMilliseconds { UnixMilliseconds(1_700_000_000_000 + now.nanoseconds / 1_000_000) }
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
    var answer: ([String], VirtualStream) -> String? = { _, _ in "+OK\r\n" }
    var isReachable = true
    /// Hosts of which no connection is taken.
    var unreachable: Set<String> = []
    private(set) var connections = 0
    private(set) var streams: [VirtualStream] = []

    init(loop: VirtualLoop) { self.loop = loop }

    func makeStream() -> any OutgoingStream {
        let stream = VirtualStream(network: self)
        streams.append(stream)
        return stream
    }

    fileprivate func takes(_ address: StreamAddress) -> Bool {
        guard case .tcp(let host, _) = address else { return isReachable }
        return isReachable && !unreachable.contains(host)
    }
    fileprivate func accept() { connections += 1 }
    func cutAll() { cut { _ in true } }
    func cut(_ isCut: (VirtualStream) -> Bool) { for stream in streams where isCut(stream) { stream.end(.endOfFile) } }
}

final class VirtualStream: OutgoingStream {
    weak var delegate: (any ByteStreamDelegate)?
    private let network: ScriptedNetwork
    private let parser: ReplyParser
    private(set) var isClosed = false
    /// Where it leads to; nil before it is told.
    private(set) var address: StreamAddress?
    var speaksRESP3 = false
    /// The feed of this connection tells what changes.
    var isTracking = false

    init(network: ScriptedNetwork) {
        self.network = network
        guard let parser = ReplyParser(maxElements: 1_000, maxBytes: 1 << 20) else { fatalError("no memory") }
        self.parser = parser
    }

    func connect(to address: StreamAddress, timeout: Duration) {
        self.address = address
        network.loop.after(network.delay) { [self] in
            guard !isClosed else { return }
            guard network.takes(address) else { return end(.failed(number: 111, connecting: true)) }
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
                guard let reply = network.answer(command, self) else { continue }
                say(reply)
            }
        } catch { end(.endOfFile) }
    }

    /// Sends something to the daemon.
    func say(_ text: String) {
        network.loop.after(network.delay) { [self] in
            if !isClosed { Array(text.utf8).withUnsafeBytes { delegate?.streamReceived($0) } }
        }
    }

    func close() { isClosed = true }

    func end(_ reason: StreamCloseReason) {
        guard !isClosed else { return }
        isClosed = true
        delegate?.streamClosed(reason)
    }
}

/// A Redis as far as a node asks for it: handshakes, beats and what is told of them, and reads.
final class ScriptedRedis {
    let network: ScriptedNetwork
    /// Redis's clock minus the daemon's, milliseconds.
    var offset: Int64 = 1_700_000_000_000
    /// An error that writing scripts are refused with.
    var refusal: String?
    /// An error that reads are refused with.
    var readRefusal: String?
    var tells = true
    var isSilent = false
    var runID = "abc"
    /// Of the server that feeds reach; nil: the same.
    var feedRunID: String?
    private(set) var log: [String] = []
    private var beats: Set<String> = []
    private var digests: [String] = []

    init(loop: VirtualLoop) {
        network = ScriptedNetwork(loop: loop)
        network.answer = { [unowned self] in answer($0, $1) }
    }

    var milliseconds: Int64 { network.loop.now.nanoseconds / 1_000_000 + offset }
    func count(_ name: String) -> Int { log.count { $0.hasPrefix(name) } }
    func forgetLog() { log = [] }

    /// Tells the change of a key to all feeds.
    func tell(_ key: String) {
        for stream in network.streams where stream.isTracking && !stream.isClosed && tells {
            stream.say(">2\r\n$10\r\ninvalidate\r\n*1\r\n$\(key.utf8.count)\r\n\(key)\r\n")
        }
    }

    private func answer(_ command: [String], _ stream: VirtualStream) -> String? {
        guard !isSilent else { return nil }
        log.append(command[0] == "EVALSHA" ? "BEAT \(command.last ?? "")" : command.joined(separator: " "))
        switch command[0] {
        case "INFO":
            let runID = stream.speaksRESP3 ? feedRunID ?? runID : runID
            let text = command[1] == "server" ? "redis_version:7.0.15\r\nrun_id:\(runID)\r\n" : "role:master\r\n"
            return "$\(text.utf8.count)\r\n\(text)\r\n"
        case "TIME":
            let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000 * 1_000)
            return "*2\r\n$\("\(seconds)".count)\r\n\(seconds)\r\n$\("\(rest)".count)\r\n\(rest)\r\n"
        case "CONFIG": return "*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n"
        case "SCRIPT": return "$40\r\n\(String(repeating: "a", count: 40))\r\n"
        case "HELLO":
            stream.speaksRESP3 = true
            return "%1\r\n$5\r\nproto\r\n:3\r\n"
        case "SUBSCRIBE":
            stream.isTracking = true
            return ">3\r\n$9\r\nsubscribe\r\n$\(command[1].utf8.count)\r\n\(command[1])\r\n:1\r\n"
        case "EVALSHA": return beat(command)
        case "GET": return readRefusal.map { "-\($0)\r\n" } ?? "$1\r\n1\r\n"
        default: return "+OK\r\n"
        }
    }

    /// The meaning of beat.lua.
    private func beat(_ command: [String]) -> String {
        if let refusal { return "-\(refusal)\r\n" }
        let age = milliseconds / 200 - (Int64(command[4]) ?? 0)
        guard age == 0 || age == 1 else { return "*2\r\n$4\r\nlate\r\n:\(milliseconds)\r\n" }
        let isNew = beats.insert(command[3]).inserted
        if isNew { tell(command[3]) }
        return "*2\r\n\(isNew ? "$4\r\ndone" : "$5\r\nknown")\r\n:\(milliseconds)\r\n"
    }
}
