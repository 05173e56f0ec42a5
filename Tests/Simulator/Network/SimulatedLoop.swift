import EventLoop
import UnixTime

/// Nanoseconds since a run began: the time that all of a run shares.
typealias SimulatedTime = Int64

extension SimulatedTime {
    static func milliseconds(_ count: Int64) -> SimulatedTime { count * 1_000_000 }
    static func microseconds(_ count: Int64) -> SimulatedTime { count * 1_000 }
}

/// What is to happen in a run, in order of time, then of arrival. Nothing sleeps: time passes when nothing is left to do.
final class Agenda {
    private struct Entry {
        let at: SimulatedTime
        let number: UInt64
        let body: () -> Void

        func isBefore(_ other: Entry) -> Bool { at != other.at ? at < other.at : number < other.number }
    }

    private(set) var now: SimulatedTime = 0
    /// A binary heap, the earliest first.
    private var entries: [Entry] = []
    private var count: UInt64 = 0

    /// A time that is past is now.
    func at(_ time: SimulatedTime, _ body: @escaping () -> Void) {
        count += 1
        entries.append(Entry(at: max(time, now), number: count, body: body))
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child].isBefore(entries[parent]) else { break }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    func after(_ delay: SimulatedTime, _ body: @escaping () -> Void) { at(now + delay, body) }

    func run(until end: SimulatedTime) {
        while let next = entries.first, next.at <= end {
            removeFirst()
            now = next.at
            next.body()
        }
        now = max(now, end)
    }

    private func removeFirst() {
        let last = entries.removeLast()
        guard !entries.isEmpty else { return }
        entries[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
                if entries[child].isBefore(entries[least]) { least = child }
            }
            guard least != parent else { return }
            entries.swapAt(parent, least)
            parent = least
        }
    }
}

/// The loop of one daemon: its turns, its timers, and its own view of time.
///
/// A daemon that is stopped (SIGSTOP) has no turns; what came meanwhile happens at once when it goes on. One that was
/// killed has none any more.
final class SimulatedLoop: Scheduler {
    final class Timer: SchedulerTimer {
        fileprivate unowned let loop: SimulatedLoop
        fileprivate let body: () -> Void
        /// Moves on with every start and cancel: an older entry of the agenda does nothing.
        fileprivate var generation = 0

        init(loop: SimulatedLoop, body: @escaping () -> Void) {
            self.loop = loop
            self.body = body
        }

        func start(after duration: Duration) {
            generation += 1
            let delay = max(0, duration.saturatedNanoseconds)
            loop.agenda.after(delay) { [weak self, weak loop, generation] in
                loop?.enter { if let self, self.generation == generation { self.body() } }
            }
        }

        func cancel() { generation += 1 }
    }

    let agenda: Agenda
    /// When this host was started.
    private let bootOffset: SimulatedTime
    /// What somebody set this host's wall clock wrong by, milliseconds.
    var hostOffset: Int64 = 0
    /// The daemon's clock leaves out the time in which it is stopped, as CLOCK_MONOTONIC of a host asleep would: a rule
    /// removed, see `RemovedRule`.
    var forgetsPauses = false
    private var forgotten: SimulatedTime = 0
    private var pausedSince: SimulatedTime?
    private var isDead = false
    private var deferred: [() -> Void] = []
    private var held: [(body: () -> Void, isRequest: Bool)] = []
    /// Called after every turn.
    var onTurn: () -> Void = {}

    /// When a run begins.
    static let epoch = UnixMilliseconds(1_800_000_000_000)

    init(agenda: Agenda, bootOffset: SimulatedTime) {
        self.agenda = agenda
        self.bootOffset = bootOffset
    }

    var now: MonotonicInstant { MonotonicInstant(nanoseconds: agenda.now + bootOffset - forgotten) }
    var hostTime: UnixMilliseconds { Self.epoch + (agenda.now / 1_000_000 + hostOffset) }
    var isPaused: Bool { pausedSince != nil }

    func later(_ body: @escaping () -> Void) { deferred.append(body) }
    func makeTimer(_ body: @escaping () -> Void) -> Timer { Timer(loop: self, body: body) }

    /// A turn of the loop, with what it puts off.
    /// - Parameter isRequest: a client's, and not Redis's.
    func enter(isRequest: Bool = false, _ body: @escaping () -> Void) {
        guard !isDead else { return }
        guard pausedSince == nil else { return held.append((body, isRequest)) }
        body()
        while !deferred.isEmpty {
            let turn = deferred
            deferred = []
            for body in turn { body() }
        }
        onTurn()
    }

    func pause() { pausedSince = pausedSince ?? agenda.now }

    /// Goes on. What waits is found in the order of the descriptors: it may be clients' requests before what Redis told.
    func resume(requestsFirst: Bool) {
        guard let since = pausedSince else { return }
        if forgetsPauses { forgotten += agenda.now - since }
        pausedSince = nil
        let turns = held
        held = []
        if requestsFirst {
            for turn in turns where turn.isRequest { enter(turn.body) }
            for turn in turns where !turn.isRequest { enter(turn.body) }
        } else {
            for turn in turns { enter(turn.body) }
        }
    }

    func kill() {
        isDead = true
        deferred = []
        held = []
    }
}
