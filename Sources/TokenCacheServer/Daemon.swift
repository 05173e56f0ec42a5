internal import EmbeddedRedis
internal import EventLoop
internal import Glibc
internal import Host
internal import Logging
internal import RedisLink
internal import TokenCache
internal import TokenCrypto
internal import Tokens
internal import WireProtocol

/// Why the daemon could not start: what was wrong, and what can be done.
public struct StartError: Error, CustomStringConvertible {
    public let description: String
    /// Of the process, after sysexits.h.
    public let exitStatus: Int32

    init(_ description: String, exitStatus: Int32 = 1) {
        self.description = description
        self.exitStatus = exitStatus
    }
}

/// One daemon: the loop and everything that hangs off it, from the first descriptor to the last.
///
/// Owned by the thread that calls `run()`.
public final class Daemon {
    private var settings: Settings
    private let configurationFile: String
    /// Of this process.
    private let environment: [String: String]
    private let reread: () -> Result<Settings, SettingsErrors>
    private let log: LogOutput
    private let audit: AuditTrail
    /// Nil for the embedded server.
    private let endpoint: RedisEndpoint?
    private let logger: Logger
    private let loop: EventLoop
    private let socket: UnixListener
    private let httpSockets: [HTTPSocket]
    private let service: ServiceContext
    private var watchdog: LoopTimer?
    private let startedAt = MonotonicInstant.now()
    private let startTime = HostClock.now()
    /// The clients that descriptors suffice for.
    private var capacity: Process.Capacity
    private var embedded: EmbeddedRedis?
    private var parts: Parts?
    private var timers: [LoopTimer] = []
    private var signals: [SignalWatch] = []
    private var isAccepting = false
    private var exitStatus: Int32 = 0
    private var phase = Phase.running
    private let skewWarnings = RateLimit(perInterval: 1, interval: .seconds(3_600))

    private enum Phase {
        case running, draining, stopping
    }

    /// What exists once Redis's address is known.
    private struct Parts {
        let redis: RedisAccess
        let server: Server
        let dispatcher: Dispatcher
        let site: HTTPSite
        /// Nil where Redis is embedded: it is nobody else's.
        let marking: DaemonMarking?
        let janitor: Janitor
    }

    /// How long clients wait in the backlog for the first connection to Redis, rather than being told that it is out
    /// of reach.
    static let embeddedStartLimit = Duration.seconds(10)
    static let externalStartLimit = Duration.milliseconds(500)

    /// Claims the socket, or takes the one that systemd passes. Nothing is served before `run()`.
    /// - Parameters:
    ///   - configurationFile: what INFO tells; empty where no file was read.
    ///   - environment: of this process.
    ///   - service: what systemd handed to this process.
    ///   - reread: reads the configuration again from where it came, for a reload.
    public init(
        settings: Settings, configurationFile: String, environment: [String: String], log: LogOutput,
        service: ServiceContext, reread: @escaping () -> Result<Settings, SettingsErrors>
    ) throws(StartError) {
        self.settings = settings
        self.configurationFile = configurationFile
        self.environment = environment
        self.reread = reread
        self.log = log
        self.service = service
        logger = log.logger(label: "tokencached")
        endpoint = settings.redisEndpoint
        do throws(FileFault) {
            audit = AuditTrail(try .open(settings.audit.target), output: log, logger: logger)
        } catch { throw StartError(AuditTrail.refusal(of: settings.audit.target, error), exitStatus: 78) }
        Process.resetSignals()
        Process.forbidCoreDumps()
        Process.returnLargeBuffers()
        capacity = Process.capacity(
            settings.limits.maxClients, hasHTTP: Self.hasHTTP(settings, service), logger: logger)
        do {
            loop = try EventLoop()
        } catch { throw StartError("\(error)", exitStatus: 71) }
        if let passed = try service.socket() { socket = passed } else { socket = try Self.bind(settings) }
        do throws(StartError) { httpSockets = try HTTPSocket.open(settings, service) } catch {
            socket.removePath()
            throw error
        }
        Process.warnOfShortBacklog(logger: logger)
    }

    private static func hasHTTP(_ settings: Settings, _ service: ServiceContext) -> Bool {
        !settings.http.listen.isEmpty || !service.httpSockets.isEmpty
    }

    private static func bind(_ settings: Settings) throws(StartError) -> UnixListener {
        let socket = settings.socket
        SocketFolder.makeIfMissing(for: socket.path)
        do {
            return try UnixListener.bind(
                path: socket.path, mode: socket.mode, group: settings.resolved.socketGroup)
        } catch { throw StartError("\(error)", exitStatus: 69) }
    }

    /// Serves until a signal ends it.
    /// - Returns: the exit status: 0 after a clean drain.
    public func run() -> Int32 {
        watchSignals()
        watchdog = service.startWatchdog(on: loop)
        startRedis()
        loop.run()
        socket.removePath()
        for socket in httpSockets { socket.removePath() }
        return exitStatus
    }

