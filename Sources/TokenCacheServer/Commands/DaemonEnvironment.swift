internal import EventLoop
internal import RedisLink
internal import TokenCache
internal import UnixTime

/// What a reload did.
enum ReloadOutcome {
    /// The new configuration is in force, but for these keys, which differ and change with a restart only.
    case changed(needRestart: [String])
    /// Nothing was changed: what is wrong with the new configuration.
    case refused(problems: [String])
}

/// What the operator commands tell and do beyond the socket and the tokens: handed in by the daemon.
struct DaemonEnvironment {
    /// 40 random hex digits, new at each start.
    var runID: String
    var startedAt: MonotonicInstant
    /// The same by this host's clock.
    var startTime: UnixMilliseconds
    /// Empty where no file was read.
    var configurationFile: String
    /// Configuration keys that match a glob, with their values; secrets are redacted.
    var configuration: (_ pattern: String) -> [(key: String, value: String)]
    /// What the configuration that is in force was warned of.
    var warnings: () -> [String]
    /// Leads to the Redis behind the daemon, or to many.
    unowned var router: RedisRouter
    /// Why the password command gave none the last time; nil while it does, and where there is none.
    var passwordFault: () -> String?
    /// Finds out which servers there are; nil where one is named.
    var topology: () -> (any RedisTopology)?
    /// What is known of all daemons before the same Redis; nil for an embedded one.
    var marking: () -> DaemonMarking?
    /// Renews this daemon's mark, and reads the others'.
    var renewMark: (_ done: @escaping () -> Void) -> Void
    /// What this daemon's janitor did.
    var janitor: () -> JanitorCounters
    /// Number of keys in the Redis database, asked now.
    var keyCount: (_ done: @escaping (Result<Int64, ServiceFault>) -> Void) -> Void
    /// Reads the configuration again.
    var reload: (_ peer: AuditPeer?) -> ReloadOutcome
    /// Begins the shutdown.
    var shutDown: () -> Void
}
