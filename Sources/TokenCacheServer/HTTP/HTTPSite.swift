internal import EventLoop
internal import TokenCache
internal import Tokens
internal import WireProtocol

/// What HTTP is spoken for: forward auth, metrics, health, a page for people. Leads a request to who answers it.
///
/// Belongs to the loop's thread.
final class HTTPSite {
    let dispatcher: Dispatcher
    var settings: HTTPSettings
    unowned let server: Server
    let history = RateHistory()
    /// Of the problems there are, by what they are about.
    var problemsBegan: [String: MonotonicInstant] = [:]

    init(dispatcher: Dispatcher, settings: HTTPSettings, server: Server) {
        self.dispatcher = dispatcher
        self.settings = settings
        self.server = server
    }

    /// To be called at every `RateHistory.interval`.
    func sample() {
        history.sample(figures, now: .now())
        lookForProblems()
    }

    var service: TokenService { dispatcher.service }
    var figures: Figure.Source {
        Figure.Source(dispatcher: dispatcher, server: server, environment: dispatcher.environment)
    }

    /// Answers a request now, or later by the session's `fill`.
    func answer(
        _ request: HTTPRequest, from session: HTTPSession, _ listener: HTTPListener, _ writer: inout HTTPResponseWriter
    ) -> CommandRow.Answered {
        dispatcher.httpCounters.requests &+= 1
        var reply = Reply(session: session, listener: listener, exchange: request.exchange)
        // A reload may have taken it away since the client connected.
        guard session.role >= .validator else {
            return reply.plain(.forbidden, "this user may not use the daemon (access)\n", &writer)
        }
        if listener.isTCP, !isHostKnown(request.host) {
            dispatcher.httpCounters.refusedHosts &+= 1
            return reply.plain(
                .misdirected, "Host is to be an address, a loopback name, or one of http.hosts\n", &writer)
        }
        let purposes = listener.purposes
        if purposes.contains(.auth), let (rule, appended) = rule(of: request.path) {
            guard let rule else { return reply.plain(.notFound, "there is no such rule (http.rules)\n", &writer) }
            reply.timedSince = request.arrival
            let answered = authorize(request, rule, appended, reply, &writer)
            if answered == .now { countTime(since: request.arrival) }
            return answered
        }
        let path = request.path
        if purposes.contains(.auth), path.equals("/logout") {
            guard request.method.equals("POST") else { return reply.refuse(method: "POST", &writer) }
            return logOut(request, reply, &writer)
        }
        guard let page = Page.all.first(where: { purposes.contains($0.purpose) && path.equals($0.path) }) else {
            return reply.plain(.notFound, "nothing is served here under this path\n", &writer)
        }
        guard request.method.equals("GET") || request.exchange.isHead else {
            return reply.refuse(method: "GET, HEAD", &writer)
        }
        return page.answer(self, request, reply, &writer)
    }

    fileprivate func countTime(since arrival: MonotonicInstant) {
        dispatcher.httpCounters.authTimes.record(
            microseconds: CommandStatistics.microseconds(since: arrival), times: 1)
    }

    /// A page that GET asks for.
    struct Page: Sendable {
        let path: StaticString
        let purpose: HTTPPurpose
        let answer: @Sendable (HTTPSite, HTTPRequest, Reply, inout HTTPResponseWriter) -> CommandRow.Answered

        static let all: [Page] = [
            Page(path: "/healthz", purpose: .health) { $0.health($2, &$3) },
            Page(path: "/readyz", purpose: .health) { $0.readiness($2, &$3) },
            Page(path: "/metrics", purpose: .metrics) { $0.metrics($1, $2, &$3) },
            Page(path: "/", purpose: .status) { $0.statusPage($2, &$3) },
            Page(path: "/status.json", purpose: .status) { $0.status($2, &$3) },
        ]
    }

    /// `/auth`, `/auth-<rule>`, and either with anything behind a slash.
    /// - Returns: nil for another path; the rule, nil where there is none of that name, and what was appended.
    private func rule(of path: UnsafeRawBufferPointer) -> (HTTPRule?, appended: UnsafeRawBufferPointer)? {
        let root: StaticString = "/auth"
        guard root.withUTF8Buffer({ path.starts(with: $0) }) else { return nil }
        let rest = path[root.utf8CodeUnitCount...]
        let end = rest.firstIndex(of: UInt8(ascii: "/")) ?? path.count
        let appended = UnsafeRawBufferPointer(rebasing: path[end...])
        let name = rest[..<end]
        if name.isEmpty { return (settings.standardRule, appended) }
        guard name.first == UInt8(ascii: "-") else { return nil }
        return (settings.rules[Array(name.dropFirst())], appended)
    }

    /// Another site's page may have been made to ask here (DNS rebinding), and that needs a name.
    private func isHostKnown(_ host: UnsafeRawBufferPointer?) -> Bool {
        // HTTP/1.0, which no browser speaks.
        guard let host else { return true }
        var name = String(decoding: host, as: UTF8.self).lowercased()
        if name.hasPrefix("[") { return true }
        if let colon = name.lastIndex(of: ":") { name = String(name[..<colon]) }
        if name.hasSuffix(".") { name.removeLast() }
        return NumericAddress(host: name) != nil || name == "localhost" || name.hasSuffix(".localhost")
            || settings.hosts.contains(name)
    }

    /// Where an answer goes, and in what form.
    struct Reply {
        let session: HTTPSession
        let listener: HTTPListener
        let exchange: HTTPExchange
        /// When the request was read, of an answer whose time is counted.
        var timedSince: MonotonicInstant?

        func begin(_ status: HTTPStatus, _ writer: inout HTTPResponseWriter) {
            writer.begin(status, exchange, date: listener.date)
        }

        func plain(_ status: HTTPStatus, _ text: String, _ writer: inout HTTPResponseWriter) -> CommandRow.Answered {
            begin(status, &writer)
            writer.end("text/plain; charset=utf-8", text)
            return .now
        }

        /// - Parameter allowed: the methods there are.
        func refuse(method allowed: String, _ writer: inout HTTPResponseWriter) -> CommandRow.Answered {
            begin(.methodNotAllowed, &writer)
            writer.field("Allow", allowed)
            writer.end("text/plain; charset=utf-8", "allowed: \(allowed)\n")
            return .now
        }

        /// Fills in an answer that had to wait.
        func later(_ write: (inout HTTPResponseWriter) -> Void) {
            guard session.fill(write) else { return }
            if let timedSince { listener.site.countTime(since: timedSince) }
        }
    }
}

/// What happened at HTTP since the start.
struct HTTPCounters {
    var requests: UInt64 = 0
    /// Visitors whom `/auth` let in.
    var accepted: UInt64 = 0
    var denied: UInt64 = 0
    /// Answers that were 503.
    var unavailable: UInt64 = 0
    /// Of them those of `/auth`.
    var authUnavailable: UInt64 = 0
    /// How long `/auth` took, from reading a request to its answer.
    var authTimes = LatencyHistogram()
    /// Requests over TCP for a name that is not this host's.
    var refusedHosts: UInt64 = 0
}
