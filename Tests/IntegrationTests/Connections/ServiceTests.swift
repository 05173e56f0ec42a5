import Foundation
import TestSupport
import Testing

/// The daemon under something that behaves as systemd does; `Tests/Systemd` has the real one.
@Suite("As a service", .parallel)
struct ServiceTests {
    /// Opens a listening socket at its first argument, or a pair of connected ones for `pair`, and becomes the program
    /// behind it, as systemd starts a service.
    private static let activator = """
        import os, socket, sys
        if sys.argv[1] == "pair":
            passed, other = socket.socketpair()
        else:
            passed = socket.socket(socket.AF_UNIX)
            passed.bind(sys.argv[1])
            passed.listen(64)
        if passed.fileno() != 3:
            os.dup2(passed.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="resp")
        os.execv(sys.argv[2], sys.argv[2:])
        """

    private func start(
        _ world: World, passing socket: String, _ arguments: [String], environment: [String: String] = [:]
    ) throws -> ChildProcess {
        let folder = try world.stage.folder.folder("service")
        let settings = ["--state-dir", "\(folder)/state", "--set", "redis.prefix=\(world.stage.prefix)"]
        return try ChildProcess(
            "python3", ["-c", Self.activator, socket, Daemon.program] + settings + arguments, name: "service",
            folder: folder, environment: environment)
    }

