internal import EventLoop
internal import WireProtocol

/// `CLIENT …`: what a connection says of itself, and what an admin sees of all.
extension Dispatcher {
    func client(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let arguments = call.arguments
        let client = call.session
        if arguments.isKeyword(0, "ID"), arguments.count == 1 {
            writer.integer(Int64(clamping: client.id))
        } else if arguments.isKeyword(0, "SETNAME"), arguments.count == 2 {
            client.name = try clientName(arguments[1])
            writer.ok()
        } else if arguments.isKeyword(0, "GETNAME"), arguments.count == 1 {
            if client.name.isEmpty { writer.null() } else { writer.bulk(client.name) }
        } else if arguments.isKeyword(0, "SETINFO"), arguments.count == 3 {
            try setInformation(arguments, client)
            writer.ok()
        } else if arguments.isKeyword(0, "INFO"), arguments.count == 1 {
            writer.verbatim(line(client) + "\n")
        } else if arguments.isKeyword(0, "LIST") {
            try requireAdmin(client)
            let listed = try listed(arguments, of: client.server)
            writer.verbatim(listed.sorted { $0.id < $1.id }.map { line($0) + "\n" }.joined())
        } else if arguments.isKeyword(0, "KILL") {
            try requireAdmin(client)
            try kill(arguments, by: client, &writer)
        } else {
            throw .badArgument(
                "CLIENT takes ID, SETNAME name, GETNAME, SETINFO attribute value, INFO, LIST, KILL ID id or KILL USER user"
            )
        }
        return .now
    }

    private func requireAdmin(_ client: RESPSession) throws(ReplyError) {
        guard client.role >= .admin else {
            throw ReplyError(code: "NOPERM", message: "this command needs the role admin, this peer has \(client.role)")
        }
    }

    private func setInformation(_ arguments: Arguments, _ client: RESPSession) throws(ReplyError) {
        let value = try clientName(arguments[2])
        if arguments.isKeyword(1, "LIB-NAME") {
            client.libraryName = value
        } else if arguments.isKeyword(1, "LIB-VER") {
            client.libraryVersion = value
        } else {
            throw .badArgument("CLIENT SETINFO takes LIB-NAME or LIB-VER")
        }
    }

    private func kill(
        _ arguments: Arguments, by client: RESPSession, _ writer: inout ReplyWriter
    ) throws(ReplyError) {
        if arguments.count == 3, arguments.isKeyword(1, "USER") {
            let user = try userID(arguments[2])
            return writer.integer(Int64(kill(user: user, but: client)))
        }
        guard arguments.count == 3, arguments.isKeyword(1, "ID"),
            let id = UInt64(String(decoding: arguments[2], as: UTF8.self))
        else {
            throw .badArgument(
                "CLIENT KILL takes ID and the id of a client, see CLIENT LIST, or USER and a user of this host")
        }
        guard let victim = client.server.sessions[id] else { return writer.integer(0) }
        writer.integer(1)
        // The one that asks gets its answer first.
        if victim === client { victim.finishAfterReply() } else { victim.close() }
    }

    private func userID(_ text: UnsafeRawBufferPointer) throws(ReplyError) -> UInt32 {
        let name = String(decoding: text, as: UTF8.self)
        guard HostNames.isName(name), case .success(let user) = HostNames.userID(name) else {
            throw .badArgument("CLIENT KILL USER takes the name or number of a user of this host")
        }
        return user
    }

    /// Closes every connection of a user but the one that asks, as Redis does.
    /// - Returns: how many.
    private func kill(user: UInt32, but asking: RESPSession) -> Int {
        let victims = asking.server.sessions.values.filter { $0.peer.userID == user && $0 !== asking }
        for victim in victims { victim.close() }
        return victims.count
    }
}
