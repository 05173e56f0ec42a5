internal import CLinux
internal import EventLoop
internal import Glibc
public import Host
public import RedisLink

/// Why the private Redis cannot be used.
public enum EmbeddedRedisError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another daemon uses this state directory.
    case inUse(path: String)
    case directory(path: String, operation: String, number: Int32)
    /// The folder, or a file in it, is another user's, or others may write to it.
    case untrusted(path: String, Distrust)
    case executableMissing(name: String)
    case cannotStart(executable: String, number: Int32)
    /// It, or its version, lacks what the daemon needs.
    case unfit(executable: String, fault: RedisFault)
    /// It ends again and again; the last lines of its log.
    case keepsFailing(end: String, lines: [String])
    /// A server left over from before does not end.
    case leftOver(processID: Int32)
    /// `stop` came before it was ready.
    case stopped

    public var description: String {
        switch self {
        case .inUse(let path):
            "\(path) is in use by another daemon; each needs a state directory of its own"
        case .directory(let path, let operation, let number):
            "\(path): cannot \(operation) it: \(String(cString: strerror(number)))"
        case .untrusted(let path, let distrust):
            "\(path) is not used: \(distrust)"
        case .executableMissing(let name):
            "\(name) not found: install the package redis-server (Debian, Ubuntu) or redis (Fedora, Alpine), "
                + "or set redis.url to a Redis that runs elsewhere"
        case .cannotStart(let executable, let number):
            "\(executable) cannot be started: \(String(cString: strerror(number)))"
        case .unfit(let executable, let fault): "\(executable): \(fault): \(fault.remedy)"
        case .keepsFailing(let end, let lines):
            "the embedded redis-server keeps failing (\(end)); it said last: \(lines.joined(separator: " | "))"
        case .leftOver(let processID):
            "a redis-server left over from before (process \(processID)) does not end"
        case .stopped: "stopped before it was ready"
        }
    }
}

/// The folder of an embedded Redis: its lock, files and processes. Held from start to stop.
final class RedisFolder {
    /// `<state directory>/redis`.
    let path: String
    /// The folder itself, open.
    let descriptor: Int32
    let lock: Int32

    static let socketName = "redis.sock"
    static let logName = "redis.log"
    static let processFileName = "redis.pid"
    /// Past this many bytes the log is put aside at the next start of the server.
    static let longestLog = 1 << 20

