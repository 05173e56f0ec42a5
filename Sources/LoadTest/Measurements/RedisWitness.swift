/// Which commands a Redis was sent and what it holds, as it reports it. The daemons' proof of life is left out: the beat,
/// keys `…s:~<n>` that are set and expire.
struct RedisWitness {
    struct Look {
        /// Command → calls so far, those from within scripts included.
        var calls: [String: Int]
        var keys: Int
        /// `used_memory`, bytes.
        var bytes: Int
    }

    private let control: ControlConnection
    /// Commands that write, by Redis's own table.
    private let writing: Set<String>

    init(_ control: ControlConnection) throws(LoadTestError) {
        self.control = control
        guard case .list(let commands) = try control.demand("COMMAND") else {
            throw .refused("Redis does not tell its commands")
        }
        var writing: Set<String> = []
        for case .list(let facts) in commands {
            guard facts.count > 2, let name = facts[0].string, case .list(let flags) = facts[2] else { continue }
            if flags.contains(.text(Array("write".utf8))) { writing.insert(name) }
        }
        guard writing.contains("hset") else { throw .refused("Redis does not say which commands write") }
        self.writing = writing
    }

    func look() throws(LoadTestError) -> Look {
        var calls: [String: Int] = [:]
        for (name, facts) in try DaemonInformation.read(control, section: "commandstats") {
            // cmdstat_hset:calls=3,usec=…
            guard name.hasPrefix("cmdstat_"), let count = facts.split(separator: ",").first?.split(separator: "=").last
            else { continue }
            calls[String(name.dropFirst("cmdstat_".count))] = Int(count)
        }
        guard let bytes = try DaemonInformation.read(control, section: "memory")["used_memory"].flatMap({ Int($0) })
        else { throw .refused("Redis does not tell what it holds") }
        let keys = try keys()
        // Beats are SETs, too: those of captchas leave a mark each.
        calls["set"] = keys.count { $0.contains("x:") }
        return Look(calls: calls, keys: keys.count { !$0.contains("s:~") }, bytes: bytes)
    }

    /// By SCAN, which leaves out what has expired and is not swept away yet; DBSIZE does not.
    private func keys() throws(LoadTestError) -> Set<String> {
        var cursor = "0"
        var found: Set<String> = []
        repeat {
            guard case .list(let page) = try control.demand("SCAN", cursor, "COUNT", "1000"), page.count == 2,
                let next = page[0].string, case .list(let keys) = page[1]
            else { throw .refused("Redis does not tell its keys") }
            found.formUnion(keys.compactMap(\.string))
            cursor = next
        } while cursor != "0"
        return found
    }

    /// Calls of writing commands between two looks; those without any are left out.
    func writes(from before: Look, to after: Look) -> [String: Int] {
        after.calls.filter { writing.contains($0.key) }
            .map { ($0.key, $0.value - before.calls[$0.key, default: 0]) }
            .reduce(into: [:]) { writes, call in if call.1 > 0 { writes[call.0] = call.1 } }
    }
}
