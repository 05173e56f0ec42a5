internal import EventLoop
internal import Host
internal import RedisLink
internal import TokenCache
internal import TokenCrypto
internal import UnixTime
internal import WireProtocol

/// `/` and `/status.json`: what is wrong, since when, what to do; and how busy the daemon is. No token, no subject.
extension HTTPSite {
    func statusPage(_ reply: Reply, _ writer: inout HTTPResponseWriter) -> CommandRow.Answered {
        reply.begin(.ok, &writer)
        writer.field("Content-Security-Policy", StatusPage.policy)
        writer.field("X-Content-Type-Options", "nosniff")
        writer.field("Referrer-Policy", "no-referrer")
        writer.end("text/html; charset=utf-8", StatusPage.html)
        return .now
    }

    func status(_ reply: Reply, _ writer: inout HTTPResponseWriter) -> CommandRow.Answered {
        let body = statusDocument
        reply.begin(.ok, &writer)
        writer.field("X-Content-Type-Options", "nosniff")
        writer.end("application/json", body)
        return .now
    }

    /// All of the page's content as one JSON object.
    private var statusDocument: String {
        let source = figures
        dispatcher.statistics.settle()
        let environment = dispatcher.environment
        let near = source.near
        let asked = near.hits &+ near.misses
        return JSONValue.object([
            ("version", .text(Product.version)),
            ("time", .number(HostClock.now().sinceEpoch / 1_000)),
            ("uptime", .number(Self.age(environment.startedAt))),
            ("ready", .flag(unreadiness == nil)),
            ("problems", .list(problems(source).map(\.json))),
            ("faults", .list(lastFaults)),
            ("warnings", .list(environment.warnings().map { .text($0) })),
            ("rates", .list(rates)),
            (
                "latency",
                .list(
                    busiestCommands.map { command, row in
                        .object([
                            ("command", .text(command)), ("calls", .number(Int64(clamping: row.calls))),
                            ("failed", .number(Int64(clamping: row.failed &+ row.rejected))),
                            ("p50", .number(row.latencies.percentile(0.5).map { Int64(clamping: $0) })),
                            ("p99", .number(row.latencies.percentile(0.99).map { Int64(clamping: $0) })),
                            ("p999", .number(row.latencies.percentile(0.999).map { Int64(clamping: $0) })),
                        ])
                    })
            ),
            (
                "near_cache",
                .object([
                    ("enabled", .flag(near.maxBytes > 0)), ("armed", .flag(near.isArmed)),
                    ("entries", .number(Int64(near.entries))), ("bytes", .number(Int64(near.bytes))),
                    ("max_bytes", .number(Int64(near.maxBytes))),
                    (
                        "hit_ratio",
                        asked == 0 ? .nothing : .literal(decimal(Double(near.hits) / Double(asked), places: 4))
                    ),
                ])
            ),
            (
                "tokens",
                .object(FigureGroup.verdicts.members.map { ($0, .literal($1.read(source).text)) })
            ),
            (
                "connections",
                .object([
                    ("resp", .number(Int64(server.places.ordinary + server.places.admins))),
                    (
                        "http",
                        .number(
                            Int64(server.httpPlaces.ordinary + server.httpPlaces.admins + server.tcpPlaces.ordinary))
                    ),
                    ("limit", .number(Int64(server.places.limit))),
                ])
            ),
            ("nodes", .list(environment.router.servers.map(node))),
            (
                "informants",
                .list(
                    (environment.topology()?.informants ?? []).map { informant in
                        .object([
                            ("endpoint", .text("\(informant.endpoint)")), ("state", .text(informant.state.name)),
                            ("master", .text(informant.master ?? "")),
                        ])
                    })
            ),
        ]).text
    }

    private func node(_ node: RedisNode) -> JSONValue {
        .object([
            ("endpoint", .text("\(node.endpoint)")), ("state", .text(node.state.name)),
            (
                "server",
                .text([node.serverInfo.name, node.serverInfo.version].compactMap { $0 }.joined(separator: " "))
            ),
            ("slots", .text(dispatcher.environment.router.slotRanges(of: node))),
            ("proof_age_ms", .number(node.proofAge.map { $0.wholeMilliseconds })),
            ("round_trip_us", .number(node.beatRoundTrip.map(\.wholeMicroseconds))),
            ("fault", .text(node.fault ?? "")),
        ])
    }

    private var rates: [JSONValue] {
        RateHistory.Series.all.enumerated().map { index, series in
            let values = history.samples.map { $0.indices.contains(index) ? $0[index] : 0 }
            return .object([
                ("name", .text("\(series.name)")), ("title", .text("\(series.title)")),
                ("now", .literal(decimal(values.last ?? 0, places: 1))),
                ("history", .list(values.map { .literal(decimal($0, places: 1)) })),
            ])
        }
    }

