import Glibc
import Host
import UnixTime

/// How values look to people: aligned, with readable times, and without anything a terminal would obey.
enum Layout {
    /// What stands where the daemon says nothing.
    static let absent = "-"

    /// What a terminal may obey is replaced: subjects and data come from strangers.
    static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.isTerminalControl ? "\u{fffd}" : $0 }))
    }

    /// Filled with spaces up to `width` characters.
    static func padded(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// `label  text` lines, the texts under each other.
    static func page(_ rows: [(label: String, text: String)]) -> String {
        let width = rows.map(\.label.count).max() ?? 0
        return rows.map { "\(padded($0.label, to: width))  \($0.text)" }.joined(separator: "\n")
    }

    /// A table with a heading.
    static func table(heading: [String], rows: [[String]]) -> String {
        let lines = [heading] + rows
        let widths = heading.indices.map { column in
            lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return lines.map { line in
            var text = ""
            for (column, cell) in line.enumerated() {
                let isLast = column == line.count - 1
                text += isLast ? cell : padded(cell, to: column < widths.count ? widths[column] : 0) + "  "
            }
            return text
        }.joined(separator: "\n")
    }

    /// The two largest units: `1h 59m`, `3d 4h`, `45s`.
    static func duration(seconds: Seconds) -> String {
        guard seconds > 0 else { return "0s" }
        let units: [(name: String, seconds: Int64)] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)]
        guard let first = units.firstIndex(where: { seconds >= $0.seconds }) else { return "0s" }
        var text = "\(seconds / units[first].seconds)\(units[first].name)"
        let next = first + 1
        if next < units.count {
            let rest = seconds % units[first].seconds / units[next].seconds
            if rest > 0 { text += " \(rest)\(units[next].name)" }
        }
        return text
    }

    /// In the local time zone: `2026-01-31 14:03:22`.
    static func localTime(_ time: UnixSeconds) -> String {
        var seconds = time_t(time.sinceEpoch)
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return "\(time)" }
        var buffer = [CChar](repeating: 0, count: 64)
        let length = strftime(&buffer, buffer.count, "%Y-%m-%d %H:%M:%S", &parts)
        return String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A time that has passed: `2026-01-31 14:03:22 (5m ago)`.
    static func past(_ time: UnixSeconds, now: UnixSeconds) -> String {
        let age = now - time
        return age < 0 || age == .max ? localTime(time) : "\(localTime(time)) (\(duration(seconds: age)) ago)"
    }

    /// A time to come: `2026-01-31 16:02:11 (in 1h 59m)`.
    static func future(in seconds: Seconds, now: UnixSeconds) -> String {
        let time = now + seconds
        let wait = "in \(duration(seconds: seconds))"
        return time == .latest ? wait : "\(localTime(time)) (\(wait))"
    }

    /// This moment by this host's clock.
    static var now: UnixSeconds { UnixSeconds(Int64(time(nil))) }
}