    @Test("a passed socket is served, left behind at the end, and no business of the embedded redis-server")
    func activation() throws {
        try withWorld { world in
            let folder = try world.stage.folder.folder("service")
            let socket = "\(folder)/passed.sock"
            let notices = try NoticeReceiver("\(folder)/notify.sock")
            let service = try start(
                world, passing: socket, ["--redis", "embedded", "--socket", "\(folder)/other.sock"],
                environment: ["NOTIFY_SOCKET": notices.path, "WATCHDOG_USEC": "300000"])
            #expect(try notices.next("READY=1").contains("STATUS=serves \(socket)\n"), "\(service.errors)")
            let client = try RESPClient(path: socket, book: world.stage.book)
            _ = try client.issue()
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/other.sock"))

            let redis = try #require(try Self.children(of: service.pid).first)
            let environment = String(
                decoding: FileManager.default.contents(atPath: "/proc/\(redis)/environ") ?? Data(), as: UTF8.self)
            for name in ["NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_"] { #expect(!environment.contains(name)) }
            let passed = try Self.target("/proc/\(service.pid)/fd/3")
            let inherited = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(redis)/fd")
                // It opens and closes some all the time.
                .compactMap { try? Self.target("/proc/\(redis)/fd/\($0)") }
            #expect(passed.hasPrefix("socket:") && !inherited.contains(passed))

            // Ten messages are all that a datagram socket holds, and the watchdog has been fed meanwhile.
            notices.drop()
            service.signal(SIGTERM)
            #expect(try notices.next("STOPPING=1").contains("STATUS=draining\n"))
            #expect(try service.wait(.seconds(10)) == .exited(0))
            #expect(FileManager.default.fileExists(atPath: socket), "the path is systemd's")
        }
    }

    @Test("systemd is told of a reload's begin and end, good or bad")
    func reload() throws {
        try withWorld { world in
            let folder = try world.stage.folder.folder("service")
            let file = "\(folder)/c.yaml"
            func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: file)) }
            try write("")
            let notices = try NoticeReceiver("\(folder)/notify.sock")
            let socket = "\(folder)/passed.sock"
            let service = try start(
                world, passing: socket, ["--redis", world.requireServer().url, "--config", file],
                environment: ["NOTIFY_SOCKET": notices.path])
            _ = try notices.next("READY=1")
            let client = try RESPClient(path: socket, book: world.stage.book)
            for (text, isGood) in [("rotation:\n  after: soon\n", false), ("redis:\n  timeout: 3s\n", true)] {
                try write(text)
                let reply = try client.call("RELOAD")
                if isGood {
                    #expect(reply.text == "OK, but these keys change with a restart only: redis.timeout")
                } else {
                    #expect(reply.errorText?.contains("rotation.after") == true, "\(reply)")
                }
                let begin = try notices.next("RELOADING=1")
                #expect(begin.contains("MONOTONIC_USEC="))
                _ = try notices.next("READY=1")
            }
            service.signal(SIGTERM)
            #expect(try service.wait(.seconds(10)) == .exited(0))
        }
    }

    @Test("limits, log level and access change by a reload, and no connection is closed")
    func reloadable() throws {
        try withWorld { world in
            let folder = try world.stage.folder.folder("service")
            let file = "\(folder)/c.yaml"
            let socket = "\(folder)/passed.sock"
            let notices = try NoticeReceiver("\(folder)/notify.sock")
            func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: file)) }
            try write("log:\n  level: error\n")
            let service = try start(
                world, passing: socket,
                ["--redis", world.requireServer().url, "--config", file, "--set", "redis.timeout=2s"],
                environment: ["NOTIFY_SOCKET": notices.path])
            _ = try notices.next("READY=1")
            let first = try RESPClient(path: socket, book: world.stage.book)
            let second = try RESPClient(path: socket, book: world.stage.book)
            let token = try first.issue()
            _ = try first.call("RELOAD")
            #expect(!service.errors.contains("the configuration was reloaded"), "a notice, and the level is error")

            try write("log:\n  level: info\nlimits:\n  max-clients: 2\naccess:\n  default: none\n")
            #expect(try first.call("RELOAD").text == "OK")
            _ = try eventually("the notice") { service.errors.contains("the configuration was reloaded") ? true : nil }
            // The tests' own user is an admin, for whom 16 more places are kept.
            let admins = try (0..<16).map { _ in try RESPClient(path: socket, book: world.stage.book) }
            for admin in admins { #expect(try admin.call("PING") == .simple("PONG")) }
            let third = try RESPClient(path: socket, book: world.stage.book)
            #expect(try third.readReply().errorText?.hasPrefix("OVERLOADED") == true)
            // The daemon's own user is an admin whatever is said, so the access rules are read back.
            let access = try Fields(second.call("CONFIG", "GET", "access.default"))
            #expect(access.entries.first?.value.text == "none")
            for client in [first, second] { #expect(try client.validate(token).status == "valid") }
            service.signal(SIGTERM)
            #expect(try service.wait(.seconds(10)) == .exited(0))
        }
    }

    @Test("the watchdog is fed while the loop turns, and not by anything else")
    func watchdog() throws {
        try withWorld { world in
            let folder = try world.stage.folder.folder("service")
            let notices = try NoticeReceiver("\(folder)/notify.sock")
            let service = try start(
                world, passing: "\(folder)/passed.sock", ["--redis", world.requireServer().url],
                environment: ["NOTIFY_SOCKET": notices.path, "WATCHDOG_USEC": "300000"])
            for _ in 0..<5 { _ = try notices.next("WATCHDOG=1") }
            service.signal(SIGSTOP)
            // What was sent before the stop took effect.
            letPass(.milliseconds(200))
            notices.drop()
            letPass(.milliseconds(400))
            #expect(notices.isEmpty)
            service.signal(SIGCONT)
            _ = try notices.next("WATCHDOG=1")
            service.signal(SIGTERM)
            #expect(try service.wait(.seconds(10)) == .exited(0))
        }
    }

    @Test("a passed socket that nobody listens on is refused with status 78")
    func wrongSocket() throws {
        try withWorld { world in
            let service = try start(world, passing: "pair", ["--redis", world.requireServer().url])
            #expect(try service.wait(.seconds(10)) == .exited(78))
            #expect(service.errors.contains("is not a listening Unix stream socket"), "\(service.errors)")
        }
    }

    private static func children(of pid: pid_t) throws -> [pid_t] {
        let text = FileManager.default.contents(atPath: "/proc/\(pid)/task/\(pid)/children") ?? Data()
        return String(decoding: text, as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
    }

    private static func target(_ link: String) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: link)
    }
}

/// The socket that `NOTIFY_SOCKET` names.
private final class NoticeReceiver {
    let path: String
    private let descriptor: Int32

    init(_ path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw HarnessFailure("cannot bind \(path): error \(errno)") }
    }

    deinit { close(descriptor) }

    /// The next message that says this; those before it are dropped.
    func next(_ statement: String) throws -> String {
        try eventually(within: .seconds(20), "notice \(statement)") {
            while let message = receive() {
                if message.contains(statement + "\n") { return message }
            }
            return nil
        }
    }

    var isEmpty: Bool { receive() == nil }

    func drop() { while receive() != nil {} }

    private func receive() -> String? {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
    }
}
