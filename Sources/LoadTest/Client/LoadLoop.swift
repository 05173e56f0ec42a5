internal import CLinux
internal import Glibc

/// One connection of a load. Its requests in flight stand in a ring of the loop's arrays.
struct LoadConnection {
    var descriptor: Int32 = -1
    /// Place of the oldest request in flight in its ring.
    var head: UInt32 = 0
    var inFlight: UInt32 = 0
    /// Whether bytes of an unfinished answer, or of a request the kernel did not take, are kept for it.
    var hasPartial = false
    var hasUnsent = false
}

/// One thread's part of a load: an epoll loop that writes requests and judges answers.
///
/// A value that one thread owns, so that nothing on the hot path is counted or checked. It reads each ready socket
/// once into one shared buffer, judges the answers in place and sends what may follow in one write.
struct LoadLoop: ~Copyable {
    static let inputSize = 1 << 20
    static let outputSize = 1 << 18
    private static let eventsPerTurn = 512

    let shape: LoadShape
    let connectionCount: Int
    /// Room for requests in flight on each connection, a power of two.
    let slots: Int
    let slotMask: UInt32
    var address: sockaddr_un
    let epoll: Int32
    let connections: UnsafeMutablePointer<LoadConnection>
    let tickets: UnsafeMutablePointer<UInt32>
    let times: UnsafeMutablePointer<Int64>
    let lanes: UnsafeMutablePointer<Lane>
    let laneCount: Int
    /// Which lane each request of a long cycle belongs to.
    let schedule: [UInt8]
    var scheduled = 0
    let input: UnsafeMutablePointer<UInt8>
    let output: UnsafeMutablePointer<UInt8>
    let events: UnsafeMutablePointer<epoll_event>
    var partials: [[UInt8]]
    var unsent: [[UInt8]]

    var outcome = LoadOutcome()
    /// Answers since the start, warm-up included.
    var answered = 0
    var sent = 0
    var inFlight = 0
    var measuresFrom = Int64.max
    var measuresUntil = Int64.max
    /// Open pace: places for a request, as connection numbers, in a ring.
    var places: [UInt32] = []
    var firstPlace = 0
    var placeCount = 0
    /// Open pace: whether requests were due and had no place when last looked.
    var wasStarved = false
    var isClosing = false
    /// Open pace, while closing: when the first request was answered, and its place free for one that waited.
    var firstFree: Int64?

