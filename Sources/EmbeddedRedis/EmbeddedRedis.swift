public import EventLoop
internal import Glibc
public import Logging
public import RedisLink

/// A private redis-server, started and supervised by the daemon: Unix socket only, append-only file, no eviction.
///
/// It ends with `stop`. One that a killed daemon left behind is ended at the next start; its data is there again,
/// since the folder is the same. Belongs to its loop's thread.
public final class EmbeddedRedis {
    /// When writes reach the disk; Redis's `appendfsync`.
    public enum AppendFsync: String, Sendable, CaseIterable {
        /// Before each reply.
        case always
        /// Once a second: a power cut may lose the last one; a crash of Redis or the daemon loses nothing.
        case everysec
        /// When the kernel likes.
        case no
    }

    /// Failures in a row after which the start is given up and the log is quoted.
    public static let failuresToGiveUp = 3
    /// A server that lived this long did not fail at its start.
    static let settled: Duration = .seconds(10)
    static let restartMinimum: Duration = .milliseconds(50)
    static let restartMaximum: Duration = .seconds(5)
    /// How long a left-over server may take for each of SIGTERM and SIGKILL.
    static let leftOverLimit: Duration = .seconds(5)

    /// How often the server was started again after it had ended by itself.
    public private(set) var restarts: UInt64 = 0
    /// The running server's process number; nil while none runs.
    public var processID: Int32? { child?.processID }

    private let loop: EventLoop
    private let directory: String
    private let executable: String
    private let appendFsync: AppendFsync
    private let logger: Logger
    private var folder: RedisFolder?
    private var program = ""
    private var child: ProcessWatch?
    private var startedAt = MonotonicInstant.earliest
    private var failures = 0
    private var probe: RedisLink?
    private var onReady: ((Result<RedisEndpoint, EmbeddedRedisError>) -> Void)?
    private var onStopped: (() -> Void)?
    private var isStopping = false
    private var timer: LoopTimer?
    private var onTimer: () -> Void = {}
    private var leftOver: ProcessWatch?

    /// - Parameters:
    ///   - directory: the daemon's state directory; `redis` in it, mode 0700, becomes the server's.
    ///   - executable: a path, or a name to be found in `PATH`.
    public init(
        loop: EventLoop, directory: String, executable: String = "redis-server",
        appendFsync: AppendFsync = .everysec, logger: Logger
    ) {
        self.loop = loop
        self.directory = directory
        self.executable = executable
        self.appendFsync = appendFsync
        self.logger = logger
        timer = loop.makeTimer { [unowned self] in onTimer() }
    }

    deinit {
        // An owner that did not stop it must not leave it behind.
        child?.killAndReap()
    }

    /// Where it answers. Stays the same over restarts.
    public var endpoint: RedisEndpoint {
        .unix(path: directory + "/redis/" + RedisFolder.socketName, route: folder?.socketRoute)
    }

    /// Starts the server and keeps it running until `stop`.
    ///
    /// `ready` is called once, from the loop: when it answers and has loaded its data, or when that cannot be.
    public func start(ready: @escaping (Result<RedisEndpoint, EmbeddedRedisError>) -> Void) {
        guard folder == nil, !isStopping else { return }
        onReady = ready
        do throws(EmbeddedRedisError) {
            guard let program = findExecutable(executable) else { throw .executableMissing(name: executable) }
            self.program = program
            let folder = try RedisFolder(stateDirectory: directory)
            self.folder = folder
            endLeftOvers(folder.leftOvers())
        } catch {
            loop.later { [self] in fail(error) }
        }
    }

    /// Ends the server with SIGTERM, and after `limit` with SIGKILL; `done` is called once it is reaped.
    public func stop(within limit: Duration, done: @escaping () -> Void) {
        isStopping = true
        onStopped = done
        leftOver = nil
        stopProbe()
        guard let child else {
            return loop.later { [self] in
                finishStop()
            }
        }
        child.send(signal: SIGTERM)
        after(limit) { [unowned self] in self.child?.send(signal: SIGKILL) }
    }

    private func after(_ duration: Duration, _ body: @escaping () -> Void) {
        onTimer = body
        timer?.start(after: duration)
    }

