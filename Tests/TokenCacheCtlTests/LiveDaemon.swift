import Foundation
import Glibc
import TestSupport

/// A daemon of its own with an embedded Redis, in a folder of its own; both are gone when it is released.
final class LiveDaemon {
    let socketPath: String
    private let configuration: String
    private let folder: String
    private let process: pid_t
    private let log: Int32

    private static let environment = ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin"]
    /// Enough for a Redis to start on a busy machine.
    private static let startLimit = Duration.seconds(20)
    private static let stopLimit = Duration.seconds(10)

    /// Whether the build made a daemon, and there is a Redis for it to start.
    static var isAvailable: Bool {
        let files = FileManager.default
        return files.isExecutableFile(atPath: "\(ControlProgram.folder)/tokencached")
            && ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].contains { files.isExecutableFile(atPath: $0) }
    }

    init() throws {
        var template = Array("/tmp/tc-live-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw POSIXError(.EIO) }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        socketPath = folder + "/s"
        configuration = folder + "/c.yaml"
        // A busy machine is not the fault under test.
        try "redis:\n  timeout: 10s\nsession:\n  idle: 1h\n".write(
            toFile: configuration, atomically: false, encoding: .utf8)
        log = open(folder + "/log", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        process = try ControlProgram.spawn(
            "\(ControlProgram.folder)/tokencached",
            [
                "--config", configuration, "--socket", socketPath, "--redis", "embedded", "--state-dir",
                folder + "/state",
            ],
            environment: Self.environment, streams: [log, log, log])
    }

    /// Waits until the daemon has its Redis; `false` if it does not get that far.
    func isReady() throws -> Bool {
        let deadline = ContinuousClock.now + Self.startLimit
        while ContinuousClock.now < deadline {
            if try run(["info", "upstream"]).output.contains("upstream_state:ready") { return true }
            usleep(50_000)
        }
        return false
    }

    func run(_ arguments: [String], input: String = "") throws -> ControlProgram.Result {
        try ControlProgram.run(["--socket", socketPath] + arguments, input: input)
    }

    /// Writes its configuration anew; it takes effect with a reload.
    func configure(_ text: String) throws {
        try text.write(toFile: configuration, atomically: true, encoding: .utf8)
    }

    /// What it logged, for the report of a failed test.
    var logText: String { (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? "" }

    deinit {
        kill(process, SIGTERM)
        // The daemon drains, then ends its Redis; one that does neither must not hold up the tests.
        var status: Int32 = 0
        let deadline = ContinuousClock.now + Self.stopLimit
        while waitpid(process, &status, WNOHANG) == 0 {
            if ContinuousClock.now > deadline { kill(process, SIGKILL) }
            usleep(10_000)
        }
        // A daemon that crashed leaves its Redis to the next one.
        for left in Leftovers.below(folder) { kill(left.pid, SIGKILL) }
        close(log)
        try? FileManager.default.removeItem(atPath: folder)
    }
}
