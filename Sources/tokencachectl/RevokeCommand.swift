import ArgumentParser
import TokenCacheClient

/// `revoke`: end a session, all of a subject, or everyone's.
struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "End one session (by SID, or by a token on standard input), all sessions of a subject, or everyone's.",
        usage: """
            tokencachectl revoke [<options>] (<sid> | - | --token-stdin | --subject <subject> [--yes] | \
            --everything [--yes])
            """,
        discussion: "Exit status 0 if something was ended, 1 if there was nothing to end. Repeating it does no harm.")

    @OptionGroup var target: SessionChoice

    @Option(help: "End every session of this subject.")
    var subject: String?

    @Flag(help: "Log everyone out: end every session and every guest that was made until now, on all daemons.")
    var everything = false

    @Flag(help: "Do not ask for confirmation.")
    var yes = false

    @OptionGroup var global: GlobalOptions

    func run() throws {
        guard [subject != nil, everything, !target.isAbsent].count(where: { $0 }) <= 1 else {
            throw Failure(status: .usage, message: "give one of SID, --token-stdin, --subject and --everything")
        }
        let arguments: [[UInt8]]
        if everything { return try revokeEveryone() }
        if let subject {
            guard !subject.isEmpty else {
                throw Failure(status: .usage, message: "--subject must not be empty")
            }
            try confirm("End every session of \"\(Layout.printable(subject))\"?")
            arguments = ["TOKEN.REVOKEALL", subject].map(\.bytes)
        } else {
            switch try target.resolve() {
            case .sid(let sid): arguments = ["TOKEN.REVOKE", "SID", sid.text].map(\.bytes)
            case .token(let token): arguments = ["TOKEN.REVOKE".bytes, token.revealedBytes]
            case nil:
                throw Failure(status: .usage, message: "which? give a SID, --token-stdin, --subject or --everything")
            }
        }
        let fields = try global.callForFields(arguments)
        let count = fields["count"]?.number ?? 1
        try SessionPage(fields: fields).show(
            asJSON: global.json, isAccepted: fields.status == "revoked" && count != 0)
    }

    /// A million sessions take a while: a line says how far it is.
    private func revokeEveryone() throws {
        try confirm(
            "Log everyone out? Every session and every guest of all sites that share this Redis and prefix ends.")
        let progress = Terminal.isErrorATerminal ? EndingProgress(global) : nil
        defer { progress?.stop() }
        let fields = try global.callForFields(["TOKEN.REVOKEEVERYONE".bytes], patience: .seconds(86_400))
        progress?.stop()
        try SessionPage(fields: fields).show(asJSON: global.json, isAccepted: fields.status == "revoked")
    }

    /// One mistyped subject logs a person out everywhere: people are asked, programs are not.
    private func confirm(_ question: String) throws {
        guard !yes, Terminal.isInputATerminal else { return }
        guard SecretInput.confirms(question) else {
            throw Failure(status: .notAccepted, message: "nothing was done")
        }
    }
}
