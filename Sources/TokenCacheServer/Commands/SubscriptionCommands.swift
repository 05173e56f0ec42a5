internal import TokenCache
internal import Tokens
internal import WireProtocol

/// `SUBSCRIBE session:<sid>`: who wants to be told of the end of a session, in the words of Redis, so that every client
/// library has them.
extension Dispatcher {
    /// What the channel of a session begins with.
    private static let channelPrefix: StaticString = "session:"

    func subscribe(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        // All or none of them.
        var sids: [SessionID] = []
        for index in 0..<call.arguments.count {
            guard let sid = Self.session(ofChannel: call.arguments[index]) else {
                throw .badArgument("a channel is session:<sid>, with the 32 lower-case hex digits of a session")
            }
            sids.append(sid)
        }
        if let refusal = service.watch.refusal { throw ReplyError(refusal) }
        let client = call.session
        guard client.mayAdd(Set(sids)) else {
            throw ReplyError(
                code: "OVERLOADED",
                message:
                    "there may be \(client.server.limits.maxSubscriptions) subscriptions (limits.max-subscriptions)")
        }
        for sid in sids {
            client.subscribe(to: sid)
            Self.channel(of: sid).withUnsafeBytes {
                confirm("subscribe", $0, count: client.subscriptions.count, &writer)
            }
        }
        return .now
    }

    func unsubscribe(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        let client = call.session
        guard call.arguments.count == 0 else {
            for index in 0..<call.arguments.count {
                let channel = call.arguments[index]
                if let sid = Self.session(ofChannel: channel) { client.unsubscribe(from: sid) }
                confirm("unsubscribe", channel, count: client.subscriptions.count, &writer)
            }
            return .now
        }
        guard !client.subscriptions.isEmpty else {
            confirm("unsubscribe", nil, count: 0, &writer)
            return .now
        }
        for sid in client.subscriptions.sorted(by: { $0.hex.lexicographicallyPrecedes($1.hex) }) {
            client.unsubscribe(from: sid)
            Self.channel(of: sid).withUnsafeBytes {
                confirm("unsubscribe", $0, count: client.subscriptions.count, &writer)
            }
        }
        return .now
    }

    func refusePatterns(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        throw .badArgument("SUBSCRIBE session:<sid> is all there is; patterns and shards are not")
    }

    /// There is nothing to leave: confirmed, as Redis does.
    func leavePatterns(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        let isPattern = call.command == .punsubscribe
        let word: StaticString = isPattern ? "punsubscribe" : "sunsubscribe"
        let count = isPattern ? call.session.subscriptions.count : 0
        if call.arguments.count == 0 { confirm(word, nil, count: count, &writer) }
        for index in 0..<call.arguments.count { confirm(word, call.arguments[index], count: count, &writer) }
        return .now
    }

    /// The message of a channel.
    func tell(_ fate: SessionFate, of sid: SessionID, _ writer: inout ReplyWriter) {
        writer.push(3)
        writer.bulk("message")
        writer.bulk(Self.channel(of: sid))
        writer.bulk(fate.text)
    }

    // MARK: Parts of replies

    private func confirm(
        _ word: StaticString, _ channel: UnsafeRawBufferPointer?, count: Int, _ writer: inout ReplyWriter
    ) {
        writer.push(3)
        writer.bulk(word)
        if let channel { writer.bulk(channel) } else { writer.null() }
        writer.integer(Int64(count))
    }

    private static func channel(of sid: SessionID) -> [UInt8] { Array("\(channelPrefix)".utf8) + sid.hex }

    /// The session of a channel; nil where it is not spelt as it stands in messages.
    private static func session(ofChannel channel: UnsafeRawBufferPointer) -> SessionID? {
        let prefix = "\(channelPrefix)".utf8
        guard channel.count == prefix.count + 32, channel.starts(with: prefix),
            let sid = SessionID(text: UnsafeRawBufferPointer(rebasing: channel[prefix.count...])),
            channel.dropFirst(prefix.count).elementsEqual(sid.hex)
        else { return nil }
        return sid
    }
}

extension ReplyError {
    fileprivate init(_ refusal: SessionWatch.Refusal) {
        switch refusal {
        case .off:
            self = .badArgument(
                "nobody can be told of ends without the near cache, and it is off (near-cache.max-memory)")
        case .untold(let reason):
            self.init(code: "UNAVAILABLE", message: "Redis does not tell of changes at the moment: \(reason)")
        }
    }
}
