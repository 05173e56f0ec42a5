internal import CLinux
internal import Glibc

/// The I/O thread of an ``AsyncClient``: moves bytes between pipelines and sockets, and time to both. Everything here
/// belongs to that thread; calls come through the ``Inbox``.
struct IOLoop: ~Copyable {
    struct Settings: Sendable {
        var socketPath: String
        var connections: Int
        /// A connection whose next reply is this much later than it was wanted is given up.
        var patience: Duration
        var pauses: ClosedRange<Duration>
    }

    /// One connection.
    private final class Link {
        let socket: UnixSocket
        var pipeline: Pipeline
        var isBroken = false

        init(socket: consuming UnixSocket, pipeline: consuming Pipeline) {
            self.socket = socket
            self.pipeline = pipeline
        }
    }

    /// hiredis moves what is left of a buffer for every kilobyte it has read: larger ones cost more than they save.
    private static let receiveSize = 16 * 1024
    /// A closer look at deadlines than this would cost more than it gives.
    private static let deadlineGrain = Duration.milliseconds(1)
    /// The most that a call waits for others while a reply is due.
    private static let nap = Duration.microseconds(100)

    private let inbox: Inbox
    private let settings: Settings
    private var links: [Link] = []
    private var waiting = FIFO<Pipeline.Ticket>()
    private var backoff: Backoff
    /// When deadlines have to be looked at next.
    private var nextLook: ContinuousClock.Instant?
    private var arrivals: [AsyncCall] = []
    private var answered: [AsyncCall] = []
    private var entries: [pollfd] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: receiveSize, alignment: 16)

    init(inbox: Inbox, settings: Settings) {
        self.inbox = inbox
        self.settings = settings
        backoff = Backoff(pauses: settings.pauses)
    }

    deinit {
        buffer.deallocate()
    }

    /// Runs until the client is closed, and leaves no call behind.
    consuming func run() {
        while inbox.take(into: &arrivals) {
            let now = ContinuousClock.now
            for call in arrivals { admit(Pipeline.Ticket(call: call)) }
            arrivals.removeAll(keepingCapacity: true)
            lookAtDeadlines(now)
            connect(now)
            distribute()
            send()
            sleep(from: now)
        }
        let closed = AsyncClient.closed
        for call in arrivals { call.fail(closed) }
        for ticket in waiting.removeAll() { ticket.call.fail(closed) }
        for link in links { _ = link.pipeline.end(.untrusted(closed)) }
        links = []
        inbox.end()
    }

    private mutating func admit(_ ticket: Pipeline.Ticket) {
        waiting.append(ticket)
        nextLook = min(nextLook ?? ticket.call.deadline, ticket.call.deadline)
    }

    // MARK: Time

    private mutating func lookAtDeadlines(_ now: ContinuousClock.Instant) {
        guard let due = nextLook, due <= now else { return }
        var next: ContinuousClock.Instant?
        func note(_ moment: ContinuousClock.Instant?) {
            if let moment { next = min(next ?? moment, moment) }
        }
        for ticket in waiting.removeAll() {
            if ticket.call.deadline <= now || ticket.call.isSettled {
                ticket.call.fail(TokenCacheError(UnixSocket.Failure.timedOut))
            } else {
                waiting.append(ticket)
                note(ticket.call.deadline)
            }
        }
        for link in links {
            note(link.pipeline.expire(at: now))
            guard let deadline = link.pipeline.nextDeadline else { continue }
            let end = deadline + settings.patience
            if end <= now {
                finish(link, .untrusted(TokenCacheError(UnixSocket.Failure.timedOut)), now)
            } else {
                note(end)
            }
        }
        links.removeAll(where: \.isBroken)
        nextLook = next.map { max($0, now + Self.deadlineGrain) }
    }

    /// Waits for something to do, then reads what has come.
    private mutating func sleep(from now: ContinuousClock.Instant) {
        var wake = nextLook
        if !waiting.isEmpty, links.isEmpty, let notBefore = backoff.notBefore {
            wake = min(wake ?? notBefore, notBefore)
        }
        let limit = wake.map { max(.zero, now.duration(to: $0)) }
        entries.removeAll(keepingCapacity: true)
        for link in links {
            let sending = link.pipeline.backlog > 0 ? POLLOUT : 0
            entries.append(pollfd(fd: link.socket.descriptor, events: Int16(POLLIN | sending), revents: 0))
        }
        entries.append(pollfd(fd: inbox.descriptor, events: Int16(POLLIN), revents: 0))
        // While replies are due, calls that come wait for the next one, or for the end of a nap, and go out together.
        var count: Int32 = 0
        if links.contains(where: { $0.pipeline.count > 0 }) { count = poll(for: min(limit ?? Self.nap, Self.nap)) }
        if count == 0 { count = poll(for: inbox.fallAsleep() ? limit : .zero) }
        inbox.wakeUp(isSignalled: count > 0 && entries.last?.revents != 0)
        guard count > 0 else { return }
        for (link, entry) in zip(links, entries) where entry.revents & ~Int16(POLLOUT) != 0 { receive(link) }
        links.removeAll(where: \.isBroken)
    }

    /// ppoll(2): poll(2) counts milliseconds.
    private mutating func poll(for limit: Duration?) -> Int32 {
        guard let limit else { return ppoll(&entries, nfds_t(entries.count), nil, nil) }
        var time = timespec(limit)
        return ppoll(&entries, nfds_t(entries.count), &time, nil)
    }

    // MARK: Connections

    /// Opens a connection if calls wait and none is free. A call that finds none waits for the next attempt, and shares
    /// its outcome.
    private mutating func connect(_ now: ContinuousClock.Instant) {
        guard !waiting.isEmpty, links.count < settings.connections, links.allSatisfy({ $0.pipeline.count > 0 }) else {
            return
        }
        if let notBefore = backoff.notBefore, notBefore > now { return }
        do {
            links.append(Link(socket: try UnixSocket(path: settings.socketPath, waits: nil), pipeline: try Pipeline()))
        } catch {
            backoff.failed(at: now)
            guard links.isEmpty else { return }
            let reason = (error as? UnixSocket.Failure)?.reason ?? "out of memory"
            for ticket in waiting.removeAll() { ticket.call.fail(.connection(reason: reason)) }
        }
    }

    /// Gives waiting calls to the connection with the fewest.
    private mutating func distribute() {
        while !waiting.isEmpty, let link = freest, let ticket = waiting.removeFirst() {
            if ticket.call.isSettled {
                ticket.call.fail(AsyncClient.closed)
            } else {
                link.pipeline.add(ticket)
            }
        }
    }

    private var freest: Link? {
        var freest: Link?
        for link in links where link.pipeline.backlog < Pipeline.maximumBacklog {
            if let known = freest, known.pipeline.count <= link.pipeline.count { continue }
            freest = link
        }
        return freest
    }

    private mutating func send() {
        for link in links where link.pipeline.backlog > 0 {
            do throws(UnixSocket.Failure) {
                let count = try link.pipeline.withOutput { bytes throws(UnixSocket.Failure) in
                    try link.socket.sendNow(bytes)
                }
                link.pipeline.wrote(count)
            } catch {
                // What the daemon said before it hung up can still be read; then the end of the stream comes.
                receive(link)
                if !link.isBroken { finish(link, .hungUp(TokenCacheError(error)), .now) }
            }
        }
        links.removeAll(where: \.isBroken)
    }

    private mutating func receive(_ link: Link) {
        defer {
            for call in answered { call.resume() }
            answered.removeAll(keepingCapacity: true)
        }
        do throws(TokenCacheError) {
            while true {
                let count: Int?
                do throws(UnixSocket.Failure) {
                    count = try link.socket.receiveNow(into: buffer)
                } catch {
                    finish(link, .hungUp(TokenCacheError(error)), .now)
                    return
                }
                guard let count else { break }
                try link.pipeline.received(UnsafeRawBufferPointer(rebasing: buffer[..<count]), answered: &answered)
                // A short read means that there is no more now.
                if count < buffer.count { break }
            }
            if link.pipeline.hasAnswered { backoff.succeeded() }
        } catch {
            finish(link, .untrusted(error), .now)
        }
    }

    private mutating func finish(_ link: Link, _ ending: Pipeline.Ending, _ now: ContinuousClock.Instant) {
        link.isBroken = true
        if !link.pipeline.hasAnswered { backoff.failed(at: now) }
        for ticket in link.pipeline.end(ending) { admit(ticket) }
    }
}
