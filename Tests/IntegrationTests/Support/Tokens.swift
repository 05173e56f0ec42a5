import TestSupport
import Testing

/// The domain in a test's words.
extension RESPClient {
    /// Waits until the daemon has no other connection. A process that another test is just starting may hold one that
    /// was closed here for a moment longer.
    func awaitOnlyClient() throws {
        _ = try eventually("only one client") {
            try call("INFO", "clients").text?.contains("connected_clients:1\r\n") == true ? true : nil
        }
    }

    /// A new session's token, for a test to begin with.
    func issue(_ options: String...) throws -> String { try answered(["TOKEN.ISSUE"] + options).newToken() }

    /// A command's answer. Asks again where a busy machine kept Redis from answering within a short `redis.timeout`: that
    /// is not the fault under test.
    func answered(_ arguments: String...) throws -> Fields { try answered(arguments) }

    func answered(_ arguments: [String]) throws -> Fields {
        try eventually("an answer to \(arguments[0])") {
            let reply = try call(arguments)
            return reply.errorCode == "UNAVAILABLE" ? nil : try Fields(reply)
        }
    }

    /// Lets what Redis tells of a change reach this daemon: 50 ms is what is promised. A daemon that did not run
    /// meanwhile finds it in the same turn of its loop as this PING, before what is asked next.
    func letInvalidationsCome() throws {
        letPass(.milliseconds(50))
        _ = try call("PING")
    }

    func validate(_ token: String) throws -> Fields {
        let reply = try fields("TOKEN.VALIDATE", token)
        // The rule that every client follows: an answer about another session is never believed.
        if reply.isAccepted, let sid = reply.sid, sid != TokenText.sid(token).lowercased() {
            throw HarnessFailure("asked about \(TokenText.sid(token)), answered about \(sid)")
        }
        return reply
    }

    func inspect(_ token: String) throws -> Fields { try fields("TOKEN.INSPECT", token) }
    func inspect(sid token: String) throws -> Fields { try fields("TOKEN.INSPECT", "SID", TokenText.sid(token)) }

    /// Presents a current token until it is due, and returns its successor, which is pending then.
    func rotateWhenDue(_ token: String) throws -> String {
        try eventually(every: .milliseconds(10), "rotation") {
            let reply = try validate(token)
            guard reply.isAccepted else { throw HarnessFailure("refused while waiting for rotation: \(reply)") }
            return reply.status == "rotated" ? try reply.newToken() : nil
        }
    }

    /// Rotates and confirms: the given token is the previous one then, within its overlap.
    func rotateAndConfirm(_ token: String) throws -> String {
        let successor = try rotateWhenDue(token)
        let reply = try validate(successor)
        guard reply.status == "valid" else { throw HarnessFailure("the successor's first use: \(reply)") }
        return successor
    }

    /// Waits until Redis is written to again: an answer about a known token may come from the daemon's memory.
    func awaitService(within limit: Duration = .seconds(20)) throws {
        _ = try eventually(within: limit, "service again") { try call("TOKEN.ISSUE").errorText == nil ? true : nil }
    }

    /// Presents a token until it is answered with this status.
    @discardableResult
    func awaitStatus(_ status: String, of token: String, within limit: Duration = .seconds(20)) throws -> Fields {
        try eventually(within: limit, every: .milliseconds(10), "status \(status)") {
            let reply = try validate(token)
            return reply.status == status ? reply : nil
        }
    }
}

/// The fields of a reply about an accepted token, before those that are there only at times.
let acceptedFields = [
    "status", "accepted", "kind", "sid", "subject", "generation", "created", "modified", "auth_time", "expires_in",
    "absolute_in",
]

/// What protocol.md says of every field, wherever it occurs.
enum FieldKind {
    case text, number, map

    static func of(_ name: String) -> FieldKind {
        switch name {
        case "accepted", "generation", "created", "modified", "auth_time", "expires_in", "absolute_in", "max_age",
            "changed", "value", "count", "data_fields", "stale":
            .number
        case "data": .map
        default: .text
        }
    }
}

/// Holds a reply against the contract: these fields, in this order, each of its kind, the whole of its kind too.
func expectShape(
    _ reply: RESPValue, _ names: [String], resp3: Bool = false, at location: SourceLocation = #_sourceLocation
) throws {
    let fields = try Fields(reply)
    #expect(fields.names == names, sourceLocation: location)
    if case .map = reply {
        #expect(resp3, "a map was sent to a RESP2 client", sourceLocation: location)
    } else {
        #expect(!resp3, "a flat array was sent to a RESP3 client", sourceLocation: location)
    }
    for entry in fields.entries {
        let name = entry.key.text ?? "?"
        switch (FieldKind.of(name), entry.value) {
        case (.text, .bulk), (.number, .integer), (.map, .map), (.map, .array): break
        default: Issue.record("\(name) is of the wrong kind: \(entry.value)", sourceLocation: location)
        }
    }
    if let sid = fields.sid { #expect(isHexadecimal(sid, 32), sourceLocation: location) }
    if let token = fields.sessionToken {
        let isGuest = fields.text("kind") == "guest"
        // A compact JWS has three parts.
        #expect(
            isGuest ? token.split(separator: ".").count == 3 : isHexadecimal(token, 128), sourceLocation: location)
        if !isGuest, fields.status != "none", let sid = fields.sid {
            #expect(token.hasPrefix(sid), sourceLocation: location)
        }
    }
}

func isHexadecimal(_ text: String, _ length: Int) -> Bool {
    text.utf8.count == length && text.utf8.allSatisfy { byte in "0123456789abcdef".utf8.contains(byte) }
}

/// An error reply with this code and none of the arguments in it.
func expectError(
    _ code: String, _ reply: RESPValue, hiding arguments: [String] = [],
    at location: SourceLocation = #_sourceLocation
) {
    #expect(reply.errorCode == code, "\(reply)", sourceLocation: location)
    // Short ones ("a", "ann") stand in any English sentence.
    for argument in arguments where argument.utf8.count > 8 {
        #expect(reply.errorText?.contains(argument) != true, "echoes an argument", sourceLocation: location)
    }
}

func expectRefused(
    _ status: String, reason: String? = nil, _ reply: Fields, at location: SourceLocation = #_sourceLocation
) {
    #expect(reply.status == status, "\(reply)", sourceLocation: location)
    #expect(reply.integer("accepted") == 0, sourceLocation: location)
    #expect(reply.reason == reason, "\(reply)", sourceLocation: location)
    let names = reason == nil ? ["status", "accepted"] : ["status", "accepted", "reason"]
    #expect(reply.names == names, sourceLocation: location)
}
