internal import Logging
internal import TokenCrypto
internal import UnixTime

/// `log.format`.
public enum LogFormat: String, Sendable, Equatable, CaseIterable {
    /// For people: words and `key=value`.
    case text
    /// For programs: an object a line.
    case json
}

/// Builds one line of the log as a JSON object: `time`, `level`, `message`, then the metadata in the order of their keys,
/// every value a string. Whole JSON whatever it holds, and no longer than a line of text.
enum JSONLogLine {
    /// Bytes of one value in its escaped form; a longer one ends in `…`.
    static let maxValueBytes = 1024
    /// What stands at the end where metadata were left out for their length.
    private static let cutMark = ",\"cut\":\"true\"}"

    static func text(
        style: LogStyle, level: Logger.Level, message: String, metadata: Logger.Metadata, time: UnixMilliseconds
    ) -> String {
        var line = style == .journal ? "<\(LogLine.priority(level))>" : ""
        line += "{\"time\":\"\(time.timestamp)\",\"level\":\"\(level.rawValue)\",\"message\":"
        line += quoted(message)
        var isCut = false
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let name = ["time", "level", "message", "cut"].contains(key) ? "_\(key)" : key
            let field = ",\(quoted(name)):\(quoted(value.description))"
            if line.utf8.count + field.utf8.count + cutMark.utf8.count < LogLine.maxBytes {
                line += field
            } else {
                isCut = true
            }
        }
        return line + (isCut ? cutMark : "}") + "\n"
    }

    private static func quoted(_ text: String) -> String { jsonString(text, maxBytes: maxValueBytes) }
}
