import ArgumentParser
import TokenCacheClient
import UnixTime

/// `sessions`: those of one subject, or the counters of all.
struct Sessions: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the sessions of a subject, newest first, or show what this daemon counted.",
        usage: "tokencachectl sessions [<options>] (--subject <subject> [--limit <n>] [--data <field>]… | --summary)")

    @Option(help: "Whose sessions to list.")
    var subject: String?

    @Option(help: ArgumentHelp("At most so many (default: the daemon's, 100).", valueName: "n"))
    var limit: Int?

    @Option(help: ArgumentHelp("Show this data field too; may be given several times.", valueName: "field"))
    var data: [String] = []

    @Flag(
        help:
            "What this daemon counted since its start, from INFO; other daemons before the same Redis count their own.")
    var summary = false

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        guard (subject != nil) != summary else {
            throw ValidationError("Give either --subject or --summary.")
        }
        guard limit.map({ $0 > 0 }) ?? true else {
            throw ValidationError("--limit must be 1 or more.")
        }
    }

    func run() throws {
        if let subject { try list(subject) } else { try summarise() }
    }

    private func list(_ subject: String) throws {
        var arguments = ["TOKEN.LIST", subject]
        if let limit { arguments += ["LIMIT", String(limit)] }
        if !data.isEmpty { arguments += ["DATA"] + data }
        guard let sessions = try global.call(arguments.map(\.bytes)).elements?.map(\.fields),
            !sessions.contains(where: { $0 == nil })
        else {
            throw Failure(.protocolViolation, socketPath: global.socketPath)
        }
        let found = sessions.compactMap { $0 }
        if global.json {
            try Terminal.print(JSONText.array(found.map { JSONText($0) }).text)
        } else if found.isEmpty {
            Terminal.complain("no session of this subject")
        } else {
            try Terminal.print(Self.table(found, data: data, now: Layout.now))
        }
        if found.isEmpty { throw Outcome(status: .notAccepted) }
    }

    static func table(_ sessions: [ReplyFields], data: [String], now: UnixSeconds) -> String {
        let columns = ["sid", "created", "modified", "expires_in", "absolute_in", "generation"]
        let rows = sessions.map { session in
            columns.map { name in cell(session[name], named: name, now: now) }
                + data.map { name in cell(session["data"]?.fields?[name], named: "", now: now) }
        }
        return Layout.table(heading: (columns + data.map { Layout.printable($0) }).map { $0.uppercased() }, rows: rows)
    }

    /// As on a page, but durations alone: a table row has no room for both.
    private static func cell(_ value: ReplyValue?, named name: String, now: UnixSeconds) -> String {
        guard let value else { return Layout.absent }
        switch (name, value.number) {
        case ("created", let time?), ("modified", let time?): return Layout.localTime(UnixSeconds(time))
        case ("expires_in", let rest?), ("absolute_in", let rest?): return "in \(Layout.duration(seconds: rest))"
        default: return SessionPage.text(of: value)
        }
    }

    private func summarise() throws {
        let info = try global.info()
        let sections = ["Tokens", "Nearcache", "Keyspace"].compactMap { info.section($0) }
        if global.json {
            return try Terminal.print(JSONText.object(sections.map { ($0.name.lowercased(), $0.json) }).text)
        }
        let rows = sections.flatMap { section in
            section.fields.map { field in
                (label: Layout.printable(field.name), text: Layout.printable(field.value))
            }
        }
        guard !rows.isEmpty else { return try Terminal.print("the daemon says nothing about its sessions") }
        let uptime = info.number("uptime_in_seconds").map { ", \(Layout.duration(seconds: $0)) ago" } ?? ""
        try Terminal.print(
            "Counted by this daemon since its start\(uptime); others before the same Redis count their own.\n"
                + Layout.page(rows))
    }
}
