/// One check of `doctor`: what was looked at, what it came to, what to do.
struct Finding: Equatable {
    enum Level: String {
        case ok
        case warn
        case fail

        var colour: Colour {
            switch self {
            case .ok: .green
            case .warn: .yellow
            case .fail: .red
            }
        }
    }

    let check: String
    let level: Level
    let detail: String
    /// What to do, empty if there is nothing to do.
    let remedy: String

    static func ok(_ check: String, _ detail: String) -> Finding {
        Finding(check: check, level: .ok, detail: detail, remedy: "")
    }

    static func warn(_ check: String, _ detail: String, remedy: String) -> Finding {
        Finding(check: check, level: .warn, detail: detail, remedy: remedy)
    }

    static func fail(_ check: String, _ detail: String, remedy: String) -> Finding {
        Finding(check: check, level: .fail, detail: detail, remedy: remedy)
    }

    var json: JSONText {
        .object([
            ("check", .string(check)), ("result", .string(level.rawValue)), ("detail", .string(detail)),
            ("remedy", .string(remedy)),
        ])
    }

    /// One line a finding, and one more for what to do.
    static func page(_ findings: [Finding], colours: Bool) -> String {
        let width = findings.map(\.check.count).max() ?? 0
        return findings.map { finding in
            let word = finding.level.colour.paint(Layout.padded(finding.level.rawValue, to: 4), isWanted: colours)
            let line = "\(word)  \(Layout.padded(finding.check, to: width))  \(finding.detail)"
            let indent = String(repeating: " ", count: 6 + width + 2)
            return finding.remedy.isEmpty ? line : "\(line)\n\(indent)→ \(finding.remedy)"
        }.joined(separator: "\n")
    }
}
