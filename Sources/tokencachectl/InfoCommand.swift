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
        guard !global.json else {
            return try Terminal.print(try global.info(section: section).json.text)
        }
        let arguments = ["INFO"] + (section.map { [$0] } ?? [])
        guard let text = try global.call(arguments.map(\.bytes)).string else {
            throw Failure(.protocolViolation, socketPath: global.socketPath)
        }
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        try Terminal.print(lines.map { Layout.printable(String($0)) }.joined(separator: "\n"))
    }
}
