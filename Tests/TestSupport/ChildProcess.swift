import Foundation
import Synchronization

/// Where a child reads its standard input from.
enum ChildInput {
    case nothing
    case file(String)
    case descriptor(Int32)
}

/// Starts a program in a process group of its own. Our descriptors are all close-on-exec.
func spawn(
    _ program: String, _ arguments: [String], environment: [String], folder: String, input: ChildInput,
    output: String, errors: String
) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    switch input {
    case .nothing: posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    case .file(let path): posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0)
    case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, 0)
    }
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    // What other tests have open at this moment, a pipe that somebody waits for the end of, is none of its business.
    closeFrom(&actions, 3)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var all = sigset_t()
    var none = sigset_t()
    sigfillset(&all)
    sigemptyset(&none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags = Int32(POSIX_SPAWN_SETPGROUP) | Int32(POSIX_SPAWN_SETSIGDEF) | Int32(POSIX_SPAWN_SETSIGMASK)
    posix_spawnattr_setflags(&attributes, Int16(flags))

    // The shell changes the folder, which posix_spawn can do only as an extension, and becomes the program.
    let line = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", folder, program] + arguments
    var argv: [UnsafeMutablePointer<CChar>?] = line.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, "/bin/sh", &actions, &attributes, &argv, &envp)
    guard code == 0 else { throw HarnessFailure.system("start \(program)", code) }
    return pid
}

/// glibc 2.34; its header shows it with extensions only, which the module of the C library leaves out.
@_silgen_name("posix_spawn_file_actions_addclosefrom_np")
@discardableResult
private func closeFrom(_ actions: UnsafeMutablePointer<posix_spawn_file_actions_t>, _ first: Int32) -> Int32

/// How a process ended.
public enum ProcessEnd: Equatable, Sendable {
    case exited(Int32)
    case killed(Int32)
}

/// A program under test: output and errors go into files, it is waited for with a limit only, and it never outlives
/// this object (nor, by the guardian, the test process).
public final class ChildProcess: Sendable {
    public let name: String
    public let pid: Int32
    public let outputPath: String
    public let errorPath: String
    private let end = Mutex<ProcessEnd?>(nil)

    /// `folder` becomes the working directory, which is also how the guardian knows the process.
    /// - Parameters:
    ///   - environment: Beside the tests' own, where it inherits that.
    ///   - outputPath: Nil makes a file in the folder.
    public init(
        _ program: String, _ arguments: [String], name: String, folder: String, inputFile: String? = nil,
        environment: [String: String] = [:], inherits: Bool = true, outputPath: String? = nil
    ) throws {
        _ = try Guardian.shared()
        self.name = name
        self.outputPath = outputPath ?? "\(folder)/\(name).out"
        errorPath = "\(folder)/\(name).err"
        var variables = (inherits ? ProcessInfo.processInfo.environment : [:]).filter {
            !$0.key.hasPrefix("TOKENCACHED_") && $0.key != "NOTIFY_SOCKET" && $0.key != "RUNTIME_DIRECTORY"
        }
        variables.merge(environment) { _, new in new }
        pid = try spawn(
            program, arguments, environment: variables.map { "\($0.key)=\($0.value)" }, folder: folder,
            input: inputFile.map { .file($0) } ?? .nothing, output: self.outputPath, errors: errorPath)
    }

    deinit {
        kill9()
    }

    public var output: String { Self.read(outputPath) }
    public var errors: String { Self.read(errorPath) }

    static func read(_ path: String) -> String {
        guard let data = FileManager.default.contents(atPath: path) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }

    /// The end if it came already; collects the process then, so that its number is not used again before.
    public var ended: ProcessEnd? {
        end.withLock { end in
            if let end { return end }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            let signal = status & 0x7f
            end = signal == 0 ? .exited((status >> 8) & 0xff) : .killed(signal)
            ShiftedClock.clear(pid)
            return end
        }
    }

    public func signal(_ number: Int32) {
        guard ended == nil else { return }
        kill(pid, number)
    }

    public func wait(_ limit: Duration = .seconds(60)) throws -> ProcessEnd {
        try eventually(within: limit, every: .milliseconds(2), "end of \(name) (\(pid))") { ended }
    }

    /// Ends the process and what it left in its group, at once.
    public func kill9() {
        guard ended == nil else { return }
        kill(-pid, SIGKILL)
        kill(pid, SIGKILL)
        _ = try? wait(.seconds(5))
    }
}
