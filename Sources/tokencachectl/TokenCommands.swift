import ArgumentParser
import TokenCacheClient

/// `issue`: a new session.
struct Issue: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a session and print its fields, the token among them.",
        discussion:
            "Whoever has the token is the visitor. Data given as arguments are visible to every user of the host.")

    @Option(help: "Whose session it is, at most 256 bytes (default: nobody's).")
    var subject: String?

    @Option(help: ArgumentHelp("Idle limit, for example 30m.", valueName: "duration"))
    var idle: DurationArgument?

    @Option(help: ArgumentHelp("Absolute limit, for example 12h.", valueName: "duration"))
    var absolute: DurationArgument?

    @Option(help: ArgumentHelp("A data field, as name=value; may be given several times.", valueName: "name=value"))
    var data: [String] = []

    @OptionGroup var global: GlobalOptions

    func run() throws {
        var arguments = ["TOKEN.ISSUE"]
        if let subject { arguments += ["SUBJECT", subject] }
        if let idle { arguments += ["IDLE", idle.text] }
        if let absolute { arguments += ["ABSOLUTE", absolute.text] }
        if !data.isEmpty { arguments.append("DATA") }
        for pair in data {
            guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
                throw Failure(status: .usage, message: "--data takes name=value, for example --data language=fr")
            }
            arguments += [String(pair[..<equals]), String(pair[pair.index(after: equals)...])]
        }
        let fields = try global.callForFields(arguments.map(\.bytes))
        if Terminal.isErrorATerminal, fields["sessiontoken"] != nil {
            Terminal.complain("The sessiontoken below is a secret: whoever has it is this visitor.")
        }
        try SessionPage(fields: fields).show(asJSON: global.json)
    }
}

/// `validate`: an access with a token, as a page would make it.
struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read a token from standard input and ask whether it is accepted.",
        discussion: """
            This is an access: it renews the idle limit and may rotate the token. Use inspect to look without touching.
            """)

    @Flag(name: .long, help: "Read the token from standard input; it is read from there in any case.")
    var tokenStdin = false

    @Argument(help: ArgumentHelp("The same, as a dash.", valueName: "-"))
    var dash: Dash?

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let token = try SecretInput.token()
        let fields = try global.callForFields(["TOKEN.VALIDATE".bytes, token.revealedBytes])
        try SessionPage.check(fields, answers: token, socketPath: global.socketPath)
        try SessionPage(fields: fields).show(asJSON: global.json)
    }
}

/// `inspect`: look at a session without touching it.
struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a session without renewing or rotating anything, by SID or by a token on standard input.",
        usage: "tokencachectl inspect [<options>] (<sid> | - | --token-stdin)")

    @OptionGroup var target: SessionChoice
    @OptionGroup var global: GlobalOptions

    func run() throws {
        switch try target.resolve() {
        case .sid(let sid):
            let fields = try global.callForFields(["TOKEN.INSPECT", "SID", sid.text].map(\.bytes))
            try SessionPage(fields: fields).show(asJSON: global.json)
        case .token(let token):
            let fields = try global.callForFields(["TOKEN.INSPECT".bytes, token.revealedBytes])
            try SessionPage.check(fields, answers: token, socketPath: global.socketPath)
            try SessionPage(fields: fields).show(asJSON: global.json)
        case nil:
            throw Failure(status: .usage, message: "which session? give its SID, or --token-stdin")
        }
    }
}

/// A lone `-`, which stands for standard input.
struct Dash: ExpressibleByArgument {
    init?(argument: String) {
        guard argument == "-" else { return nil }
    }
}

/// A session, named by its `sid` or by a token on standard input.
struct SessionChoice: ParsableArguments {
    enum Target {
        case sid(SessionID)
        case token(SessionToken)
    }

    @Argument(help: "The session's SID, 32 hex digits; - reads a token from standard input.")
    var sid: String?

    @Flag(name: .long, help: "Read a token from standard input.")
    var tokenStdin = false

    /// Whether neither was given.
    var isAbsent: Bool { sid == nil && !tokenStdin }

    /// What was given; reads standard input if it must.
    func resolve() throws -> Target? {
        switch (sid, tokenStdin) {
        case (nil, false): return nil
        case (nil, true), ("-", _): return .token(try SecretInput.token())
        case (let sid?, false): return .sid(try SessionID(argument: sid))
        case (.some, true):
            throw Failure(status: .usage, message: "give either a SID or --token-stdin, not both")
        }
    }
}
