import ArgumentParser
import TokenCacheClient

/// `guest`: visitors of whom nothing is stored.
struct GuestCommand: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "guest", abstract: "Make a guest, to try by hand what a visitor without a session gets.",
        discussion: "validate, inspect and csrf take a guest's token as they take a session's.",
        subcommands: [IssueGuest.self])
}

/// What a call says of its client, for daemons that bind tokens to it.
struct SignalOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The client's address.", valueName: "address"))
    var ip: String?

    @Option(name: .customLong("ua"), help: ArgumentHelp("The browser's name.", valueName: "text"))
    var userAgent: String?

    var words: [String] {
        (ip.map { ["BIND", "ip", $0] } ?? []) + (userAgent.map { ["BIND", "ua", $0] } ?? [])
    }
}

/// `guest issue`: a new guest.
struct IssueGuest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue", abstract: "Make a guest and print its fields, the token among them. Nothing is stored.")

    @Option(help: ArgumentHelp("How long the token is good, for example 24h.", valueName: "duration"))
    var lifetime: DurationArgument?

    @OptionGroup var signals: SignalOptions
    @OptionGroup var global: GlobalOptions

    func run() throws {
        let arguments = ["GUEST.ISSUE"] + (lifetime.map { ["LIFETIME", $0.text] } ?? []) + signals.words
        let fields = try global.callForFields(arguments.map(\.bytes))
        if Terminal.isErrorATerminal, fields["sessiontoken"] != nil {
            Terminal.complain("The sessiontoken below is a secret: whoever has it is this visitor.")
        }
        try SessionPage(fields: fields).show(asJSON: global.json)
    }
}
