internal import CLibevent
internal import CLinux
internal import Glibc

/// All watched descriptors of a loop, in an epoll set of their own, which libevent sees as one descriptor.
///
/// With thousands of connections a request costs what the memory costs that it touches. Here an event leads straight to
/// its watch, without libevent's tables and queues in between; and as the next events are known, what they will touch
/// is fetched into the processor's cache while the present one is handled. It is edge-triggered (epoll(7)), so the
/// kernel does not look at each descriptor once more only to find that it was read. With 5,000 connections that is a
/// seventh of a request's cost; with 50 it makes no difference.
///
/// libevent's events (timers, signals) come first in every turn, then the urgent descriptors (streams to Redis), which have
/// a poll of their own, then all others. The share of a poll is bounded by time: who is left is called in the next turn, in
/// the same order, before anybody newer.
final class DescriptorPoll {
    /// Few enough that what the kernel touched in finding them is still in the processor's cache when they are handled.
    private static let eventsPerBatch = 64
    /// As many batches are handled before timers, Redis and others have their turn; and no more once a `Share` has
    /// passed, for events and for activations each.
    private static let batchesPerTurn = 8
    /// Bytes of a handler that its calls will touch, nearly always: a handler puts those first.
    private static let prefetchedBytes = 192

    private var epoll: Int32
    private let events: UnsafeMutablePointer<epoll_event>
    /// Of the batch under way, those not yet handled: `next..<count`. They are not told again: it may take turns.
    private var next = 0
    private var count = 0
    /// There were events when libevent last looked.
    private var isReady = false
    /// The watch that is being handled; nil once it was cancelled.
    private var current: UnsafeMutableRawPointer?
    /// Watches to be called without an event: in the turn after this one, and at the end of this one. Nil: cancelled.
    private var activated: [UnsafeMutableRawPointer?] = []
    private var due: [UnsafeMutableRawPointer?] = []
    /// Of `due`, how many were called.
    private var called = 0
    private var event: OpaquePointer?

