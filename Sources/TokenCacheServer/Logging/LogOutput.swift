internal import EventLoop
internal import Glibc
public import Logging
internal import Synchronization
internal import UnixTime

/// Where the log goes: one descriptor, one style, one format, one level for all loggers made from it. Several threads may write.
public final class LogOutput: Sendable {
    public let style: LogStyle
    /// Whether the line was written.
    private let sink: @Sendable (String) -> Bool
    private let now: @Sendable () -> UnixMilliseconds
    private let threshold: Atomic<Int>
    private let isJSON: Atomic<Bool>

    /// The level below which nothing is written. May be set at any time, from any thread; holds for every logger that
    /// has no level of its own.
    public var level: Logger.Level {
        get { Self.levels[threshold.load(ordering: .relaxed)] }
        set { threshold.store(Self.rank(newValue), ordering: .relaxed) }
    }

    /// `log.format`; may be set at any time, from any thread.
    public var format: LogFormat {
        get { isJSON.load(ordering: .relaxed) ? .json : .text }
        set { isJSON.store(newValue == .json, ordering: .relaxed) }
    }

    /// The log on standard error, in the journal's style if that is the journal.
    /// - Parameter journalStream: the value of `JOURNAL_STREAM`, `device:inode`, which systemd sets (systemd.exec(5)).
    public convenience init(level: Logger.Level, format: LogFormat = .text, journalStream: String?) {
        let style: LogStyle = Self.isJournal(journalStream, descriptor: STDERR_FILENO) ? .journal : .readable
        self.init(style: style, format: format, level: level, now: HostClock.now) { Self.send($0, to: STDERR_FILENO) }
    }

    init(
        style: LogStyle, format: LogFormat = .text, level: Logger.Level,
        now: @escaping @Sendable () -> UnixMilliseconds, sink: @escaping @Sendable (String) -> Bool
    ) {
        self.style = style
        self.sink = sink
        self.now = now
        threshold = Atomic(Self.rank(level))
        isJSON = Atomic(format == .json)
    }

    /// A logger that writes here.
    public func logger(label: String) -> Logger {
        Logger(label: label) { _ in LineLogHandler(output: self) }
    }

    /// A logger whose every message is written at a bounded rate: for what peers can cause as often as they like.
    func limitedLogger(label: String) -> Logger {
        Logger(label: label) { _ in LimitedLogHandler(LineLogHandler(output: self), limits: MessageLimits()) }
    }

    func write(level: Logger.Level, message: String, metadata: Logger.Metadata) {
        switch format {
        case .text:
            _ = sink(LogLine.text(style: style, level: level, message: message, metadata: metadata, time: now()))
        case .json:
            _ = sink(JSONLogLine.text(style: style, level: level, message: message, metadata: metadata, time: now()))
        }
    }

    /// Writes an event of the trail for auditors whole, whatever its length, past every level and rate.
    /// - Parameter event: a JSON object.
    /// - Returns: whether it was written.
    func writeAudit(_ event: String) -> Bool {
        switch format {
        case .text:
            let empty = LogLine.text(style: style, level: .notice, message: "audit", metadata: [:], time: now())
            return sink(empty.dropLast() + " " + event + "\n")
        case .json:
            let priority = style == .journal ? "<\(LogLine.priority(.notice))>" : ""
            return sink(priority + "{\"level\":\"notice\",\"message\":\"audit\"," + event.dropFirst() + "\n")
        }
    }

    /// True if `stream` names the file behind `descriptor`: then the journal reads it, and priorities are understood.
    /// A child whose standard error was redirected inherits the variable but not the file, hence the comparison.
    static func isJournal(_ stream: String?, descriptor: Int32) -> Bool {
        guard let parts = stream?.split(separator: ":", omittingEmptySubsequences: false), parts.count == 2,
            let device = UInt(parts[0]), let inode = UInt(parts[1])
        else { return false }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return false }
        return status.st_dev == device && status.st_ino == inode
    }

    /// One write(2) for one line. A line that the reader has no room for is lost: whoever stops reading the log does not
    /// stop the daemon. The descriptor is others', too, so it is not set to non-blocking: a pipe or socket is asked for room
    /// first, and has it for a whole line then (pipe(7), PIPE_BUF).
    /// - Returns: whether the line was written.
    static func send(_ line: String, to descriptor: Int32) -> Bool {
        let bytes = Array(line.utf8)
        var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&room, 1, 0) > 0 else { return false }
        var count = -1
        repeat {
            count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        } while count < 0
            && errno == EINTR
        return count == bytes.count
    }

    private static let levels = Logger.Level.allCases

    private static func rank(_ level: Logger.Level) -> Int {
        levels.firstIndex(of: level) ?? 0
    }
}
