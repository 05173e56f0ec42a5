internal import TokenCacheServer
internal import TokenCrypto

/// What `--check-config --json` says, one object.
struct CheckReport {
    private var problems: [String] = []
    private let sources: String
    var warnings: [String] = []

    /// - Parameter sources: what was looked at.
    init(sources: String) { self.sources = sources }

    var isValid: Bool { problems.isEmpty }

    mutating func add(_ problem: SettingsProblem) {
        add(key: problem.key, message: problem.message, origin: problem.origin)
    }

    /// - Parameter origin: file and line, variable or flag.
    mutating func add(key: String? = nil, message: String, origin: String? = nil) {
        let members = [("key", key), ("message", message), ("origin", origin)].compactMap { name, text in
            text.map { "\"\(name)\":\(jsonString($0))" }
        }
        problems.append("{\(members.joined(separator: ","))}")
    }

    /// One line.
    var text: String {
        let warnings = warnings.map { jsonString($0) }
        return "{\"problems\":[\(problems.joined(separator: ","))],\"sources\":\(jsonString(sources)),"
            + "\"valid\":\(isValid),\"warnings\":[\(warnings.joined(separator: ","))]}"
    }
}
