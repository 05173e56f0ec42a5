internal import EventLoop
internal import Glibc
internal import WireProtocol

/// One client: its unfinished request, its replies in order, its unsent output.
///
/// A request is parsed where it was read, in a buffer all connections share; a connection keeps bytes of its own only
/// while a request is incomplete or the socket is full.
final class ClientConnection: DescriptorHandler {
    // First what every request touches: with thousands of connections its cost is that of the memory it reads.

    private var phase = Phase.open
    /// A request is being carried out: its reply, or one before it, is being written.
    private var isExecuting = false
    /// Whole requests may stand in `input`: the turn's share was used up, or the connection was held back.
    private var hasBacklog = false
    /// The daemon ends: what has arrived is answered, nothing more is read.
    private var isDraining = false
    var version = RESPVersion.two
    var role: Role
    var lastCommand: Command?
    private let descriptor: Int32
    /// It holds this connection until that is closed. A constant, so that reading it counts no reference.
    let server: Server
    private var watch: DescriptorWatch?
    /// When the requests under way were read: the clock is read after them, so nothing that happened before they
    /// arrived is taken for later.
    private(set) var lastRequestAt: MonotonicInstant
    /// Bytes read but not yet consumed, from `inputStart` on.
    private var input: [UInt8] = []
    private var inputStart = 0
    /// Encoded replies that the socket has not taken, from `outputStart` on.
    private var output: [UInt8] = []
    private var outputStart = 0
    private var replies = ReplyQueue()
    /// Since when a request is incomplete, and since when the client has taken no output.
    private(set) var incompleteSince: MonotonicInstant?
    private(set) var stalledSince: MonotonicInstant?

    let id: UInt64
    let peer: Peer
    let place: ClientPlaces.Place
    let openedAt: MonotonicInstant
    /// What the client told about itself (`HELLO`, `CLIENT SETNAME`, `CLIENT SETINFO`).
    var name: [UInt8] = []
    var libraryName: [UInt8] = []
    var libraryVersion: [UInt8] = []
    var authWasIgnored = false
    /// Where parsing stands in the incomplete request that `input` begins with, if it does.
    private var unfinished: RequestParser?

    private enum Phase {
        case open
        /// No more requests are taken; closed when all replies are out.
        case closing
        case closed
    }

    init(id: UInt64, descriptor: Int32, peer: Peer, role: Role, place: ClientPlaces.Place, server: Server) {
        self.id = id
        self.descriptor = descriptor
        self.peer = peer
        self.place = place
        self.role = role
        self.server = server
        openedAt = .now()
        lastRequestAt = openedAt
        let watch = server.loop.watch(descriptor, handler: self)
        self.watch = watch
        watch.setReading(true)
        if !watch.isReading { close() }
    }

    var socket: Int32 { descriptor }
    var isClosed: Bool { phase == .closed }
    /// Replies that wait for Redis, or for such a one.
    var pendingReplies: Int { replies.count }
    var unsentBytes: Int { output.count - outputStart }
    var unparsedBytes: Int { input.count - inputStart }

    // MARK: Reading

    func readable() -> Bool {
        guard phase == .open else { return false }
        if hasBacklog {
            lastRequestAt = .now()
            processInput()
            // The socket was not looked at.
            return true
        }
        let count = server.readBuffer.withBytes { buffer in recv(descriptor, buffer.baseAddress, buffer.count, 0) }
        if count > 0 {
            lastRequestAt = .now()
            server.counters.inputBytes &+= UInt64(count)
            if unparsedBytes == 0 {
                processShared(count)
            } else {
                server.readBuffer.withBytes { input.append(contentsOf: $0.prefix(count)) }
                processInput()
            }
            return count == Server.readBufferBytes
        }
        if count == 0 {
            // The client sends no more; what it asked for is still answered.
            finish()
        } else if errno == EINTR {
            return true
        } else if errno != EAGAIN {
            close()
        }
        return false
    }

