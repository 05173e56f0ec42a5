import ArgumentParser
import TokenCacheClient

/// `revoke`: end a session, or all of a subject.
struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End one session (by SID, or by a token on standard input) or all sessions of a subject.",
        usage: "tokencachectl revoke [<options>] (<sid> | - | --token-stdin | --subject <subject> [--yes])",
        discussion: "Exit status 0 if something was ended, 1 if there was nothing to end. Repeating it does no harm.")

    @OptionGroup var target: SessionChoice

    @Option(help: "End every session of this subject.")
    var subject: String?

    @Flag(help: "Do not ask for confirmation.")
    var yes = false

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let arguments: [[UInt8]]
        if let subject {
            guard target.isAbsent else {
                throw Failure(status: .usage, message: "give one of SID, --token-stdin and --subject")
            }
            guard !subject.isEmpty else {
                throw Failure(status: .usage, message: "--subject must not be empty")
            }
            try confirm(subject)
            arguments = ["TOKEN.REVOKEALL", subject].map(\.bytes)
        } else {
            switch try target.resolve() {
            case .sid(let sid): arguments = ["TOKEN.REVOKE", "SID", sid.text].map(\.bytes)
            case .token(let token): arguments = ["TOKEN.REVOKE".bytes, token.revealedBytes]
            case nil: throw Failure(status: .usage, message: "which? give a SID, --token-stdin or --subject")
            }
        }
        let fields = try global.callForFields(arguments)
        let count = fields["count"]?.number ?? 1
        try SessionPage(fields: fields).show(
            asJSON: global.json, isAccepted: fields.status == "revoked" && count != 0)
    }

    /// One mistyped subject logs a person out everywhere: people are asked, programs are not.
    private func confirm(_ subject: String) throws {
        guard !yes, Terminal.isInputATerminal else { return }
        guard SecretInput.confirms("End every session of \"\(Layout.printable(subject))\"?") else {
            throw Failure(status: .notAccepted, message: "nothing was done")
        }
    }
}
