internal import EventLoop
internal import Glibc
internal import WireProtocol

/// One client that speaks HTTP: its unfinished request, and the answer that it waits for.
///
/// Requests are answered one after the other: while an answer has to wait for Redis, nothing more is read. The answer comes
/// after the head; a body is of no use here. One that did not come along costs the connection, so that what comes later is
/// never taken for a request, or the other way round.
final class HTTPSession: ClientSession, DescriptorHandler {
    /// Requests answered for one session before others get their turn.
    static let requestsPerTurn = 64
    /// Bytes that a connection at its end takes and throws away, so that the client reads its answer before the end.
    static let maxDiscarded = 65_536

    private var phase = Phase.open
    private var hasBacklog = false
    private var isDraining = false
    private(set) var isWaiting = false
    var role: Role
    private let listener: HTTPListener
    private let server: Server
    private var channel: SocketChannel
    /// When the request under way was read.
    private(set) var lastRequestAt: MonotonicInstant
    /// Bytes read but not yet consumed.
    private var input: [UInt8] = []
    /// Where reading stands in the head that `input` begins with.
    private var reader: HTTPRequestReader?
    private(set) var incompleteSince: MonotonicInstant?
    /// Bytes thrown away since the last answer.
    private var discarded = 0
    let client: AcceptedClient

    private enum Phase {
        case open
        /// No more requests are taken; what is owed is sent.
        case closing
        /// The answer is out: what the client still sends is thrown away until it closes.
        case lingering
        case closed
    }

    init(_ client: AcceptedClient, _ listener: HTTPListener, _ server: Server) {
        self.client = client
        self.listener = listener
        self.server = server
        role = client.role
        lastRequestAt = client.openedAt
        channel = SocketChannel(client.descriptor)
        if !channel.open(on: server.loop, handler: self) { close() }
    }

    var isClosed: Bool { phase == .closed }
    var stalledSince: MonotonicInstant? { channel.stalledSince }
    var idleSince: MonotonicInstant? { isWaiting ? nil : lastRequestAt }

    // MARK: Reading

    func readable() -> Bool {
        switch phase {
        case .open: break
        case .lingering: return discard()
        case .closing, .closed: return false
        }
        if hasBacklog {
            lastRequestAt = .now()
            processInput()
            return true
        }
        switch server.loop.readBuffer.withBytes({ channel.read(into: $0) }) {
        case .bytes(let count):
            lastRequestAt = .now()
            server.counters.inputBytes &+= UInt64(count)
            if input.isEmpty {
                server.loop.readBuffer.withBytes { buffer in
                    let bytes = UnsafeRawBufferPointer(start: buffer.baseAddress, count: min(count, buffer.count))
                    let consumed = process(bytes, &listener.reader)
                    if phase == .open, consumed < count { input.append(contentsOf: bytes[consumed...]) }
                }
                if listener.reader.isMidHead {
                    reader = listener.reader
                    listener.reader = HTTPRequestReader()
                }
                afterProcessing()
            } else {
                server.loop.readBuffer.withBytes { input.append(contentsOf: $0.prefix(count)) }
                processInput()
            }
            return count == EventLoop.readBufferBytes
        case .nothing: return false
        case .interrupted: return true
        case .end: finish()
        case .failed: close()
        }
        return false
    }

    private func processInput() {
        hasBacklog = false
        var reader = reader ?? HTTPRequestReader()
        // Taken out for the time of reading: nothing else may touch it then.
        let bytes = input
        input = []
        let consumed = bytes.withUnsafeBytes { process($0, &reader) }
        self.reader = reader.isMidHead ? reader : nil
        if phase == .open, consumed < bytes.count { input = Array(bytes[consumed...]) }
        afterProcessing()
    }

    /// Answers whole requests at the start of `bytes`, at most one turn's share of them.
    /// - Returns: how many bytes they took.
    private func process(_ bytes: UnsafeRawBufferPointer, _ reader: inout HTTPRequestReader) -> Int {
        var consumed = 0
        var share = Self.requestsPerTurn
        listener.writer.removeAll()
        while consumed < bytes.count, phase == .open {
            guard share > 0, !isHeldBack else {
                hasBacklog = true
                return consumed
            }
            let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
            switch reader.read(rest) {
            case .incomplete: return consumed
            case .refused(let refusal):
                server.counters.protocolErrors &+= 1
                refuse(refusal)
                return consumed
            case .head(let length):
                consumed += length
                share -= 1
                let hasBody = reader.bodyLength <= rest.count - length
                if hasBody { consumed += reader.bodyLength }
                // What was read before the drain is answered, and the last of it says that it is.
                let isLast = isDraining && consumed == bytes.count
                answer(reader, rest, isPersistent: reader.isPersistent && hasBody && !isLast)
            }
        }
        return consumed
    }

