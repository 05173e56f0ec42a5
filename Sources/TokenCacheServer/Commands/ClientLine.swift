internal import EventLoop
internal import Glibc
internal import WireProtocol

/// `CLIENT LIST` and `CLIENT INFO`: which clients, and the line of each.
extension Dispatcher {
    /// The clients of `LIST [ID id … | TYPE type]`.
    func listed(_ arguments: Arguments, of server: Server) throws(ReplyError) -> [RESPSession] {
        let all = server.sessions.values.compactMap { $0 as? RESPSession }
        if arguments.count == 1 { return all }
        if arguments.isKeyword(1, "ID"), arguments.count > 2 {
            var found: [UInt64: RESPSession] = [:]
            for index in 2..<arguments.count {
                guard let id = UInt64(String(decoding: arguments[index], as: UTF8.self)) else {
                    throw .badArgument("Invalid client ID")
                }
                found[id] = server.sessions[id] as? RESPSession
            }
            return Array(found.values)
        }
        guard arguments.isKeyword(1, "TYPE"), arguments.count == 3 else {
            throw .badArgument("CLIENT LIST takes nothing, ID and ids, or TYPE and a type")
        }
        if arguments.isKeyword(2, "NORMAL") { return all.filter(\.subscriptions.isEmpty) }
        if arguments.isKeyword(2, "PUBSUB") { return all.filter { !$0.subscriptions.isEmpty } }
        // Types that Redis has and no client here is of.
        let others: [StaticString] = ["MASTER", "REPLICA", "SLAVE"]
        guard others.contains(where: { arguments.isKeyword(2, $0) }) else {
            throw .badArgument("Unknown client type; types: normal, master, replica, pubsub")
        }
        return []
    }

    /// A client as Redis 7.0 prints it, every field: libraries fail on one that is missing. Those that mean nothing here
    /// have the value of a client that does nothing. Instead of addresses stand processes, instead of a user's name its
    /// number; our own fields are last.
    func line(_ client: RESPSession) -> String {
        let now = MonotonicInstant.now()
        let command = client.lastCommand.map { "\($0.row.name)".lowercased() } ?? "NULL"
        let unsent = client.unsentBytes
        let fields: [(StaticString, String)] = [
            ("id", "\(client.id)"), ("addr", "unix:\(client.peer.processID)"), ("laddr", "unix:\(getpid())"),
            ("fd", "\(client.client.descriptor)"), ("name", Self.text(client.name)),
            ("age", "\(client.client.openedAt.duration(to: now).components.seconds)"),
            ("idle", "\(client.lastRequestAt.duration(to: now).components.seconds)"),
            ("flags", client.subscriptions.isEmpty ? "U" : "PU"), ("db", "0"),
            ("sub", "\(client.subscriptions.count)"), ("psub", "0"), ("ssub", "0"), ("multi", "-1"),
            ("qbuf", "\(client.unparsedBytes)"),
            ("qbuf-free", "0"), ("argv-mem", "0"), ("multi-mem", "0"), ("rbs", "0"), ("rbp", "0"), ("obl", "\(unsent)"),
            ("oll", "\(client.pendingReplies)"), ("omem", "\(unsent)"), ("tot-mem", "\(client.unparsedBytes + unsent)"),
            ("events", unsent == 0 ? "r" : "rw"), ("cmd", command), ("user", "\(client.peer.userID)"), ("redir", "-1"),
            ("resp", "\(client.version.rawValue)"), ("lib-name", Self.text(client.libraryName)),
            ("lib-ver", Self.text(client.libraryVersion)), ("role", "\(client.role)"),
        ]
        return fields.map { "\($0.0)=\($0.1)" }.joined(separator: " ")
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
