internal import Logging
internal import Synchronization

/// Writes each message at a bounded rate, and tells with the next line of it how many were left out.
///
/// A message is the text without its metadata: `a retired token came back` is one, whichever the session. So a flood of
/// one leaves room for the others. And the bound keeps the daemon below the journal's own (journald.conf(5),
/// `RateLimitBurst=`: 10,000 lines in 30 s), which would drop warnings with the rest.
struct LimitedLogHandler: LogHandler {
    private var handler: LineLogHandler
    private let limits: MessageLimits

    var metadata: Logger.Metadata {
        get { handler.metadata }
        set { handler.metadata = newValue }
    }
    var metadataProvider: Logger.MetadataProvider? {
        get { handler.metadataProvider }
        set { handler.metadataProvider = newValue }
    }
    var logLevel: Logger.Level {
        get { handler.logLevel }
        set { handler.logLevel = newValue }
    }

    init(_ handler: LineLogHandler, limits: MessageLimits) {
        self.handler = handler
        self.limits = limits
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { handler[metadataKey: key] }
        set { handler[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        guard let suppressed = limits.admit(event.message.description) else { return }
        guard suppressed > 0 else { return handler.log(event: event) }
        var event = event
        event.metadata = (event.metadata ?? [:]).merging(["suppressed": "\(suppressed)"]) { own, _ in own }
        handler.log(event: event)
    }
}

/// How often each message was written lately. Several threads may ask.
final class MessageLimits: Sendable {
    /// Lines of one message in a second, of the daemon's log. Six kinds of them stay below the journal's bound.
    static let linesPerSecond = 50
    /// Messages that are counted each for itself; any further ones share a limit.
    static let maxMessages = 64

    private let lines: Int
    private let interval: Duration
    private let limits = Mutex<[String: RateLimit]>([:])

    /// Admits so many lines of each message in an interval.
    init(lines: Int = linesPerSecond, per interval: Duration = .seconds(1)) {
        self.lines = lines
        self.interval = interval
    }

    /// The number of lines of this message kept back since the last admitted one, or nil if this one is kept back, too.
    func admit(_ message: String) -> Int? {
        limits.withLock { limits in
            let key = limits[message] != nil || limits.count < Self.maxMessages ? message : ""
            let limit = limits[key] ?? RateLimit(perInterval: lines, interval: interval)
            limits[key] = limit
            return limit.admit()
        }
    }
}
