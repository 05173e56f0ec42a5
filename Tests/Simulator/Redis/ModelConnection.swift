/// One client of the model.
final class ModelConnection: SimulatedPeer {
    unowned let redis: ModelRedis
    let id: Int64
    private let stream: SimulatedStream
    private var reader = CommandReader()
    private var output: [UInt8] = []
    private(set) var isOpen = true
    private var isClosing = false
    var isRESP3 = false
    /// It waits for replicas.
    var isBlocked = false
    /// How much Redis had written after the last write that came this way: what WAIT waits for.
    var written = 0
    /// ASKING came just before.
    var isAsking = false
    var isAuthenticated = false
    /// Of the keys that it is told about; nil where it tracks nothing.
    var trackedPrefix: [UInt8]?
    /// RESP2: the connection that is told in its place.
    var redirect: Int64?
    var channels: [[UInt8]] = []

    /// The last command that may be sent only once.
    var lastData: (command: [[UInt8]], at: SimulatedTime)?

    var path: SimulatedNetwork.PathName { stream.path }

    init(redis: ModelRedis, id: Int64, stream: SimulatedStream) {
        self.redis = redis
        self.id = id
        self.stream = stream
    }

    func receive(_ bytes: [UInt8]) {
        guard isOpen, !redis.isDown else { return }
        reader.feed(bytes)
        redis.received(self)
    }

    func nextCommand() -> [[UInt8]]? {
        let command = reader.next()
        if reader.isBroken {
            reply(.error("ERR Protocol error"))
            flush()
            closeByServer()
        }
        return command
    }

    func reply(_ reply: ModelReply) { reply.encode(into: &output, isRESP3: isRESP3) }

    /// Keys that changed, or a null for all.
    func tell(_ what: ModelReply) {
        if let redirect {
            guard let target = redis.connections.first(where: { $0.id == redirect }) else { return }
            if target.isRESP3 {
                target.reply(.push([.bulk(bytes("invalidate")), what]))
            } else if !target.channels.isEmpty {
                target.reply(.array([.bulk(bytes("message")), .bulk(bytes("__redis__:invalidate")), what]))
            }
        } else if isRESP3 {
            reply(.push([.bulk(bytes("invalidate")), what]))
        }
    }

    func flush() {
        guard !output.isEmpty else { return }
        let bytes = output
        output = []
        stream.deliver(bytes)
    }

    /// What it sent before is carried out first, however late it is read.
    func closedByClient() {
        guard isOpen else { return }
        isClosing = true
        redis.received(self)
    }

    /// It was closed by its client, and nothing of it is left to do.
    func endIfClosing() {
        guard isClosing, isOpen else { return }
        isOpen = false
        redis.removed(self)
    }

    func closeByServer() {
        guard isOpen else { return }
        isOpen = false
        stream.closedByServer()
        redis.removed(self)
    }
}