    // MARK: Start

    private func startRedis() {
        if let endpoint { return startServing(endpoint, acceptWithin: Self.externalStartLimit) }
        let embedded = EmbeddedRedis(
            loop: loop, directory: settings.stateDirectory, executable: settings.redis.executable,
            appendFsync: settings.redis.appendfsync, logger: logger)
        self.embedded = embedded
        embedded.start { [weak self] result in
            guard let self, phase == .running else { return }
            switch result {
            case .success(let endpoint):
                startServing(endpoint, acceptWithin: Self.embeddedStartLimit)
            case .failure(let error):
                logger.critical("the embedded Redis cannot be started: \(error)")
                exitStatus = 69
                loop.stop()
            }
        }
    }

    private func startServing(_ endpoint: RedisEndpoint, acceptWithin limit: Duration) {
        do {
            let parts = try makeParts(endpoint)
            self.parts = parts
            parts.redis.router.onStateChange = { [weak self] state in self?.redisChanged(state) }
            parts.redis.start { [weak self] in self?.phase == .running }
            after(limit) { [weak self] in
                if let fault = self?.parts?.redis.passwordCommand?.firstRunFault {
                    parts.redis.router.first.leave(fault)
                }
                self?.startAccepting()
            }
            sampleRates(parts.dispatcher)
            if !httpSockets.isEmpty { every(RateHistory.interval) { parts.site.sample() } }
            if let marking = parts.marking { every(DaemonMarking.interval) { marking.write() } }
        } catch {
            let reason = (error as? KeyRingError)?.description(of: settings.keyring.file) ?? "\(error)"
            logger.critical("the daemon cannot start: \(reason)")
            exitStatus = error is KeyRingError || error is RedisCertificates.Refusal ? 78 : 71
            loop.stop()
        }
    }

    private func makeParts(_ endpoint: RedisEndpoint) throws -> Parts {
        let prefix = Array(settings.redis.prefix.utf8)
        let redis = try RedisAccess(
            settings, endpoint: endpoint, isEmbedded: embedded != nil, loop: loop, environment: environment, log: log,
            logger: logger)
        let service = try TokenService(
            router: redis.router, scheduler: loop, prefix: prefix,
            timeout: settings.redis.timeout.wholeMilliseconds, policy: TokenPolicy(settings),
            statelessPolicy: StatelessPolicy(settings),
            keys: try DaemonKeys.load(settings, isInForce: false, logger: logger),
            nearCache: settings.hasNearCache
                ? TokenService.NearCacheOptions(
                    maxBytes: settings.nearCache.maxMemory, serveStale: settings.nearCache.serveStale) : nil,
            logger: log.limitedLogger(label: "tokencached"))
        audit.clock = { [unowned service] in service.auditTime }
        follow(service)
        recordKeys(of: service, "loaded")
        let dispatcher = Dispatcher(
            service: service, environment: try makeEnvironment(redis.router), audit: audit, logger: logger)
        let server = Server(
            loop: loop, limits: Settings.Limits(settings), capacity: capacity, access: AccessRules(settings),
            audit: audit, logger: logger)
        let marking =
            embedded == nil
            ? DaemonMarking(
                service: service, router: redis.router, scheduler: loop, socketPath: socket.path, logger: logger) : nil
        let janitor = Janitor(
            service: service, name: dispatcher.environment.runID,
            interval: settings.janitor.interval.wholeMilliseconds, rate: settings.janitor.rate, logger: logger)
        let site = HTTPSite(dispatcher: dispatcher, settings: HTTPSettings(settings), server: server)
        return Parts(
            redis: redis, server: server, dispatcher: dispatcher, site: site, marking: marking, janitor: janitor)
    }

    /// Hands on what the service has for an auditor, where there is one.
    private func follow(_ service: TokenService) {
        service.asking = nil
        service.audit = audit.isOn ? { [audit] in audit.record($0) } : nil
    }

    private func recordKeys(of service: TokenService, _ reason: String) {
        guard let fingerprint = service.keyFingerprint else { return }
        audit.record(AuditEvent(.keyring, reason: reason, fingerprint: fingerprint))
    }