    /// The common case: nothing was left over, so requests are parsed in the shared buffer.
    private func processShared(_ count: Int) {
        server.readBuffer.withBytes { buffer in
            let bytes = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: min(count, buffer.count))
            let consumed = process(bytes, &server.parser)
            if consumed < count { keep(bytes[consumed...]) }
        }
        afterProcessing()
    }

    /// Keeps what no whole request was found in until more is read.
    private func keep(_ rest: Slice<UnsafeMutableRawBufferPointer>) {
        if phase == .open { input.append(contentsOf: rest) }
        guard server.parser.isMidRequest else { return }
        if phase == .open { unfinished = server.parser }
        server.renewParser()
    }

    private func processInput() {
        hasBacklog = false
        var parser = unfinished ?? server.newParser
        // Taken out for the time of parsing: nothing else may touch it then.
        var bytes = input
        input = []
        let start = inputStart
        let consumed = bytes.withUnsafeMutableBytes { buffer in
            process(UnsafeMutableRawBufferPointer(rebasing: buffer[start...]), &parser)
        }
        unfinished = parser.isMidRequest ? parser : nil
        if phase == .open {
            input = bytes
            inputStart = start + consumed
            if inputStart == input.count {
                // A large request's storage is given back.
                if input.capacity > Server.keptBuffer { dropInput() } else { input.removeAll(keepingCapacity: true) }
                inputStart = 0
            } else if inputStart > Server.keptBuffer {
                input.removeFirst(inputStart)
                inputStart = 0
            }
        }
        afterProcessing()
    }

    /// Carries out whole requests at the start of `bytes`, at most one turn's share of them.
    /// - Returns: how many bytes they took.
    private func process(_ bytes: UnsafeMutableRawBufferPointer, _ parser: inout RequestParser) -> Int {
        var consumed = 0
        var share = Server.requestsPerTurn
        // Held once for all requests.
        let server = server
        let dispatcher = server.dispatcher
        // Nobody's replies may stand there: they would go to this client.
        server.writer.removeAll()
        while consumed < bytes.count, phase == .open {
            guard share > 0, !isHeldBack else {
                hasBacklog = true
                return consumed
            }
            let rest = UnsafeMutableRawBufferPointer(
                start: bytes.baseAddress.map { $0 + consumed }, count: bytes.count - consumed)
            switch parser.parse(rest) {
            case .incomplete:
                if rest.count > server.limits.maxRequest {
                    refuse(
                        protocolError: "too big request: at most \(server.limits.maxRequest) bytes (limits.max-bulk)")
                }
                return consumed
            case .failed(let error):
                // An HTTP client gets no byte of ours: a browser may have been made to send this.
                if error == .httpRequest { close() } else { refuse(protocolError: server.text(of: error)) }
                return consumed
            case .request(let length):
                parser.withArguments { arguments in
                    guard !arguments.isEmpty else { return }
                    execute(Request(bytes: UnsafeRawBufferPointer(rest), ranges: arguments), server, dispatcher)
                }
                consumed += length
                share -= 1
            }
        }
        return consumed
    }

    private func execute(_ request: Request, _ server: Server, _ dispatcher: Dispatcher) {
        isExecuting = true
        if replies.isEmpty {
            server.writer.version = version
            dispatcher.execute(request, from: self, &server.writer)
        } else {
            encodeAside(version) { writer in
                dispatcher.execute(request, from: self, &writer)
            } into: {
                replies.append($0)
            }
        }
        isExecuting = false
    }

    /// Requests are not taken while Redis owes many replies, or the client does not read those it has.
    private var isHeldBack: Bool {
        replies.count >= Server.maxPendingReplies
            || unsentBytes + replies.bytes + server.writer.count > server.limits.maxOutput
    }

    private func afterProcessing() {
        server.dispatcher.statistics.settle()
        // Closed on the way: what was answered before has nowhere to go.
        guard phase != .closed else { return server.writer.removeAll() }
        flushShared()
        // Nearly always: all was answered, sent and taken, and nothing is different from before.
        if phase == .open, isQuiet { return }
        guard phase != .closed else { return }
        let isIncomplete = phase == .open && unparsedBytes > 0 && !hasBacklog
        if !isIncomplete {
            forgetIncomplete()
        } else {
            if incompleteSince == nil {
                incompleteSince = .now()
                server.watchTimeouts(of: self)
            }
            server.holdIncomplete(input.capacity, of: self)
        }
        adjustReading()
        if isDraining, !hasBacklog { finish() }
    }

    private func forgetIncomplete() {
        guard incompleteSince != nil else { return }
        incompleteSince = nil
        server.incomplete.release(id)
    }

    private func dropInput() {
        server.memory.released(input.capacity)
        input = []
        inputStart = 0
    }

    /// Nothing is waited for but the next request, and that is being listened for.
    private var isQuiet: Bool {
        !hasBacklog && !isDraining && input.isEmpty && incompleteSince == nil && output.isEmpty && replies.isEmpty
            && watch?.isReading == true
    }

    private func adjustReading() {
        guard phase == .open else { return }
        let heldBack = isHeldBack
        watch?.setReading(!heldBack && !isDraining)
        if hasBacklog, !heldBack { watch?.activateRead() }
    }

    // MARK: Replies

    /// Reserves the place of a reply that comes when Redis has answered.
    func deferReply(to command: Command, startedAt: MonotonicInstant) -> PendingReply {
        PendingReply(
            connection: self, ticket: replies.reserve(), version: version, command: command, startedAt: startedAt)
    }

    func fill(_ reply: PendingReply, _ encode: @escaping (inout ReplyWriter) -> Void) {
        guard phase != .closed else { return }
        // An answer known at once waits all the same: the requests before it are still being answered.
        guard !isExecuting else {
            return server.loop.later { [self] in fill(reply, encode) }
        }
        encodeAside(reply.version, encode) { replies.fill(reply.ticket, with: $0) }
        while let reply = replies.next() { output += reply }
        server.flushLater(self)
    }

    private func encodeAside(
        _ version: RESPVersion, _ encode: (inout ReplyWriter) -> Void, into store: ([UInt8]) -> Void
    ) {
        server.sideWriter.removeAll()
        server.sideWriter.version = version
        encode(&server.sideWriter)
        let reply = server.sideWriter.withUnsafeBytes { Array($0) }
        // A command that reserved its place instead of answering wrote nothing.
        if !reply.isEmpty { store(reply) }
    }

    // MARK: Writing

    func writable() { flush() }

    /// Sends what the requests of this turn were answered with.
    private func flushShared() {
        guard server.writer.count > 0 else { return finishIfDone() }
        var sent = 0
        if unsentBytes == 0 {
            sent = server.writer.withUnsafeBytes { send($0) }
            guard phase != .closed else { return server.writer.removeAll() }
            if sent == server.writer.count, output.isEmpty, phase == .open { return server.writer.removeAll() }
        }
        server.writer.withUnsafeBytes { bytes in
            if sent < bytes.count { output.append(contentsOf: bytes[sent...]) }
        }
        server.writer.removeAll()
        afterSending(progress: sent > 0)
    }

    func flush() {
        guard phase != .closed else { return }
        let sent = output.withUnsafeBytes { send(UnsafeRawBufferPointer(rebasing: $0[outputStart...])) }
        guard phase != .closed else { return }
        outputStart += sent
        afterSending(progress: sent > 0)
        adjustReading()
    }

    private func afterSending(progress: Bool) {
        if unsentBytes == 0 {
            if output.capacity > Server.keptBuffer {
                server.memory.released(output.capacity)
                output = []
            } else {
                output.removeAll(keepingCapacity: true)
            }
            outputStart = 0
            stalledSince = nil
            watch?.setWriting(false)
            return finishIfDone()
        }
        if outputStart > Server.keptBuffer {
            output.removeFirst(outputStart)
            outputStart = 0
        }
        if progress || stalledSince == nil {
            stalledSince = .now()
            server.watchTimeouts(of: self)
        }
        watch?.setWriting(true)
    }

    /// One `send`; closes the connection where the client is gone. Returns how many bytes were taken.
    private func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard !bytes.isEmpty else { return 0 }
        let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 {
            server.counters.outputBytes &+= UInt64(count)
            return count
        }
        if errno != EAGAIN && errno != EINTR { close() }
        return 0
    }

    // MARK: End

    private func refuse(protocolError message: String) {
        server.counters.protocolErrors &+= 1
        let encode: (inout ReplyWriter) -> Void = { [server] writer in
            server.dispatcher.fail("ERR", "Protocol error: \(message)", &writer)
        }
        if replies.isEmpty {
            encode(&server.writer)
        } else {
            encodeAside(version, encode) { replies.append($0) }
        }
        phase = .closing
        watch?.setReading(false)
    }

    /// Takes no more requests, closes when every reply is out.
    func finish() {
        guard phase == .open else { return }
        phase = .closing
        watch?.setReading(false)
        dropInput()
        unfinished = nil
        forgetIncomplete()
        finishIfDone()
    }

    /// Gives up an incomplete request, tells why behind the replies that are owed, and takes no more.
    func cutOff(_ code: StaticString, _ message: String) {
        guard phase == .open else { return }
        encodeAside(version) {
            server.dispatcher.fail(code, message, &$0)
        } into: {
            if replies.isEmpty { output += $0 } else { replies.append($0) }
        }
        finish()
        server.flushLater(self)
    }

    /// The same from within a command, whose reply is still being written.
    func finishAfterReply() {
        guard phase == .open else { return }
        phase = .closing
        watch?.setReading(false)
    }

    /// A daemon that ends takes what has arrived, and nothing later.
    func drain() {
        if phase == .open, !hasBacklog { _ = readable() }
        guard phase == .open else { return }
        isDraining = true
        if hasBacklog { adjustReading() } else { finish() }
    }

    private func finishIfDone() {
        if phase == .closing, replies.isEmpty, unsentBytes == 0, server.writer.count == 0 { close() }
    }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        watch?.cancel()
        watch = nil
        Glibc.close(descriptor)
        forgetIncomplete()
        dropInput()
        unfinished = nil
        server.memory.released(output.capacity)
        output = []
        outputStart = 0
        server.forget(self)
    }
}

/// The place of a reply that Redis's answer will fill. May be filled once; nothing happens if the client has gone.
struct PendingReply {
    /// Held until then: a weak reference would make every retain of the connection slow for good.
    let connection: ClientConnection
    let ticket: ReplyQueue.Ticket
    /// What the connection spoke when it asked.
    let version: RESPVersion
    let command: Command
    let startedAt: MonotonicInstant

    func fill(_ encode: @escaping (inout ReplyWriter) -> Void) { connection.fill(self, encode) }
}
