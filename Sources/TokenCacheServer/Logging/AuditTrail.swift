internal import EventLoop
internal import Glibc
internal import Host
internal import Logging
internal import TokenCache
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// Where `audit.target` sends events: nowhere, to the log, or to the end of a file, a line of JSON each.
///
/// None is left out, whatever the rate and `log.level`. A file is opened anew at each reload, after it was moved away.
/// Belongs to the loop's thread.
final class AuditTrail {
    /// `audit.target`.
    enum Target: Sendable, Equatable {
        case off
        /// The daemon's own log.
        case log
        /// An absolute path.
        case file(String)
    }

    /// An opened target.
    enum Sink {
        case none
        case log
        case file(descriptor: Int32, path: String)

        /// - Throws: why the file is not used.
        static func open(_ target: Target) throws(FileFault) -> Sink {
            switch target {
            case .off: return .none
            case .log: return .log
            case .file(let path):
                let descriptor = try inFolder(of: path) { parent, name throws(FileFault) in
                    try FileTrust.openToWrite(name, in: parent, flags: O_RDWR | O_APPEND)
                }
                return .file(descriptor: descriptor, path: path)
            }
        }

        /// For `--check-config`: whether it could be opened. What is not there yet is not made.
        /// - Throws: why not.
        static func judge(_ target: Target) throws(FileFault) {
            guard case .file(let path) = target else { return }
            try inFolder(of: path) { parent, name throws(FileFault) in
                if faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 {
                    Glibc.close(try FileTrust.openToWrite(name, in: parent, flags: O_RDWR | O_APPEND))
                } else if faccessat(parent, ".", W_OK | X_OK, AT_EACCESS) != 0 {
                    throw .system(operation: "make", number: errno)
                }
            }
        }

        /// The folder is judged, too: a link in it would lead what is written elsewhere.
        private static func inFolder<Result>(
            of path: String, _ body: (_ folder: Int32, _ name: String) throws(FileFault) -> Result
        ) throws(FileFault) -> Result {
            let slash = path.lastIndex(of: "/")
            let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
            let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
            let parent = try FileTrust.openFolder(folder, allowsSticky: true)
            defer { Glibc.close(parent) }
            return try body(parent, name)
        }

        func close() {
            if case .file(let descriptor, _) = self { Glibc.close(descriptor) }
        }
    }

    /// Lines written since the start.
    private(set) var written: UInt64 = 0
    /// Lines that could not be written.
    private(set) var lost: UInt64 = 0
    /// Redis's time, or this host's before Redis was reached.
    var clock: () -> UnixMilliseconds = HostClock.now

    private var sink: Sink
    /// The file ends in the middle of a line.
    private var isTorn = false
    private let output: LogOutput
    private let logger: Logger
    private let failures = RateLimit(perInterval: 1, interval: .seconds(10))

    init(_ sink: Sink, output: LogOutput, logger: Logger) {
        self.sink = sink
        isTorn = Self.isTorn(sink)
        self.output = output
        self.logger = logger
    }

    deinit { sink.close() }

    var isOn: Bool { if case .none = sink { false } else { true } }

    func replace(_ sink: Sink) {
        self.sink.close()
        self.sink = sink
        isTorn = Self.isTorn(sink)
    }

    /// Whether a file ends in the middle of a line: a full disk, and a daemon that was started anew since.
    private static func isTorn(_ sink: Sink) -> Bool {
        guard case .file(let descriptor, _) = sink else { return false }
        var last: UInt8 = 0
        let end = lseek(descriptor, 0, SEEK_END)
        return end > 0 && pread(descriptor, &last, 1, end - 1) == 1 && last != UInt8(ascii: "\n")
    }

    /// For `--check-config`: why the file of `audit.target` would not be used.
    static func problem(_ settings: Settings) -> String? {
        do throws(FileFault) {
            try Sink.judge(settings.audit.target)
            return nil
        } catch { return refusal(of: settings.audit.target, error) }
    }

    static func refusal(of target: Target, _ fault: FileFault) -> String {
        guard case .file(let path) = target else { return "audit.target: \(fault)" }
        return "audit.target: \(path) is not used: \(fault)"
    }

    func record(_ event: AuditEvent) {
        switch sink {
        case .none: return
        case .log:
            // Not through a logger: no level and no rate holds it back.
            if output.writeAudit(Self.line(event, at: clock())) { written &+= 1 } else { lost &+= 1 }
        case .file(let descriptor, let path):
            let line = (isTorn ? "\n" : "") + Self.line(event, at: clock()) + "\n"
            write(Array(line.utf8), to: descriptor, path)
        }
    }

    /// Counts the line, written or lost. The daemon goes on without it.
    private func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) {
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let number = errno
                lost &+= 1
                if start > 0 { isTorn = true }
                return noteFailure(number, path)
            }
            start += count
        }
        isTorn = false
        written &+= 1
    }

    private func noteFailure(_ number: Int32, _ path: String) {
        guard let suppressed = failures.admit() else { return }
        logger.error(
            "an audit event could not be written (audit.target)",
            metadata: ["file": "\(path)", "error": "\(HostFiles.text(number))", "suppressed": "\(suppressed)"])
    }

    /// One JSON object without a line end. What is not known is left out.
    static func line(_ event: AuditEvent, at time: UnixMilliseconds) -> String {
        var fields = ["\"time\":\"\(time.timestamp)\"", "\"event\":\"\(event.kind.rawValue)\""]
        if let sid = event.sid { fields.append("\"sid\":\"\(sid)\"") }
        if !event.subject.isEmpty {
            fields.append("\"subject\":\(jsonString(String(decoding: event.subject, as: UTF8.self)))")
        }
        if let peer = event.peer { fields.append("\"peer\":{\"uid\":\(peer.userID),\"pid\":\(peer.processID)}") }
        if let reason = event.reason { fields.append("\"reason\":\(jsonString(reason))") }
        if event.isUnconfirmed { fields.append("\"outcome\":\"unknown\"") }
        if let fingerprint = event.fingerprint { fields.append("\"fingerprint\":\(jsonString(fingerprint))") }
        return "{\(fields.joined(separator: ","))}"
    }
}
