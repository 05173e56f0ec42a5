import ArgumentParser
import Host
import TokenCacheClient

/// `doctor`: what is wrong, and what to do.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check socket, rights, daemon and Redis, and say what to do about what is wrong.",
        discussion: "Exit status 0 if no check failed (warnings are no failures), 1 otherwise.")

    @Option(name: .customLong("as"), help: "Check the socket's rights for this user, for example www-data.")
    var user: String?

    @OptionGroup var global: GlobalOptions

    func run() throws {
        var account = Account.current()
        if let user {
            guard let named = Account.named(user) else {
                throw Failure(status: .usage, message: "no user \(Layout.printable(user)) on this host")
            }
            account = named
        }
        let findings = examine(account)
        try Terminal.print(
            global.json
                ? JSONText.array(findings.map(\.json)).text
                : Finding.page(findings, colours: Terminal.hasColours))
        if findings.contains(where: { $0.level == .fail }) { throw Outcome(status: .notAccepted) }
    }

    private func examine(_ account: Account) -> [Finding] {
        let path = global.socketPath
        var findings = Self.rights(to: path, for: account, facts: FileFacts.read)
        let connection: BlockingConnection
        do throws(TokenCacheError) {
            connection = try BlockingConnection(socketPath: path, timeout: global.timeout.duration)
        } catch {
            // The obstacle that was just named needs no second name.
            if account.isSelf, findings.first?.level == .fail { return findings }
            let cause = Failure.connectionProblem(to: path, because: error)
            return findings + [.fail("connect", cause.problem, remedy: cause.remedy)]
        }
        findings.append(.ok("connect", Layout.printable(path)))
        do throws(TokenCacheError) {
            findings.append(try Self.ping(connection))
            findings += try Self.roleAndRedis(connection, isSelf: account.isSelf)
            let trial = try Self.probe(connection)
            // PROBE finds out more than that a session can be looked up.
            if !trial.isEmpty { findings.removeAll { $0.check == "redis answer" } }
            findings += trial
            let trouble = findings.first { ["redis write", "redis answer"].contains($0.check) && $0.level == .fail }
            let info = try Self.info(connection, trouble)
            // Where PROBE is not permitted, the last fault has the remedy.
            if let at = findings.firstIndex(where: { $0.check == "redis answer" && $0.level == .fail }),
                let last = info.first(where: { $0.check == "answers" && $0.level != .ok })
            {
                findings[at] = .fail("redis answer", findings[at].detail, remedy: last.remedy)
            }
            findings += info
        } catch {
            findings.append(
                .fail(
                    "answer", Failure(error, socketPath: path).message,
                    remedy: "its log says what the daemon is doing: \(ServiceManager.current.log())"))
        }
        return findings
    }

    /// Whether the account may come to the socket, and whether others could put theirs in its place.
    static func rights(to path: String, for account: Account, facts: (String) -> FileFacts.Lookup) -> [Finding] {
        if let obstacle = SocketRights.firstObstacle(to: path, for: account, facts: facts) {
            return [.fail("socket", obstacle.problem(for: account), remedy: obstacle.remedy(for: account))]
        }
        guard case .found(let socket) = facts(path) else { return [] }
        let owners = "mode \(socket.octalMode), \(socket.ownerName):\(socket.groupName)"
        let who = account.isSelf ? "you" : Layout.printable(account.name)
        var findings: [Finding] = [.ok("socket", "\(owners), \(who) may connect")]
        if socket.mode & 0o002 != 0 {
            findings.append(
                .warn(
                    "socket mode", "every user of this host may connect (\(owners))",
                    remedy: "set socket.mode to 0660 and socket.group to a group of its callers"))
        }
        let open = SocketRights.openFolders(above: path, owner: socket.owner, facts: facts)
        if !open.isEmpty {
            findings.append(
                .warn(
                    "socket folder",
                    "others could replace the socket, through \(open.map(Layout.printable).joined(separator: ", "))",
                    remedy: "let only root and the daemon's user write there"))
        }
        return findings
    }

    private static func ping(_ connection: BlockingConnection) throws(TokenCacheError) -> Finding {
        let clock = ContinuousClock()
        let start = clock.now
        let reply = try connection.exchange([["PING".bytes]]).first
        if case .error(let code, let message) = reply { throw TokenCacheError(code: code, message: message) }
        guard reply?.string == "PONG" else { throw .protocolViolation }
        return .ok("ping", "\(start.duration(to: clock.now).microseconds) µs")
    }

    /// Commands that change nothing, one a role, the highest first.
    private static let roleQuestions: [(role: String, command: [String])] = [
        ("admin", ["CLIENT", "LIST"]),
        ("worker", ["TOKEN.GET", "SID", String(repeating: "0", count: 32)]),
        ("validator", ["TOKEN.INSPECT", "SID", String(repeating: "0", count: 32)]),
    ]

    private static func roleAndRedis(
        _ connection: BlockingConnection, isSelf: Bool
    ) throws(TokenCacheError) -> [Finding] {
        let replies = try connection.exchange(roleQuestions.map { $0.command.map(\.bytes) })
        return [role(replies, isSelf: isSelf)] + [redisAnswer(replies)].compactMap { $0 }
    }

    /// Two of these questions go to Redis, so they tell more than the state of the link: a Redis that hangs is still connected.
    private static func redisAnswer(_ replies: [ReplyValue]) -> Finding? {
        switch replies.last {
        case .error("UNAVAILABLE", let reason):
            .fail("redis answer", reason, remedy: "look at Redis: is it running, busy, or out of reach?")
        case .error("OVERLOADED", let reason):
            .fail("redis answer", reason, remedy: "look at the load: `tokencachectl status`")
        case .error: nil
        default: .ok("redis answer", "a session was looked up")
        }
    }

    private static func role(_ replies: [ReplyValue], isSelf: Bool) -> Finding {
        let allowed = zip(roleQuestions, replies).first { _, reply in
            if case .error("NOPERM", _) = reply { false } else { true }
        }?.0.role
        let note = isSelf ? "" : " (yours; theirs shows `sudo -u USER tokencachectl doctor`)"
        switch allowed {
        case "admin", "worker": return .ok("role", (allowed ?? "") + note)
        case "validator":
            return .warn(
                "role", "validator: tokens can be validated, not issued or revoked\(note)",
                remedy: "if that is not meant, give the user or its group the role worker under `access`")
        default:
            return .fail(
                "role", "none: every command is refused\(note)",
                remedy: "give the user or its group the role worker under `access` in the daemon's configuration")
        }
    }

    /// What an admin may ask: a trial that writes. Nothing where it is not permitted, or the daemon does not know it.
    private static func probe(_ connection: BlockingConnection) throws(TokenCacheError) -> [Finding] {
        guard let fields = try connection.exchange([["PROBE".bytes]]).first?.fields, fields.status != nil else {
            return []
        }
        return ProbeFindings.all(fields)
    }

    private static func info(
        _ connection: BlockingConnection, _ trouble: Finding?
    ) throws(TokenCacheError) -> [Finding] {
        switch try connection.exchange([["INFO".bytes]]).first {
        case .text(let bytes):
            return InfoFindings.all(
                Info(parsing: String(decoding: bytes, as: UTF8.self)), ownVersion: Product.version,
                trouble: trouble)
        case .error("NOPERM", _):
            return [
                .warn(
                    "daemon", "INFO is not permitted to you, so Redis was not checked",
                    remedy: "run doctor as root or as the daemon's user")
            ]
        case .error(let code, let message): throw TokenCacheError(code: code, message: message)
        default: throw .protocolViolation
        }
    }
}