    private func makeEnvironment(_ router: RedisRouter) throws -> DaemonEnvironment {
        var random = SystemRandom()
        let runID: Digest = try random.bytes()
        return DaemonEnvironment(
            runID: String(decoding: runID.withUnsafeBytes { Hex.encode($0) }.prefix(40), as: UTF8.self),
            startedAt: startedAt, startTime: startTime, configurationFile: configurationFile,
            configuration: { [weak self] in self?.settings.describe(matching: $0).map { ($0.key, $0.value) } ?? [] },
            warnings: { [weak self] in self?.settings.warnings ?? [] },
            router: router,
            passwordFault: { [weak self] in self?.parts?.redis.passwordCommand?.fault?.description },
            topology: { [weak self] in self?.parts?.redis.topology },
            marking: { [weak self] in self?.parts?.marking },
            renewMark: { [weak self] done in
                guard let marking = self?.parts?.marking else { return done() }
                marking.write(done)
            },
            janitor: { [weak self] in self?.parts?.janitor.counters ?? JanitorCounters() },
            keyCount: { [unowned router] done in
                router.countKeys { done($0.mapError { .unavailable($0.description) }) }
            },
            reload: { [weak self] in self?.reload(by: $0) ?? .refused(problems: []) },
            shutDown: { [weak self] in
                // After the command: its own connection is among those that drain.
                self?.loop.later { self?.drain() }
            })
    }

    private func redisChanged(_ state: LinkState) {
        switch state {
        case .ready:
            parts?.redis.passwordCommand?.accepted()
            startAccepting()
            parts?.marking?.connected()
        // Where others say which server it is, none is known before one of them has answered: that is no fault yet.
        case .down(let fault):
            if embedded == nil ? parts?.redis.topology == nil : fault.needsOperator { startAccepting() }
        case .connecting, .closed: break
        }
        if isAccepting, phase == .running { service.notifier.tell(.status(statusLine)) }
    }

    /// For `systemctl status`.
    private var statusLine: String {
        guard case .down(let fault)? = parts?.redis.router.state else { return "serves \(socket.path)" }
        return "serves \(socket.path); Redis is unavailable: \(fault)"
    }

    private func startAccepting() {
        guard !isAccepting, phase == .running, let parts else { return }
        isAccepting = true
        // Made here and not before: a reload may have changed its limits until now.
        let resp = RESPListener(dispatcher: parts.dispatcher, server: parts.server)
        parts.server.listen(on: socket.descriptor, as: resp)
        for socket in httpSockets {
            let http = HTTPListener(site: parts.site, socket, server: parts.server)
            parts.server.listen(on: socket.descriptor, as: http)
        }
        service.notifier.tell(.ready, .status(statusLine))
        logger.notice(
            "tokencached \(Product.version) serves",
            metadata: [
                "socket": "\(socket.path)", "redis": "\(parts.redis.router.first.endpoint)", "pid": "\(getpid())",
            ].merging(httpSockets.isEmpty ? [:] : ["http": "\(httpSockets.map(\.place).joined(separator: " "))"]) {
                first, _ in first
            })
    }

    /// `instantaneous_ops_per_sec` of INFO.
    private func sampleRates(_ dispatcher: Dispatcher) {
        every(.seconds(1)) { [unowned self] in
            dispatcher.operationsPerSecond.sample(total: dispatcher.statistics.totalCalls, now: .now())
            if dispatcher.service.isKeyWorn, dispatcher.wornKeys.admit() != nil {
                dispatcher.logger.warning("a key of the key ring sealed very many captchas: add a new one")
            }
            self.warnOfSkew()
        }
    }

    /// Logs and cookies go by this host's clock, limits by Redis's.
    private func warnOfSkew() {
        let skews = (parts?.redis.router.servers ?? []).compactMap { node in node.clockSkew.map { (node, $0) } }
        guard let (node, skew) = skews.max(by: { $0.1.magnitude < $1.1.magnitude }),
            skew.magnitude > Product.tolerableClockSkew.magnitude, skewWarnings.admit() != nil
        else { return }
        logger.warning(
            "this host's clock and Redis's differ",
            metadata: [
                "redis": "\(node.endpoint)", "skew_ms": "\(skew)",
                "remedy": "run a time service (chrony, systemd-timesyncd) on both hosts",
            ])
    }

    // MARK: End

    private func watchSignals() {
        for number in [SIGTERM, SIGINT, SIGQUIT] {
            signals.append(
                loop.onSignal(number) { [weak self] in
                    guard let self else { return }
                    if phase == .running {
                        drain()
                    } else {
                        logger.warning("a second signal ends the daemon at once")
                        exitStatus = 1
                        endNow()
                    }
                })
        }
        // Somebody who means another daemon by it must not end this one, and leave its Redis behind.
        for (number, name) in [(SIGUSR1, "SIGUSR1"), (SIGUSR2, "SIGUSR2")] {
            signals.append(
                loop.onSignal(number) { [weak self] in self?.logger.notice("\(name) means nothing to this daemon") })
        }
        signals.append(
            loop.onSignal(SIGHUP) { [weak self] in _ = self?.reload(by: nil) })
    }

    // MARK: Reload

