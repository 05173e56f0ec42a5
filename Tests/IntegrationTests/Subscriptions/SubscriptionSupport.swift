import Foundation
import TestSupport
import Testing

/// A connection that is told of sessions.
struct Subscriber: Sendable {
    let client: RESPClient
    let isThree: Bool

    /// - Parameter version: of RESP.
    init(_ daemon: Daemon, version: Int = 2) throws {
        client = try daemon.client()
        isThree = version == 3
        if isThree { _ = try client.call("HELLO", "3") }
    }

    static func channel(_ sid: String) -> String { "session:\(sid)" }

    /// Subscribes, and reads the confirmations.
    func watch(_ sids: [String], from count: Int = 0) throws {
        try client.send(["SUBSCRIBE"] + sids.map(Self.channel))
        for (index, sid) in sids.enumerated() {
            let confirmation = try client.readReply()
            #expect(confirmation == frame("subscribe", Self.channel(sid), .integer(count + index + 1)))
        }
    }

    func frame(_ kind: String, _ channel: String, _ last: RESPValue) -> RESPValue {
        let parts: [RESPValue] = [.bulk(Array(kind.utf8)), .bulk(Array(channel.utf8)), last]
        return isThree ? .push(parts) : .array(parts)
    }

    /// The next message: the `sid` and what is said of it.
    func message(within limit: Duration = .seconds(20)) throws -> (sid: String, text: String) {
        let reply = try client.readReply(limit: limit)
        let texts = reply.elements?.map { $0.text ?? "?" } ?? []
        guard texts.count == 3, texts[0] == "message", reply == frame("message", texts[1], .bulk(Array(texts[2].utf8)))
        else { throw HarnessFailure("no message: \(reply)") }
        return (String(texts[1].dropFirst("session:".count)), texts[2])
    }

    func expectMessage(
        _ sid: String, _ text: String, within limit: Duration = .seconds(20),
        at location: SourceLocation = #_sourceLocation
    ) throws {
        let message = try message(within: limit)
        #expect(message.sid == sid && message.text == text, sourceLocation: location)
    }

    /// Nothing more comes.
    func expectSilence(
        for span: Duration = .milliseconds(150), at location: SourceLocation = #_sourceLocation
    ) throws {
        #expect(try !client.hasInput(within: span), "told again", sourceLocation: location)
    }
}

extension Daemon {
    /// A figure of INFO.
    func figure(_ name: String) throws -> Int {
        let client = try client()
        defer { client.quit() }
        let text = try client.call("INFO", "everything").text ?? ""
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("\(name):") }
        return line.flatMap { Int($0.dropFirst(name.count + 1)) } ?? -1
    }
}

func withSubscribers(
    daemons count: Int = 2, settings: [String: String] = [:], isRestricted: Bool? = nil,
    _ body: (World) throws -> Void
) throws {
    try withWorld(daemons: count, settings: settings, isRestricted: isRestricted) { world in
        for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
        try body(world)
    }
}
