import TokenCacheClient
import UnixTime

/// One domain reply for people, or as JSON for programs.
struct SessionPage {
    let fields: ReplyFields

    /// Prints the reply, then ends with 1 if it is not accepted.
    /// - Parameter isAccepted: nil: if the reply says so.
    func show(asJSON json: Bool, isAccepted: Bool? = nil) throws {
        try Terminal.print(json ? JSONText(fields).text : page(now: Layout.now))
        guard isAccepted ?? fields.isAccepted else { throw Outcome(status: .notAccepted) }
    }

    /// `field  value` lines in the daemon's order, times readable.
    func page(now: UnixSeconds) -> String {
        var rows: [(label: String, text: String)] = []
        for (name, value) in fields.pairs {
            if name == "data", let data = value.fields {
                rows += data.pairs.map { ("data.\(Layout.printable($0.name))", Self.text(of: $0.value)) }
            } else {
                rows.append((Layout.printable(name), Self.text(of: value, named: name, now: now)))
            }
        }
        return Layout.page(rows)
    }

    /// A field's value as people read it: by its name a time, a duration, a yes or no, or as it is.
    private static func text(of value: ReplyValue, named name: String, now: UnixSeconds) -> String {
        guard let number = value.number else { return text(of: value) }
        return switch name {
        case "auth_time" where number == 0: "never"
        case "created", "modified", "auth_time": Layout.past(UnixSeconds(number), now: now)
        case "expires_in", "absolute_in", "max_age": Layout.future(in: number, now: now)
        case "accepted", "stale": number == 1 ? "yes" : "no"
        default: text(of: value)
        }
    }

    /// A value as it is.
    static func text(of value: ReplyValue) -> String {
        if let number = value.number { return String(number) }
        if let string = value.string { return string.isEmpty ? Layout.absent : Layout.printable(string) }
        if let elements = value.elements { return elements.map { text(of: $0) }.joined(separator: " ") }
        return Layout.absent
    }

    /// A reply about one token must be about that token: its `sid` stands in the token itself.
    static func check(_ fields: ReplyFields, answers token: SessionToken, socketPath: String) throws {
        guard let expected = token.sid?.text, let actual = fields["sid"]?.string, actual != expected else { return }
        throw Failure(.protocolViolation, socketPath: socketPath)
    }
}

extension SessionID {
    /// A `sid` on the command line: 32 hex digits, not secret.
    init(argument: String) throws {
        guard let sid = SessionID(argument) else {
            // Not repeated: it may be a piece of a token.
            throw Failure(
                status: .usage,
                message: "SID must be the 32 hex digits of a session's `sid`; a token goes to standard input, "
                    + "with --token-stdin")
        }
        self = sid
    }
}
