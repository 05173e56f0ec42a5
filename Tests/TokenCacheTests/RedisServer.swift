import Glibc
import RedisLink

/// A redis-server of one test, on a Unix socket in a folder of its own, ended with it whatever happens.
///
/// A shell stands beside it and reads from a pipe that this process holds: when the pipe closes, also because the
/// tests crashed, it ends the server and removes the folder.
final class RedisServer {
    let socket: String
    private let folder: String
    private let lifeline: Int32
    private let shell: pid_t

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    init(options: [String] = []) throws {
        var template = Array("/tmp/tc-redis-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        guard let folder = made else { throw Failure(description: "no folder: \(errno)") }
        var pipe: [Int32] = [-1, -1]
        guard Glibc.pipe(&pipe) == 0 else { throw Failure(description: "no pipe: \(errno)") }
        // No other child may hold the lifeline: tests start servers side by side.
        for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let script = """
            redis-server --port 0 --unixsocket "$0/s" --save '' --appendonly no --maxmemory-policy noeviction \
            --enable-debug-command local --dir "$0" "$@" >"$0/log" 2>&1 </dev/null &
            server=$!
            cat >/dev/null
            kill -9 $server
            rm -rf "$0"
            """
        self.folder = folder
        socket = folder + "/s"
        lifeline = pipe[1]
        shell = try Self.spawn(["/bin/sh", "-c", script, folder] + options, input: pipe[0])
        close(pipe[0])
        try awaitSocket()
    }

    deinit {
        close(lifeline)
        var status: Int32 = 0
        waitpid(shell, &status, 0)
    }

    var endpoint: RedisEndpoint { .unix(path: socket) }

    private static func spawn(_ words: [String], input: Int32) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let failure = posix_spawn(&process, words[0], &actions, nil, &arguments, environ)
        guard failure == 0 else { throw Failure(description: "no shell: \(failure)") }
        return process
    }

    /// Until it accepts connections; its start cannot be awaited otherwise.
    private func awaitSocket() throws {
        for _ in 0..<1_000 {
            let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socket.utf8) }
            let length = socklen_t(MemoryLayout<sockaddr_un>.size)
            let connected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) == 0 }
            }
            if connected { return }
            usleep(10_000)
        }
        throw Failure(description: "redis-server does not accept connections")
    }
}
