extension CommandTable {
    /// One row a command, in the order of `Command`'s cases; hot ones first, because lookup goes through them in
    /// order. To add a command, add a case there and a row here.
    ///
    /// Everything in a row is a literal, so that the compiler lays the table out in the binary and reading it costs
    /// no check whether it was made yet.
    static let rows: [CommandSpec] = [
        CommandSpec(
            command: .tokenValidate, name: "TOKEN.VALIDATE", minimumArguments: 1, maximumArguments: nil,
            role: .validator, group: .session,
            summary: "Says whether a token is good; the access that renews, rotates and confirms",
            arguments: """
                token [BIND signal value]… [REQUIRE subject] [REQUIRE login-within duration] [CHECK csrf form] \
                [FETCH-SITE site] [FETCH-MODE mode] [CSRF form] [DATA field …]
                """,
            since: "0.1.0", complexity: "O(N) with N the fields asked for", flags: [.write, .fast]),
        CommandSpec(
            command: .tokenVisit, name: "TOKEN.VISIT", minimumArguments: 1, maximumArguments: nil,
            role: .worker, group: .session,
            summary: "Answers all that a page view asks about its visitor, in one round trip",
            arguments: """
                token [BIND signal value]… [CHECK csrf form] [FETCH-SITE site] [FETCH-MODE mode] [POST] \
                [CSRF form] [DATA field …]
                """,
            since: "0.1.0", complexity: "O(N) with N the fields asked for", flags: [.write, .stale, .fast]),
        CommandSpec(
            command: .tokenGet, name: "TOKEN.GET", minimumArguments: 1, maximumArguments: nil,
            role: .worker, group: .session,
            summary: "Reads fields of a session's data, all of them if none is named",
            arguments: "<token [BIND signal value]… | SID sid [SUBJECT subject]> [DATA field …]", since: "0.1.0",
            complexity: "O(N) with N the fields of the session", flags: [.readonly]),
        CommandSpec(
            command: .tokenSet, name: "TOKEN.SET", minimumArguments: 4, maximumArguments: nil,
            role: .worker, group: .session,
            summary: "Changes fields of a session's data; makes a guest's session",
            arguments: "<token [BIND signal value]… | SID sid [SUBJECT subject]> DATA field value …", since: "0.1.0",
            complexity: "O(N) with N the fields given", flags: [.write]),
        CommandSpec(
            command: .tokenIssue, name: "TOKEN.ISSUE", minimumArguments: 0, maximumArguments: nil,
            role: .worker, group: .session,
            summary: "Makes a session",
            arguments: """
                [SUBJECT subject] [IDLE duration] [ABSOLUTE duration] [COOKIE session|persistent] [AUTH-TIME time] \
                [BIND signal value]… [DATA field value …]
                """,
            since: "0.1.0", complexity: "O(N) with N the fields given", flags: [.write]),
        CommandSpec(
            command: .tokenLogin, name: "TOKEN.LOGIN", minimumArguments: 2, maximumArguments: nil,
            role: .worker, group: .session,
            summary: "Gives a visitor whose credentials were checked a session of its subject, with a new token",
            arguments: """
                token subject [IDLE duration] [ABSOLUTE duration] [COOKIE session|persistent] [AUTH-TIME time] \
                [BIND signal value]… [CSRF form] [DATA field value …]
                """,
            since: "0.1.0", complexity: "O(N) with N the fields given", flags: [.write]),
        CommandSpec(
            command: .tokenRotate, name: "TOKEN.ROTATE", minimumArguments: 1, maximumArguments: nil,
            role: .worker, group: .session,
            summary: "Gives a session a new token at once, after a change of privilege",
            arguments: "token [BIND signal value]… [CSRF form]", since: "0.1.0",
            complexity: "O(1)", flags: [.write]),
        CommandSpec(
            command: .tokenRevoke, name: "TOKEN.REVOKE", minimumArguments: 1, maximumArguments: nil,
            role: .worker, group: .session,
            summary: "Ends a session",
            arguments: "token [BIND signal value]… | SID sid [SUBJECT subject]", since: "0.1.0",
            complexity: "O(1)", flags: [.write]),
        CommandSpec(
            command: .tokenRevokeAll, name: "TOKEN.REVOKEALL", minimumArguments: 1, maximumArguments: nil,
            role: .worker, group: .session,
            summary: "Ends every session of a subject, or all but one",
            arguments: "subject [EXCEPT token [BIND signal value]…]", since: "0.1.0",
            complexity: "O(N) with N the sessions of the subject", flags: [.write]),
        CommandSpec(
            command: .tokenList, name: "TOKEN.LIST", minimumArguments: 1, maximumArguments: nil,
            role: .worker, group: .session,
            summary: "Lists the sessions of a subject, newest first",
            arguments: "subject [LIMIT count] [DATA field …]", since: "0.1.0",
            complexity: "O(N) with N the sessions of the subject", flags: [.readonly]),
        CommandSpec(
            command: .tokenInspect, name: "TOKEN.INSPECT", minimumArguments: 1, maximumArguments: nil,
            role: .validator, group: .session,
            summary: "Shows a session without renewing or rotating it",
            arguments: "token [BIND signal value]… | SID sid [SUBJECT subject]", since: "0.1.0",
            complexity: "O(1)", flags: [.readonly]),
        CommandSpec(
            command: .csrfVerify, name: "CSRF.VERIFY", minimumArguments: 2, maximumArguments: nil,
            role: .validator, group: .guest,
            summary: "Says whether a CSRF token was made for this holder and form",
            arguments: "token csrf [BIND signal value]… [FORM name] [FETCH-SITE site]", since: "0.1.0",
            complexity: "O(1)", flags: [.readonly, .stale, .fast]),
        CommandSpec(
            command: .csrfIssue, name: "CSRF.ISSUE", minimumArguments: 1, maximumArguments: nil,
            role: .worker, group: .guest,
            summary: "Makes a CSRF token for a holder and a form; stores nothing",
            arguments: "token [BIND signal value]… [FORM name]", since: "0.1.0",
            complexity: "O(1)", flags: [.readonly, .stale, .fast]),
        CommandSpec(
            command: .guestIssue, name: "GUEST.ISSUE", minimumArguments: 0, maximumArguments: nil,
            role: .worker, group: .guest,
            summary: "Makes a guest token; stores nothing",
            arguments: "[LIFETIME duration] [BIND signal value]…", since: "0.1.0",
            complexity: "O(1)", flags: [.readonly, .stale, .fast]),
        CommandSpec(
            command: .captchaVerify, name: "CAPTCHA.VERIFY", minimumArguments: 2, maximumArguments: nil,
            role: .worker, group: .guest,
            summary: "Compares an answer with a captcha's solution; the first attempt spends it",
            arguments: "captcha answer [FORM name] [FOR token] [BIND signal value]…", since: "0.1.0",
            complexity: "O(1)", flags: [.write, .fast]),
        CommandSpec(
            command: .captchaIssue, name: "CAPTCHA.ISSUE", minimumArguments: 0, maximumArguments: nil,
            role: .worker, group: .guest,
            summary: "Makes a captcha and its solution; stores nothing",
            arguments:
                "[SOLUTION text | LENGTH count] [FORM name] [FOR token] [LIFETIME duration] [BIND signal value]…",
            since: "0.1.0", complexity: "O(1)", flags: [.readonly, .stale, .fast]),
        CommandSpec(
            command: .captchaOpen, name: "CAPTCHA.OPEN", minimumArguments: 1, maximumArguments: 1,
            role: .worker, group: .guest,
            summary: "Shows a captcha's solution to the request that draws its picture; spends nothing",
            arguments: "captcha", since: "0.1.0", complexity: "O(1)", flags: [.readonly, .stale, .fast]),

        CommandSpec(
            command: .ping, name: "PING", minimumArguments: 0, maximumArguments: 1,
            role: .validator, group: .connection,
            summary: "Answers PONG, or the message", arguments: "[message]", since: "0.1.0",
            complexity: "O(1)", flags: [.loading, .stale, .fast]),
        CommandSpec(
            command: .echo, name: "ECHO", minimumArguments: 1, maximumArguments: 1,
            role: .validator, group: .connection,
            summary: "Answers the message", arguments: "message", since: "0.1.0",
            complexity: "O(1)", flags: [.loading, .stale, .fast]),
        CommandSpec(
            command: .hello, name: "HELLO", minimumArguments: 0, maximumArguments: nil,
            role: .validator, group: .connection,
            summary: "Chooses the protocol version and introduces the server",
            arguments: "[version] [AUTH username password] [SETNAME name]", since: "0.1.0",
            complexity: "O(1)", flags: [.noscript, .loading, .stale, .fast]),
        CommandSpec(
            command: .auth, name: "AUTH", minimumArguments: 1, maximumArguments: 2,
            role: .validator, group: .connection,
            summary: "Accepted and ignored: access goes by the peer's user and groups",
            arguments: "[username] password", since: "0.1.0",
            complexity: "O(1)", flags: [.noscript, .loading, .stale, .fast]),
        CommandSpec(
            command: .select, name: "SELECT", minimumArguments: 1, maximumArguments: 1,
            role: .validator, group: .connection,
            summary: "Accepts database 0, the only one", arguments: "index", since: "0.1.0",
            complexity: "O(1)", flags: [.loading, .stale, .fast]),
        CommandSpec(
            command: .quit, name: "QUIT", minimumArguments: 0, maximumArguments: nil,
            role: .validator, group: .connection,
            summary: "Closes the connection", arguments: "", since: "0.1.0",
            complexity: "O(1)", flags: [.noscript, .loading, .stale, .fast]),
        CommandSpec(
            command: .reset, name: "RESET", minimumArguments: 0, maximumArguments: 0,
            role: .validator, group: .connection,
            summary: "Puts the connection back to its beginnings", arguments: "", since: "0.1.0",
            complexity: "O(1)", flags: [.noscript, .loading, .stale, .fast]),
        CommandSpec(
            command: .client, name: "CLIENT", minimumArguments: 1, maximumArguments: nil,
            role: .validator, group: .connection,
            summary: "Names and shows connections; LIST and KILL are for admins",
            arguments: """
                ID | INFO | GETNAME | SETNAME name | SETINFO attribute value | LIST [ID id … | TYPE type] | \
                KILL <ID id | USER user>
                """,
            since: "0.1.0", complexity: "O(1), O(N) for LIST and KILL with N the connections",
            flags: [.noscript, .loading, .stale]),

        CommandSpec(
            command: .command, name: "COMMAND", minimumArguments: 0, maximumArguments: nil,
            role: .validator, group: .server,
            summary: "Describes the commands",
            arguments: "[COUNT | LIST [FILTERBY kind value] | INFO [name …] | DOCS [name …] | HELP]", since: "0.1.0",
            complexity: "O(N) with N the commands", flags: [.loading, .stale]),
        CommandSpec(
            command: .config, name: "CONFIG", minimumArguments: 1, maximumArguments: nil,
            role: .validator, group: .server,
            summary: "Shows the configuration, secrets left out", arguments: "GET pattern …", since: "0.1.0",
            complexity: "O(N) with N the configuration keys", flags: [.noscript, .loading, .stale]),
        CommandSpec(
            command: .info, name: "INFO", minimumArguments: 0, maximumArguments: nil,
            role: .validator, group: .server,
            summary: "Shows the state of the daemon and its counters", arguments: "[section …]", since: "0.1.0",
            complexity: "O(1)", flags: [.loading, .stale]),
        CommandSpec(
            command: .dbsize, name: "DBSIZE", minimumArguments: 0, maximumArguments: 0,
            role: .validator, group: .server,
            summary: "Counts the keys of the Redis database", arguments: "", since: "0.1.0",
            complexity: "O(1)", flags: [.readonly, .loading, .stale, .fast]),
        CommandSpec(
            command: .slowlog, name: "SLOWLOG", minimumArguments: 1, maximumArguments: nil,
            role: .validator, group: .server,
            summary: "Well-formed and empty: requests are not recorded", arguments: "GET [count] | LEN | RESET",
            since: "0.1.0", complexity: "O(1)", flags: [.loading, .stale]),
        CommandSpec(
            command: .latency, name: "LATENCY", minimumArguments: 1, maximumArguments: nil,
            role: .validator, group: .server,
            summary: "Well-formed and empty: see INFO and the metrics",
            arguments: "LATEST | HISTORY event | RESET [event …] | HISTOGRAM [command …] | DOCTOR", since: "0.1.0",
            complexity: "O(1)", flags: [.noscript, .loading, .stale]),
        CommandSpec(
            command: .probe, name: "PROBE", minimumArguments: 0, maximumArguments: 0,
            role: .admin, group: .server,
            summary: "Makes, reads and ends a session of nobody in Redis, and says what was in the way", arguments: "",
            since: "0.1.0", complexity: "O(N) with N the daemons", flags: [.admin, .noscript, .loading, .stale]),
        CommandSpec(
            command: .reload, name: "RELOAD", minimumArguments: 0, maximumArguments: 0,
            role: .admin, group: .server,
            summary: "Reads the configuration again and takes over what can change at run time", arguments: "",
            since: "0.1.0", complexity: "O(N) with N the connections", flags: [.admin, .noscript, .loading, .stale]),
        CommandSpec(
            command: .shutdown, name: "SHUTDOWN", minimumArguments: 0, maximumArguments: nil,
            role: .admin, group: .server,
            summary: "Finishes what is in flight and ends the daemon", arguments: "[NOSAVE | SAVE]", since: "0.1.0",
            complexity: "O(1)", flags: [.admin, .noscript, .loading, .stale]),
        CommandSpec(
            command: .multi, name: "MULTI", minimumArguments: 0, maximumArguments: nil,
            role: .validator, group: .connection,
            summary: "Refused: there are no transactions, use a pipeline", arguments: "", since: "0.1.0",
            complexity: "O(1)", flags: [.noscript, .loading, .stale, .fast, .unlisted]),
        CommandSpec(
            command: .exec, name: "EXEC", minimumArguments: 0, maximumArguments: nil,
            role: .validator, group: .connection,
            summary: "Refused, as MULTI is", arguments: "", since: "0.1.0",
            complexity: "O(1)", flags: [.noscript, .loading, .stale, .fast, .unlisted]),
        CommandSpec(
            command: .discard, name: "DISCARD", minimumArguments: 0, maximumArguments: nil,
            role: .validator, group: .connection,
            summary: "Refused, as MULTI is", arguments: "", since: "0.1.0",
            complexity: "O(1)", flags: [.noscript, .loading, .stale, .fast, .unlisted]),
        CommandSpec(
            command: .watch, name: "WATCH", minimumArguments: 0, maximumArguments: nil,
            role: .validator, group: .connection,
            summary: "Refused, as MULTI is", arguments: "", since: "0.1.0",
            complexity: "O(1)", flags: [.noscript, .loading, .stale, .fast, .unlisted]),
    ]
}
