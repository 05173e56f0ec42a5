internal import Glibc

/// What the figures were measured on.
public struct MachineFacts: Codable, Sendable, Equatable {
    public var processor: String
    public var cores: Int
    public var memoryBytes: Int
    public var kernel: String
    public var system: String
    /// Program → version, of those that took part.
    public var versions: [String: String] = [:]
    /// Which core the server under test, the client, and the Redis behind the daemon ran on.
    public var placement = ""
    /// Processes that wanted to run per core when the measurement began: above a small fraction the figures are noisy.
    public var loadAtStart = 0.0

    public static func read() -> MachineFacts {
        var name = utsname()
        uname(&name)
        func text<T>(_ field: T) -> String {
            withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        let load = (readFile("/proc/loadavg") ?? "").split(separator: " ").first.flatMap { Double($0) } ?? 0
        let count = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        return MachineFacts(
            processor: value(of: "model name", in: readFile("/proc/cpuinfo") ?? "", separator: ":")
                ?? text(name.machine),
            cores: count, memoryBytes: sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)),
            kernel: "\(text(name.sysname)) \(text(name.release))",
            system: value(of: "PRETTY_NAME", in: readFile("/etc/os-release") ?? "", separator: "=") ?? "unknown",
            loadAtStart: load / Double(count))
    }

    /// Notes which programs take part, and where they run.
    public mutating func note(_ bed: TestBed) {
        versions["tokencached"] = bed.version(of: bed.programs.daemon)
        versions["redis-server"] = bed.version(of: bed.programs.redisServer)
        if let memcached = bed.programs.memcached { versions["memcached"] = bed.version(of: memcached) }
        placement = Self.placement(bed.cores)
    }

    private static func placement(_ cores: Cores) -> String {
        guard let server = cores.server, let client = cores.client else { return "nothing is held on a core" }
        let store =
            cores.isStoreBehindServer
            ? ", the Redis behind the daemon there, too, when nobody else runs"
            : cores.store.map { ", the Redis behind the daemon on core \($0)" } ?? ""
        return "server on core \(server), client on core \(client)\(store)"
    }

    /// The value of the first line `key separator value`, without quotes.
    static func value(of key: String, in text: String, separator: Character) -> String? {
        for line in text.split(separator: "\n") where line.hasPrefix(key) {
            guard let start = line.firstIndex(of: separator) else { continue }
            let value = line[line.index(after: start)...].drop { $0 == " " || $0 == "\"" }
            return String(value.reversed().drop { $0 == " " || $0 == "\"" }.reversed())
        }
        return nil
    }
}
