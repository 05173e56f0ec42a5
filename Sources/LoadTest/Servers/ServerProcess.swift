internal import CLinux
internal import Glibc

/// A server that this program started and ends.
///
/// It is started through this same program (``ServerLaunch``), which ties the server's life to this process's, holds
/// it on its core and then becomes it: even a `kill -9` of the load test leaves nothing behind.
final class ServerProcess {
    let name: String
    let socketPath: String
    private(set) var process: Int32
    private let logPath: String
    private var isEnded = false

    static let startTimeout = Duration.seconds(15)
    static let endTimeout = Duration.seconds(5)

    /// Starts `program` in `folder`; its output goes to a file there.
    /// - Parameter isLast: whether it is the last to run on its core.
    init(
        name: String, launcher: String, program: String, arguments: [String], socketPath: String, folder: String,
        core: Int?, isLast: Bool = false
    ) throws(LoadTestError) {
        self.name = name
        self.socketPath = socketPath
        logPath = "\(folder)/\(name).log"
        let words =
            [launcher, ServerLaunch.verb, core.map(String.init) ?? "-", isLast ? "last" : "-", program] + arguments
        process = try Self.spawn(words, logPath: logPath)
    }

    deinit { end() }

    /// Waits until `probe` answers true. Throws with the server's last words if it ends or never does.
    func awaitReady(_ probe: () -> Bool) throws(LoadTestError) {
        let end = Clock.now() + Self.startTimeout.nanoseconds
        while Clock.now() < end {
            try Interruption.check()
            if probe() { return }
            if hasEnded() { throw .unavailable("\(name) ended at once: \(lastWords)") }
            usleep(10_000)
        }
        throw .unavailable("\(name) does not answer on \(socketPath): \(lastWords)")
    }

    /// Ends the server in order, or, if it does not, at once. Returns when it is gone.
    func end() {
        guard !isEnded else { return }
        kill(process, SIGTERM)
        let limit = Clock.now() + Self.endTimeout.nanoseconds
        while Clock.now() < limit {
            if hasEnded() { return }
            usleep(5_000)
        }
        kill(process, SIGKILL)
        while !hasEnded() { usleep(5_000) }
    }

    /// Runs a short program to its end.
    static func exitStatus(of words: [String], logPath: String) throws(LoadTestError) -> Int32 {
        let process = try spawn(words, logPath: logPath)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f == 0 ? status >> 8 & 0xff : -1
    }

    private func hasEnded() -> Bool {
        if isEnded { return true }
        let result = waitpid(process, nil, WNOHANG)
        if result == process || result < 0 && errno == ECHILD { isEnded = true }
        return isEnded
    }

    private var lastWords: String {
        let lines = (readFile(logPath) ?? "").split(separator: "\n").suffix(3)
        return lines.isEmpty ? "it said nothing" : lines.joined(separator: " / ")
    }

    private static func spawn(_ words: [String], logPath: String) throws(LoadTestError) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, logPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A group of its own: Ctrl-C is for the load test, which then ends its servers in order.
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var arguments = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var process: Int32 = 0
        let result = posix_spawn(&process, words[0], &actions, &attributes, arguments, environ)
        guard result == 0 else { throw .unavailable("cannot start \(words[0]): \(describe(errno: result))") }
        return process
    }
}

/// What this program does when it was started to become a server: a hidden verb of its command line.
public enum ServerLaunch {
    /// `tokencache-load __server CORE ORDER PROGRAM ARGUMENT…`
    public static let verb = "__server"
    /// `SCHED_IDLE` (sched(7)): whoever else wants the core has it at once. Swift's Glibc module does not carry it.
    private static let idlePolicy: Int32 = 5

    /// Has this process get a signal when its parent ends.
    /// - Returns: false where that has just gone.
    static func endsWithParent(by signal: Int32) -> Bool {
        let parent = getppid()
        _ = process_control(PR_SET_PDEATHSIG, UInt(signal))
        // It may have gone between the two calls.
        return getppid() == parent
    }

    /// Ends this process with its parent, holds it on its core, and becomes the server. Returns only on failure.
    public static func run(_ words: [String]) -> Int32 {
        guard endsWithParent(by: SIGKILL), words.count >= 3 else { return 69 }
        if let core = Int(words[0]) { Cores.pin(to: core) }
        if words[1] == "last" {
            var priority = sched_param()
            _ = sched_setscheduler(0, idlePolicy, &priority)
        }
        let program = words[2]
        if program == FixedAnswerServer.name { return FixedAnswerServer.run(Array(words.dropFirst(3))) }
        var arguments = words.dropFirst(2).map { strdup($0) }
        arguments.append(nil)
        execv(program, arguments)
        let text = Array("cannot start \(program): \(describe(errno: errno))\n".utf8)
        _ = write(2, text, text.count)
        return 69
    }
}