    private func endLeftOvers(_ processes: [Int32]) {
        guard !isStopping, let folder else { return }
        guard let next = processes.first else { return launch() }
        let rest = Array(processes.dropFirst())
        let watch = ProcessWatch(loop: loop, processID: next) { [unowned self] _ in
            timer?.cancel()
            leftOver = nil
            endLeftOvers(rest)
        }
        // Held by descriptor now: look again that it is still the one that was found.
        guard let watch, folder.isServerHere(next) else { return endLeftOvers(rest) }
        logger.notice("ending a redis-server left over from before", metadata: ["pid": "\(next)"])
        leftOver = watch
        watch.send(signal: SIGTERM)
        after(EmbeddedRedis.leftOverLimit) { [unowned self] in
            leftOver?.send(signal: SIGKILL)
            after(EmbeddedRedis.leftOverLimit) { [unowned self] in
                leftOver = nil
                fail(.leftOver(processID: next))
            }
        }
    }

    private func launch() {
        guard let folder, !isStopping else { return }
        startedAt = loop.now
        do throws(EmbeddedRedisError) {
            let processID = try folder.spawn(executable: program, appendFsync: appendFsync)
            folder.note(processID: processID)
            child = ProcessWatch(loop: loop, processID: processID) { [unowned self] end in ended(end) }
            // Not even a descriptor to hold it by: then it cannot be supervised.
            guard child != nil else {
                kill(processID, SIGKILL)
                waitpid(processID, nil, 0)
                throw .cannotStart(executable: program, number: EMFILE)
            }
            if onReady != nil { startProbe() }
        } catch {
            logger.error("\(error)")
            retry(end: "\(error)")
        }
    }

    private func ended(_ end: ProcessEnd) {
        child = nil
        folder?.forgetProcess()
        if isStopping { return finishStop() }
        restarts += 1
        logger.error("the embedded redis-server ended: \(end)")
        retry(end: "\(end)")
    }

    private func retry(end: String) {
        if loop.now - startedAt >= EmbeddedRedis.settled { failures = 0 }
        failures += 1
        if failures >= EmbeddedRedis.failuresToGiveUp {
            let error = EmbeddedRedisError.keepsFailing(end: end, lines: folder?.lastLogLines(5) ?? [])
            if onReady != nil { return fail(error) }
            logger.error("\(error)")
        }
        var delay = EmbeddedRedis.restartMinimum
        for _ in 1..<min(max(failures, 1), 16) { delay = min(delay * 2, EmbeddedRedis.restartMaximum) }
        after(failures == 1 ? .zero : delay) { [unowned self] in launch() }
    }

    /// A link of its own asks until the server answers with its data loaded.
    private func startProbe() {
        guard probe == nil else { return }
        var settings = LinkSettings()
        settings.reconnectMinimum = .milliseconds(10)
        settings.reconnectMaximum = .milliseconds(200)
        var quiet = logger
        quiet.logLevel = .critical
        let link = RedisLink(
            host: LinkHost(loop: loop), endpoint: endpoint, settings: settings, scripts: [], logger: quiet)
        link.onStateChange = { [unowned self] state in
            if case .down(let fault) = state, fault.kind == .unfit {
                return fail(.unfit(executable: program, fault: fault))
            }
            guard state == .ready, let ready = onReady else { return }
            onReady = nil
            stopProbe()
            ready(.success(endpoint))
        }
        probe = link
        link.start()
    }

    private func stopProbe() {
        guard let link = probe else { return }
        probe = nil
        link.onStateChange = nil
        link.close()
        // It may be in the middle of telling us.
        loop.later { _ = link }
    }

    private func fail(_ error: EmbeddedRedisError) {
        stopProbe()
        timer?.cancel()
        child?.killAndReap()
        child = nil
        folder = nil
        let ready = onReady
        onReady = nil
        ready?(.failure(error))
    }

    private func finishStop() {
        timer?.cancel()
        folder = nil
        let ready = onReady
        onReady = nil
        ready?(.failure(.stopped))
        let stopped = onStopped
        onStopped = nil
        stopped?()
    }
}
