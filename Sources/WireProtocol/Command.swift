/// What a peer may do. Each role includes those before it.
public enum Role: UInt8, Comparable, Sendable, CaseIterable {
    /// Nothing at all.
    case none
    /// Ask whether a token is good, and the connection commands.
    case validator
    /// Every command about tokens.
    case worker
    /// Everything.
    case admin

    public static func < (left: Role, right: Role) -> Bool { left.rawValue < right.rawValue }
}

/// Every command the daemon knows. What each takes, means and needs is one row of `CommandTable`, in the same order.
public enum Command: UInt8, CaseIterable, Sendable {
    case tokenValidate, tokenVisit, tokenGet, tokenSet, tokenIssue, tokenLogin, tokenRotate, tokenRevoke
    case tokenRevokeAll, tokenList, tokenInspect
    case csrfVerify, csrfIssue, guestIssue, captchaVerify, captchaIssue, captchaOpen
    case ping, echo, hello, auth, select, quit, reset, client
    case command, config, info, dbsize, slowlog, latency, probe, reload, shutdown
    /// In the table only so that they are refused in words of their own.
    case multi, exec, discard, watch
}

extension Command {
    /// All that is known about the command.
    public var spec: CommandSpec { CommandTable.rows[Int(rawValue)] }
}

/// One row of the command table: the one place that lookup, the arity check, access, `COMMAND`, help, metric labels
/// and the documentation read.
public struct CommandSpec: Sendable {
    /// Which page of the manual it belongs to; Redis's `group`.
    public enum Group: String, Sendable, CaseIterable { case session, guest, connection, server }

    /// Redis's command flags, as far as they apply here. They are shown to clients; access goes by `role`.
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// May change a session.
        public static let write = Flags(rawValue: 1)
        /// Changes no session.
        public static let readonly = Flags(rawValue: 2)
        /// For operators.
        public static let admin = Flags(rawValue: 4)
        /// Not from scripts: kept because clients look for it on connection commands.
        public static let noscript = Flags(rawValue: 8)
        /// Answered while Redis is loading.
        public static let loading = Flags(rawValue: 16)
        /// Answered while Redis is out of reach.
        public static let stale = Flags(rawValue: 32)
        /// Takes constant time.
        public static let fast = Flags(rawValue: 64)
        /// Not shown by `COMMAND`: the row is there so that the command is refused in its own words.
        public static let unlisted = Flags(rawValue: 1 << 15)

        /// Redis's names, in its order.
        static var names: [(flag: Flags, name: StaticString)] {
            [
                (.write, "write"), (.readonly, "readonly"), (.admin, "admin"), (.noscript, "noscript"),
                (.loading, "loading"), (.stale, "stale"), (.fast, "fast"),
            ]
        }
    }

    /// Which command the row is about.
    public let command: Command
    /// In upper case, at most 16 bytes; a command of a family is `FAMILY.NAME`.
    public let name: StaticString
    /// The fewest arguments after the name.
    public let minimumArguments: Int
    /// The most arguments after the name; nil if there may be any number.
    public let maximumArguments: Int?
    /// The least role that may send it.
    public let role: Role
    public let group: Group
    /// What it does, in one sentence without a full stop.
    public let summary: StaticString
    /// What follows the name: lower-case words stand for values, upper-case words are sent as they are; `[a]` may be
    /// left out, `a…` repeats, `a | b` is a choice, `<…>` holds together. Empty if nothing follows.
    public let arguments: StaticString
    /// The version that brought it.
    public let since: StaticString
    /// What it costs.
    public let complexity: StaticString
    public let flags: Flags

    /// Whether this many arguments may follow the name.
    @inline(__always)
    public func accepts(argumentCount: Int) -> Bool {
        argumentCount >= minimumArguments && argumentCount <= maximumArguments ?? Int.max
    }

    /// Redis's arity: how many words with the name, negative if that is the least number.
    public var arity: Int {
        minimumArguments == maximumArguments ? minimumArguments + 1 : -(minimumArguments + 1)
    }
}
