import Foundation
import TestSupport

/// A daemon of its own with an embedded Redis, in a folder of its own; both are gone when it is released.
final class LiveDaemon {
    let socketPath: String
    private let configuration: String
    private let folder: TemporaryFolder
    private let process: ChildProcess

    /// Whether the build made a daemon, and there is a Redis for it to start.
    static var isAvailable: Bool {
        let files = FileManager.default
        return files.isExecutableFile(atPath: PackageFolder.program("tokencached"))
            && ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].contains { files.isExecutableFile(atPath: $0) }
    }

    /// Returns when the daemon has its Redis.
    init() throws {
        folder = try TemporaryFolder()
        socketPath = folder.file("s")
        configuration = folder.file("c.yaml")
        // A busy machine is not the fault under test.
        try "redis:\n  timeout: 10s\nsession:\n  idle: 1h\n".write(
            toFile: configuration, atomically: false, encoding: .utf8)
        process = try ChildProcess(
            PackageFolder.program("tokencached"),
            [
                "--config", configuration, "--socket", socketPath, "--redis", "embedded", "--state-dir",
                folder.file("state"),
            ], name: "daemon", folder: folder.path)
        _ = try eventually(every: .milliseconds(50), "the daemon has its Redis") { () throws -> Bool? in
            if let end = process.ended { throw HarnessFailure("the daemon ended with \(end): \(process.errors)") }
            return try run(["info", "upstream"]).output.contains("upstream_state:ready") ? true : nil
        }
    }

    func run(_ arguments: [String], input: String = "") throws -> Tool {
        try ControlProgram.run(["--socket", socketPath] + arguments, input: input)
    }

    /// Writes its configuration anew; it takes effect with a reload.
    func configure(_ text: String) throws {
        try text.write(toFile: configuration, atomically: true, encoding: .utf8)
    }

    /// SIGSTOP keeps its Redis from answering, SIGCONT lets it go on.
    func signalRedis(_ signal: Int32) {
        for part in Leftovers.below(folder.path) where part.pid != process.pid { kill(part.pid, signal) }
    }

    deinit {
        process.signal(SIGTERM)
        // The daemon drains, then ends its Redis; one that does neither must not hold up the tests.
        _ = try? process.wait(.seconds(10))
        process.kill9()
        // A daemon that crashed leaves its Redis to the next one.
        for left in Leftovers.below(folder.path) { kill(left.pid, SIGKILL) }
    }
}
