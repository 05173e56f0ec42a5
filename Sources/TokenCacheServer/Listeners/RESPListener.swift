internal import EventLoop
internal import TokenCache
internal import WireProtocol

/// The RESP protocol on a listening socket: what its sessions share, one turn after the other.
///
/// Belongs to the loop's thread.
final class RESPListener: ListenerProtocol {
    let dispatcher: Dispatcher
    /// Parses what is read into the loop's buffer; between requests whenever a session begins its turn.
    var parser: RequestParser
    /// Replies of the session whose turn it is.
    var writer = ReplyWriter(capacity: 65_536)
    /// One reply that has to wait for others before it goes out.
    var sideWriter = ReplyWriter(capacity: 16_384)

    /// Of all sessions.
    var subscriptions = 0

    private unowned let server: Server

    init(dispatcher: Dispatcher, server: Server) {
        self.dispatcher = dispatcher
        self.server = server
        parser = Self.makeParser(server.limits)
        dispatcher.service.watch.onFate = { [unowned server, unowned dispatcher] client, sid, fate in
            (server.sessions[client] as? RESPSession)?.tell { dispatcher.tell(fate, of: sid, &$0) }
        }
    }

    private static func makeParser(_ limits: Settings.Limits) -> RequestParser {
        RequestParser(limits: ProtocolLimits(maxBulk: limits.maxBulk))
    }

    /// One that has seen nothing, with the limits in force.
    var newParser: RequestParser { Self.makeParser(server.limits) }

    /// Lets go of an incomplete request.
    func renewParser() { parser = newParser }

    var kind: ClientKind { .resp }
    var isTCP: Bool { false }

    func limitsChanged() { renewParser() }

    func open(_ client: AcceptedClient) -> any ClientSession { RESPSession(client, self, server) }

    func text(of refusal: ClientRefusal) -> String {
        switch refusal {
        case .denied: "-NOPERM this user may not use the daemon (access)\r\n"
        case .full: "-OVERLOADED the daemon serves as many clients as it may (limits.max-clients)\r\n"
        case .shortOfDescriptors:
            "-OVERLOADED the daemon serves as many clients as it may (its limit of open files)\r\n"
        case .userIsFull:
            "-OVERLOADED this user has as many connections as one user may (limits.max-clients-per-user)\r\n"
        }
    }

    /// What a client is told about bytes that are no request: a limit with its value and key.
    func text(of error: ProtocolError) -> String {
        let limit =
            switch error {
            case .tooLongBulk: ": at most \(server.limits.maxBulk) bytes (limits.max-bulk)"
            case .tooManyElements: ": at most \(ProtocolLimits().maxElements) arguments"
            case .tooBigInline, .tooBigMultibulkCount, .tooBigBulkCount: ": at most \(ProtocolLimits().maxLine) bytes"
            default: ""
            }
        return "\(error.message)\(limit)"
    }
}
