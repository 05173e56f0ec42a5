import ArgumentParser

/// `status`: the daemon on one short page.
struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show version, uptime, Redis link, clients, load and session counters.",
        discussion: "The figures are those of INFO and count from the daemon's start.")

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let info = try global.info()
        try Terminal.print(
            global.json ? Self.json(info).text : Layout.page(Self.rows(info, colours: Terminal.hasColours)))
    }

    /// The fields this page is made of, in its order; the nodes and `tokens_…` fields follow.
    static let fieldNames = [
        "tokencached_version", "process_id", "uptime_in_seconds", "config_file",
        "upstream_state", "upstream_role", "upstream_server", "upstream_redis_version", "upstream_maxmemory_policy",
        "upstream_clock_skew_ms", "upstream_round_trips", "upstream_reconnects", "upstream_last_fault",
        "upstream_last_fault_seconds_ago", "upstream_last_fault_remedy",
        "connected_clients", "maxclients", "maxclients_configured", "rejected_connections",
        "total_commands_processed", "instantaneous_ops_per_sec", "total_error_replies",
        "keyspace_hits", "keyspace_misses", "used_memory_rss",
    ]

    /// What a row of `upstream_node_…` tells, in its order.
    static let nodeFieldNames = [
        "endpoint", "state", "role", "slots", "proof_age_ms", "beat_us", "clock_skew_ms", "confirmed_by", "fault",
        "remedy",
    ]

    /// What INFO does not tell is not there; nor are nodes where there is one Redis.
    static func json(_ info: Info) -> JSONText {
        func chosen(_ names: [String], _ value: (String) -> String?) -> [(String, JSONText)] {
            names.compactMap { name in value(name).map { (name, Info.Section.value($0)) } }
        }
        let nodes = info.rows("upstream_node_").map { row in JSONText.object(chosen(nodeFieldNames) { row[$0] }) }
        let tokens = info.section("Tokens")?.fields.map { ($0.name, Info.Section.value($0.value)) } ?? []
        return .object(chosen(fieldNames) { info[$0] } + [("nodes", .array(nodes))] + tokens)
    }

    static func rows(_ info: Info, colours: Bool) -> [(label: String, text: String)] {
        let uptime = info.number("uptime_in_seconds").map { Layout.duration(seconds: $0) } ?? Layout.absent
        let state = info.text("upstream_state")
        let colour: Colour = state == "ready" ? .green : state == "connecting" ? .yellow : .red
        let link = [
            colour.paint(state, isWanted: colours), "role \(info.text("upstream_role"))",
            "\(info["upstream_server"].map { Layout.printable($0) } ?? "Redis") \(info.text("upstream_redis_version"))",
            "policy \(info.text("upstream_maxmemory_policy"))",
            "clock skew \(info.text("upstream_clock_skew_ms")) ms",
        ]
        var rows: [(label: String, text: String)] = [
            (
                "daemon",
                "tokencached \(info.text("tokencached_version")), process \(info.text("process_id")), up \(uptime)"
            ),
            ("configuration", info.text("config_file")),
            ("redis", link.joined(separator: ", ")),
            (
                "redis link",
                "\(info.text("upstream_round_trips")) round trips, \(info.text("upstream_reconnects")) reconnects"
            ),
            ("last fault", lastFault(info, colours: colours)),
            (
                "clients",
                "\(info.text("connected_clients")) of \(info.text("maxclients")), "
                    + "\(info.text("rejected_connections")) rejected" + shortage(info)
            ),
            (
                "commands",
                "\(info.text("instantaneous_ops_per_sec")) per second, \(info.text("total_commands_processed")) in all, "
                    + "\(info.text("total_error_replies")) errors"
            ),
            ("memory", memory(info.number("used_memory_rss"))),
        ]
        rows += info.rows("upstream_node_").map { ("node", node($0, colours: colours)) }
        if info["keyspace_hits"] != nil {
            rows.append(("near cache", "\(info.text("keyspace_hits")) hits, \(info.text("keyspace_misses")) misses"))
        }
        let prefix = "tokens_"
        for field in info.section("Tokens")?.fields ?? [] {
            let name = field.name.hasPrefix(prefix) ? String(field.name.dropFirst(prefix.count)) : field.name
            let label = String(name.map { $0 == "_" ? " " : $0 })
            rows.append((Layout.printable(label), Layout.printable(field.value)))
        }
        return rows
    }

    /// A server that owns keys, as its row of INFO has it.
    private static func node(_ row: [String: String], colours: Bool) -> String {
        let isReady = row["state"] == "ready" && row["fault"] == nil
        let state = (isReady ? Colour.green : .red).paint(row["state"] ?? Layout.absent, isWanted: colours)
        let parts = [
            row["endpoint"] ?? Layout.absent, state, row["role"].map { "role \($0)" },
            row["slots"].map { "slots \($0)" },
            row["proof_age_ms"].map { "proved \($0) ms ago" }, row["beat_us"].map { "beat \($0) µs" },
            row["clock_skew_ms"].map { "clock skew \($0) ms" }, row["confirmed_by"].map { "confirmed by \($0)" },
            row["fault"].map { fault in fault + (row["remedy"].map { ": \($0)" } ?? "") },
        ]
        return parts.compactMap { $0 }.joined(separator: ", ")
    }

    /// Why a connection was lost or visitors were answered UNAVAILABLE last, and what to do about it.
    private static func lastFault(_ info: Info, colours: Bool) -> String {
        guard let fault = info["upstream_last_fault"] else { return Layout.absent }
        let age = info.number("upstream_last_fault_seconds_ago")
        let colour: Colour = (age ?? .max) < 60 ? .red : .yellow
        let text = colour.paint(Layout.printable(fault), isWanted: colours)
        let remedy = info["upstream_last_fault_remedy"].map { ": \(Layout.printable($0))" } ?? ""
        return text + (age.map { ", \(Layout.duration(seconds: $0)) ago" } ?? "") + remedy
    }

    /// The limit of open files lets fewer clients in than the configuration.
    private static func shortage(_ info: Info) -> String {
        guard let places = info.number("maxclients"), let wanted = info.number("maxclients_configured"),
            places < wanted
        else { return "" }
        return "; limits.max-clients is \(wanted), the limit of open files allows no more"
    }

    private static func memory(_ bytes: Int64?) -> String {
        guard let bytes else { return Layout.absent }
        return bytes < 1 << 20 ? "\(bytes >> 10) KiB" : "\(bytes >> 20) MiB"
    }
}
