/// What a Redis was told and holds, as it says itself, but for the daemons' proof of life: the beat, keys `…s:~<n>` that
/// are set and go by themselves. Nothing else that is measured here calls SET.
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
        guard case .number(let keys) = try control.demand("DBSIZE"),
            case .list(let beats) = try control.demand("KEYS", "*s:~*"),
            let bytes = try DaemonInformation.read(control, section: "memory")["used_memory"].flatMap({ Int($0) })
        else { throw .refused("Redis does not tell what it holds") }
        return Look(calls: calls, keys: keys - beats.count, bytes: bytes)
    }

    /// Calls of writing commands between two looks; those without any are left out.
    func writes(from before: Look, to after: Look) -> [String: Int] {
        after.calls.filter { writing.contains($0.key) && $0.key != "set" }
            .map { ($0.key, $0.value - before.calls[$0.key, default: 0]) }
            .reduce(into: [:]) { writes, call in if call.1 > 0 { writes[call.0] = call.1 } }
    }
}