    /// What went wrong lately, the newest first: between the daemon and each Redis server, and in answers.
    private var lastFaults: [JSONValue] {
        let answers = service.faultHistory.entries.map { (place: "answers to workers", entry: $0) }
        let links = dispatcher.environment.router.servers.flatMap { node in
            node.counters.faults.entries.map { (place: "Redis at \(node.endpoint)", entry: $0) }
        }
        return (answers + links).sorted { $0.entry.at > $1.entry.at }.prefix(FaultHistory.capacity).map {
            place, entry in
            .object([
                ("place", .text(place)), ("text", .text(entry.reason)), ("since", .number(Self.age(entry.began))),
                ("last", .number(Self.age(entry.at))), ("count", .number(Int64(clamping: entry.count))),
                ("remedy", .text(entry.remedy)),
            ])
        }
    }

    /// Whole seconds since then.
    private static func age(_ instant: MonotonicInstant) -> Int64 { instant.duration(to: .now()).components.seconds }

    private var busiestCommands: [(String, CommandStatistics.Row)] {
        let rows = dispatcher.statistics.called.filter { $0.row.calls > 0 }
        return Array(rows.sorted { $0.row.calls > $1.row.calls }.prefix(12))
    }

    /// What is wrong, since when, and what to do about it.
    struct Problem {
        let text: String
        /// Seconds ago; nil where that is not known.
        let since: Int64?
        let remedy: String

        var json: JSONValue {
            .object([("text", .text(text)), ("since", .number(since)), ("remedy", .text(remedy))])
        }
    }

    private func problems(_ source: Figure.Source) -> [Problem] {
        var problems: [Problem] = []
        for node in dispatcher.environment.router.servers {
            guard let fault = fault(of: node) else { continue }
            let since = node.counters.faults.last.map { Self.age($0.began) }
            problems.append(
                Problem(
                    text: "Redis at \(node.endpoint): \(fault)", since: since,
                    remedy: KnownFault.of(fault)?.remedy ?? ""))
        }
        let near = source.near
        if near.maxBytes > 0, !near.isArmed, let fault = near.fault {
            problems.append(
                Problem(
                    text: "the near cache does not answer: \(fault)", since: nil,
                    remedy: KnownFault.of(fault)?.remedy ?? ""))
        }
        if let fault = dispatcher.environment.passwordFault() {
            problems.append(
                Problem(
                    text: "redis.password-command: \(fault)", since: nil, remedy: "look at what it writes to stderr"))
        }
        if let skew = source.node.clockSkew, skew.magnitude > Product.tolerableClockSkew.magnitude {
            problems.append(
                Problem(
                    text: "this host's clock and Redis's differ by \(skew) ms", since: nil,
                    remedy: "run a time service (chrony, systemd-timesyncd) on both hosts"))
        }
        if let policy = source.node.serverInfo.maxmemoryPolicy, policy != "noeviction" {
            problems.append(
                Problem(
                    text: "Redis's maxmemory-policy is \(policy): sessions vanish", since: nil,
                    remedy: "CONFIG SET maxmemory-policy noeviction, and in redis.conf"))
        }
        if server.places.limit < server.limits.maxClients {
            problems.append(
                Problem(
                    text:
                        "the limit of open files allows \(server.places.limit) clients, fewer than limits.max-clients",
                    since: nil, remedy: "raise LimitNOFILE= of the service"))
        }
        return problems
    }
}

/// The page itself: one document, which asks for `/status.json` and for nothing else.
enum StatusPage {
    private static let style = String(decoding: PackageResources.status_css, as: UTF8.self)
    private static let script = String(decoding: PackageResources.status_js, as: UTF8.self)
    private static let body = String(decoding: PackageResources.status_html, as: UTF8.self)

    static let html =
        body.replacing("/*style*/", with: style).replacing("/*script*/", with: script)

    /// Nothing is loaded, and nothing runs but what is in the page.
    static let policy =
        "default-src 'none'; style-src '\(hash(style))'; script-src '\(hash(script))'; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    private static func hash(_ text: String) -> String {
        guard let crypto = try? CryptoContext(), let digest = try? crypto.digest(Array(text.utf8)) else {
            return "none"
        }
        var base64 = String(decoding: digest.withUnsafeBytes { Base64URL.encode($0) }, as: UTF8.self)
            .replacing("-", with: "+").replacing("_", with: "/")
        while base64.utf8.count % 4 != 0 { base64 += "=" }
        return "sha256-\(base64)"
    }
}