    /// Makes the folder if it is missing, only for its owner, and locks it against other daemons.
    init(stateDirectory: String) throws(EmbeddedRedisError) {
        path = stateDirectory + "/redis"
        Self.makeParents(of: stateDirectory)
        if mkdir(stateDirectory, 0o700) != 0, errno != EEXIST {
            throw .directory(path: stateDirectory, operation: "make", number: errno)
        }
        let parent = try Self.trusting(stateDirectory) { () throws(FileFault) in
            try FileTrust.openFolder(stateDirectory)
        }
        defer { close(parent) }
        if mkdirat(parent, "redis", 0o700) != 0, errno != EEXIST {
            throw .directory(path: path, operation: "make", number: errno)
        }
        let descriptor = try Self.trusting(path) { () throws(FileFault) in
            try FileTrust.openFolder("redis", in: parent)
        }
        self.descriptor = descriptor
        do throws(EmbeddedRedisError) {
            lock = try Self.trusting(path + "/lock") { () throws(FileFault) in
                try FileTrust.openToWrite("lock", in: descriptor, flags: O_RDWR)
            }
        } catch {
            close(descriptor)
            throw error
        }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            close(lock)
            close(descriptor)
            throw number == EWOULDBLOCK ? .inUse(path: path) : .directory(path: path, operation: "lock", number: number)
        }
    }

    /// Makes the folders above one where they are missing, as `~/.local/state` is for a user who is new. That one of them
    /// cannot be made is said of what stands in it.
    private static func makeParents(of path: String) {
        var parent = ""
        for name in path.split(separator: "/").dropLast() {
            parent += (parent.isEmpty && !path.hasPrefix("/") ? "" : "/") + name
            mkdir(parent, 0o755)
        }
    }

    deinit {
        // Closing is not enough: a child that is being started holds the descriptor, and the lock with it, until it runs
        // its program.
        flock(lock, LOCK_UN)
        close(lock)
        close(descriptor)
    }

    private static func trusting(
        _ path: String, _ open: () throws(FileFault) -> Int32
    ) throws(EmbeddedRedisError) -> Int32 {
        do throws(FileFault) { return try open() } catch {
            switch error {
            case .system(let operation, let number): throw .directory(path: path, operation: operation, number: number)
            case .untrusted(let distrust): throw .untrusted(path: path, distrust)
            }
        }
    }

    /// The way to the socket through the open folder: as long as it needs to be, and the folder that was judged, whatever
    /// its path means by now.
    var socketRoute: String { "/proc/self/fd/\(descriptor)/" + RedisFolder.socketName }

    /// Notes the server's process number, for whoever looks after the daemon; `leftOvers` does not depend on it.
    func note(processID: Int32) {
        guard
            let file = try? FileTrust.openToWrite(
                RedisFolder.processFileName, in: descriptor, flags: O_WRONLY | O_TRUNC)
        else { return }
        let text = Array("\(processID)\n".utf8)
        _ = write(file, text, text.count)
        close(file)
    }

    func forgetProcess() {
        unlinkat(descriptor, RedisFolder.processFileName, 0)
    }

    /// Servers that work in this very folder: left over from a daemon that was killed.
    ///
    /// The process file's number comes first, then everything that runs: a daemon may have died before it could
    /// write one. A number alone proves nothing, it may have been given to another process since.
    func leftOvers() -> [Int32] {
        var candidates: [Int32] = []
        if let text = readText(RedisFolder.processFileName, last: 32), let number = Int32(text.prefix { $0 != "\n" }) {
            candidates.append(number)
        }
        if let folder = opendir("/proc") {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if let number = Int32(name), !candidates.contains(number) { candidates.append(number) }
            }
            closedir(folder)
        }
        return candidates.filter { $0 > 1 && $0 != getpid() && isServerHere($0) }
    }

    /// What the servers are called that a process may be.
    private static let serverNames = ["redis-", "valkey-"]

    /// Whether this process is a redis-server, or Valkey's, whose working folder is this one.
    func isServerHere(_ processID: Int32) -> Bool {
        var own = stat()
        var other = stat()
        guard fstat(descriptor, &own) == 0, stat("/proc/\(processID)/cwd", &other) == 0 else { return false }
        guard own.st_dev == other.st_dev, own.st_ino == other.st_ino else { return false }
        let command = readText(absolute: "/proc/\(processID)/cmdline", last: 4096) ?? ""
        let program = command.prefix { $0 != "\0" && $0 != " " }
        let name = program.split(separator: "/").last ?? ""
        return Self.serverNames.contains { name.hasPrefix($0) }
    }

    /// The last lines of the server's log.
    func lastLogLines(_ count: Int) -> [String] {
        let text = readText(RedisFolder.logName, last: 4096) ?? ""
        return text.split(separator: "\n").suffix(count).map(String.init)
    }

    /// Starts a server in this folder, in a process group of its own so that a terminal's Ctrl-C does not reach it.
    func spawn(executable: String, appendFsync: EmbeddedRedis.AppendFsync) throws(EmbeddedRedisError) -> Int32 {
        var log = stat()
        if fstatat(descriptor, RedisFolder.logName, &log, 0) == 0, log.st_size > RedisFolder.longestLog {
            renameat(descriptor, RedisFolder.logName, descriptor, RedisFolder.logName + ".old")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let output = try Self.trusting(path + "/" + RedisFolder.logName) { () throws(FileFault) in
            try FileTrust.openToWrite(RedisFolder.logName, in: descriptor, flags: O_WRONLY | O_APPEND)
        }
        defer { close(output) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        // The folder that was judged: whoever owns one above it could put another under its path.
        posix_spawn_file_actions_addfchdir_np(&actions, descriptor)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)

        let arguments = [
            executable, "--port", "0", "--dir", ".", "--unixsocket", RedisFolder.socketName,
            "--unixsocketperm", "600", "--appendonly", "yes", "--appendfsync", appendFsync.rawValue,
            "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no", "--supervised", "no",
        ]
        // Nothing of the daemon's environment: it may hold secrets.
        let environment = ["PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"]
        // What it makes is for its user alone: it names no mode of its own.
        let before = umask(0o077)
        defer { _ = umask(before) }
        switch startProcess(executable, arguments, environment: environment, &actions) {
        case .success(let processID): return processID
        case .failure(let fault): throw .cannotStart(executable: executable, number: fault.number)
        }
    }

    private func readText(_ name: String, last count: Int) -> String? {
        readText(absolute: "/proc/self/fd/\(descriptor)/\(name)", last: count)
    }

    private func readText(absolute path: String, last count: Int) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        // Fails on /proc, whose files are read from their beginning.
        if lseek(file, -off_t(count), SEEK_END) < 0 { lseek(file, 0, SEEK_SET) }
        var bytes = [UInt8](repeating: 0, count: count)
        let length = read(file, &bytes, count)
        return length < 0 ? nil : String(decoding: bytes[..<length], as: UTF8.self)
    }
}

/// Where an executable is: itself if it names a path, else the first of that name in `PATH`.
func findExecutable(_ name: String) -> String? {
    if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    for folder in path.split(separator: ":") where access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
    return nil
}
