internal import Foundation

/// A temporary folder and the servers that run in it, all on Unix sockets. It takes everything with it when it goes.
public final class TestBed {
    let folder: String
    let programs: Programs
    let cores: Cores
    private var servers: [ServerProcess] = []

    /// Makes the folder, in `parent`.
    public init(programs: Programs, cores: Cores, parent: String = "/tmp") throws(LoadTestError) {
        var template = Array("\(parent)/tokencache-load.XXXXXX".utf8CString)
        // The longest socket in it must still fit into a socket's address.
        guard template.count <= UnixSocket.longestPath - 16 else {
            throw .usage("\(parent): too long a path for a folder of sockets; set TMPDIR")
        }
        let made = template.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } != nil }
        guard made else { throw .file(path: parent, number: errno) }
        folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        self.programs = programs
        self.cores = cores
    }

    deinit { end() }

    /// Ends every server and removes the folder.
    public func end() {
        // The daemon before the Redis behind it: it drains.
        for server in servers.reversed() { server.end() }
        servers = []
        for name in names(in: folder) { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    /// The Redis behind a daemon. On the daemon's core it runs when the daemon has nothing to do.
    func startStore(_ name: String = "store") throws(LoadTestError) -> ServerProcess {
        try startRedis(name, core: cores.store, isLast: cores.isStoreBehindServer)
    }

    /// A redis-server that keeps nothing on disk.
    func startRedis(_ name: String, core: Int?, isLast: Bool = false) throws(LoadTestError) -> ServerProcess {
        let socket = "\(folder)/\(name).sock"
        return try start(
            name, programs.redisServer,
            [
                "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder,
                "--maxclients", "20000", "--daemonize", "no",
            ], socket: socket, core: core, isLast: isLast
        ) { Self.answersPing(socket) }
    }

    /// The daemon in front of the Redis at `store`; `settings` are `key=value`.
    func startDaemon(
        _ name: String = "tokencached", store: String, settings: [String] = []
    ) throws(LoadTestError) -> ServerProcess {
        let socket = "\(folder)/\(name).sock"
        // Where daemon and Redis share a core, a backlog is no fault of Redis: it is what a load test makes.
        let usual = [
            "log.level=warning", "limits.max-clients=20000", "redis.timeout=2s", "keyring.file=\(try keyRing())",
        ]
        let assignments = (usual + settings).flatMap { ["--set", $0] }
        return try start(
            name, programs.daemon,
            ["--config", emptyConfiguration(), "--socket", socket, "--redis", "unix://\(store)", "--state-dir", folder]
                + assignments,
            socket: socket, core: cores.server
        ) { Self.answersIssue(socket) }
    }

    /// A key ring with one key, made at the first call: what guests, CSRF tokens and captchas are sealed with.
    private func keyRing() throws(LoadTestError) -> String {
        let path = "\(folder)/keyring.json"
        guard access(path, F_OK) != 0 else { return path }
        var generator = SystemRandomNumberGenerator()
        let key = Data((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
        try writeFile(
            path, "{\"keys\":[{\"kid\":\"load\",\"key\":\"\(key)\",\"created\":1,\"active_from\":1}]}\n")
        // The daemon refuses a ring that others can read.
        guard chmod(path, 0o600) == 0 else { throw .file(path: path, number: errno) }
        return path
    }

    /// A daemon and the Redis behind it; answers the daemon's socket.
    public func startDaemonAndStore(settings: [String]) throws(LoadTestError) -> String {
        let store = try startStore()
        return try startDaemon(store: store.socketPath, settings: settings).socketPath
    }

    func startMemcached(_ program: String, core: Int?) throws(LoadTestError) -> ServerProcess {
        let socket = "\(folder)/memcached.sock"
        let user = getuid() == 0 ? ["-u", "root"] : []
        return try start(
            "memcached", program, ["-s", socket, "-a", "0700", "-t", "1", "-m", "1024", "-c", "16000"] + user,
            socket: socket, core: core
        ) { (try? ControlConnection(path: socket)) != nil }
    }

    /// The server that answers without looking: `answer` for every `requestSize` bytes.
    func startFixedAnswer(_ answer: [UInt8], requestSize: Int, core: Int?) throws(LoadTestError) -> ServerProcess {
        let socket = "\(folder)/limit.sock"
        let file = "\(folder)/answer"
        try writeFile(file, String(decoding: answer, as: UTF8.self))
        return try start(
            "limit", FixedAnswerServer.name, [socket, "\(requestSize)", file], socket: socket, core: core
        ) {
            (try? ControlConnection(path: socket)) != nil
        }
    }

    /// Whether the daemon knows this `key=value`.
    func accepts(_ setting: String) -> Bool {
        guard let path = try? emptyConfiguration() else { return false }
        let words = [programs.daemon, "--config", path, "--check-config", "--set", setting]
        return (try? ServerProcess.exitStatus(of: words, logPath: "\(folder)/check.log")) == 0
    }

    /// What a program says of its version; nil if it does not.
    func version(of program: String) -> String? {
        let path = "\(folder)/version.log"
        unlink(path)
        guard (try? ServerProcess.exitStatus(of: [program, "--version"], logPath: path)) == 0 else { return nil }
        // `Redis server v=7.0.15 sha=…`, `memcached 1.6.18`, `tokencached 0.1.0`
        let words = (readFile(path) ?? "").split(whereSeparator: { $0 == " " || $0.isNewline })
        return words.map { $0.hasPrefix("v=") ? $0.dropFirst(2) : $0 }.first { $0.first?.isNumber == true }
            .map(String.init)
    }

    /// Ends one server before its turn.
    func end(_ server: ServerProcess) {
        server.end()
        servers.removeAll { $0 === server }
    }

    private func start(
        _ name: String, _ program: String, _ arguments: [String], socket: String, core: Int?, isLast: Bool = false,
        ready: () -> Bool
    ) throws(LoadTestError) -> ServerProcess {
        let server = try ServerProcess(
            name: name, launcher: programs.launcher, program: program, arguments: arguments, socketPath: socket,
            folder: folder, core: core, isLast: isLast)
        servers.append(server)
        try server.awaitReady(ready)
        return server
    }

    /// A configuration file that says nothing: the machine's own must not change what is measured.
    private func emptyConfiguration() throws(LoadTestError) -> String {
        let path = "\(folder)/tokencached.yaml"
        try writeFile(path, "{}\n")
        return path
    }

    private static func answersPing(_ socket: String) -> Bool {
        guard let control = try? ControlConnection(path: socket) else { return false }
        return (try? control.command("PING")) == .text(Array("PONG".utf8))
    }

    /// A daemon answers PING before its Redis does: ask for something that needs both.
    private static func answersIssue(_ socket: String) -> Bool {
        guard let control = try? ControlConnection(path: socket), let reply = try? control.command("TOKEN.ISSUE"),
            case .list = reply
        else { return false }
        return true
    }
}
