internal import EventLoop
internal import TokenCache
internal import Tokens
internal import WireProtocol

/// One client that speaks RESP: its unfinished request, its replies in order.
///
/// A request is parsed where it was read, in a buffer all sockets share; a session keeps bytes of its own only while a
/// request is incomplete or the socket is full. Replies that come later are filled in from the loop, never while a
/// request is carried out (`TokenService` answers no one before its command has returned).
final class RESPSession: ClientSession, DescriptorHandler {
    /// Whole requests carried out for one session before others get their turn.
    static let requestsPerTurn = 64
    /// Replies of one session that may wait for Redis before its further requests wait, too.
    static let maxPendingReplies = 1_024

    // First what every request touches: with thousands of clients its cost is that of the memory it reads.

    private var phase = Phase.open
    /// Whole requests may stand in `input`: the turn's share was used up, or the session was held back.
    private var hasBacklog = false
    /// The daemon ends: what has arrived is answered, nothing more is read.
    private var isDraining = false
    var version = RESPVersion.two { didSet { considerContext() } }
    /// It has subscribed and speaks RESP2: only commands about that are taken, since messages come between replies.
    private(set) var takesSubscriptionsOnly = false
    var role: Role
    var lastCommand: Command?
    private let listener: RESPListener
    /// They hold this session until it is closed. Constants, so that reading them counts no reference.
    let server: Server
    private var channel: SocketChannel
    /// When the requests under way were read: the clock is read after them, so nothing that happened before they
    /// arrived is taken for later.
    private(set) var lastRequestAt: MonotonicInstant
    /// Bytes read but not yet consumed, from `inputStart` on.
    private var input: [UInt8] = []
    private var inputStart = 0
    private var replies = ReplyQueue()
    /// Since when a request is incomplete.
    private(set) var incompleteSince: MonotonicInstant?

    let client: AcceptedClient
    /// What the client told about itself (`HELLO`, `CLIENT SETNAME`, `CLIENT SETINFO`).
    var name: [UInt8] = []
    var libraryName: [UInt8] = []
    var libraryVersion: [UInt8] = []
    var authWasIgnored = false
    /// The sessions whose channels it is subscribed to.
    private(set) var subscriptions: Set<SessionID> = []
    /// The server sends what it has for this client at the end of the turn.
    private var isFlushPlanned = false
    /// Where parsing stands in the incomplete request that `input` begins with, if it does.
    private var unfinished: RequestParser?

    private enum Phase {
        case open
        /// No more requests are taken; closed when all replies are out.
        case closing
        case closed
    }

    init(_ client: AcceptedClient, _ listener: RESPListener, _ server: Server) {
        self.client = client
        self.listener = listener
        self.server = server
        role = client.role
        lastRequestAt = client.openedAt
        channel = SocketChannel(client.descriptor)
        if !channel.open(on: server.loop, handler: self) { close() }
    }

    var isClosed: Bool { phase == .closed }
    /// Replies that wait for Redis, or for such a one.
    var pendingReplies: Int { replies.count }
    var unsentBytes: Int { channel.unsentBytes }
    var unparsedBytes: Int { input.count - inputStart }
    var stalledSince: MonotonicInstant? { channel.stalledSince }
    var idleSince: MonotonicInstant? { replies.isEmpty && subscriptions.isEmpty ? lastRequestAt : nil }
    var isWaiting: Bool { !replies.isEmpty }

    // MARK: Reading

    func readable() -> Bool {
        guard phase == .open else { return false }
        if hasBacklog {
            lastRequestAt = .now()
            processInput()
            // The socket was not looked at.
            return true
        }
        switch server.loop.readBuffer.withBytes({ channel.read(into: $0) }) {
        case .bytes(let count):
            lastRequestAt = .now()
            server.counters.inputBytes &+= UInt64(count)
            if unparsedBytes == 0 {
                processShared(count)
            } else {
                server.loop.readBuffer.withBytes { input.append(contentsOf: $0.prefix(count)) }
                processInput()
            }
            return count == EventLoop.readBufferBytes
        case .nothing: return false
        case .interrupted: return true
        // The client sends no more; what it asked for is still answered.
        case .end: finish()
        case .failed: close()
        }
        return false
    }

