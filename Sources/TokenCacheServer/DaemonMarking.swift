internal import EventLoop
internal import Glibc
internal import Host
internal import Logging
internal import RedisLink
internal import TokenCache

/// Leaves the mark of this daemon in a Redis that several may share, and learns of the others from theirs; tells where
/// a Redis came back without what stood there.
///
/// Belongs to its loop's thread.
final class DaemonMarking {
    /// How often the mark is renewed.
    static let interval = Duration.seconds(60)
    /// How soon one is tried again that could not be left: a server of a cluster that has come back refuses everything for a
    /// while.
    static let pause = Duration.seconds(1)

    /// Of the daemons that are alive, this one's too, as read last.
    private(set) var marks: [DaemonMark] = []
    /// How often Redis was started anew without the data.
    private(set) var dataLosses: UInt64 = 0
    let name: String

    private let service: TokenService
    private let router: RedisRouter
    private let logger: Logger
    /// Which start of Redis has the mark, and since when.
    private var marked: (runID: String?, at: MonotonicInstant)?
    /// The user has no right to write one: tried again with the next connection.
    private var isForbidden = false
    private var retry: (any SchedulerTimer)?

    init(
        service: TokenService, router: RedisRouter, scheduler: any Scheduler, socketPath: String, logger: Logger
    ) {
        self.service = service
        self.router = router
        self.logger = logger
        name = "\(Self.hostName):\(socketPath)"
        retry = scheduler.makeTimer { [unowned self] in write() }
    }

    /// The connection is new.
    func connected() {
        isForbidden = false
        write()
    }

    /// Renews the mark, and calls back once it is there or is known not to come.
    func write(_ done: @escaping () -> Void = {}) {
        guard !isForbidden, router.state == .ready else { return done() }
        let runID = service.markedRun
        let mark = DaemonMark(
            name: name, fingerprint: service.keyFingerprint ?? "", version: Product.version)
        service.writeMark(mark) { [weak self] result in
            self?.left(result, runID)
            done()
        }
    }

    private func left(_ result: Result<DaemonMarks, Unavailable>, _ runID: String?) {
        switch result {
        case .success(let found):
            marks = found.all.filter { $0.age < DaemonMark.aliveFor }
            let now = MonotonicInstant.now()
            if let marked, let runID, marked.runID != nil, marked.runID != runID, !found.wasKnown,
                marked.at.duration(to: now) < .milliseconds(TokenService.markLifetime)
            {
                dataLosses += 1
                logger.error(
                    "Redis was started anew and is without what was written before: sessions are lost",
                    metadata: ["redis": "\(router.first.endpoint)", "remedy": "\(Self.lossRemedy)"])
            }
            marked = (runID, now)
        case .failure(let fault):
            isForbidden = KnownFault.of(fault.reason)?.isAboutRights == true
            if !isForbidden { retry?.start(after: Self.pause) }
        }
    }

    static let lossRemedy = "let Redis keep its data: `appendonly yes` in redis.conf; was its folder emptied?"

    private static var hostName: String {
        var text = [CChar](repeating: 0, count: 256)
        guard gethostname(&text, text.count - 1) == 0 else { return "unknown" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
