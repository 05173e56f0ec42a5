internal import EventLoop
internal import RedisLink
internal import TokenCache
internal import WireProtocol

/// `/healthz`: the loop turns. `/readyz`: a write to Redis comes back.
extension HTTPSite {
    /// How long a write may take to come back.
    private static let readinessLimit = RedisNode.proofLimit
    /// How often it is looked for.
    private static let readinessCheck = Duration.milliseconds(10)

    static let silence = "a write to Redis did not come back within \(readinessLimit)"

    func health(_ reply: Reply, _ writer: inout HTTPResponseWriter) -> CommandRow.Answered {
        reply.plain(.ok, "ok\n", &writer)
    }

    func readiness(_ reply: Reply, _ writer: inout HTTPResponseWriter) -> CommandRow.Answered {
        whenReady(reply, &writer) { fault, writer in
            guard let fault else { return _ = reply.plain(.ok, "ready\n", &writer) }
            reply.begin(.unavailable, &writer)
            writer.field("Retry-After", 1)
            writer.end("text/plain; charset=utf-8", "\(fault)\n")
        }
    }

    /// Answers as soon as it is known whether the daemon is ready: now, or when a write to Redis comes back or has had its time.
    /// - Parameter answer: gets why the daemon is not ready, nil where it is.
    func whenReady(
        _ reply: Reply, _ writer: inout HTTPResponseWriter,
        _ answer: @escaping (String?, inout HTTPResponseWriter) -> Void
    ) -> CommandRow.Answered {
        dispatcher.environment.router.keepProving()
        if unreadiness != nil || isProved {
            answer(unreadiness, &writer)
            return .now
        }
        let start = MonotonicInstant.now()
        var timer: LoopTimer?
        timer = server.loop.makeTimer { [self] in
            let isKnown = unreadiness != nil || isProved
            guard isKnown || start.duration(to: .now()) >= Self.readinessLimit else {
                timer?.start(after: Self.readinessCheck)
                return
            }
            timer = nil
            reply.later { answer(unreadiness ?? (isKnown ? nil : Self.silence), &$0) }
        }
        timer?.start(after: Self.readinessCheck)
        return .later
    }

    /// The last write came back lately: told, or, without the near cache, answered.
    var isProved: Bool {
        let router = dispatcher.environment.router
        let now = MonotonicInstant.now()
        guard service.nearCacheCounters.maxBytes == 0 else { return router.isAllFresh(at: now) }
        return router.servers.allSatisfy { $0.beatAnsweredAt.duration(to: now) <= Self.readinessLimit }
    }

    /// What is known to be wrong, in a line; nil where nothing is.
    var unreadiness: String? {
        if server.isDraining { return "the daemon ends" }
        let servers = dispatcher.environment.router.servers
        if servers.isEmpty { return dispatcher.environment.router.first.fault ?? "no Redis is known yet" }
        for node in servers {
            if let fault = fault(of: node) { return "Redis at \(node.endpoint): \(fault)" }
            if let policy = node.serverInfo.maxmemoryPolicy, policy != "noeviction" {
                return "Redis at \(node.endpoint): maxmemory-policy is \(policy), and sessions vanish: set noeviction"
            }
        }
        return nil
    }

    /// Why a server cannot be used; nil where it can.
    func fault(of node: RedisNode) -> String? {
        if node.state == .ready { return node.fault }
        return node.fault ?? node.counters.faults.last?.reason ?? "no connection"
    }
}