    private func answer(_ head: HTTPRequestReader, _ bytes: UnsafeRawBufferPointer, isPersistent: Bool) {
        let request = HTTPRequest(head, bytes, isPersistent: isPersistent, arrival: lastRequestAt)
        if !isPersistent { phase = .closing }
        if listener.site.answer(request, from: self, listener, &listener.writer) == .later { isWaiting = true }
    }

    private func refuse(_ refusal: HTTPRefusal) {
        phase = .closing
        listener.writer.begin(refusal.status, HTTPExchange(), date: listener.date)
        listener.writer.end("text/plain; charset=utf-8", "\(refusal.message)\n")
    }

    /// The answer comes when Redis has answered, or the client does not read those it has.
    private var isHeldBack: Bool {
        isWaiting || channel.unsentBytes + listener.writer.count > server.limits.maxOutput
    }

    private func afterProcessing() {
        guard phase != .closed else { return listener.writer.removeAll() }
        sendWritten()
        guard phase != .closed else { return }
        let isIncomplete = phase == .open && !input.isEmpty && !hasBacklog
        if !isIncomplete {
            if phase != .lingering { forgetIncomplete() }
        } else {
            startClock()
            server.holdIncomplete(input.capacity, of: self)
        }
        adjustReading()
        if isDraining, !hasBacklog { finish() }
    }

    private func startClock() {
        guard incompleteSince == nil else { return }
        incompleteSince = .now()
        server.watchTimeouts(of: self)
    }

    private func forgetIncomplete() {
        guard incompleteSince != nil else { return }
        incompleteSince = nil
        server.releaseIncomplete(of: self)
    }

    private func adjustReading() {
        switch phase {
        case .open:
            let heldBack = isHeldBack
            channel.setReading(!heldBack && !isDraining)
            if hasBacklog, !heldBack { channel.activateRead() }
        case .closing: channel.setReading(false)
        case .lingering, .closed: break
        }
    }

    // MARK: Answers

    /// Writes an answer that had to wait.
    /// - Returns: false, and nothing is done, if the client has gone.
    func fill(_ write: (inout HTTPResponseWriter) -> Void) -> Bool {
        guard isWaiting, phase != .closed else { return false }
        isWaiting = false
        listener.writer.removeAll()
        write(&listener.writer)
        listener.writer.withUnsafeBytes { channel.append($0) }
        listener.writer.removeAll()
        server.flushLater(self)
        return true
    }

    func writable() { flush() }

    func flush() {
        guard phase != .closed else { return }
        took(channel.flush())
        finishIfDone()
        adjustReading()
    }

    private func sendWritten() {
        if listener.writer.count > 0 {
            let outcome = listener.writer.withUnsafeBytes { channel.write($0) }
            listener.writer.removeAll()
            took(outcome)
        }
        finishIfDone()
    }

    private func took(_ outcome: SocketChannel.WriteOutcome) {
        switch outcome {
        case .taken(let count):
            server.counters.outputBytes &+= UInt64(count)
            guard !channel.isQuiet else { return }
            server.memory.released(channel.takeReleased())
            if channel.stalledSince != nil { server.watchTimeouts(of: self) }
        case .failed: close()
        }
    }

    // MARK: End

    /// Takes no more requests, closes when the answer is out.
    private func finish() {
        guard phase == .open else { return }
        finishAfterReply()
        input = []
        reader = nil
        forgetIncomplete()
        finishIfDone()
    }

    func finishAfterReply() {
        guard phase == .open else { return }
        phase = .closing
        channel.setReading(false)
    }

    func cutOff(_ code: StaticString, _ message: String) {
        // Its request is not whole: what it would have been is not known.
        close()
    }

    func drain() {
        if phase == .open, !hasBacklog { _ = readable() }
        guard phase == .open else { return }
        isDraining = true
        if hasBacklog { adjustReading() } else { finish() }
    }

    private func finishIfDone() {
        guard phase == .closing, !isWaiting, channel.unsentBytes == 0, listener.writer.count == 0 else { return }
        // A socket that is closed with bytes unread resets the connection, and the answer may be lost with it.
        guard !isDraining, shutdown(client.descriptor, Int32(SHUT_WR)) == 0 else { return close() }
        phase = .lingering
        discarded = input.count
        input = []
        reader = nil
        startClock()
        channel.setReading(true)
    }

    private func discard() -> Bool {
        switch server.loop.readBuffer.withBytes({ channel.read(into: $0) }) {
        case .bytes(let count):
            discarded += count
            guard discarded <= Self.maxDiscarded else { break }
            return count == EventLoop.readBufferBytes
        case .nothing: return false
        case .interrupted: return true
        case .end, .failed: break
        }
        close()
        return false
    }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        channel.close()
        server.memory.released(channel.takeReleased())
        forgetIncomplete()
        input = []
        reader = nil
        isWaiting = false
        server.forget(self)
    }
}
