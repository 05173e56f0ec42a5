import ArgumentParser
import Glibc
import TokenCacheClient
import UnixTime

/// `top`: how busy the daemon is, live.
struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch rates, hits, Redis servers and commands; q quits.",
        discussion: "Where standard output is no terminal, a line is printed each time.")

    @Option(help: ArgumentHelp("How often to look.", valueName: "duration"))
    var interval = DurationArgument(text: "1s", duration: .seconds(1))

    @Option(help: ArgumentHelp("How often to look before it ends (default: until it is told to).", valueName: "number"))
    var count: Int?

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        guard interval.duration >= .milliseconds(100) else { throw ValidationError("--interval is at least 100ms.") }
        guard count.map({ $0 > 0 }) ?? true else { throw ValidationError("--count is at least 1.") }
    }

    func run() throws {
        let connection = try global.connect()
        let screen = Terminal.isOutputATerminal && !global.json ? Screen() : nil
        defer { screen?.leave() }
        var last = try sample(connection)
        var shown = 0
        while count.map({ shown < $0 }) ?? true {
            if let screen {
                if screen.waitForQuit(interval.duration) { return }
            } else {
                Screen.pause(interval.duration)
            }
            let next = try sample(connection)
            let page = TopPage(from: last, to: next)
            if let screen {
                let size = Screen.size
                try screen.show(
                    page.lines(width: size.columns, colours: Terminal.hasColours).prefix(size.rows).map { $0 })
            } else if global.json {
                try Terminal.print(page.json.text)
            } else {
                try Terminal.print((shown == 0 ? TopPage.heading : "") + page.line)
            }
            last = next
            shown += 1
        }
    }

    private func sample(_ connection: BlockingConnection) throws -> TopSample {
        do throws(TokenCacheError) {
            guard let text = try connection.call(["INFO".bytes, "everything".bytes]).string else {
                throw TokenCacheError.protocolViolation
            }
            return TopSample(info: Info(parsing: text), at: .now)
        } catch { throw Failure(error, socketPath: global.socketPath) }
    }
}

/// What the daemon said of itself at a moment.
struct TopSample {
    let info: Info
    let at: ContinuousClock.Instant
}

/// What happened between two samples, for people.
struct TopPage {
    /// A counter that is shown as a rate.
    private static let rates: [(title: String, field: String)] = [
        ("commands", "total_commands_processed"), ("hits", "keyspace_hits"), ("misses", "keyspace_misses"),
        ("issued", "tokens_issued"), ("logins", "tokens_logins"), ("rotations", "rotations"),
        ("replays", "replays"), ("guests", "guests_issued"), ("errors", "total_error_replies"),
        ("http", "http_requests"),
    ]

    private let before: TopSample
    private let after: TopSample
    private var info: Info { after.info }

    init(from before: TopSample, to after: TopSample) {
        self.before = before
        self.after = after
    }

    private var seconds: Double {
        let duration = before.at.duration(to: after.at).components
        return max(0.001, Double(duration.seconds) + Double(duration.attoseconds) / 1e18)
    }

    /// Events a second of a counter; 0 where the daemon was started anew meanwhile.
    private func rate(_ field: String) -> Double {
        Double(max(0, (info.number(field) ?? 0) - (before.info.number(field) ?? 0))) / seconds
    }

    /// Of all answers that the near cache could give, the share that it gave; nil where nobody asked.
    private var hitRatio: Double? {
        let (hits, misses) = (rate("keyspace_hits"), rate("keyspace_misses"))
        return hits + misses > 0 ? hits / (hits + misses) : nil
    }

    private var hitText: String {
        hitRatio.map { "\(Int(($0 * 1000).rounded()) / 10).\(Int(($0 * 1000).rounded()) % 10)%" } ?? "-"
    }

    // MARK: A line each time

    static var heading: String {
        (["time"] + rates.map(\.title) + ["hit%", "p99us", "redis"]).map { Layout.padded($0, to: 10) }.joined(
            separator: " ")
            + "\n"
    }

    var line: String {
        let worst = commands.first { $0.name == "token.validate" } ?? commands.first
        let cells =
            [String(Layout.localTime(Layout.now).suffix(8))] + Self.rates.map { Self.short(rate($0.field)) }
            + [hitText, worst.map { "\($0.p99)" } ?? "-", info.text("upstream_state")]
        return cells.map { Layout.padded($0, to: 10) }.joined(separator: " ")
    }

