import ArgumentParser
import TokenCacheClient

/// `info`: everything the daemon says about itself.
struct InfoPage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Print INFO as it is, or as a nested JSON object.")

    @Argument(help: "One section, for example server, upstream or tokens (default: those the daemon chooses).")
    var section: String?

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let text = try global.infoText(section: section)
        if let section, text.isEmpty { throw try unknown(section) }
        guard !global.json else { return try Terminal.print(Info(parsing: text).json.text) }
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        try Terminal.print(lines.map { Layout.printable(String($0)) }.joined(separator: "\n"))
    }

    /// The daemon says nothing, as Redis does, about a section that it does not have.
    private func unknown(_ section: String) throws -> Failure {
        let names = try global.info(section: "all").sections.map { $0.name.lowercased() }
        return Failure(
            status: .usage,
            message: "the daemon's INFO has no section \(Layout.printable(section)); there are: "
                + "\(names.joined(separator: ", ")), all")
    }
}
