import ArgumentParser
import TokenCacheClient

/// `csrf`: the secrets of forms.
struct CSRFCommand: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "csrf", abstract: "Make or check the CSRF token of a form, to try by hand.",
        subcommands: [IssueCSRF.self, VerifyCSRF.self])
}

/// The name of a form.
struct FormOption: ParsableArguments {
    @Option(help: ArgumentHelp("The form's name (default: a form without a name).", valueName: "name"))
    var form: String?

    var words: [String] { form.map { ["FORM", $0] } ?? [] }
}

/// `csrf issue`: a token for a form of the visitor.
struct IssueCSRF: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue",
        abstract: "Read a visitor's token from standard input and print a CSRF token for a form of theirs.")

    @OptionGroup var form: FormOption
    @OptionGroup var signals: SignalOptions
    @OptionGroup var global: GlobalOptions

    func run() throws {
        let holder = try SecretInput.token()
        try FormPage.show(
            global.callForFields(
                ["CSRF.ISSUE".bytes, holder.revealedBytes] + (form.words + signals.words).map(\.bytes)),
            asJSON: global.json)
    }
}

/// `csrf verify`: was this form given to this visitor?
struct VerifyCSRF: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read a visitor's token and a CSRF token, a line each, from standard input and check the form.")

    @Option(help: ArgumentHelp("The browser's Sec-Fetch-Site header.", valueName: "value"))
    var site: String?

    @OptionGroup var form: FormOption
    @OptionGroup var signals: SignalOptions
    @OptionGroup var global: GlobalOptions

    func run() throws {
        let holder = try SecretInput.token()
        let csrf = try SecretInput.token("CSRF token")
        let options = form.words + (site.map { ["FETCH-SITE", $0] } ?? []) + signals.words
        try FormPage.show(
            global.callForFields(
                ["CSRF.VERIFY".bytes, holder.revealedBytes, csrf.revealedBytes] + options.map(\.bytes)),
            asJSON: global.json)
    }
}

/// `captcha`: questions that a visitor answers once.
struct CaptchaCommand: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "captcha", abstract: "Make, open or answer a captcha, to try by hand.",
        subcommands: [IssueCaptcha.self, OpenCaptcha.self, VerifyCaptcha.self])
}

/// Whether the captcha is one visitor's.
struct HolderOption: ParsableArguments {
    @Flag(help: "Only for the visitor whose token is the last line of standard input.")
    var forTokenStdin = false

    func words() throws -> [[UInt8]] {
        forTokenStdin ? ["FOR".bytes, try SecretInput.token().revealedBytes] : []
    }
}

/// `captcha issue`: a new captcha.
struct IssueCaptcha: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue", abstract: "Make a captcha and print it with its solution. Nothing is stored.")

    @Option(help: ArgumentHelp("Characters of the solution (default: the daemon's).", valueName: "n"))
    var length: Int?

    @Option(help: ArgumentHelp("How long it is good, for example 10m.", valueName: "duration"))
    var lifetime: DurationArgument?

    @OptionGroup var form: FormOption
    @OptionGroup var holder: HolderOption
    @OptionGroup var signals: SignalOptions
    @OptionGroup var global: GlobalOptions

    func run() throws {
        let options =
            (length.map { ["LENGTH", "\($0)"] } ?? []) + form.words + (lifetime.map { ["LIFETIME", $0.text] } ?? [])
            + signals.words
        try FormPage.show(
            global.callForFields(["CAPTCHA.ISSUE".bytes] + options.map(\.bytes) + holder.words()), asJSON: global.json)
    }
}

/// `captcha open`: what its picture must show.
struct OpenCaptcha: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "open", abstract: "Read a captcha from standard input and print its solution. Spends nothing.")

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let captcha = try SecretInput.token("Captcha")
        try FormPage.show(
            global.callForFields(["CAPTCHA.OPEN".bytes, captcha.revealedBytes]), asJSON: global.json)
    }
}

/// `captcha verify`: is the answer right?
struct VerifyCaptcha: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read a captcha and an answer, a line each, from standard input and check the answer.",
        discussion: "The first answer spends the captcha, right or wrong.")

    @OptionGroup var form: FormOption
    @OptionGroup var holder: HolderOption
    @OptionGroup var signals: SignalOptions
    @OptionGroup var global: GlobalOptions

    func run() throws {
        let captcha = try SecretInput.token("Captcha")
        let answer = try SecretInput.line("Answer")
        let options = (form.words + signals.words).map(\.bytes)
        try FormPage.show(
            global.callForFields(
                ["CAPTCHA.VERIFY".bytes, captcha.revealedBytes, answer] + options + holder.words()),
            asJSON: global.json)
    }
}

/// A reply about a form or a captcha.
enum FormPage {
    /// What ends with 0.
    private static let good = ["issued", "passed"]

    /// Prints the reply, then ends with 1 if it is not a good one.
    static func show(_ fields: ReplyFields, asJSON json: Bool) throws {
        let isGood = fields.status.map(good.contains) ?? false
        try SessionPage(fields: fields).show(asJSON: json, isAccepted: isGood)
    }
}
