import Glibc

/// How values look to people: aligned, with readable times, and without anything a terminal would obey.
enum Layout {
    /// What stands where the daemon says nothing.
    static let absent = "-"

    /// Control characters and text-direction overrides replaced: subjects and data come from strangers.
    static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    switch scalar.value {
                    case 0...0x1f, 0x7f...0x9f, 0x202a...0x202e, 0x2066...0x2069: "\u{fffd}"
                    default: scalar
                    }
                }))
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
    static func duration(seconds: Int64) -> String {
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

    /// A Unix time in the local time zone: `2026-01-31 14:03:22`.
    static func localTime(_ seconds: Int64) -> String {
        var time = time_t(clamping: seconds)
        var parts = tm()
        guard localtime_r(&time, &parts) != nil else { return "\(seconds)" }
        var buffer = [CChar](repeating: 0, count: 64)
        let length = strftime(&buffer, buffer.count, "%Y-%m-%d %H:%M:%S", &parts)
        return String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A time that has passed: `2026-01-31 14:03:22 (5m ago)`.
    static func past(_ time: Int64, now: Int64) -> String {
        let (age, isAbsurd) = now.subtractingReportingOverflow(time)
        return isAbsurd || age < 0 ? localTime(time) : "\(localTime(time)) (\(duration(seconds: age)) ago)"
    }

    /// A time to come: `2026-01-31 16:02:11 (in 1h 59m)`.
    static func future(in seconds: Int64, now: Int64) -> String {
        let (time, isAbsurd) = now.addingReportingOverflow(seconds)
        return isAbsurd ? "in \(duration(seconds: seconds))" : "\(localTime(time)) (in \(duration(seconds: seconds)))"
    }

    /// This host's clock, in Unix seconds.
    static var now: Int64 { Int64(time(nil)) }
}
