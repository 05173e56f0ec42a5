internal import EventLoop
internal import Host
internal import RedisLink
internal import TokenCache
internal import UnixTime

/// The figures for Prometheus: INFO's table in base units, commands with their times, a line per Redis server, and the
/// process.
///
/// Source: Prometheus's text format 0.0.4; OpenMetrics 1.0.
struct MetricsText {
    enum Form: Sendable {
        case prometheus, openMetrics

        var contentType: StaticString {
            switch self {
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    /// What a family of samples is.
    enum Kind: String { case counter, gauge, histogram, info }

    /// One sample: its labels, and its value as text.
    struct Sample {
        var labels: [(name: StaticString, value: String)] = []
        let value: String
        /// Behind the family's name: `_bucket`, `_sum`.
        var suffix = ""
    }

    private let form: Form
    private var text = ""

    /// All metrics, read now.
    /// - Parameter withProcess: those of every Prometheus client, which whoever collects files has of its own.
    static func all(_ source: Figure.Source, _ form: Form, withProcess: Bool = true) -> String {
        source.dispatcher.statistics.settle()
        var metrics = MetricsText(form: form)
        metrics.build(source)
        metrics.figures(source)
        metrics.commands(source)
        metrics.nodes(source)
        if withProcess { metrics.process(source) }
        if form == .openMetrics { metrics.text += "# EOF\n" }
        return metrics.text
    }

    private init(form: Form) { self.form = form }

    // MARK: Families

    /// - Parameter name: with the suffix of its kind, `_total` or `_info`.
    private mutating func family(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
        guard !samples.isEmpty else { return }
        let isOpen = form == .openMetrics
        let suffix = kind == .counter ? "_total" : kind == .info ? "_info" : ""
        let shown = isOpen && name.hasSuffix(suffix) ? String(name.dropLast(suffix.utf8.count)) : name
        text += "# HELP \(shown) \(Self.escaped(help, quotes: isOpen))\n"
        text += "# TYPE \(shown) \(!isOpen && kind == .info ? Kind.gauge.rawValue : kind.rawValue)\n"
        for sample in samples {
            text += name + sample.suffix
            if !sample.labels.isEmpty {
                let labels = sample.labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
                text += "{\(labels.joined(separator: ","))}"
            }
            text += " \(sample.value)\n"
        }
    }

    private static func escaped(_ value: String, quotes: Bool) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\"" where quotes: text += "\\\""
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// A number of thousandths or millionths as a decimal number.
    static func fraction(_ number: Int64, of parts: Int64) -> String {
        let (whole, rest) = (number / parts, abs(number % parts))
        let sign = number < 0 && whole == 0 ? "-" : ""
        guard rest > 0 else { return "\(sign)\(whole)" }
        var digits = String(rest + parts).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(sign)\(whole).\(digits)"
    }

    /// A duration in seconds.
    static func seconds(_ duration: Duration) -> String { fraction(duration.wholeMicroseconds, of: 1_000_000) }

    // MARK: Parts

    private mutating func build(_ source: Figure.Source) {
        family(
            "tokencached_build_info", .info, "which daemon, and which Redis is behind it",
            [
                Sample(
                    labels: [
                        ("version", Product.version), ("server", source.node.serverInfo.name ?? ""),
                        ("server_version", source.node.serverInfo.version ?? ""),
                    ], value: "1")
            ])
    }

    /// Figures under a name of their own each; those of a group are one family, with a label.
    private mutating func figures(_ source: Figure.Source) {
        let read = { (figure: Figure) in figure.metricValue(figure.read(source)) }
        for figure in Figure.all where figure.isMetric && !FigureGroup.all.contains(where: { $0.member(figure) != nil })
        {
            guard let value = read(figure) else { continue }
            family(
                figure.metricName, figure.kind == .counter ? .counter : .gauge, "\(figure.help)", [Sample(value: value)]
            )
        }
        for group in FigureGroup.all {
            let samples = group.members.compactMap { member, figure in
                read(figure).map { Sample(labels: [(group.label, member)], value: $0) }
            }
            family("tokencached_\(group.name)_total", .counter, "\(group.help)", samples)
        }
    }

    private mutating func commands(_ source: Figure.Source) {
        let statistics = source.dispatcher.statistics
        let called = statistics.called.map { ($0.name.lowercased(), $0.row) }
        family(
            "tokencached_commands_total", .counter, "commands, by what came of them",
            called.flatMap { command, row in
                [("answered", row.calls &- row.failed), ("failed", row.failed), ("rejected", row.rejected)].map {
                    Sample(labels: [("command", command), ("result", $0.0)], value: "\($0.1)")
                }
            })
        family(
            "tokencached_errors_total", .counter, "error replies, by code",
            statistics.errors.map { Sample(labels: [("code", $0.code)], value: "\($0.count)") })
        family(
            "tokencached_command_duration_seconds", .histogram,
            "from reading a request to its reply, waiting for Redis included",
            called.filter { $0.1.calls > $0.1.failed }.flatMap { command, row in
                Self.histogram(row.latencies, labels: [("command", command)])
            })
        family(
            "tokencached_http_auth_duration_seconds", .histogram,
            "of `/auth`, from reading a request to its answer, waiting for Redis included",
            Self.histogram(source.http.authTimes))
    }

    private static func histogram(
        _ times: LatencyHistogram, labels: [(name: StaticString, value: String)] = []
    ) -> [Sample] {
        let bounds = LatencyHistogram.metricBounds
        let count = "\(times.count)"
        return zip(bounds, times.counts(below: bounds)).map { bound, count in
            Sample(
                labels: labels + [("le", fraction(Int64(clamping: bound), of: 1_000_000))], value: "\(count)",
                suffix: "_bucket")
        } + [
            Sample(labels: labels + [("le", "+Inf")], value: count, suffix: "_bucket"),
            Sample(labels: labels, value: fraction(Int64(clamping: times.sum), of: 1_000_000), suffix: "_sum"),
            Sample(labels: labels, value: count, suffix: "_count"),
        ]
    }

    private mutating func nodes(_ source: Figure.Source) {
        let nodes = source.environment.router.servers
        let label = { (node: RedisNode) -> [(name: StaticString, value: String)] in [("node", "\(node.endpoint)")] }
        for row in NodeMetric.all {
            family(
                "tokencached_node_\(row.name)", row.kind, "\(row.help)",
                nodes.compactMap { node in row.read(node).map { Sample(labels: label(node), value: $0) } })
        }
        family(
            "tokencached_node_faults_total", .counter, "what went wrong between the daemon and a Redis server, by kind",
            nodes.flatMap { node in
                let counters = node.counters
                return [
                    ("connection", counters.failures), ("timeout", counters.timeouts),
                    ("protocol", counters.protocolErrors), ("overload", counters.overloads),
                ].map { Sample(labels: label(node) + [("kind", $0.0)], value: "\($0.1)") }
            })
        family(
            "tokencached_informant_up", .gauge,
            "1: the Sentinel, or the server of the cluster that redis.url names, answers",
            (source.environment.topology()?.informants ?? []).map {
                Sample(labels: [("informant", "\($0.endpoint)")], value: $0.state == .ready ? "1" : "0")
            })
    }

    private mutating func process(_ source: Figure.Source) {
        let cpu = ProcessFacts.cpuMicroseconds
        let rows: [(String, Kind, String, String)] = [
            (
                "process_cpu_seconds_total", .counter, "CPU time, in the program and in the kernel",
                Self.fraction(cpu, of: 1_000_000)
            ),
            ("process_resident_memory_bytes", .gauge, "in memory now", "\(ProcessFacts.residentBytes)"),
            (
                "process_open_fds", .gauge, "about as many descriptors are open",
                "\(source.dispatcher.openDescriptors(of: source.server))"
            ),
            ("process_max_fds", .gauge, "the limit of open files", "\(ProcessFacts.descriptorLimit)"),
            (
                "process_start_time_seconds", .gauge, "when the daemon started, Unix time",
                Self.fraction(source.environment.startTime.sinceEpoch, of: 1_000)
            ),
        ]
        for (name, kind, help, value) in rows { family(name, kind, help, [Sample(value: value)]) }
    }
}

/// Counters of INFO that are one for Prometheus, with a label: what their names end in.
struct FigureGroup: Sendable {
    /// What the names of its figures begin with.
    let prefix: StaticString
    let name: StaticString
    let label: StaticString
    let help: StaticString

    static let verdicts = FigureGroup(
        prefix: "tokens_validated_", name: "tokens_validated", label: "status",
        help: "tokens that were judged, by status")
    static let all = [
        verdicts,
        FigureGroup(
            prefix: "sessions_ended_by_", name: "sessions_ended", label: "reason",
            help: "sessions that this daemon ended, by reason"),
        FigureGroup(
            prefix: "near_cache_dropped_by_", name: "near_cache_dropped", label: "cause",
            help: "sessions that left the near cache, by cause"),
    ]

    /// What a figure is called in the group; nil where it is in none or in another.
    func member(_ figure: Figure) -> String? {
        let name = "\(figure.name)"
        return name.hasPrefix("\(prefix)") ? String(name.dropFirst(prefix.utf8CodeUnitCount)) : nil
    }

    /// Its figures, in INFO's order.
    var members: [(name: String, figure: Figure)] {
        Figure.all.compactMap { figure in member(figure).map { ($0, figure) } }
    }
}

/// What is told of each Redis server.
struct NodeMetric: Sendable {
    let name: StaticString
    let kind: MetricsText.Kind
    let help: StaticString
    /// Nil where it is not known.
    let read: @Sendable (RedisNode) -> String?

    static let all: [NodeMetric] = [
        NodeMetric(name: "up", kind: .gauge, help: "1: commands go to it") { $0.state == .ready ? "1" : "0" },
        NodeMetric(
            name: "armed", kind: .gauge, help: "1: it tells of changes, as was proved lately where requests come"
        ) { $0.isProved ? "1" : "0" },
        NodeMetric(
            name: "proof_age_seconds", kind: .gauge,
            help: "since the last proof that every change is told; requests keep it below one second"
        ) { $0.proofAge.map(MetricsText.seconds) },
        NodeMetric(
            name: "beat_round_trip_seconds", kind: .gauge, help: "how long the last beat took to be answered"
        ) { $0.beatRoundTrip.map(MetricsText.seconds) },
        NodeMetric(
            name: "confirmation_age_seconds", kind: .gauge, help: "since Sentinels, or its replicas, confirmed it"
        ) { $0.confirmationAge.map(MetricsText.seconds) },
        NodeMetric(
            name: "noeviction", kind: .gauge, help: "1: its maxmemory-policy is noeviction; 0: sessions vanish"
        ) { $0.serverInfo.maxmemoryPolicy.map { $0 == "noeviction" ? "1" : "0" } },
        NodeMetric(name: "clock_skew_seconds", kind: .gauge, help: "its clock minus this host's") {
            $0.clockSkew.map { MetricsText.fraction($0, of: 1_000) }
        },
        NodeMetric(name: "requests_total", kind: .counter, help: "commands for clients, and beats") {
            "\($0.counters.requests)"
        },
        NodeMetric(name: "connects_total", kind: .counter, help: "connections that were made") {
            "\($0.counters.connects)"
        },
        NodeMetric(name: "resends_total", kind: .counter, help: "requests sent again over a new connection") {
            "\($0.counters.resends)"
        },
        NodeMetric(
            name: "wait_shortfalls_total", kind: .counter, help: "changes that too few replicas had in time"
        ) { node in node.replicas.map { "\($0.counters.shortfalls)" } },
    ]
}

extension Figure {
    /// Whether Prometheus is told of it: words are not, nor what is there for Redis's tools or told of each server.
    var isMetric: Bool { kind != .text && !isForInfoOnly }

    /// `near_cache_bytes` → `tokencached_near_cache_bytes`: base units, and `_total` for what only rises.
    var metricName: String {
        var base = "\(name)"
        for (prefix, suffix) in [("total_", ""), ("", "_ms"), ("", "_in_seconds"), ("", "_seconds")]
        where base.hasPrefix(prefix) && base.hasSuffix(suffix) {
            base = String(base.dropFirst(prefix.count).dropLast(suffix.count))
        }
        switch unit {
        case .bytes where !base.hasSuffix("_bytes"): base += "_bytes"
        case .seconds, .milliseconds, .microseconds: base += "_seconds"
        case .bytes, .none: break
        }
        return "tokencached_\(base)" + (kind == .counter ? "_total" : "")
    }

    /// In base units; nil where it is not known.
    func metricValue(_ value: Value) -> String? {
        let parts: Int64 = unit == .milliseconds ? 1_000 : unit == .microseconds ? 1_000_000 : 1
        switch value {
        case .count(let number):
            return parts == 1 ? String(number) : MetricsText.fraction(Int64(clamping: number), of: parts)
        case .number(let number): return MetricsText.fraction(number, of: parts)
        case .decimal(let text): return text
        case .text, .nothing: return nil
        }
    }
}

extension Duration {
    /// Rounded down.
    var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds &* 1_000_000 &+ attoseconds / 1_000_000_000_000
    }
}
