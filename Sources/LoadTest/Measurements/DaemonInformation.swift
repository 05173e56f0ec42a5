/// What INFO tells, of the daemon and of Redis.
enum DaemonInformation {
    /// Field → value.
    static func read(_ control: ControlConnection, section: String) throws(LoadTestError) -> [String: String] {
        guard let text = try control.demand("INFO", section).string else { return [:] }
        return fields(text)
    }

    static func fields(_ text: String) -> [String: String] {
        var fields: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[String(line[..<colon])] = String(line[line.index(after: colon)...])
        }
        return fields
    }

    /// The near cache's counters; nil where the daemon has none.
    static func nearCache(_ control: ControlConnection) throws(LoadTestError) -> NearCacheCounters? {
        NearCacheCounters(try read(control, section: "nearcache"))
    }
}

/// Counters of the near cache, from INFO's section `# Nearcache`.
struct NearCacheCounters: Equatable {
    var hits: Int
    var misses: Int
    var entries: Int?
    var bytes: Int?

    init?(_ fields: [String: String]) {
        func value(_ name: String) -> Int? {
            (fields["near_cache_\(name)"] ?? fields["nearcache_\(name)"]).flatMap { Int($0) }
        }
        guard let hits = value("hits"), let misses = value("misses") else { return nil }
        self.hits = hits
        self.misses = misses
        entries = value("entries")
        bytes = value("bytes")
    }

    /// The share of hits between two readings.
    static func hitShare(_ before: NearCacheCounters?, _ after: NearCacheCounters?) -> Double? {
        guard let before, let after else { return nil }
        let hits = after.hits - before.hits
        let asked = hits + after.misses - before.misses
        return asked > 0 ? Double(hits) / Double(asked) : nil
    }
}
