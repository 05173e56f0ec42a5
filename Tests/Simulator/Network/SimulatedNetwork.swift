import EventLoop
import SeededRandom

/// What happens to the connections of one kind between one daemon and Redis.
struct PathState {
    /// Until then connecting is refused.
    var refusedUntil: SimulatedTime = 0
    /// Until then connecting succeeds and nobody answers.
    var halfOpenUntil: SimulatedTime = 0
    /// Until then nothing arrives at Redis; it arrives then, as a kernel would send it again.
    var upHeldUntil: SimulatedTime = 0
    /// The same towards the daemon.
    var downHeldUntil: SimulatedTime = 0
    /// On top of the ordinary delay, until `slowUntil`.
    var slowness: SimulatedTime = 0
    var slowUntil: SimulatedTime = 0
    /// The connection is cut when it has delivered so many more bytes to the daemon.
    var cutAfter: Int?
}

/// The bytes between daemons and Redis: each connection is in order, and has delays of its own.
final class SimulatedNetwork {
    let agenda: Agenda
    private let seed: UInt64
    /// The longest that a healthy network takes one way: far less than the 50 ms of S5.
    static let longestDelay = SimulatedTime.milliseconds(12)

    private(set) var connections = 0
    var paths: [PathName: PathState] = [:]
    /// Who is at an address, as a connection of a daemon finds it; nil: nobody.
    private let server: (PathName, StreamAddress) -> (any SimulatedServer)?
    /// What is cut off from all others, by name: `d0` is a daemon, `h0` a server's host.
    private(set) var partitions: [Partition] = []
    /// What a lens does to bytes on their way; nil where nothing.
    var lens: (any NetworkLens)?
    /// The last stream of each path.
    var latest: [PathName: SimulatedStream] = [:]
    /// Told of all that a daemon sends.
    var onSend: (PathName, [UInt8]) -> Void = { _, _ in }

    /// Told of every connection that a `cutAfter` has cut.
    var onCut: (PathName) -> Void = { _ in }

    struct PathName: Hashable {
        /// `watch`: to those who say which servers there are.
        enum Role: String { case data, feed, watch }
        let daemon: Int
        let role: Role
    }

    struct Partition {
        let island: Set<String>
        /// Whom it is cut off from; nil: from all others.
        let others: Set<String>?
        var until: SimulatedTime

        func isBetween(_ one: String, _ other: String) -> Bool {
            guard let others else { return island.contains(one) != island.contains(other) }
            return island.contains(one) && others.contains(other) || island.contains(other) && others.contains(one)
        }
    }

    init(agenda: Agenda, seed: UInt64, server: @escaping (PathName, StreamAddress) -> (any SimulatedServer)?) {
        self.agenda = agenda
        self.seed = seed
        self.server = server
    }

    /// Nothing goes between these and all others; what was sent arrives when that ends, as a kernel would send it again.
    /// - Parameter others: these only.
    func cutOff(_ island: Set<String>, from others: Set<String>? = nil, until: SimulatedTime) {
        partitions.append(Partition(island: island, others: others, until: until))
    }

    func endPartitions() { partitions = [] }

    /// Until when nothing goes between two; zero where it does.
    func cutOff(_ one: String, _ other: String) -> SimulatedTime {
        let cuts = partitions.filter { $0.until > agenda.now && $0.isBetween(one, other) }
        return cuts.map(\.until).max() ?? 0
    }

    fileprivate func server(of path: PathName, at address: StreamAddress) -> (any SimulatedServer)? {
        server(path, address)
    }

    func maker(daemon: Int, role: PathName.Role, loop: SimulatedLoop) -> any StreamMaker {
        Maker(network: self, path: PathName(daemon: daemon, role: role), loop: loop)
    }

    /// Each connection draws from a source of its own: leaving out one leaves the others as they are.
    fileprivate func random(for path: PathName) -> SeededRandom {
        connections += 1
        let kind: UInt64 =
            switch path.role {
            case .data: 1
            case .feed: 2
            case .watch: 3
            }
        perPath[path, default: 0] += 1
        let number = UInt64(perPath[path] ?? 0)
        return SeededRandom(seed: seed ^ (UInt64(path.daemon) &+ 1) &* 0x1_0001 ^ kind << 40 ^ number << 44)
    }
    private var perPath: [PathName: Int] = [:]

    private final class Maker: StreamMaker {
        let network: SimulatedNetwork
        let path: PathName
        let loop: SimulatedLoop

        init(network: SimulatedNetwork, path: PathName, loop: SimulatedLoop) {
            self.network = network
            self.path = path
            self.loop = loop
        }

        func makeStream() -> any OutgoingStream {
            let stream = SimulatedStream(network: network, path: path, loop: loop)
            network.latest[path] = stream
            return stream
        }
    }
}

/// What a rule removed does to the network: it answers for Redis, or changes what arrives.
protocol NetworkLens: AnyObject {
    /// Bytes that a daemon sends.
    /// - Returns: what answers in Redis's place; nil lets them pass.
    func sent(_ bytes: [UInt8], on path: SimulatedNetwork.PathName, at now: SimulatedTime) -> [UInt8]?
}

/// Whoever listens: a Redis, a Sentinel.
protocol SimulatedServer: AnyObject {
    /// Where it is, for partitions.
    var host: String { get }
    var isDown: Bool { get }
    func accept(_ stream: SimulatedStream) -> any SimulatedPeer
}

