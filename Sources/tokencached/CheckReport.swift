internal import Foundation
internal import TokenCacheServer

/// What `--check-config --json` says, one object.
struct CheckReport: Encodable {
    struct Problem: Encodable {
        var key: String?
        /// File and line, variable or flag.
        var origin: String?
        var message: String
    }

    var valid: Bool { problems.isEmpty }
    var problems: [Problem] = []
    var warnings: [String] = []
    /// What was looked at.
    var sources: String

    init(sources: String) { self.sources = sources }

    mutating func add(_ problem: SettingsProblem) {
        problems.append(Problem(key: problem.key, origin: problem.origin, message: problem.message))
    }

    private enum Field: String, CodingKey { case valid, problems, warnings, sources }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Field.self)
        try container.encode(valid, forKey: .valid)
        try container.encode(problems, forKey: .problems)
        try container.encode(warnings, forKey: .warnings)
        try container.encode(sources, forKey: .sources)
    }

    /// To standard output.
    func write() {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let line = try? encoder.encode(self) else { return }
        FileHandle.standardOutput.write(line + Data("\n".utf8))
    }
}