    var json: JSONText {
        .object(
            [("time", .integer(Layout.now.sinceEpoch))]
                + Self.rates.map { ($0.title, .integer(Int64(rate($0.field).rounded()))) }
                + [("hit_ratio", .string(hitText)), ("upstream_state", .string(info.text("upstream_state")))])
    }

    // MARK: A page

    func lines(width: Int, colours: Bool) -> [String] {
        var lines: [String] = []
        let uptime = info.number("uptime_in_seconds").map { Layout.duration(seconds: $0) } ?? Layout.absent
        lines.append(
            "tokencached \(info.text("tokencached_version"))   up \(uptime)   clients \(info.text("connected_clients")) of "
                + "\(info.text("maxclients"))   \(String(Layout.localTime(Layout.now).suffix(8)))   q quits")
        lines += nodes.map { Self.clip($0.text, width, $0.isGood ? nil : Colour.red, colours) }
        if let fault = info["upstream_last_fault"], (info.number("upstream_last_fault_seconds_ago") ?? .max) < 300 {
            let remedy = info["upstream_last_fault_remedy"].map { ": \($0)" } ?? ""
            let text = "! \(info.text("upstream_last_fault_seconds_ago")) s ago: \(Layout.printable(fault + remedy))"
            lines.append(Self.clip(text, width, Colour.yellow, colours))
        }
        lines.append("")
        let cells = Self.rates.map {
            "\(Layout.padded($0.title, to: 10)) \(Self.padded(Self.short(rate($0.field)), 8))/s"
        }
        let across = max(1, min(4, (width + 3) / 24))
        for start in stride(from: 0, to: cells.count, by: across) {
            lines.append(cells[start..<min(start + across, cells.count)].joined(separator: "   "))
        }
        lines.append(
            "near cache  \(hitText) hits, \(info.text("near_cache_entries")) sessions, "
                + (info["near_cache_armed"] == "1" ? "armed" : "not armed")
                + (info["near_cache_fault"].map { ": \(Layout.printable($0))" } ?? ""))
        lines.append("")
        lines.append(Self.row("command", ["calls/s", "p50 us", "p99 us", "p99.9 us", "failed"]))
        lines += commands.map {
            Self.row($0.name, [Self.short($0.rate), "\($0.p50)", "\($0.p99)", "\($0.p999)", "\($0.failed)"])
        }
        // What has a colour is clipped already.
        return lines.map { $0.contains("\u{1b}") ? $0 : Self.clip($0, width, nil, false) }
    }

    private var nodes: [(text: String, isGood: Bool)] {
        let rows = info.rows("upstream_node_")
        guard !rows.isEmpty else {
            let isGood = info["upstream_state"] == "ready"
            return [("redis  \(info.text("upstream_endpoint"))  \(info.text("upstream_state"))", isGood)]
        }
        return rows.map { node in
            let parts = [
                node["endpoint"], node["state"], node["slots"].map { "slots \($0)" },
                node["proof_age_ms"].map { "proved \($0) ms ago" }, node["fault"],
            ]
            return (
                "redis  " + parts.compactMap { $0 }.joined(separator: "  "),
                node["state"] == "ready" && node["fault"] == nil
            )
        }
    }

    private struct CommandRow {
        let name: String
        let rate: Double
        let p50, p99, p999, failed: Int64
    }

    /// Those that were called meanwhile, the slowest first.
    private var commands: [CommandRow] {
        let called = info.labelled("cmdstat_")
        let earlier = Dictionary(before.info.labelled("cmdstat_").map { ($0.label, $0.row) }) { first, _ in first }
        let latencies = Dictionary(info.labelled("latency_percentiles_usec_").map { ($0.label, $0.row) }) { first, _ in
            first
        }
        let number = { (row: [String: String]?, name: String) in row?[name].flatMap { Int64($0) } ?? 0 }
        return called.compactMap { name, row in
            let calls = number(row, "calls") - number(earlier[name], "calls")
            guard calls > 0, let latency = latencies[name] else { return nil }
            return CommandRow(
                name: name, rate: Double(calls) / seconds, p50: number(latency, "p50"), p99: number(latency, "p99"),
                p999: number(latency, "p99.9"),
                failed: number(row, "failed_calls") - number(earlier[name], "failed_calls"))
        }.sorted { ($0.p99, $0.rate) > ($1.p99, $1.rate) }
    }