/// The server's end of a connection.
protocol SimulatedPeer: AnyObject {
    func receive(_ bytes: [UInt8])
    func closedByClient()
}

/// One connection, seen from both ends.
final class SimulatedStream: OutgoingStream {
    weak var delegate: (any ByteStreamDelegate)?
    private let network: SimulatedNetwork
    let path: SimulatedNetwork.PathName
    private let loop: SimulatedLoop
    private var random: SeededRandom
    private let latency: SimulatedTime
    private var lastUp: SimulatedTime = 0
    private var lastDown: SimulatedTime = 0
    /// The daemon has closed it, or was told that it is closed.
    private var isClosed = false
    private var isCutDown = false
    /// Redis's end, once connected.
    private(set) var peer: (any SimulatedPeer)?
    /// Where it leads.
    private var host = ""

    init(network: SimulatedNetwork, path: SimulatedNetwork.PathName, loop: SimulatedLoop) {
        self.network = network
        self.path = path
        self.loop = loop
        random = network.random(for: path)
        latency = .microseconds(Int64.random(in: 20...400, using: &random))
    }

    private var state: PathState {
        var state = network.paths[path] ?? PathState()
        guard !network.partitions.isEmpty else { return state }
        let end = network.cutOff("d\(path.daemon)", host)
        state.upHeldUntil = max(state.upHeldUntil, end)
        state.downHeldUntil = max(state.downHeldUntil, end)
        return state
    }

    private func delay() -> SimulatedTime {
        var delay = latency + .microseconds(Int64.random(in: 0...200, using: &random))
        if Int.random(in: 0..<24, using: &random) == 0 {
            delay += .microseconds(Int64.random(in: 0...11_000, using: &random))
        }
        if network.agenda.now < state.slowUntil { delay += state.slowness }
        return delay
    }

    // MARK: The daemon's end

    func connect(to address: StreamAddress, timeout: Duration) {
        let agenda = network.agenda
        let server = network.server(of: path, at: address)
        host = server?.host ?? ""
        let state = state
        let arrival = agenda.now + 2 * delay()
        if max(state.upHeldUntil, state.downHeldUntil) > agenda.now {
            // Nobody hears of the attempt.
            return agenda.after(max(0, timeout.saturatedNanoseconds)) { [self] in end(.connectTimeout) }
        }
        agenda.at(arrival) { [self] in
            guard let server, state.refusedUntil <= agenda.now, !server.isDown else {
                return end(.failed(number: 111, connecting: true))
            }
            guard !isClosed else { return }
            if state.halfOpenUntil <= agenda.now { peer = server.accept(self) }
            loop.enter { [self] in if !isClosed { delegate?.streamConnected() } }
        }
    }

    func write(_ bytes: [UInt8]) {
        network.onSend(path, bytes)
        if let answer = network.lens?.sent(bytes, on: path, at: network.agenda.now) {
            return network.agenda.after(2 * delay()) { [self] in arrive(answer) }
        }
        up { peer in peer.receive(bytes) }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        // What was written before still goes its way, however long that takes.
        up { peer in peer.closedByClient() }
    }

    private func up(_ body: @escaping (any SimulatedPeer) -> Void) {
        guard let peer else { return }
        let agenda = network.agenda
        var arrival = max(lastUp, agenda.now + delay())
        if state.upHeldUntil > agenda.now { arrival = max(arrival, state.upHeldUntil + delay()) }
        lastUp = arrival
        agenda.at(arrival) { body(peer) }
    }

    // MARK: Redis's end

    func deliver(_ bytes: [UInt8]) {
        // A long reply may come in two pieces.
        guard bytes.count > 8, Int.random(in: 0..<12, using: &random) == 0 else { return down(bytes) }
        let cut = Int.random(in: 1..<bytes.count, using: &random)
        down(Array(bytes[..<cut]))
        down(Array(bytes[cut...]))
    }

    private func down(_ bytes: [UInt8]) {
        guard !isCutDown else { return }
        var bytes = bytes
        if let left = network.paths[path]?.cutAfter {
            if bytes.count >= left {
                bytes = Array(bytes[..<left])
                network.paths[path]?.cutAfter = nil
                isCutDown = true
                network.onCut(path)
                down { [self] in arrive(bytes) }
                down { [self] in end(.failed(number: 104, connecting: false)) }
                peer?.closedByClient()
                return
            }
            network.paths[path]?.cutAfter = left - bytes.count
        }
        down { [self] in arrive(bytes) }
    }

    /// Redis has closed it, or died.
    func closedByServer() { down { [self] in end(.endOfFile) } }

    private func down(_ body: @escaping () -> Void) {
        let agenda = network.agenda
        var arrival = max(lastDown, agenda.now + delay())
        if state.downHeldUntil > agenda.now { arrival = max(arrival, state.downHeldUntil + delay()) }
        lastDown = arrival
        agenda.at(arrival, body)
    }

    private func arrive(_ bytes: [UInt8]) {
        loop.enter { [self] in
            if !isClosed { bytes.withUnsafeBytes { delegate?.streamReceived($0) } }
        }
    }

    /// Bytes that nobody sent, for a lens.
    func inject(_ bytes: [UInt8]) { network.agenda.after(delay()) { [self] in arrive(bytes) } }

    private func end(_ reason: StreamCloseReason) {
        loop.enter { [self] in
            guard !isClosed else { return }
            isClosed = true
            delegate?.streamClosed(reason)
        }
    }
}
