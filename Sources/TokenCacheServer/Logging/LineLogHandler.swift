public import Logging

/// The swift-log backend of the daemon: turns an event into one line of its ``LogOutput``.
public struct LineLogHandler: LogHandler {
    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?
    private let output: LogOutput
    private var ownLevel: Logger.Level?

    /// The level of this logger alone once set, otherwise the output's, which changes while the daemon runs.
    public var logLevel: Logger.Level {
        get { ownLevel ?? output.level }
        set { ownLevel = newValue }
    }

    init(output: LogOutput) {
        self.output = output
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes the event. Its own metadata win over the logger's, and those over the provider's.
    public func log(event: LogEvent) {
        var pairs = metadataProvider?.get() ?? [:]
        pairs.merge(metadata) { $1 }
        if let own = event.metadata { pairs.merge(own) { $1 } }
        if let error = event.error, pairs["error"] == nil { pairs["error"] = "\(error)" }
        output.write(level: event.level, message: event.message.description, metadata: pairs)
    }
}