    private static func row(_ name: String, _ cells: [String]) -> String {
        Layout.padded(name, to: 22) + cells.map { padded($0, 11) }.joined()
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func clip(_ text: String, _ width: Int, _ colour: Colour?, _ colours: Bool) -> String {
        let clipped = text.count > width ? String(text.prefix(max(0, width - 1))) + "…" : text
        return colour?.paint(clipped, isWanted: colours) ?? clipped
    }

    /// `12.3k`
    private static func short(_ number: Double) -> String {
        for (size, letter) in [(1e9, "G"), (1e6, "M"), (1e4, "k")] where number >= size {
            let tenths = Int((number / (letter == "k" ? 1e3 : size) * 10).rounded())
            return "\(tenths / 10).\(tenths % 10)\(letter)"
        }
        let tenths = Int((number * 10).rounded())
        return number >= 100 || tenths % 10 == 0 ? "\(Int(number.rounded()))" : "\(tenths / 10).\(tenths % 10)"
    }
}

/// The terminal while a page is on it: what was there before comes back.
final class Screen {
    private var before = termios()
    private let hasKeys: Bool

    init() {
        hasKeys = tcgetattr(STDIN_FILENO, &before) == 0
        if hasKeys {
            var raw = before
            // Ctrl-C is a key like q.
            raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
            tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        }
        // The other screen, without a cursor.
        Self.write("\u{1b}[?1049h\u{1b}[?25l")
        for number in Self.endings { signal(number) { Screen.ending = $0 } }
    }

    /// Signals that end the program, once the terminal is as it was.
    private static let endings = [SIGINT, SIGTERM, SIGHUP]
    /// The one that came; 0: none did. Written by the signal's handler, read between two waits.
    nonisolated(unsafe) private static var ending: Int32 = 0

    func leave() {
        Self.write("\u{1b}[?25h\u{1b}[?1049l")
        if hasKeys { tcsetattr(STDIN_FILENO, TCSANOW, &before) }
        for number in Self.endings { signal(number, SIG_DFL) }
        if Self.ending != 0 { raise(Self.ending) }
    }

    func show(_ lines: [String]) throws {
        // From the top, each line to its end cleared, and what is below.
        Self.write("\u{1b}[H" + lines.map { $0 + "\u{1b}[K" }.joined(separator: "\r\n") + "\u{1b}[J")
    }

    /// Columns and rows; 80 × 24 where the terminal does not say.
    static var size: (columns: Int, rows: Int) {
        // `struct winsize`: rows, columns, and both in pixels.
        var size: (rows: UInt16, columns: UInt16, UInt16, UInt16) = (0, 0, 0, 0)
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.rows > 0, size.columns > 0 else {
            return (80, 24)
        }
        return (Int(size.columns), Int(size.rows))
    }

    /// Waits, and is told by a key that it is enough.
    func waitForQuit(_ duration: Duration) -> Bool {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end {
            if Self.ending != 0 { return true }
            let left = ContinuousClock.now.duration(to: end).components
            let milliseconds = left.seconds * 1_000 + left.attoseconds / 1_000_000_000_000_000
            // Without keys it only waits.
            var entry = pollfd(fd: hasKeys ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, Int32(clamping: milliseconds + 1)) > 0 else { continue }
            var key: UInt8 = 0
            // The end of the input is the end of the wish to look.
            guard read(STDIN_FILENO, &key, 1) == 1 else { return true }
            // q, Ctrl-C, Ctrl-D, Escape.
            if [UInt8(ascii: "q"), UInt8(ascii: "Q"), 3, 4, 27].contains(key) { return true }
        }
        return false
    }

    static func pause(_ duration: Duration) {
        let parts = duration.components
        var left = timespec(tv_sec: Int(parts.seconds), tv_nsec: Int(parts.attoseconds / 1_000_000_000))
        var rest = timespec()
        while nanosleep(&left, &rest) != 0, errno == EINTR { left = rest }
    }

    private static func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { return }
            rest = rest.dropFirst(max(0, count))
        }
    }
}
