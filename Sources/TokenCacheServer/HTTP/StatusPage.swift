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
        whenReady(reply, &writer) { [self] fault, writer in
            let body = statusDocument(unready: fault)
            reply.begin(.ok, &writer)
            writer.field("X-Content-Type-Options", "nosniff")
            writer.end("application/json", body)
        }
    }

    /// All of the page's content as one JSON object.
    private func statusDocument(unready fault: String?) -> String {
        let source = figures
        dispatcher.statistics.settle()
        let environment = dispatcher.environment
        let near = source.near
        let asked = near.hits &+ near.misses
        return JSONValue.object([
            ("version", .text(Product.version)),
            ("time", .number(HostClock.now().sinceEpoch / 1_000)),
            ("uptime", .number(Self.age(environment.startedAt))),
            ("ready", .flag(fault == nil)),
            (
                "problems",
                .list(
                    problems(source, isSilent: fault == Self.silence).map { problem in
                        .object([
                            ("text", .text(problem.text)), ("since", .number(Self.age(problem.began))),
                            ("remedy", .text(problem.remedy)),
                        ])
                    })
            ),
            ("faults", .list(lastFaults)),
            ("warnings", .list(environment.warnings().map { .text($0) })),
            ("rates", .list(rates)),
            (
                "latency",
                .list(
                    forwardAuth
                        + busiestCommands.map { command, row in
                            latency(command, row.latencies, calls: row.calls, failed: row.failed &+ row.rejected)
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
                    ("resp", .number(Int64(server.places.taken))),
                    ("http", .number(Int64(server.httpPlaces.taken + server.tcpPlaces.taken))),
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

    private func latency(_ name: String, _ times: LatencyHistogram, calls: UInt64, failed: UInt64) -> JSONValue {
        let percentile = { (fraction: Double) in
            JSONValue.number(times.percentile(fraction).map { Int64(clamping: $0) })
        }
        return .object([
            ("command", .text(name)), ("calls", .number(Int64(clamping: calls))),
            ("failed", .number(Int64(clamping: failed))), ("p50", percentile(0.5)), ("p99", percentile(0.99)),
            ("p999", percentile(0.999)),
        ])
    }

    /// A row for `/auth`, where it is asked for.
    private var forwardAuth: [JSONValue] {
        let http = dispatcher.httpCounters
        guard http.authTimes.count > 0 else { return [] }
        return [latency("/auth", http.authTimes, calls: http.authTimes.count, failed: http.authUnavailable)]
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