    init(_ shape: LoadShape, lanes specs: [LaneSpec], connections count: Int) throws(LoadTestError) {
        guard let address = UnixSocket.address(shape.socketPath) else {
            throw .usage("\(shape.socketPath): a socket path has 1 to \(UnixSocket.longestPath) bytes")
        }
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw .unavailable("epoll: \(describe(errno: errno))") }
        var slots = 1
        while slots < shape.pipeline { slots *= 2 }
        self.shape = shape
        self.slots = slots
        slotMask = UInt32(slots - 1)
        self.address = address
        self.epoll = epoll
        connections = .allocate(capacity: count)
        connections.initialize(repeating: LoadConnection(), count: count)
        tickets = .allocate(capacity: count * slots)
        times = .allocate(capacity: count * slots)
        times.initialize(repeating: 0, count: count * slots)
        lanes = .allocate(capacity: specs.count)
        for (index, spec) in specs.enumerated() { (lanes + index).initialize(to: Lane(spec)) }
        laneCount = specs.count
        schedule = Self.schedule(specs.map(\.weight))
        input = .allocate(capacity: Self.inputSize)
        output = .allocate(capacity: Self.outputSize)
        events = .allocate(capacity: Self.eventsPerTurn)
        partials = Array(repeating: [], count: count)
        unsent = Array(repeating: [], count: count)
        connectionCount = count
        outcome.laneLatencies = specs.map { _ in LoadOutcome.emptyHistogram }
    }

    deinit {
        for index in 0..<connectionCount where connections[index].descriptor >= 0 {
            close(connections[index].descriptor)
        }
        close(epoll)
        connections.deallocate()
        tickets.deallocate()
        times.deallocate()
        lanes.deinitialize(count: laneCount)
        lanes.deallocate()
        input.deallocate()
        output.deallocate()
        events.deallocate()
    }

    /// A cycle that holds each lane as often as its weight says, well mixed, the same each time.
    static func schedule(_ weights: [Int]) -> [UInt8] {
        let total = weights.reduce(0, +)
        var shares = weights.map { _ in 0 }
        return (0..<max(1, total)).map { _ in
            // Whoever is furthest behind its share goes next.
            for index in shares.indices { shares[index] += weights[index] }
            let next = shares.indices.max { shares[$0] < shares[$1] } ?? 0
            shares[next] -= total
            return UInt8(next)
        }
    }

    /// Opens every connection and watches it.
    mutating func openAll() throws(LoadTestError) {
        for index in 0..<connectionCount {
            if index & 63 == 0 { try Interruption.check() }
            try open(index)
        }
    }

    mutating func open(_ index: Int) throws(LoadTestError) {
        let descriptor = UnixSocket.connect(&address)
        guard descriptor >= 0 else {
            try Interruption.check()
            throw .unavailable("cannot connect to \(shape.socketPath): \(describe(errno: -descriptor))")
        }
        connections[index] = LoadConnection(descriptor: descriptor)
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u32 = UInt32(index)
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            throw .unavailable("epoll: \(describe(errno: errno))")
        }
    }

    /// Waits for at most `nanoseconds` and handles what is ready.
    mutating func turn(waiting nanoseconds: Int64) throws(LoadTestError) {
        let most = Int32(Self.eventsPerTurn)
        let milliseconds = Int32(clamping: max(0, nanoseconds) / 1_000_000)
        // The plain call where it can say the time: it is the cheaper one.
        let isWhole = nanoseconds <= 0 || Int64(milliseconds) * 1_000_000 == nanoseconds
        let count = Int(
            isWhole
                ? epoll_wait(epoll, events, most, milliseconds) : wait_for_events(epoll, events, most, nanoseconds))
        guard count > 0 else { return }
        var now = Clock.now()
        for position in 0..<count {
            let event = events[position]
            let index = Int(event.data.u32)
            guard index < connectionCount else { continue }
            if event.events & EPOLLOUT.rawValue != 0 { try flush(index) }
            guard event.events & ~EPOLLOUT.rawValue != 0, connections[index].descriptor >= 0 else { continue }
            // The time of an answer is that of its own read, not that of the turn.
            if shape.recordsLatency, position > 0 { now = Clock.now() }
            try receive(index, at: now)
        }
    }

    /// Sends `count` requests on a connection, in one write; fewer where there are no more requests.
    @inline(__always)
    mutating func send(_ count: Int, on index: Int, meantFor time: Int64) throws(LoadTestError) {
        var length = 0
        var connection = connections[index]
        let ring = index &* slots
        var sending = 0
        while sending < count {
            let number = laneCount == 1 ? 0 : nextLane()
            var laneIndex = number
            var next = lanes[number].nextRow()
            if next == nil, laneCount > 1 {
                // Nothing to send of this kind now: the first kind is never out of requests.
                laneIndex = 0
                next = lanes[0].nextRow()
            }
            guard let row = next else { break }
            let stride = lanes[laneIndex].stride
            if length &+ stride > Self.outputSize {
                try write(output, length, on: index)
                length = 0
            }
            memcpy(output + length, lanes[laneIndex].rows + row &* stride, stride)
            length &+= stride
            let slot = ring &+ Int((connection.head &+ connection.inFlight) & slotMask)
            tickets[slot] = UInt32(truncatingIfNeeded: laneIndex << 28 | row)
            times[slot] = time
            connection.inFlight &+= 1
            sending &+= 1
        }
        guard sending > 0 else { return }
        connections[index].inFlight = connection.inFlight
        inFlight &+= sending
        sent &+= sending
        try write(output, length, on: index)
    }

    @inline(__always)
    mutating func nextLane() -> Int {
        let lane = Int(schedule[scheduled])
        scheduled = scheduled &+ 1 == schedule.count ? 0 : scheduled &+ 1
        return lane
    }
}
