/// What tokencachectl tells a script. `--help` and the man page print this table.
enum ExitStatus: Int32, CaseIterable {
    case accepted = 0
    case notAccepted = 1
    case usage = 2
    case noAnswer = 3
    case notPermitted = 4
    case other = 5
    case badConfiguration = 78

    /// One line of the table.
    var meaning: String {
        switch self {
        case .accepted: "done, or the token is accepted"
        case .notAccepted: "not accepted, nothing found, interrupted, or doctor found a failure"
        case .usage: "the command line is wrong"
        case .noAnswer: "no connection, no answer in time, UNAVAILABLE, OVERLOADED"
        case .notPermitted: "NOPERM: the role of this user does not allow it"
        case .other: "any other error of the daemon, a broken reply or output, or migrate refuses to go on"
        case .badConfiguration: "config check, reload, keyring, migrate: the configuration or the key ring is not valid"
        }
    }

    /// The table as text.
    static var table: String {
        let lines = allCases.map { status in
            "  \(Layout.padded("\(status.rawValue)", to: 4))\(status.meaning)"
        }
        return "EXIT STATUS:\n" + lines.joined(separator: "\n")
    }
}

/// The program ends with this status; everything that was to be said has been said.
struct Outcome: Error {
    let status: ExitStatus
}

/// The program ends with this status and one line on standard error: what was wrong, what is allowed, what to do.
struct Failure: Error {
    let status: ExitStatus
    let message: String
}
