import ArgumentParser
import TokenCacheClient
import UnixTime

/// `sessions`: all, those of one subject, or the counters.
struct Sessions: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List all sessions, or those of a subject, newest first, or show what this daemon counted.",
        usage: """
            tokencachectl sessions [<options>] [--limit <n>]
                   tokencachectl sessions [<options>] --subject <subject> [--limit <n>] [--data <field>]…
                   tokencachectl sessions [<options>] --summary
            """,
        discussion: """
            All sessions come in no useful order, as they are found; one that is changed meanwhile may come twice. That \
            needs the role admin.
            """)

    @Option(help: "Whose sessions to list.")
    var subject: String?

    @Option(help: ArgumentHelp("At most so many (default: 100 with --subject, else all).", valueName: "n"))
    var limit: Int?

    @Option(help: ArgumentHelp("Show this data field too; may be given several times.", valueName: "field"))
    var data: [String] = []

    @Flag(
        help:
            "What this daemon counted since its start, from INFO; other daemons before the same Redis count their own.")
    var summary = false

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        guard subject == nil || !summary else {
            throw ValidationError("Give either --subject or --summary.")
        }
        guard subject != nil || data.isEmpty else {
            throw ValidationError("--data needs --subject: the data of all sessions is not read.")
        }
        guard limit.map({ $0 > 0 }) ?? true else {
            throw ValidationError("--limit must be 1 or more.")
        }
    }

    func run() throws {
        if let subject { return try list(subject) }
        if summary { try summarise() } else { try listAll() }
    }

    /// Page by page, so that a million sessions need no room.
    private func listAll() throws {
        let connection = try global.connect()
        var cursor = "0"
        var shown = 0
        repeat {
            let reply: ReplyValue
            do throws(TokenCacheError) {
                reply = try connection.call(["TOKEN.SCAN", cursor, "COUNT", "1000"].map(\.bytes))
            } catch { throw Failure(error, socketPath: global.socketPath) }
            guard let parts = reply.elements, parts.count == 2, let next = parts[0].string,
                let found = parts[1].elements?.compactMap(\.fields)
            else { throw Failure(.protocolViolation, socketPath: global.socketPath) }
            cursor = next
            let page = found.prefix(limit.map { $0 - shown } ?? .max)
            if !page.isEmpty { try show(Array(page), isFirst: shown == 0) }
            shown += page.count
        } while cursor != "0" && shown < limit ?? .max
        if global.json {
            try Terminal.print(shown == 0 ? "[]" : "]")
        } else if shown == 0 {
            Terminal.complain("no session")
        }
        if shown == 0 { throw Outcome(status: .notAccepted) }
    }

    private func show(_ page: [ReplyFields], isFirst: Bool) throws {
        if global.json {
            let texts = page.map { JSONText($0).text }.joined(separator: ",\n")
            return try Terminal.print((isFirst ? "[" : ",") + texts)
        }
        try Terminal.print(Self.lines(page, withHeading: isFirst, now: Layout.now))
    }

    /// Each column as wide as its longest sensible text: the next page is not known yet.
    static func lines(_ page: [ReplyFields], withHeading: Bool, now: UnixSeconds) -> String {
        func line(_ cells: [String]) -> String {
            zip(cells, [32, 8, 8, 8]).map { cell, width in
                cell + String(repeating: " ", count: max(0, width - cell.count))
            }.joined(separator: "  ") + "  " + (cells.last ?? "")
        }
        let heading = withHeading ? [line(["SID", "AGE", "UNUSED", "ENDS IN", "SUBJECT"])] : []
        return
            (heading
            + page.map { session in
                func ago(_ name: String) -> String {
                    session[name]?.number.map { Layout.duration(seconds: max(0, now - UnixSeconds($0))) }
                        ?? Layout.absent
                }
                return line([
                    session["sid"].map(SessionPage.text) ?? Layout.absent, ago("created"), ago("modified"),
                    session["expires_in"]?.number.map { Layout.duration(seconds: $0) } ?? Layout.absent,
                    session["subject"].map(SessionPage.text) ?? "",
                ])
            }).joined(separator: "\n")
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
