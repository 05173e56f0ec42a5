internal import WireProtocol

extension CommandRow {
    /// One row a command, in the order of `Command`'s cases.
    static let all: [CommandRow] = Command.allCases.map(row)

    /// To add a command, add a case to `Command`, a row here, and what answers it.
    private static func row(_ command: Command) -> CommandRow {
        switch command {
        case .tokenValidate:
            CommandRow(
                "TOKEN.VALIDATE", .atLeast(1), .validator, .session, "token",
                options: [.bind, .require, .check, .fetchSite, .fetchMode, .csrf, .dataNames],
                "Says whether a token is good; the access that renews, rotates and confirms",
                complexity: "O(N) with N the fields asked for",
                [.write, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.validate(call, &reply) }
        case .tokenVisit:
            CommandRow(
                "TOKEN.VISIT", .atLeast(1), .worker, .session, "token",
                options: [.bind, .check, .fetchSite, .fetchMode, .post, .csrf, .dataNames],
                "Answers all that a page view asks about its visitor, in one round trip",
                complexity: "O(N) with N the fields asked for",
                [.write, .stale, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.visit(call, &reply) }
        case .tokenGet:
            CommandRow(
                "TOKEN.GET", .atLeast(1), .worker, .session, "<token [BIND signal value]… | SID sid [SUBJECT subject]>",
                options: [.dataNames],
                "Reads fields of a session's data, all of them if none is named",
                complexity: "O(N) with N the fields of the session",
                [.readonly]
            ) { daemon, call, reply throws(ReplyError) in try daemon.get(call, &reply) }
        case .tokenSet:
            CommandRow(
                "TOKEN.SET", .atLeast(4), .worker, .session, "<token [BIND signal value]… | SID sid [SUBJECT subject]>",
                options: [.idle, .absolute, .condition, .dataPairs], needsData: true,
                "Changes fields of a session's data, if they are as expected; makes a guest's session",
                complexity: "O(N) with N the fields given",
                [.write]
            ) { daemon, call, reply throws(ReplyError) in try daemon.set(call, &reply) }
        case .tokenIncr:
            CommandRow(
                "TOKEN.INCR", .atLeast(3), .worker, .session,
                "<token [BIND signal value]… | SID sid [SUBJECT subject]>",
                options: [.dataNumber], needsData: true,
                "Adds to a number in a session's data; makes a guest's session",
                [.write]
            ) { daemon, call, reply throws(ReplyError) in try daemon.increment(call, &reply) }
        case .tokenGetDel:
            CommandRow(
                "TOKEN.GETDEL", .atLeast(3), .worker, .session,
                "<token [BIND signal value]… | SID sid [SUBJECT subject]>",
                options: [.dataNames], needsData: true,
                "Reads fields of a session's data and removes them; one taker gets them",
                complexity: "O(N) with N the fields asked for",
                [.write]
            ) { daemon, call, reply throws(ReplyError) in try daemon.take(call, &reply) }
        case .tokenIssue:
            CommandRow(
                "TOKEN.ISSUE", .atLeast(0), .worker, .session,
                options: [.subject, .idle, .absolute, .cookie, .authTime, .max, .bind, .dataPairs],
                "Makes a session",
                complexity: "O(N) with N the fields given",
                [.write]
            ) { daemon, call, reply throws(ReplyError) in try daemon.issue(call, &reply) }
        case .tokenLogin:
            CommandRow(
                "TOKEN.LOGIN", .atLeast(2), .worker, .session, "token subject",
                options: [.idle, .absolute, .cookie, .authTime, .max, .bind, .csrf, .dataPairs],
                "Gives a visitor whose credentials were checked a session of its subject, with a new token",
                complexity: "O(N) with N the fields given",
                [.write]
            ) { daemon, call, reply throws(ReplyError) in try daemon.login(call, &reply) }
        case .tokenExpire:
            CommandRow(
                "TOKEN.EXPIRE", .atLeast(1), .worker, .session, "token",
                options: [.idle, .absolute, .bind],
                "Gives a living session new limits; makes a guest's session",
                [.write]
            ) { daemon, call, reply throws(ReplyError) in try daemon.expire(call, &reply) }
        case .tokenRotate:
            CommandRow(
                "TOKEN.ROTATE", .atLeast(1), .worker, .session, "token",
                options: [.idle, .absolute, .bind, .csrf],
                "Gives a session a new token at once, after a change of privilege",
                [.write]
            ) { daemon, call, reply throws(ReplyError) in try daemon.rotate(call, &reply) }
        case .tokenRevoke:
            CommandRow(
                "TOKEN.REVOKE", .atLeast(1), .worker, .session,
                "token [BIND signal value]… | SID sid [SUBJECT subject]",
                "Ends a session",
                [.write]
            ) { daemon, call, reply throws(ReplyError) in try daemon.revoke(call, &reply) }
        case .tokenRevokeAll:
            CommandRow(
                "TOKEN.REVOKEALL", .atLeast(1), .worker, .session, "subject",
                options: [.except],
                "Ends every session of a subject, or all but one",
                complexity: "O(N) with N the sessions of the subject",
                [.write]
            ) { daemon, call, reply throws(ReplyError) in try daemon.revokeAll(call, &reply) }
        case .tokenList:
            CommandRow(
                "TOKEN.LIST", .atLeast(1), .worker, .session, "subject",
                options: [.limit, .cursor, .dataNames],
                "Lists the sessions of a subject, newest first",
                complexity: "O(N) with N the sessions of the subject",
                [.readonly]
            ) { daemon, call, reply throws(ReplyError) in try daemon.list(call, &reply) }
        case .tokenCount:
            CommandRow(
                "TOKEN.COUNT", .exactly(1), .worker, .session, "subject",
                "Counts the sessions of a subject",
                complexity: "O(N) with N the sessions of the subject",
                [.readonly]
            ) { daemon, call, reply throws(ReplyError) in try daemon.count(call, &reply) }
        case .tokenInspect:
            CommandRow(
                "TOKEN.INSPECT", .atLeast(1), .validator, .session,
                "token [BIND signal value]… | SID sid [SUBJECT subject]",
                "Shows a session without renewing or rotating it",
                [.readonly]
            ) { daemon, call, reply throws(ReplyError) in try daemon.inspect(call, &reply) }
        case .tokenScan:
            CommandRow(
                "TOKEN.SCAN", .atLeast(1), .admin, .session, "cursor",
                options: [.count],
                "Walks over all sessions, some keys of Redis at a time",
                complexity: "O(1) a call, O(N) for all with N the keys of the database",
                [.readonly, .admin]
            ) { daemon, call, reply throws(ReplyError) in try daemon.scan(call, &reply) }
        case .tokenRevokeEveryone:
            CommandRow(
                "TOKEN.REVOKEEVERYONE", .exactly(0), .admin, .session, "",
                "Ends every session and every guest that was made until now",
                complexity: "O(N) with N the keys of the database",
                [.write, .admin]
            ) { daemon, call, reply throws(ReplyError) in try daemon.revokeEveryone(call, &reply) }
        case .csrfVerify:
            CommandRow(
                "CSRF.VERIFY", .atLeast(2), .validator, .guest, "token csrf",
                options: [.bind, .form, .fetchSite],
                "Says whether a CSRF token was made for this holder and form",
                [.readonly, .stale, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.verifyCSRF(call, &reply) }
        case .csrfIssue:
            CommandRow(
                "CSRF.ISSUE", .atLeast(1), .worker, .guest, "token",
                options: [.bind, .form],
                "Makes a CSRF token for a holder and a form; stores nothing",
                [.readonly, .stale, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.issueCSRF(call, &reply) }
        case .guestIssue:
            CommandRow(
                "GUEST.ISSUE", .atLeast(0), .worker, .guest,
                options: [.lifetime, .bind],
                "Makes a guest token; stores nothing",
                [.readonly, .stale, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.issueGuest(call, &reply) }
        case .captchaVerify:
            CommandRow(
                "CAPTCHA.VERIFY", .atLeast(2), .worker, .guest, "captcha answer",
                options: [.form, .holder, .bind],
                "Compares an answer with a captcha's solution; the first attempt spends it",
                [.write, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.verifyCaptcha(call, &reply) }
        case .captchaIssue:
            CommandRow(
                "CAPTCHA.ISSUE", .atLeast(0), .worker, .guest,
                options: [.solution, .form, .holder, .lifetime, .bind],
                "Makes a captcha and its solution; stores nothing",
                [.readonly, .stale, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.issueCaptcha(call, &reply) }
        case .captchaOpen:
            CommandRow(
                "CAPTCHA.OPEN", .exactly(1), .worker, .guest, "captcha",
                "Shows a captcha's solution to the request that draws its picture; spends nothing",
                [.readonly, .stale, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.openCaptcha(call, &reply) }
        case .subscribe:
            CommandRow(
                "SUBSCRIBE", .atLeast(1), .worker, .session, "channel …",
                "Tells once when a session ends, on its channel session:<sid>",
                complexity: "O(N) with N the channels",
                [.pubsub, .noscript, .loading]
            ) { daemon, call, reply throws(ReplyError) in try daemon.subscribe(call, &reply) }
        case .unsubscribe:
            CommandRow(
                "UNSUBSCRIBE", .atLeast(0), .worker, .session, "[channel …]",
                "Leaves channels, all of them if none is named",
                complexity: "O(N) with N the channels",
                [.pubsub, .noscript, .loading, .stale]
            ) { $0.unsubscribe($1, &$2) }
        case .ping:
            CommandRow(
                "PING", .between(0, 1), .validator, .connection, "[message]",
                "Answers PONG, or the message",
                [.loading, .stale, .fast]
            ) { $0.ping($1, &$2) }
        case .echo:
            CommandRow(
                "ECHO", .exactly(1), .validator, .connection, "message",
                "Answers the message",
                [.loading, .stale, .fast]
            ) { $0.echo($1, &$2) }
        case .hello:
            CommandRow(
                "HELLO", .atLeast(0), .validator, .connection, "[version] [AUTH username password] [SETNAME name]",
                "Chooses the protocol version and introduces the server",
                [.noscript, .loading, .stale, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.hello(call, &reply) }
        case .auth:
            CommandRow(
                "AUTH", .between(1, 2), .validator, .connection, "[username] password",
                "Accepted and ignored: access goes by the peer's user and groups",
                [.noscript, .loading, .stale, .fast]
            ) { $0.authenticate($1, &$2) }
        case .select:
            CommandRow(
                "SELECT", .exactly(1), .validator, .connection, "index",
                "Accepts database 0, the only one",
                [.loading, .stale, .fast]
            ) { daemon, call, reply throws(ReplyError) in try daemon.select(call, &reply) }
        case .quit:
            CommandRow(
                "QUIT", .atLeast(0), .validator, .connection, "",
                "Closes the connection",
                [.noscript, .loading, .stale, .fast]
            ) { $0.quit($1, &$2) }
        case .reset:
            CommandRow(
                "RESET", .exactly(0), .validator, .connection, "",
                "Puts the connection back to its beginnings",
                [.noscript, .loading, .stale, .fast]
            ) { $0.reset($1, &$2) }
        case .client:
            CommandRow(
                "CLIENT", .atLeast(1), .validator, .connection,
                """
                ID | INFO | GETNAME | SETNAME name | SETINFO attribute value | LIST [ID id … | \
                TYPE type] | KILL <ID id | USER user>
                """,
                "Names and shows connections; LIST and KILL are for admins",
                complexity: "O(1), O(N) for LIST and KILL with N the connections",
                [.noscript, .loading, .stale]
            ) { daemon, call, reply throws(ReplyError) in try daemon.client(call, &reply) }
        case .command:
            CommandRow(
                "COMMAND", .atLeast(0), .validator, .server,
                """
                [COUNT | LIST [FILTERBY kind value] | INFO [name …] | DOCS [name …] | \
                HELP]
                """,
                "Describes the commands",
                complexity: "O(N) with N the commands",
                [.loading, .stale]
            ) { $0.describeCommands($1, &$2) }
        case .config:
            CommandRow(
                "CONFIG", .atLeast(1), .validator, .server, "GET pattern …",
                "Shows the configuration, secrets left out",
                complexity: "O(N) with N the configuration keys",
                [.noscript, .loading, .stale]
            ) { daemon, call, reply throws(ReplyError) in try daemon.config(call, &reply) }
        case .info:
            CommandRow(
                "INFO", .atLeast(0), .validator, .server, "[section …]",
                "Shows the state of the daemon and its counters",
                [.loading, .stale]
            ) { $0.information($1, &$2) }
        case .metrics:
            CommandRow(
                "METRICS", .between(0, 1), .validator, .server, "[OPENMETRICS]",
                "Shows the daemon's figures as Prometheus reads them",
                [.loading, .stale]
            ) { daemon, call, reply throws(ReplyError) in try daemon.metrics(call, &reply) }
        case .dbsize:
            CommandRow(
                "DBSIZE", .exactly(0), .validator, .server, "",
                "Counts the keys of the Redis database",
                [.readonly, .loading, .stale, .fast]
            ) { $0.countKeys($1, &$2) }
        case .slowlog:
            CommandRow(
                "SLOWLOG", .atLeast(1), .validator, .server, "GET [count] | LEN | RESET",
                "Well-formed and empty: requests are not recorded",
                [.loading, .stale]
            ) { daemon, call, reply throws(ReplyError) in try daemon.slowlog(call, &reply) }
        case .latency:
            CommandRow(
                "LATENCY", .atLeast(1), .validator, .server,
                """
                LATEST | HISTORY event | RESET [event …] | HISTOGRAM [command …] | \
                DOCTOR
                """,
                "Well-formed and empty: see INFO and the metrics",
                [.noscript, .loading, .stale]
            ) { daemon, call, reply throws(ReplyError) in try daemon.latency(call, &reply) }
        case .probe:
            CommandRow(
                "PROBE", .exactly(0), .admin, .server, "",
                "Makes, reads and ends a session of nobody in Redis, and says what was in the way",
                complexity: "O(N) with N the daemons",
                [.admin, .noscript, .loading, .stale]
            ) { $0.probe($1, &$2) }
        case .reload:
            CommandRow(
                "RELOAD", .exactly(0), .admin, .server, "",
                "Reads the configuration again and takes over what can change at run time",
                complexity: "O(N) with N the connections",
                [.admin, .noscript, .loading, .stale]
            ) { daemon, call, reply throws(ReplyError) in try daemon.reload(call, &reply) }
        case .shutdown:
            CommandRow(
                "SHUTDOWN", .atLeast(0), .admin, .server, "[NOSAVE | SAVE]",
                "Finishes what is in flight and ends the daemon",
                [.admin, .noscript, .loading, .stale]
            ) { $0.shutDown($1, &$2) }
        case .multi:
            CommandRow(
                "MULTI", .atLeast(0), .validator, .connection, "",
                "Refused: there are no transactions, use a pipeline",
                [.noscript, .loading, .stale, .fast, .unlisted]
            ) { daemon, call, reply throws(ReplyError) in try daemon.refuseTransaction(call, &reply) }
        case .exec:
            CommandRow(
                "EXEC", .atLeast(0), .validator, .connection, "",
                "Refused, as MULTI is",
                [.noscript, .loading, .stale, .fast, .unlisted]
            ) { daemon, call, reply throws(ReplyError) in try daemon.refuseTransaction(call, &reply) }
        case .discard:
            CommandRow(
                "DISCARD", .atLeast(0), .validator, .connection, "",
                "Refused, as MULTI is",
                [.noscript, .loading, .stale, .fast, .unlisted]
            ) { daemon, call, reply throws(ReplyError) in try daemon.refuseTransaction(call, &reply) }
        case .watch:
            CommandRow(
                "WATCH", .atLeast(0), .validator, .connection, "",
                "Refused, as MULTI is",
                [.noscript, .loading, .stale, .fast, .unlisted]
            ) { daemon, call, reply throws(ReplyError) in try daemon.refuseTransaction(call, &reply) }
        case .psubscribe:
            CommandRow(
                "PSUBSCRIBE", .atLeast(0), .validator, .connection, "",
                "Refused: one subscribes to sessions, not to patterns",
                [.pubsub, .noscript, .loading, .stale, .unlisted]
            ) { daemon, call, reply throws(ReplyError) in try daemon.refusePatterns(call, &reply) }
        case .ssubscribe:
            CommandRow(
                "SSUBSCRIBE", .atLeast(0), .validator, .connection, "",
                "Refused, as PSUBSCRIBE is",
                [.pubsub, .noscript, .loading, .stale, .unlisted]
            ) { daemon, call, reply throws(ReplyError) in try daemon.refusePatterns(call, &reply) }
        case .punsubscribe:
            CommandRow(
                "PUNSUBSCRIBE", .atLeast(0), .validator, .connection, "",
                "Confirms that there is no such subscription",
                [.pubsub, .noscript, .loading, .stale, .unlisted]
            ) { $0.leavePatterns($1, &$2) }
        case .sunsubscribe:
            CommandRow(
                "SUNSUBSCRIBE", .atLeast(0), .validator, .connection, "",
                "The same",
                [.pubsub, .noscript, .loading, .stale, .unlisted]
            ) { $0.leavePatterns($1, &$2) }
        }
    }
}
