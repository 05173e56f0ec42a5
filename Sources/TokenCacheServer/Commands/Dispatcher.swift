internal import EventLoop
internal import Logging
internal import TokenCache
internal import WireProtocol

/// Takes a request to the code that answers it: looks up the command, checks arity and role, counts.
///
/// Errors never repeat what the client sent: an argument may be a token.
final class Dispatcher {
    let service: TokenService
    let logger: Logger
    let environment: DaemonEnvironment
    let audit: AuditTrail
    /// Constants of its own: a global's first use would be looked at with every request.
    private let rows = CommandRow.all
    private let names = NameTable(CommandRow.all.map(\.name))
    var statistics = CommandStatistics()
    /// What came over HTTP.
    var httpCounters = HTTPCounters()
    var operationsPerSecond = RateSampler()
    let ignoredAuthentications = RateLimit(perInterval: 1, interval: .seconds(60))
    /// Descriptors that are no client's, counted at the first question: to count all of them takes long where there are many.
    private var otherDescriptors: Int?
    let wornKeys = RateLimit(perInterval: 1, interval: .seconds(3_600))

    init(service: TokenService, environment: DaemonEnvironment, audit: AuditTrail, logger: Logger) {
        self.service = service
        self.audit = audit
        self.environment = environment
        self.logger = logger
    }

    /// About as many descriptors as are open.
    func openDescriptors(of server: Server) -> Int {
        let clients = server.sessions.count
        let others = otherDescriptors ?? max(0, ProcessFacts.openDescriptors - clients)
        otherDescriptors = others
        return others + clients
    }

    /// What a request asks for; nil where there is no such command.
    func name(of request: Request) -> CommandName? {
        names.lookup(first: request[0], second: request.count > 1 ? request[1] : nil).map {
            CommandName(index: UInt8(truncatingIfNeeded: $0.index), words: UInt8(truncatingIfNeeded: $0.words))
        }
    }

    /// Carries out one request, whose reply is written now or has its place reserved.
    /// - Parameter name: of the request; nil for an unknown one.
    func execute(
        _ request: Request, _ name: CommandName?, from session: RESPSession, _ writer: inout ReplyWriter
    ) {
        guard let name, let command = Command(rawValue: name.index) else {
            statistics.unknownCommands &+= 1
            return fail("ERR", "unknown command; COMMAND DOCS lists those there are", &writer)
        }
        let index = Int(name.index)
        session.lastCommand = command
        let arguments = request.arguments(after: Int(name.words))
        guard session.role >= rows[index].role else {
            statistics.reject(command)
            let roles = "this command needs the role \(rows[index].role), this peer has \(session.role) (access)"
            return fail("NOPERM", roles, &writer)
        }
        guard rows[index].arity.accepts(arguments.count) else {
            statistics.reject(command)
            let row = rows[index]
            return fail("ERR", "wrong number of arguments for \(row.name); usage: \(row.usage)", &writer)
        }
        guard !session.takesSubscriptionsOnly || command.isForSubscribers else {
            statistics.reject(command)
            let name = "\(rows[index].name)".lowercased()
            return fail(
                "ERR",
                "Can't execute '\(name)': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
                    + "this context", &writer)
        }
        let call = Call(command: command, arguments: arguments, session: session, startedAt: session.lastRequestAt)
        if audit.isOn { service.asking = AuditPeer(session.peer) }
        do throws(ReplyError) {
            if try rows[index].answer(self, call, &writer) == .now {
                statistics.countAtOnce(command, since: call.startedAt)
            }
        } catch {
            statistics.countFailure(command)
            fail(error.code, error.message, &writer)
        }
    }

    /// Writes an error reply and counts it.
    func fail(_ code: StaticString, _ message: String, _ writer: inout ReplyWriter) {
        statistics.countError(code)
        writer.error(code, message)
    }

    /// Reserves the place of the reply, and hands out what fills it: once, later.
    func later<Answer>(
        _ call: Call, _ write: @escaping (Answer, inout ReplyWriter) -> Void
    ) -> TokenService.Completion<Answer> {
        let pending = call.session.deferReply(to: call.command, startedAt: call.startedAt)
        return { [self] result in
            switch result {
            case .success(let answer):
                statistics.count(pending.command, since: pending.startedAt)
                pending.fill { write(answer, &$0) }
            case .failure(let fault):
                statistics.countFailure(pending.command)
                let error = ReplyError(fault)
                pending.fill { fail(error.code, error.message, &$0) }
            }
        }
    }
}

/// One command on its way.
struct Call {
    let command: Command
    let arguments: Arguments
    /// It lives while its command is carried out: unchecked, as this is the hot path.
    unowned(unsafe) let session: RESPSession
    let startedAt: MonotonicInstant

    var row: CommandRow { command.row }
}

/// An error reply: what was wrong, what is allowed. Never carries an argument.
struct ReplyError: Error {
    let code: StaticString
    let message: String

    static func badArgument(_ message: String) -> ReplyError { ReplyError(code: "ERR", message: message) }

    init(code: StaticString, message: String) {
        self.code = code
        self.message = message
    }

    init(_ fault: ServiceFault) {
        switch fault {
        case .unavailable(let reason):
            self.init(code: "UNAVAILABLE", message: reason)
        case .noKeys:
            self.init(
                code: "NOKEYS",
                message:
                    "guests, CSRF tokens and captchas need a key ring with a key that is active, and this daemon has none "
                    + "(keyring.file)")
        case .notAnInteger:
            self.init(
                code: "ERR",
                message: "the field holds no integer of 64 bits, or the sum would be none; nothing was changed")
        case .dataTooLarge(let bytes, let limit):
            self.init(
                code: "ERR",
                message: "the session's data would have \(bytes) bytes, at most \(limit) are allowed (session.max-data)"
            )
        }
    }
}
