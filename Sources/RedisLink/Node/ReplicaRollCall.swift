internal import EventLoop
internal import Logging

/// Asks a master, again and again, which of its replicas have what it wrote a moment ago: the proof that none of them is a
/// master, for as long as too few Sentinels say so (`SentinelMachine`).
///
/// In one write: a small write, how far the server has written then, a WAIT for the replicas, and how far each of them is.
/// WAIT only waits: it counts whoever follows the server, and what matters is who they are. It blocks its connection, so
/// that this has one of its own, which is there only while it is needed.
///
/// Belongs to its loop's thread.
final class ReplicaRollCall {
    /// Between an answer and the next question.
    private static let pause = Duration.milliseconds(250)
    /// A WAIT ends by then: a late answer is worth nothing.
    private static let waitMilliseconds = 500

    let link: RedisLink
    /// So many are waited for.
    var count = 1
    /// Called with each answer, and when its write was sent.
    var onRoll: ((ReplicaRoll, _ sentAt: MonotonicInstant) -> Void)?
    private let scheduler: any Scheduler
    private let key: [UInt8]
    private var timer: (any SchedulerTimer)?
    private var isUnderWay = false

    /// Begins to ask.
    /// - Parameters:
    ///   - settings: of the node whose server is asked.
    ///   - endpoint: of that server.
    init(on host: LinkHost, endpoint: RedisEndpoint, settings: RedisNode.Settings, logger: Logger) {
        scheduler = host.scheduler
        var link = settings.link
        link.timeout = .seconds(1)
        // One key for many daemons does no harm.
        key = settings.prefix + Array("w:\(host.seed % 65_536)".utf8)
        // That the server is away the node says.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        self.link = RedisLink(
            host: host.forWait, endpoint: endpoint, settings: link, scripts: [ReplicaWait.script], logger: quiet)
        timer = scheduler.makeTimer { [unowned self] in ask() }
        self.link.onStateChange = { [weak self] in if $0 == .ready { self?.ask() } }
        self.link.start()
    }

    func close() {
        onRoll = nil
        timer?.cancel()
        link.onStateChange = nil
        link.close()
        // It closes its connection in the next turn.
        scheduler.later { [link] in _ = link }
    }

    private func ask() {
        guard link.state == .ready, !isUnderWay else { return }
        isUnderWay = true
        let sentAt = scheduler.now
        var isWritten = false
        var written: Int64?
        link.run(ReplicaWait.script, keys: [key], arguments: [], repeatable: false) { result in
            if case .success = result { isWritten = true }
        }
        link.inquire(RedisCommand("INFO", "replication")) { result in
            // Where the script had to be loaded first, the write comes behind this.
            if isWritten, case .success(let reply) = result { written = ReplicationText.offset(reply) }
        }
        link.inquire(RedisCommand("WAIT", count, Self.waitMilliseconds)) { _ in }
        link.inquire(RedisCommand("INFO", "replication")) { [weak self] result in
            guard let self else { return }
            isUnderWay = false
            timer?.start(after: Self.pause)
            guard let written, case .success(let reply) = result,
                let roll = ReplicationText.roll(reply, written: written)
            else { return }
            onRoll?(roll, sentAt)
        }
    }
}

/// What `INFO replication` says of those who follow a server. Source: redis.io/commands/info.
enum ReplicationText {
    /// How far the server has written, in bytes.
    static func offset(_ reply: RedisReply) -> Int64? {
        InformationText.field("master_repl_offset", in: reply).flatMap { Array($0.utf8).decimalNumber }
    }

    /// Who follows it, and who has all up to an offset; nil where a line is not understood.
    static func roll(_ reply: RedisReply, written: Int64) -> ReplicaRoll? {
        guard case .bulk(let bytes) = reply else { return nil }
        var roll = ReplicaRoll()
        for line in bytes.split(whereSeparator: { $0 == 0x0d || $0 == 0x0a }) {
            // slave0:ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0
            let (name, text) = halves(line, at: UInt8(ascii: ":"))
            guard name.starts(with: "slave".utf8), name.dropFirst(5).decimalNumber != nil else { continue }
            var fields: [String: [UInt8]] = [:]
            for field in text.split(separator: UInt8(ascii: ",")) {
                let (name, value) = halves(field, at: UInt8(ascii: "="))
                fields[String(decoding: name, as: UTF8.self)] = Array(value)
            }
            guard roll.listed.count < SentinelReply.mostReplicas,
                let address = SentinelReply.address(host: fields["ip"], port: fields["port"]),
                let offset = fields["offset"]?.decimalNumber
            else { return nil }
            roll.listed.insert(address)
            guard fields["state"]?.elementsEqual("online".utf8) == true, offset >= written else { continue }
            roll.inStep.insert(address)
        }
        return roll
    }

    private static func halves(_ bytes: ArraySlice<UInt8>, at separator: UInt8) -> (
        ArraySlice<UInt8>, ArraySlice<UInt8>
    ) {
        guard let place = bytes.firstIndex(of: separator) else { return (bytes, []) }
        return (bytes[..<place], bytes[place...].dropFirst())
    }
}
