import ArgumentParser
import TokenCacheClient
import UnixTime

/// `why`: what happened to a session, in sentences.
struct Why: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what happened to a session and when.",
        discussion: """
            The answer comes from the session's record, or from what an ended session leaves behind for a while \
            (session.tombstone, 10 minutes unless configured). What is older stands in the daemon's log.
            """)

    @Argument(help: "The session's SID, 32 hex digits.")
    var sid: String

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let sid = try SessionID(argument: sid)
        let fields = try global.callForFields(["TOKEN.INSPECT", "SID", sid.text].map(\.bytes))
        let sentences = Self.sentences(fields, now: Layout.now)
        let log = Self.logCommand(sid)
        if global.json {
            guard case .object(let members) = JSONText(fields) else { return }
            let story = JSONText.array(sentences.map { .string($0) })
            try Terminal.print(
                JSONText.object(
                    [("sid", .string(sid.text))] + members.filter { $0.0 != "sid" }
                        + [("explanation", story), ("log", .string(log))]
                ).text)
        } else {
            try Terminal.print(
                (["Session \(sid.text)"] + sentences + ["The log knows more: \(log)"]).joined(separator: "\n"))
        }
        if !fields.isAccepted { throw Outcome(status: .notAccepted) }
    }

    /// Where the log of this session is.
    static func logCommand(_ sid: SessionID, _ manager: ServiceManager = .current) -> String {
        manager.log(of: "sid=\(sid.text)")
    }

    /// What the reply means, one thought a sentence.
    static func sentences(_ fields: ReplyFields, now: UnixSeconds) -> [String] {
        guard fields.isAccepted else { return [ending(fields)] }
        var sentences = [life(fields, now: now)]
        if let rest = fields["expires_in"]?.number, let end = fields["absolute_in"]?.number {
            sentences.append(
                "Without another access it expires \(Layout.future(in: rest, now: now)); "
                    + "however busy, it ends \(Layout.future(in: end, now: now)).")
        }
        if let generation = fields["generation"]?.number {
            sentences.append(rotation(generation, successor: fields["successor"]?.string))
        }
        if let count = fields["data_fields"]?.number {
            switch count {
            case ...0: sentences.append("It carries no data.")
            case 1: sentences.append("It carries 1 data field.")
            default: sentences.append("It carries \(count) data fields.")
            }
        }
        if fields["stale"]?.number == 1 {
            sentences.append("Redis is out of reach just now: this is what was known before.")
        }
        return sentences
    }

    private static func life(_ fields: ReplyFields, now: UnixSeconds) -> String {
        let subject = fields["subject"]?.string ?? ""
        let whose = subject.isEmpty ? "nobody's by name" : "that of \"\(Layout.printable(subject))\""
        let created = fields["created"]?.number.map { Layout.past(UnixSeconds($0), now: now) } ?? Layout.absent
        let modified = fields["modified"]?.number.map { Layout.past(UnixSeconds($0), now: now) } ?? Layout.absent
        return "It lives, and is \(whose): created \(created), last access on record \(modified)."
    }

    private static func rotation(_ generation: Int64, successor: String?) -> String {
        // A guest is generation 0, the first token of a session generation 1.
        let past =
            switch generation {
            case ...1: "Its token has never been replaced"
            case 2: "Its token has been replaced once"
            default: "Its token has been replaced \(generation - 1) times"
            }
        return switch successor {
        case "pending": past + "; the newest one was sent, and the client has not used it yet."
        case "confirmed": past + "; the client uses the newest one."
        default: past + "."
        }
    }

    private static func ending(_ fields: ReplyFields) -> String {
        switch fields.status {
        case "revoked":
            guard let reason = fields["reason"]?.string else { return "It was ended." }
            return EndReason(rawValue: reason).map(ending) ?? "It was ended; reason \"\(Layout.printable(reason))\"."
        case "expired": return "It expired: its idle or its absolute limit passed."
        case "unknown":
            return "Nothing is known of it: never issued, expired and gone, a guest that is stored nowhere, "
                + "or ended longer ago than session.tombstone."
        case let status: return "Its status is \"\(Layout.printable(status ?? Layout.absent))\"."
        }
    }

    private static func ending(_ reason: EndReason) -> String {
        switch reason {
        case .logout: "It was ended: logged out, or revoked by its token or SID."
        case .logoutAll: "It was ended together with the other sessions of its subject."
        case .login: "It was ended by a login that replaced it."
        case .replay:
            "It was ended because a retired token came back after its grace time: a copy of it may have been stolen."
        case .limit:
            "It was ended because its subject logged in elsewhere more often than it may (session.max-per-subject, or MAX "
                + "of the login)."
        case .admin: "It was ended by an administrator."
        }
    }
}
