/// A line of the CSV form: the same columns for everything; an empty cell is something that was not measured or does not
/// apply.
struct CSVLine {
    /// What the line is about, and which of its kind.
    var kind: String
    var name: String
    /// Of the same name: how it was asked, or under which circumstances.
    var form = ""
    var connections: Int?
    var pipeline: Int?
    var rate: Double?
    /// Requests a second: median, lowest and highest.
    var throughput: Spread?
    /// To what `ratioTo` names.
    var ratio: Double?
    var ratioTo = ""
    var serverMicroseconds: Double?
    var serverLoad: Double?
    var clientLoad: Double?
    var latency: LatencySummary?
    /// Requests with a bad answer or none, and requests that were due and never sent.
    var failed: Int?
    var unsent: Int?
    /// What has no column of its own: a number with its unit.
    var value: Double?
    var unit = ""
    /// Of a figure of the design.
    var wanted = ""
    var measured = ""
    var verdict = ""

    /// - Parameter fill: sets what else is known.
    init(_ kind: String, _ name: String, fill: (inout CSVLine) -> Void) {
        self.kind = kind
        self.name = name
        fill(&self)
    }

    /// The cells of a speed; a bad answer would have ended the measurement.
    mutating func take(_ speed: Speed, ratioTo base: String) {
        throughput = speed.throughput
        ratio = speed.ratio?.median
        ratioTo = base
        serverMicroseconds = speed.serverMicroseconds?.median
        serverLoad = speed.serverLoad
        clientLoad = speed.clientLoad
        failed = 0
    }

    /// Column and cell. The order is part of the form: new ones are added at the end.
    private static let columns: [(String, @Sendable (CSVLine) -> String)] = [
        ("kind", { quoted($0.kind) }), ("name", { quoted($0.name) }), ("form", { quoted($0.form) }),
        ("connections", { number($0.connections.map(Double.init)) }),
        ("pipeline", { number($0.pipeline.map(Double.init)) }), ("rate", { number($0.rate) }),
        ("requests_per_second", { number($0.throughput?.median) }), ("lowest", { number($0.throughput?.lowest) }),
        ("highest", { number($0.throughput?.highest) }), ("ratio", { number($0.ratio) }),
        ("ratio_to", { quoted($0.ratioTo) }), ("server_cpu_us", { number($0.serverMicroseconds) }),
        ("server_load", { number($0.serverLoad) }), ("client_load", { number($0.clientLoad) }),
        ("p50_us", { number($0.latency?.p50) }), ("p90_us", { number($0.latency?.p90) }),
        ("p99_us", { number($0.latency?.p99) }), ("p999_us", { number($0.latency?.p999) }),
        ("highest_us", { number($0.latency?.highest) }), ("failed", { number($0.failed.map(Double.init)) }),
        ("unsent", { number($0.unsent.map(Double.init)) }), ("value", { number($0.value) }),
        ("unit", { quoted($0.unit) }), ("wanted", { quoted($0.wanted) }), ("measured", { quoted($0.measured) }),
        ("verdict", { quoted($0.verdict) }),
    ]

    static let head = columns.map(\.0).joined(separator: ",")

    var text: String { Self.columns.map { $0.1(self) }.joined(separator: ",") }

    private static func number(_ number: Double?) -> String {
        guard let number, number.isFinite else { return "" }
        return number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : Figures.fixed(number, 3)
    }

    /// RFC 4180: quotes where a comma, a quote or the end of a line stands in it.
    private static func quoted(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
        return "\"\(text.replacing("\"", with: "\"\""))\""
    }
}