    /// Nil where the kernel refuses an epoll descriptor or memory is out; `errno` says which.
    init?(base: OpaquePointer) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        events = .allocate(capacity: Self.eventsPerBatch)
        events.initialize(repeating: epoll_event(), count: Self.eventsPerBatch)
        guard epoll >= 0 else { return nil }
        event = event_new(
            base, epoll, Int16(EV_READ | EV_PERSIST),
            { _, _, context in
                guard let context else { return }
                Unmanaged<DescriptorPoll>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.isReady = true }
            },
            Unmanaged.passUnretained(self).toOpaque())
        guard let event, event_add(event, nil) == 0 else { return nil }
    }

    deinit {
        close()
        events.deallocate()
    }

    /// Before libevent's base is freed.
    func close() {
        if let event { event_free(event) }
        event = nil
        if epoll >= 0 { Glibc.close(epoll) }
        epoll = -1
    }

    /// Asks for a watch's events; those that hold already come, too.
    /// - Parameter isNew: whether the descriptor was not asked about before.
    /// - Returns: whether the kernel took it.
    func register(for what: UInt32, of watch: DescriptorWatch, isNew: Bool) -> Bool {
        var event = epoll_event()
        event.events = what | EPOLLET.rawValue
        event.data.ptr = Unmanaged.passUnretained(watch).toOpaque()
        return epoll_ctl(epoll, isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, watch.descriptor, &event) == 0
    }

    /// Nothing is called for this watch any more.
    func forget(_ watch: DescriptorWatch, isRegistered: Bool, isActivated: Bool) {
        let pointer = Unmanaged.passUnretained(watch).toOpaque()
        if isRegistered { epoll_ctl(epoll, EPOLL_CTL_DEL, watch.descriptor, nil) }
        if current == pointer { current = nil }
        for index in next..<max(next, count) where events[index].data.ptr == pointer { events[index].data.ptr = nil }
        guard isActivated else { return }
        for index in activated.indices where activated[index] == pointer { activated[index] = nil }
        for index in due.indices where due[index] == pointer { due[index] = nil }
    }

    // MARK: Turns

    /// What was activated up to here is due in the turn that begins, behind what the turn before left.
    /// - Returns: whether there is something to be called without waiting.
    func beginTurn() -> Bool {
        // Nearly always: nobody was activated.
        if due.isEmpty, activated.isEmpty { return next < count }
        due.removeFirst(called)
        called = 0
        if due.isEmpty {
            swap(&due, &activated)
        } else {
            due += activated
            activated.removeAll(keepingCapacity: true)
        }
        return !due.isEmpty || next < count
    }

    /// Calls those who have events, then those who are due; at least a few of each, so that nobody waits for ever.
    func endTurn() {
        if isReady || next < count { handleEvents() }
        if !due.isEmpty { handleDue() }
    }

    private func handleEvents() {
        isReady = false
        var share = Share()
        for _ in 0..<Self.batchesPerTurn {
            if next == count { fetch() }
            while next < count {
                let event = events[next]
                next &+= 1
                prefetch(at: next &+ 1)
                if let pointer = event.data.ptr { handle(event.events, pointer) }
                if share.isOver(after: next) { return }
            }
            guard count == Self.eventsPerBatch else { return }
        }
    }

    private func fetch() {
        count = max(0, Int(epoll_wait(epoll, events, Int32(Self.eventsPerBatch), 0)))
        next = 0
        prefetch(at: 1)
    }

    private func handleDue() {
        var share = Share()
        while called < due.count {
            let pointer = due[called]
            called &+= 1
            if let pointer { handleActivation(of: pointer) }
            if share.isOver(after: called) { return }
        }
    }

    @inline(__always)
    private func handle(_ what: UInt32, _ pointer: UnsafeMutableRawPointer) {
        let failure = EPOLLHUP.rawValue | EPOLLERR.rawValue
        current = pointer
        Unmanaged<DescriptorWatch>.fromOpaque(pointer)._withUnsafeGuaranteedRef { watch in
            if what & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue) != 0 { watch.hasEnded = true }
            if watch.isReading, what & (EPOLLIN.rawValue | EPOLLRDHUP.rawValue | failure) != 0 {
                guard read(watch, pointer) else { return }
            }
            if watch.isWriting, what & (EPOLLOUT.rawValue | failure) != 0 {
                watch.handler.writable()
                if current == pointer, watch.isWriting { watch.register() }
            }
        }
        current = nil
    }

    /// - Returns: whether the watch is still there.
    @inline(__always)
    private func read(_ watch: DescriptorWatch, _ pointer: UnsafeMutableRawPointer) -> Bool {
        let hasMore = watch.handler.readable()
        guard current == pointer else { return false }
        // The end is told once, and found only by who reads up to it. While reading is off nothing is called; turned
        // on, it begins with what is there.
        if hasMore || watch.hasEnded, watch.isReading { watch.activateRead() }
        return true
    }

    /// Fetches the handler of the event at `index`, and the watch of the one after it.
    @inline(__always)
    private func prefetch(at index: Int) {
        if index &+ 1 < count, let watch = events[index &+ 1].data.ptr { prefetch_memory(watch, 64) }
        if index < count, let watch = events[index].data.ptr {
            Unmanaged<DescriptorWatch>.fromOpaque(watch)._withUnsafeGuaranteedRef {
                prefetch_memory($0.handlerAddress, Self.prefetchedBytes)
            }
        }
    }

    // MARK: Activations

    func activate(_ watch: DescriptorWatch) { activated.append(Unmanaged.passUnretained(watch).toOpaque()) }

    private func handleActivation(of pointer: UnsafeMutableRawPointer) {
        current = pointer
        Unmanaged<DescriptorWatch>.fromOpaque(pointer)._withUnsafeGuaranteedRef { watch in
            watch.isActivated = false
            _ = read(watch, pointer)
        }
        current = nil
    }
}

/// How long a turn's handlers may take, counted from the first look at the clock: a turn of few handlers needs none.
private struct Share {
    /// Nanoseconds.
    private static let length: Int64 = 2_000_000
    /// Handlers that are called between two looks at the clock. A power of two.
    private static let handlersPerLook = 4

    /// Zero: nobody has looked yet.
    private var end: Int64 = 0

    /// - Parameter handled: how many were called, in all.
    @inline(__always)
    mutating func isOver(after handled: Int) -> Bool {
        guard handled & (Self.handlersPerLook &- 1) == 0 else { return false }
        let now = MonotonicInstant.now().nanoseconds
        if end == 0 { end = now &+ Self.length }
        return now >= end
    }
}
