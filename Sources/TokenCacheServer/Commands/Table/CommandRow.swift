internal import WireProtocol

/// Every command the daemon knows, the most frequent first: names are looked up in this order. What each takes, means and
/// does is its row.
enum Command: UInt8, CaseIterable, Sendable {
    case tokenValidate, tokenVisit, tokenGet, tokenSet, tokenIncr, tokenGetDel, tokenIssue, tokenLogin, tokenExpire
    case tokenRotate, tokenRevoke, tokenRevokeAll, tokenList, tokenCount, tokenInspect, tokenScan, tokenRevokeEveryone
    case csrfVerify, csrfIssue, guestIssue, captchaVerify, captchaIssue, captchaOpen
    case subscribe, unsubscribe
    case ping, echo, hello, auth, select, quit, reset, client
    case command, config, info, metrics, dbsize, slowlog, latency, probe, reload, shutdown
    /// In the table only so that they are refused in words of their own.
    case multi, exec, discard, watch
    case psubscribe, ssubscribe, punsubscribe, sunsubscribe

    /// All that is known about the command.
    var row: CommandRow { CommandRow.all[Int(rawValue)] }

    /// Whether a connection that has subscribed takes it in RESP2, too.
    var isForSubscribers: Bool {
        switch self {
        case .subscribe, .unsubscribe, .psubscribe, .ssubscribe, .punsubscribe, .sunsubscribe, .ping, .quit, .reset:
            true
        default: false
        }
    }
}

/// All that is known about a command: lookup, the number of arguments, access, options, `COMMAND`, help and documentation
/// read it, and it has what answers the command.
struct CommandRow: Sendable {
    /// Which page of the manual it belongs to; Redis's `group`.
    enum Group: String, Sendable, CaseIterable { case session, guest, connection, server }

    /// How many arguments may follow the name.
    struct Arity: Equatable, Sendable {
        let minimum: Int
        /// `Int.max` if there may be any number.
        let maximum: Int

        static func exactly(_ count: Int) -> Arity { Arity(minimum: count, maximum: count) }
        static func atLeast(_ count: Int) -> Arity { Arity(minimum: count, maximum: .max) }
        static func between(_ minimum: Int, _ maximum: Int) -> Arity { Arity(minimum: minimum, maximum: maximum) }

        @inline(__always)
        func accepts(_ count: Int) -> Bool { count >= minimum && count <= maximum }

        /// As Redis tells it: how many words with the name, negative if that is the least number.
        var words: Int { minimum == maximum ? minimum + 1 : -(minimum + 1) }
    }

    /// Redis's command flags, as far as they apply here. They are shown to clients; access goes by `role`.
    struct Flags: OptionSet, Sendable {
        let rawValue: UInt16

        /// May change a session.
        static let write = Flags(rawValue: 1)
        /// Changes no session.
        static let readonly = Flags(rawValue: 2)
        /// For operators.
        static let admin = Flags(rawValue: 4)
        /// Not from scripts: kept because clients look for it on connection commands.
        static let noscript = Flags(rawValue: 8)
        /// Answered while Redis is loading.
        static let loading = Flags(rawValue: 16)
        /// Answered while Redis is out of reach.
        static let stale = Flags(rawValue: 32)
        /// Takes constant time.
        static let fast = Flags(rawValue: 64)
        /// About subscriptions.
        static let pubsub = Flags(rawValue: 128)
        /// Not shown by `COMMAND`: the row is there so that the command is refused in its own words.
        static let unlisted = Flags(rawValue: 1 << 15)

        /// Redis's names, in its order.
        static var names: [(flag: Flags, name: StaticString)] {
            [
                (.write, "write"), (.readonly, "readonly"), (.admin, "admin"), (.pubsub, "pubsub"),
                (.noscript, "noscript"), (.loading, "loading"), (.stale, "stale"), (.fast, "fast"),
            ]
        }
    }

    /// Whether a command was answered at once.
    enum Answered { case now, later }

    /// Answers a command: writes its reply, or reserves the reply's place and fills it later. An argument that is refused
    /// throws, before anything was written.
    typealias Handler =
        @Sendable (Dispatcher, Call, inout ReplyWriter) throws(ReplyError) -> Answered

    /// In upper case, at most 24 bytes; a command of a family is `FAMILY.NAME`.
    let name: StaticString
    let arity: Arity
    /// The least role that may send it.
    let role: Role
    let group: Group
    /// What it does, in one sentence without a full stop.
    let summary: StaticString
    /// What follows the name first: lower-case words stand for values, upper-case words are sent as they are; `[a]` may be
    /// left out, `a…` repeats, `a | b` is a choice, `<…>` holds together. Empty if nothing follows.
    let words: StaticString
    /// Options behind the words, in the order of help.
    let options: [CommandOption]
    /// `DATA` may not be left out.
    private let needsData: Bool
    /// All that may be given, in the order of the cases.
    let allowed: [CommandOption]
    /// The version that brought it.
    let since: StaticString
    /// What it costs.
    let complexity: StaticString
    let flags: Flags
    let answer: Handler

    init(
        _ name: StaticString, _ arity: Arity, _ role: Role, _ group: Group, _ words: StaticString = "",
        options: [CommandOption] = [], needsData: Bool = false, _ summary: StaticString,
        complexity: StaticString = "O(1)", since: StaticString = "0.1.0", _ flags: Flags, _ answer: @escaping Handler
    ) {
        self.name = name
        self.arity = arity
        self.role = role
        self.group = group
        self.words = words
        self.options = options
        self.needsData = needsData
        self.summary = summary
        self.complexity = complexity
        self.since = since
        self.flags = flags
        self.answer = answer
        allowed = CommandOption.sorted(options + options.flatMap(\.companions))
    }

    /// What follows the name, options and all.
    var arguments: String {
        let texts = options.flatMap { option in
            option.syntax.map { syntax in
                needsData && option.isData ? syntax : "[\(syntax)]" + (option.repeatsAlike ? "…" : "")
            }
        }
        return ([words.description] + texts).filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// Name and arguments, as help and error messages show them.
    var usage: String { "\(name) \(arguments)" }
}
