import Foundation
import Glibc

/// tokencachectl, run as a user would run it: its arguments, its standard input, what it printed and its status.
struct ControlProgram {
    struct Result {
        let status: Int32
        let output: String
        let errors: String

        /// The output as JSON.
        func json() throws -> NSObject? {
            try JSONSerialization.jsonObject(with: Data(output.utf8), options: .fragmentsAllowed) as? NSObject
        }
    }

    /// The folder of the programs under test: that of the test program itself.
    static let folder: String = {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = max(0, readlink("/proc/self/exe", &buffer, buffer.count))
        let own = String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if !own.contains("swiftpm-testing-helper") { return (own as NSString).deletingLastPathComponent }
        // The helper of the toolchain loads the bundle; its path is an argument.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? ""
        return (bundle as NSString).deletingLastPathComponent
    }()

    /// Runs to the end. Files stand for the three streams, so that nothing can block or raise SIGPIPE.
    static func run(
        _ arguments: [String], input: String = "", in folder: String = folder,
        environment: [String] = ["PATH=/nonexistent", "TZ=UTC"]
    ) throws -> Result {
        let streams = [try namelessFile(), try namelessFile(), try namelessFile()]
        defer { streams.forEach { close($0) } }
        _ = pwrite(streams[0], input, input.utf8.count, 0)
        let process = try spawn("\(folder)/tokencachectl", arguments, environment: environment, streams: streams)
        let status = wait(for: process)
        return Result(status: status, output: contents(of: streams[1]), errors: contents(of: streams[2]))
    }

    /// Runs with a standard output on which every write fails, as on a full disk.
    static func runOnFullDisk(_ arguments: [String]) throws -> Result {
        let streams = [try namelessFile(), open("/dev/full", O_WRONLY | O_CLOEXEC), try namelessFile()]
        defer { streams.forEach { close($0) } }
        let status = wait(for: try spawn("\(folder)/tokencachectl", arguments, environment: [], streams: streams))
        return Result(status: status, output: "", errors: contents(of: streams[2]))
    }

    /// The exit status; a signal shows as 1000 + its number.
    static func wait(for process: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 1000 + (status & 0x7f)
    }

    private static func namelessFile() throws -> Int32 {
        var template = Array("/tmp/tc-stream-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw POSIXError(.EMFILE) }
        unlink(template)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return descriptor
    }

    /// Starts a program; `streams` become its standard ones.
    static func spawn(
        _ program: String, _ arguments: [String], environment: [String], streams: [Int32]
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, stream) in streams.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, stream, Int32(number))
        }
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, program, &actions, nil, &argv, &envp)
        guard result == 0 else { throw POSIXError(POSIXErrorCode(rawValue: result) ?? .ENOENT) }
        return process
    }

    private static func contents(of stream: Int32) -> String {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = pread(stream, &buffer, buffer.count, off_t(text.count))
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += buffer.prefix(count)
        }
    }
}