    /// Reads the configuration again and swaps in what can change at run time. What is wrong changes nothing.
    /// - Parameter peer: who asked for it; nil for a signal.
    private func reload(by peer: AuditPeer?) -> ReloadOutcome {
        let before = parts?.dispatcher.service.keyFingerprint
        let outcome = reload()
        switch outcome {
        case .changed: audit.record(AuditEvent(.reload, peer: peer, reason: "done"))
        case .refused: audit.record(AuditEvent(.reload, peer: peer, reason: "refused, nothing was changed"))
        }
        if let service = parts?.dispatcher.service, service.keyFingerprint != before {
            recordKeys(of: service, "changed")
        }
        return outcome
    }

    private func reload() -> ReloadOutcome {
        // Before the daemon serves, "ready" would be taken for the start's.
        if isAccepting, phase == .running { service.notifier.tell(.reloadingNow()) }
        defer { if isAccepting, phase == .running { service.notifier.tell(.ready) } }
        switch reread() {
        case .failure(let errors):
            for problem in errors.problems { logger.error("reload: \(problem)") }
            logger.error("nothing was changed: the new configuration is wrong")
            return .refused(problems: errors.problems.map(\.description))
        case .success(let new):
            var (merged, needRestart) = settings.reloaded(with: new)
            let later = "these keys change with a restart only: \(needRestart.joined(separator: ", "))"
            if !needRestart.isEmpty { merged.warnings.append(later) }
            do throws(Reloadable.Refusal) {
                let hasKeys = parts?.dispatcher.service.keyFingerprint != nil
                try apply(try Reloadable(merged, isKeyRingInForce: hasKeys, logger: logger))
            } catch {
                logger.error("nothing was changed: \(error)")
                return .refused(problems: [error.description])
            }
            logger.notice("the configuration was reloaded")
            if !needRestart.isEmpty { logger.warning("\(later)") }
            return .changed(needRestart: needRestart)
        }
    }

    /// All of it, or, where a key of the ring cannot be used, nothing.
    private func apply(_ new: Reloadable) throws(Reloadable.Refusal) {
        let settings = new.settings
        do throws(CryptoError) {
            try parts?.dispatcher.service.apply(
                new.policy, new.statelessPolicy, keys: new.keys, serveStale: settings.nearCache.serveStale)
        } catch {
            new.audit.close()
            throw Reloadable.Refusal(description: "\(error)")
        }
        self.settings = settings
        if let certificates = new.certificates {
            parts?.redis.tls?.use(certificates, serverName: settings.redis.tlsServerName)
        }
        audit.replace(new.audit)
        if let service = parts?.dispatcher.service { follow(service) }
        log.level = settings.log.level
        log.format = settings.log.format
        capacity = Process.capacity(
            new.limits.maxClients, hasHTTP: !httpSockets.isEmpty, logger: logger)
        parts?.server.apply(new.limits, capacity, new.access)
        parts?.site.settings = HTTPSettings(settings)
        let janitor = new.settings.janitor
        parts?.janitor.apply(interval: janitor.interval.wholeMilliseconds, rate: janitor.rate)
    }

    /// Stops accepting, finishes what is under way within `drain-timeout`, then ends.
    private func drain() {
        guard phase == .running else { return }
        phase = .draining
        service.notifier.tell(.stopping, .status("draining"))
        logger.notice("draining", metadata: ["drain-timeout": "\(DurationText.text(settings.drainTimeout))"])
        guard let parts else { return stopRedis() }
        if !isAccepting { for descriptor in [socket.descriptor] + httpSockets.map(\.descriptor) { close(descriptor) } }
        after(settings.drainTimeout) { [weak self] in
            guard let self, phase == .draining else { return }
            logger.warning(
                "not all clients were done in time (drain-timeout)",
                metadata: ["clients": "\(parts.server.sessions.count)"])
            parts.server.closeAll()
        }
        parts.server.drain { [weak self] in self?.stopRedis() }
    }

    private func stopRedis() {
        guard phase == .draining else { return }
        phase = .stopping
        parts?.redis.stop()
        guard let embedded else { return loop.stop() }
        embedded.stop(within: settings.drainTimeout) { [weak self] in self?.loop.stop() }
    }

    private func endNow() {
        phase = .stopping
        parts?.server.closeAll()
        parts?.redis.stop()
        guard let embedded else { return loop.stop() }
        embedded.stop(within: .zero) { [weak self] in self?.loop.stop() }
    }

    // MARK: Timers

    private func after(_ duration: Duration, _ body: @escaping () -> Void) {
        let timer = loop.makeTimer(body)
        timer.start(after: duration)
        timers.append(timer)
    }

    private func every(_ interval: Duration, _ body: @escaping () -> Void) {
        var timer: LoopTimer?
        let repeating = loop.makeTimer { [weak self] in
            body()
            if self?.phase == .running { timer?.start(after: interval) }
        }
        timer = repeating
        repeating.start(after: interval)
        timers.append(repeating)
    }
}
