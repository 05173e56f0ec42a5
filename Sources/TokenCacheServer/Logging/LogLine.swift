internal import Host
internal import Logging
internal import UnixTime

/// How a line looks.
public enum LogStyle: Sendable, Equatable {
    /// For the journal, which adds the time itself: `<6>message key=value`, the priority as in sd-daemon(3).
    case journal
    /// For people: `2026-11-21T10:00:00.123Z info  message key=value`.
    case readable
}

/// Builds one line of the log: a message and logfmt pairs, on one line whatever they hold.
enum LogLine {
    /// Bytes of a line, its newline included: what a pipe takes in one piece (PIPE_BUF).
    static let maxBytes = 4096

    /// The line for one event, ending in its only newline. `metadata` is printed in the order of its keys.
    static func text(
        style: LogStyle, level: Logger.Level, message: String, metadata: Logger.Metadata,
        time: @autoclosure () -> UnixMilliseconds
    ) -> String {
        var line: String
        switch style {
        case .journal:
            line = "<\(priority(level))>"
        case .readable:
            let name = level.rawValue
            line = "\(time().timestamp) \(name)\(String(repeating: " ", count: max(0, 5 - name.utf8.count))) "
        }
        PrintableText.append(message, to: &line)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            appendPair(key, value, to: &line)
        }
        return cut(line) + "\n"
    }

    /// The syslog priority, the number in sd-daemon(3).
    static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    private static func appendPair(_ key: String, _ value: Logger.MetadataValue, to line: inout String) {
        line += " "
        for scalar in key.unicodeScalars {
            line.unicodeScalars.append(isKeyScalar(scalar) ? scalar : "_")
        }
        line += "="
        let text = value.description
        let needsQuotes =
            text.isEmpty
            || text.unicodeScalars.contains {
                $0 == " " || $0 == "\"" || $0 == "=" || $0 == "\\" || $0.isTerminalControl
                    || $0.properties.isWhitespace
            }
        if needsQuotes { line += "\"" }
        PrintableText.append(text, quoted: needsQuotes, to: &line)
        if needsQuotes { line += "\"" }
    }

    private static func isKeyScalar(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_", "-", ".": true
        default: false
        }
    }

    /// At most ``maxBytes`` with the newline to come; a line that was cut ends in `…`.
    private static func cut(_ line: String) -> String {
        guard line.utf8.count >= maxBytes else { return line }
        let mark = "…"
        var end = line.utf8.index(line.startIndex, offsetBy: maxBytes - 1 - mark.utf8.count)
        while end > line.startIndex, end.samePosition(in: line.unicodeScalars) == nil {
            end = line.utf8.index(before: end)
        }
        return String(line[..<end]) + mark
    }
}
