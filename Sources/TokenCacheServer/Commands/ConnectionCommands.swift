internal import Host
internal import Logging
internal import TokenCache
internal import WireProtocol

/// The commands about the connection and the daemon, as Redis clients send them on connect and operators by hand.
extension Dispatcher {
    /// The version of Redis whose protocol is spoken here: clients choose features by it.
    static let redisVersion = "7.0.15"
    /// Patterns of one `CONFIG GET`, and bytes of each.
    static let maxPatterns = 16
    static let maxPatternBytes = 128

    func ping(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        if call.session.takesSubscriptionsOnly {
            writer.array(2)
            writer.bulk("pong")
            writer.bulk(call.arguments[0])
        } else if call.arguments.count == 0 {
            writer.simple("PONG")
        } else {
            writer.bulk(call.arguments[0])
        }
        return .now
    }

    func echo(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        writer.bulk(call.arguments[0])
        return .now
    }

    func quit(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        writer.ok()
        call.session.finishAfterReply()
        return .now
    }

    func reset(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        call.session.unsubscribeFromAll()
        call.session.version = .two
        writer.version = .two
        call.session.name = []
        writer.simple("RESET")
        return .now
    }

    func describeCommands(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        CommandReplies.describe((0..<call.arguments.count).map { call.arguments[$0] }, to: &writer)
        return .now
    }

    func refuseTransaction(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        // The code by which client libraries report what was wrong with MULTI.
        throw ReplyError(
            code: call.command == .exec ? "EXECABORT" : "ERR", message: "use a pipeline without a transaction")
    }

    // MARK: Handshake

    func hello(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let client = call.session
        let arguments = call.arguments
        var version = client.version
        var name: [UInt8]?
        var index = 0
        if arguments.count > 0 {
            guard let number = Int(String(decoding: arguments[0], as: UTF8.self)),
                let asked = RESPVersion(rawValue: number)
            else { throw ReplyError(code: "NOPROTO", message: "unsupported protocol version; 2 and 3 are spoken here") }
            version = asked
            index = 1
        }
        while index < arguments.count {
            if arguments.isKeyword(index, "AUTH"), index + 2 < arguments.count {
                noteAuthentication(client)
                index += 3
            } else if arguments.isKeyword(index, "SETNAME"), index + 1 < arguments.count {
                name = try clientName(arguments[index + 1])
                index += 2
            } else {
                throw .badArgument("syntax error in HELLO; usage: \(call.row.usage)")
            }
        }
        client.version = version
        writer.version = version
        if let name { client.name = name }
        writer.map(8)
        writer.bulk("server"); writer.bulk("tokencached")
        writer.bulk("version"); writer.bulk(Self.redisVersion)
        writer.bulk("proto"); writer.integer(Int64(version.rawValue))
        writer.bulk("id"); writer.integer(Int64(clamping: client.id))
        writer.bulk("mode"); writer.bulk("standalone")
        writer.bulk("role"); writer.bulk("master")
        writer.bulk("modules"); writer.array(0)
        writer.bulk("tokencached_version"); writer.bulk(Product.version)
        return .now
    }

    func authenticate(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        noteAuthentication(call.session)
        writer.ok()
        return .now
    }

    /// Access goes by the peer's credentials; a password is neither needed nor kept.
    private func noteAuthentication(_ client: RESPSession) {
        guard !client.authWasIgnored else { return }
        client.authWasIgnored = true
        guard let suppressed = ignoredAuthentications.admit() else { return }
        logger.warning(
            "a client sent a password; access here goes by user and group, it was ignored",
            metadata: ["uid": "\(client.peer.userID)", "suppressed": "\(suppressed)"])
    }

    func select(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        guard call.arguments[0].elementsEqual("0".utf8) else {
            throw .badArgument("DB index is out of range; there is 0 only")
        }
        writer.ok()
        return .now
    }

    /// As Redis takes it: no spaces, no control characters. Shown in `CLIENT LIST`.
    func clientName(_ text: UnsafeRawBufferPointer) throws(ReplyError) -> [UInt8] {
        guard text.count <= 256, text.allSatisfy({ $0 >= 33 && $0 <= 126 }) else {
            throw .badArgument("a client's name has at most 256 printable characters without spaces")
        }
        return text.array
    }

    // MARK: Operators

    func config(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let arguments = call.arguments
        guard arguments.isKeyword(0, "GET"), arguments.count > 1 else {
            throw .badArgument("CONFIG GET pattern is all there is; the configuration is changed in its file")
        }
        // Each is held against every key.
        guard arguments.count - 1 <= Self.maxPatterns,
            (1..<arguments.count).allSatisfy({ arguments[$0].count <= Self.maxPatternBytes })
        else {
            throw .badArgument(
                "CONFIG GET takes at most \(Self.maxPatterns) patterns of at most \(Self.maxPatternBytes) bytes; * is all keys"
            )
        }
        var found: [(key: String, value: String)] = []
        for index in 1..<arguments.count {
            let pattern = String(decoding: arguments[index], as: UTF8.self)
            // redis-benchmark asks for these two; what is answered is that there is nothing to tell.
            let compatible = [("save", ""), ("appendonly", "")].filter {
                pattern == "*" || $0.0 == pattern.lowercased()
            }
            for entry in compatible + environment.configuration(pattern)
            where !found.contains(where: { $0.key == entry.0 }) {
                found.append((entry.0, entry.1))
            }
        }
        writer.map(found.count)
        for (key, value) in found {
            writer.bulk(key)
            writer.bulk(value)
        }
        return .now
    }

    func shutDown(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        logger.notice("shutdown was asked for", metadata: ["uid": "\(call.session.peer.userID)"])
        // Redis answers nothing: the connection closes when it is done.
        environment.shutDown()
        return .now
    }

    func reload(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        switch environment.reload(AuditPeer(call.session.peer)) {
        case .changed(let needRestart) where needRestart.isEmpty: writer.ok()
        case .changed(let needRestart):
            writer.bulk("OK, but these keys change with a restart only: " + needRestart.joined(separator: ", "))
        case .refused(let problems):
            throw .badArgument(
                "nothing was changed: the new configuration is wrong: " + problems.joined(separator: "; "))
        }
        return .now
    }

    func countKeys(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        let reply: TokenService.Completion<Int64> = later(call) { $1.integer($0) }
        environment.keyCount(reply)
        return .later
    }

    func slowlog(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let arguments = call.arguments
        if arguments.isKeyword(0, "GET") {
            writer.array(0)
        } else if arguments.isKeyword(0, "LEN") {
            writer.integer(0)
        } else if arguments.isKeyword(0, "RESET") {
            writer.ok()
        } else {
            throw .badArgument("SLOWLOG takes GET, LEN or RESET; it is always empty: arguments are kept nowhere")
        }
        return .now
    }

    func latency(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let arguments = call.arguments
        if arguments.isKeyword(0, "LATEST") || arguments.isKeyword(0, "HISTORY") {
            writer.array(0)
        } else if arguments.isKeyword(0, "HISTOGRAM") {
            writer.map(0)
        } else if arguments.isKeyword(0, "RESET") {
            writer.integer(0)
        } else if arguments.isKeyword(0, "DOCTOR") {
            writer.verbatim("No latency events are recorded; INFO latencystats has the percentiles of each command.\n")
        } else {
            throw .badArgument("LATENCY takes LATEST, HISTORY, HISTOGRAM, RESET or DOCTOR")
        }
        return .now
    }
}
