internal import RedisLink
internal import TokenCache

/// A figure that the daemon tells about itself: INFO and whatever else shows figures read this, and so does the table of
/// docs/operations.md. To add one, add its row.
struct Figure: Sendable {
    /// A block of INFO, in INFO's order.
    enum Section: String, CaseIterable, Sendable {
        case server = "Server"
        case clients = "Clients"
        case memory = "Memory"
        case stats = "Stats"
        case replication = "Replication"
        case cpu = "CPU"
        case commandStats = "Commandstats"
        case latencyStats = "Latencystats"
        case errorStats = "Errorstats"
        /// Tools expect it. The number of keys is Redis's to tell: `DBSIZE` asks it.
        case keyspace = "Keyspace"
        case upstream = "Upstream"
        case nearCache = "Nearcache"
        case tokens = "Tokens"

        /// Not shown unless asked for, as in Redis.
        var isLong: Bool { self == .commandStats || self == .latencyStats }
    }

    enum Kind: String, Sendable {
        /// Only rises, from the daemon's start on.
        case counter
        /// Goes up and down.
        case gauge
        /// Words, or a number that is no quantity.
        case text
    }

    enum Unit: String, Sendable {
        case none = ""
        case bytes
        case seconds
        case milliseconds = "ms"
        case microseconds = "µs"
    }

    enum Value: Sendable {
        case count(UInt64)
        case number(Int64)
        /// Seconds with six decimals, as the kernel tells them.
        case decimal(String)
        case text(String)
        /// Not known.
        case nothing

        /// As INFO shows it.
        var text: String {
            switch self {
            case .count(let value): String(value)
            case .number(let value): String(value)
            case .decimal(let text), .text(let text): text
            case .nothing: ""
            }
        }
    }

    /// Where figures are read.
    struct Source {
        let dispatcher: Dispatcher
        let server: Server
        let environment: DaemonEnvironment

        var node: RedisNode { environment.router.first }
        var tokens: TokenCounters { dispatcher.service.counters }
        var near: NearCacheCounters { dispatcher.service.nearCacheCounters }
        var http: HTTPCounters { dispatcher.httpCounters }
    }

    let section: Section
    /// In lower case, with Redis's name where it means the same.
    let name: StaticString
    let kind: Kind
    let unit: Unit
    /// What it tells, a clause without a full stop.
    let help: StaticString
    let read: @Sendable (Source) -> Value
    /// INFO alone shows it: Redis's tools look for it there, or each server has it by itself elsewhere.
    private(set) var isForInfoOnly = false

    /// The same for INFO alone.
    var forInfoOnly: Figure {
        var figure = self
        figure.isForInfoOnly = true
        return figure
    }

    private init(
        _ section: Section, _ name: StaticString, _ kind: Kind, _ unit: Unit, _ help: StaticString,
        _ read: @escaping @Sendable (Source) -> Value
    ) {
        self.section = section
        self.name = name
        self.kind = kind
        self.unit = unit
        self.help = help
        self.read = read
    }

    static func counter(
        _ section: Section, _ name: StaticString, _ help: StaticString, _ unit: Unit = .none,
        _ read: @escaping @Sendable (Source) -> UInt64
    ) -> Figure { Figure(section, name, .counter, unit, help) { .count(read($0)) } }

    static func gauge(
        _ section: Section, _ name: StaticString, _ help: StaticString, _ unit: Unit = .none,
        _ read: @escaping @Sendable (Source) -> Int?
    ) -> Figure { Figure(section, name, .gauge, unit, help) { read($0).map { .number(Int64($0)) } ?? .nothing } }

    /// Yes or no, 1 or 0.
    static func flag(
        _ section: Section, _ name: StaticString, _ help: StaticString, _ read: @escaping @Sendable (Source) -> Bool
    ) -> Figure { Figure(section, name, .gauge, .none, help) { .number(read($0) ? 1 : 0) } }

    static func text(
        _ section: Section, _ name: StaticString, _ help: StaticString, _ read: @escaping @Sendable (Source) -> String?
    ) -> Figure { Figure(section, name, .text, .none, help) { read($0).map { .text($0) } ?? .nothing } }

    /// A counter with decimals.
    static func time(
        _ section: Section, _ name: StaticString, _ help: StaticString, _ read: @escaping @Sendable (Source) -> String
    ) -> Figure { Figure(section, name, .counter, .seconds, help) { .decimal(read($0)) } }

    /// The row of docs/operations.md.
    var manual: String {
        let measure = unit == .none ? kind.rawValue : "\(kind.rawValue), \(unit.rawValue)"
        return "| \(section.rawValue) | `\(name)` | \(measure) | \(help) |"
    }
}

/// Figures of a kind, one for each command, error or server there is: `cmdstat_token.validate`. Each has the same parts.
struct FigureFamily: Sendable {
    /// One of the values that a member has.
    struct Part: Sendable {
        /// In lower case.
        let name: StaticString
        let kind: Figure.Kind
        let unit: Figure.Unit

        init(_ name: StaticString, _ kind: Figure.Kind, _ unit: Figure.Unit = .none) {
            self.name = name
            self.kind = kind
            self.unit = unit
        }

        /// As in the table of docs/operations.md.
        var manual: String { unit == .none ? "`\(name)` \(kind)" : "`\(name)` \(kind), \(unit.rawValue)" }
    }

    /// What is told of one: a value for each part, in their order.
    struct Member {
        let label: String
        let values: [Figure.Value]
    }

    let section: Figure.Section
    /// The name's beginning; the label follows.
    let prefix: StaticString
    let help: StaticString
    let parts: [Part]
    let read: @Sendable (Figure.Source) -> [Member]

    init(
        _ section: Figure.Section, _ prefix: StaticString, _ help: StaticString, _ parts: [Part],
        _ read: @escaping @Sendable (Figure.Source) -> [Member]
    ) {
        self.section = section
        self.prefix = prefix
        self.help = help
        self.parts = parts
        self.read = read
    }

    /// INFO's line about a member: `cmdstat_ping:calls=1,usec=2`.
    func line(_ member: Member) -> String {
        let values = zip(parts, member.values).map { "\($0.name)=\($1.text)" }
        return "\(prefix)\(member.label):\(values.joined(separator: ","))"
    }

    /// The row of docs/operations.md.
    var manual: String {
        "| \(section.rawValue) | `\(prefix)…` | \(parts.map(\.manual).joined(separator: "; ")) | \(help) |"
    }
}
