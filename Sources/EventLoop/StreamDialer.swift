internal import CLibevent
internal import Glibc

/// Turns an address into a connected descriptor without blocking: resolves, connects, tries the next address,
/// gives up after a time. The outcome is told once, from the loop, never from within `dial`.
final class StreamDialer {
    struct Failure: Error {
        let reason: StreamCloseReason
    }

    private let loop: EventLoop
    private var outcome: ((Result<Int32, Failure>) -> Void)?
    private var deadline: LoopTimer?
    private var resolution: Resolution?
    /// Socket addresses not yet tried, the next one last.
    private var candidates: [[UInt8]] = []
    private var descriptor: Int32 = -1
    private var event: OpaquePointer?
    private var lastError: Int32 = 0
    private let ends: MonotonicInstant

    init(loop: EventLoop, timeout: Duration, outcome: @escaping (Result<Int32, Failure>) -> Void) {
        self.loop = loop
        self.outcome = outcome
        ends = loop.now + timeout
        let timer = loop.makeTimer { [unowned self] in finish(.failure(Failure(reason: .connectTimeout))) }
        timer.start(after: timeout)
        deadline = timer
    }

    deinit {
        cancel()
    }

    func dial(unixPath path: String) {
        let result = withUnixAddress(path) { address, length in
            candidates = [Array(UnsafeRawBufferPointer(start: address, count: Int(length)))]
            return 0
        }
        if result != 0 { lastError = errno }
        loop.later { [weak self] in self?.tryNext() }
    }

    func dial(host: String, port: UInt16) {
        resolution = Resolution(loop: loop, host: host, port: port) { [weak self] outcome in
            guard let self, self.outcome != nil else { return }
            resolution = nil
            switch outcome {
            case .success(let addresses):
                candidates = addresses.reversed()
                tryNext()
            case .failure(let failure): finish(.failure(failure))
            }
        }
    }

    /// Gives up without telling.
    func cancel() {
        outcome = nil
        deadline?.cancel()
        resolution?.cancel()
        resolution = nil
        dropAttempt()
    }

    private func tryNext() {
        guard outcome != nil else { return }
        while let address = candidates.popLast() {
            guard let family = address.withUnsafeBytes({ $0.count >= 2 ? $0.loadUnaligned(as: UInt16.self) : nil })
            else { continue }
            let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            descriptor = socket(Int32(family), type, 0)
            guard descriptor >= 0 else {
                lastError = errno
                continue
            }
            if Int32(family) != AF_UNIX {
                var on: Int32 = 1
                let size = socklen_t(MemoryLayout<Int32>.size)
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
                setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, size)
            }
            let result = address.withUnsafeBytes { bytes -> Int32 in
                guard let start = bytes.baseAddress else { return -1 }
                return Glibc.connect(
                    descriptor, start.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
            }
            if result == 0 { return connected() }
            // A Unix-domain socket answers EAGAIN when its backlog is full: that is a failure, nothing will follow.
            if errno == EINPROGRESS, waitUntilWritable() { return }
            lastError = errno
            dropAttempt()
        }
        finish(.failure(Failure(reason: .failed(number: lastError, connecting: true))))
    }

    private func waitUntilWritable() -> Bool {
        event = event_new(
            loop.base, descriptor, Int16(EV_WRITE),
            { _, what, context in
                guard let context else { return }
                let isWritable = Int32(what) & EV_WRITE != 0
                Unmanaged<StreamDialer>.fromOpaque(context).takeUnretainedValue().attemptEnded(isWritable)
            },
            Unmanaged.passUnretained(self).toOpaque())
        guard let event else { return false }
        guard !candidates.isEmpty else { return event_add(event, nil) == 0 }
        // One that is silent leaves the others their share of the time.
        var share = (loop.now.duration(to: ends) / (candidates.count + 1)).timeval
        return event_add(event, &share) == 0
    }

    private func attemptEnded(_ isWritable: Bool) {
        var number = isWritable ? 0 : ETIMEDOUT
        var size = socklen_t(MemoryLayout<Int32>.size)
        if isWritable, getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &size) != 0 { number = errno }
        if number == 0 { return connected() }
        lastError = number
        dropAttempt()
        tryNext()
    }

    private func connected() {
        let connection = descriptor
        descriptor = -1
        finish(.success(connection))
    }

    private func finish(_ result: Result<Int32, Failure>) {
        guard let outcome else { return }
        cancel()
        outcome(result)
    }

    private func dropAttempt() {
        if let event { event_free(event) }
        event = nil
        if descriptor >= 0 { _ = close(descriptor) }
        descriptor = -1
    }
}

/// One name being resolved by evdns.
///
/// It has a resolver of its own that goes with it: the next connection then reads `/etc/resolv.conf` and
/// `/etc/hosts` as they are by then, and nothing stays open in between.
private final class Resolution {
    typealias Outcome = Result<[[UInt8]], StreamDialer.Failure>

    private let loop: EventLoop
    private let resolver: OpaquePointer?
    private var outcome: ((Outcome) -> Void)?
    /// As evdns knows it, until it has called back.
    private var request: OpaquePointer?

    init(loop: EventLoop, host: String, port: UInt16, outcome: @escaping (Outcome) -> Void) {
        self.loop = loop
        self.outcome = outcome
        let options = EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE
        if let complete = evdns_base_new(loop.base, options) {
            resolver = complete
        } else {
            // Without a usable resolv.conf, numeric addresses and the hosts file still work.
            resolver = evdns_base_new(loop.base, 0)
            evdns_base_load_hosts(resolver, "/etc/hosts")
        }
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_protocol = Int32(IPPROTO_TCP)
        // Kept until evdns calls back, which it does once in every case but the loop's own end.
        let context = Unmanaged.passRetained(self)
        // Nil where it has called back already.
        request = evdns_getaddrinfo(
            resolver, host, String(port), &hints,
            { result, list, context in
                guard let context else { return }
                Unmanaged<Resolution>.fromOpaque(context).takeRetainedValue().answered(result, list)
            },
            context.toOpaque())
    }

    /// evdns calls back soon, and the resolver goes: servers that do not answer are not waited for.
    func cancel() {
        outcome = nil
        if let request { evdns_getaddrinfo_cancel(request) }
        request = nil
    }

    private func answered(_ result: Int32, _ list: UnsafeMutablePointer<addrinfo>?) {
        request = nil
        var addresses: [[UInt8]] = []
        var next = list
        while let entry = next?.pointee {
            let bytes = UnsafeRawBufferPointer(start: entry.ai_addr, count: Int(entry.ai_addrlen))
            addresses.append(Array(bytes))
            next = entry.ai_next
        }
        if let list { evutil_freeaddrinfo(list) }
        // Put off: this may be running within evdns, or within `dial`.
        loop.later { [self] in
            if let resolver { evdns_base_free(resolver, 1) }
            let outcome = outcome
            self.outcome = nil
            if result == 0, !addresses.isEmpty {
                outcome?(.success(addresses))
            } else {
                let words = evutil_gai_strerror(result).map { String(cString: $0) } ?? "error \(result)"
                outcome?(.failure(StreamDialer.Failure(reason: .unresolved(words))))
            }
        }
    }
}