    /// The common case: nothing was left over, so requests are parsed in the shared buffer.
    private func processShared(_ count: Int) {
        server.loop.readBuffer.withBytes { buffer in
            let bytes = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: min(count, buffer.count))
            let consumed = process(bytes, &listener.parser)
            if consumed < count { keep(bytes[consumed...]) }
        }
        afterProcessing()
    }

    /// Keeps what no whole request was found in until more is read.
    private func keep(_ rest: Slice<UnsafeMutableRawBufferPointer>) {
        if phase == .open { input.append(contentsOf: rest) }
        guard listener.parser.isMidRequest else { return }
        if phase == .open { unfinished = listener.parser }
        listener.renewParser()
    }

    private func processInput() {
        hasBacklog = false
        var parser = unfinished ?? listener.newParser
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
                if input.capacity > SocketChannel.keptBuffer {
                    dropInput()
                } else {
                    input.removeAll(keepingCapacity: true)
                }
                inputStart = 0
            } else if inputStart > SocketChannel.keptBuffer {
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
        var share = Self.requestsPerTurn
        // Held once for all requests.
        let listener = listener
        let dispatcher = listener.dispatcher
        // Nobody's replies may stand there: they would go to this client.
        listener.writer.removeAll()
        while consumed < bytes.count, phase == .open {
            guard share > 0, !isHeldBack else {
                hasBacklog = true
                return consumed
            }
            let rest = UnsafeMutableRawBufferPointer(
                start: bytes.baseAddress.map { $0 + consumed }, count: bytes.count - consumed)
            switch parser.parse(rest) {
            case .incomplete:
                let limit = server.limits.maxRequest
                if rest.count > limit {
                    refuse(protocolError: "too big request: at most \(limit) bytes (limits.max-bulk)")
                }
                return consumed
            case .failed(let error):
                // An HTTP client gets no byte of ours: a browser may have been made to send this.
                if error == .httpRequest { close() } else { refuse(protocolError: listener.text(of: error)) }
                return consumed
            case .request(let length):
                let note = parser.note
                parser.note = parser.withArguments { arguments in
                    guard !arguments.isEmpty else { return 0 }
                    let request = Request(bytes: UnsafeRawBufferPointer(rest), ranges: arguments)
                    let name = CommandName(note: note) ?? dispatcher.name(of: request)
                    execute(request, name, listener, dispatcher)
                    return name?.note(for: request) ?? 0
                }
                consumed += length
                share -= 1
            }
        }
        return consumed
    }

    @inline(__always)
    private func execute(
        _ request: Request, _ name: CommandName?, _ listener: RESPListener, _ dispatcher: Dispatcher
    ) {
        if replies.isEmpty {
            listener.writer.version = version
            dispatcher.execute(request, name, from: self, &listener.writer)
        } else {
            queue { dispatcher.execute(request, name, from: self, &$0) }
        }
    }

    /// Requests are not taken while Redis owes many replies, or the client does not read those it has.
    private var isHeldBack: Bool {
        replies.count >= Self.maxPendingReplies
            || unsentBytes + replies.bytes + listener.writer.count > server.limits.maxOutput
    }

    private func afterProcessing() {
        listener.dispatcher.statistics.settle()
        // Closed on the way: what was answered before has nowhere to go.
        guard phase != .closed else { return listener.writer.removeAll() }
        sendWritten()
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
        server.releaseIncomplete(of: self)
    }

    private func dropInput() {
        server.memory.released(input.capacity)
        input = []
        inputStart = 0
    }

    /// Nothing is waited for but the next request, and that is being listened for.
    private var isQuiet: Bool {
        !hasBacklog && !isDraining && input.isEmpty && incompleteSince == nil && channel.isQuiet && replies.isEmpty
            && channel.isReading
    }

    private func adjustReading() {
        guard phase == .open else { return }
        let heldBack = isHeldBack
        channel.setReading(!heldBack && !isDraining)
        if hasBacklog, !heldBack { channel.activateRead() }
    }

    // MARK: Replies

    /// Reserves the place of a reply that comes when Redis has answered.
    func deferReply(to command: Command, startedAt: MonotonicInstant) -> PendingReply {
        PendingReply(
            session: self, ticket: replies.reserve(), version: version, command: command, startedAt: startedAt)
    }

    /// Encodes a reply that came later straight behind those that wait for the socket, if it is the next one.
    func fill(_ reply: PendingReply, _ encode: (inout ReplyWriter) -> Void) {
        guard phase != .closed else { return }
        encodeAside(reply.version, encode) { bytes in
            guard replies.takeNext(reply.ticket) else { return replies.fill(reply.ticket, with: Array(bytes)) }
            channel.append(bytes)
        }
        while let next = replies.next() { next.withUnsafeBytes { channel.append($0) } }
        server.flushLater(self)
    }

    /// Encodes a reply behind those that are owed.
    private func queue(_ encode: (inout ReplyWriter) -> Void) {
        encodeAside(version, encode) { bytes in
            // A command that reserved its place instead of answering wrote nothing.
            if !bytes.isEmpty { replies.append(Array(bytes)) }
        }
    }

    private func encodeAside(
        _ version: RESPVersion, _ encode: (inout ReplyWriter) -> Void, into store: (UnsafeRawBufferPointer) -> Void
    ) {
        listener.sideWriter.removeAll()
        listener.sideWriter.version = version
        encode(&listener.sideWriter)
        listener.sideWriter.withUnsafeBytes(store)
    }

    // MARK: Subscriptions

    /// Whether the daemon has room for so many subscriptions more, those that there are already left out.
    func mayAdd(_ added: Set<SessionID>) -> Bool {
        let new = added.count { !subscriptions.contains($0) }
        return new == 0 || listener.subscriptions + new <= server.limits.maxSubscriptions
    }

    func subscribe(to sid: SessionID) {
        if subscriptions.insert(sid).inserted { listener.subscriptions += 1 }
        listener.dispatcher.service.watch.add(sid, for: id)
        considerContext()
    }

    func unsubscribe(from sid: SessionID) {
        guard subscriptions.remove(sid) != nil else { return }
        listener.subscriptions -= 1
        listener.dispatcher.service.watch.remove(sid, for: id)
        considerContext()
    }

    func unsubscribeFromAll() { for sid in subscriptions { unsubscribe(from: sid) } }

    private func considerContext() { takesSubscriptionsOnly = version == .two && !subscriptions.isEmpty }

    /// Sends what nobody asked for, behind the replies that are owed: behind the confirmation of what it is about.
    func tell(_ encode: (inout ReplyWriter) -> Void) {
        guard phase != .closed else { return }
        encodeAside(version, encode) {
            if replies.isEmpty { channel.append($0) } else { replies.append(Array($0)) }
        }
        guard !isFlushPlanned else { return }
        isFlushPlanned = true
        server.flushLater(self)
    }

    // MARK: Writing

    func writable() { flush() }

    /// Sends what the requests of this turn were answered with.
    private func sendWritten() {
        if listener.writer.count > 0 {
            let outcome = listener.writer.withUnsafeBytes { channel.write($0) }
            listener.writer.removeAll()
            took(outcome)
        }
        finishIfDone()
    }

    func flush() {
        isFlushPlanned = false
        guard phase != .closed else { return }
        took(channel.flush())
        finishIfDone()
        adjustReading()
    }

    @inline(__always)
    private func took(_ outcome: SocketChannel.WriteOutcome) {
        switch outcome {
        case .taken(let count):
            server.counters.outputBytes &+= UInt64(count)
            if !channel.isQuiet { attendToOutput() }
        case .failed: close()
        }
    }

    /// More than nothing waits, or storage was given back.
    private func attendToOutput() {
        server.memory.released(channel.takeReleased())
        if channel.stalledSince != nil { server.watchTimeouts(of: self) }
    }

    // MARK: End

    private func refuse(protocolError message: String) {
        server.counters.protocolErrors &+= 1
        let fail = { [listener] (writer: inout ReplyWriter) in
            listener.dispatcher.fail("ERR", "Protocol error: \(message)", &writer)
        }
        if replies.isEmpty { fail(&listener.writer) } else { queue(fail) }
        finishAfterReply()
    }

    /// Takes no more requests, closes when every reply is out.
    func finish() {
        guard phase == .open else { return }
        finishAfterReply()
        dropInput()
        unfinished = nil
        forgetIncomplete()
        finishIfDone()
    }

    func cutOff(_ code: StaticString, _ message: String) {
        guard phase == .open else { return }
        encodeAside(version) {
            listener.dispatcher.fail(code, message, &$0)
        } into: {
            if replies.isEmpty { channel.append($0) } else { replies.append(Array($0)) }
        }
        finish()
        server.flushLater(self)
    }

    /// The same from within a command, whose reply is still being written.
    func finishAfterReply() {
        guard phase == .open else { return }
        phase = .closing
        channel.setReading(false)
    }

    /// A daemon that ends takes what has arrived, and nothing later.
    func drain() {
        if phase == .open, !hasBacklog { _ = readable() }
        guard phase == .open else { return }
        isDraining = true
        if hasBacklog { adjustReading() } else { finish() }
    }

    private func finishIfDone() {
        if phase == .closing, replies.isEmpty, unsentBytes == 0, listener.writer.count == 0 { close() }
    }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        unsubscribeFromAll()
        channel.close()
        server.memory.released(channel.takeReleased())
        forgetIncomplete()
        dropInput()
        unfinished = nil
        server.forget(self)
    }
}

/// The place of a reply that Redis's answer will fill. May be filled once; nothing happens if the client has gone.
struct PendingReply {
    /// Held until then: a weak reference would make every retain of the session slow for good.
    let session: RESPSession
    let ticket: ReplyQueue.Ticket
    /// What the session spoke when it asked.
    let version: RESPVersion
    let command: Command
    let startedAt: MonotonicInstant

    func fill(_ encode: (inout ReplyWriter) -> Void) { session.fill(self, encode) }
}
