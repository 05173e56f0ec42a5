import Foundation
import TestSupport
import Testing

/// The daemon's Redis is called by a name, in a mount namespace with the test's own `/etc/hosts` or `/etc/resolv.conf`.
@Suite("Names of Redis", .parallel)
struct NameResolutionTests {
    private static func launcher(_ file: String, _ text: String, _ folder: TemporaryFolder) throws -> [String] {
        let own = try write(text, file, folder)
        return ["unshare", "--mount", "/bin/sh", "-c", "mount --bind '\(own)' \(file) && exec \"$@\"", "sh"]
    }

    /// In its place: who has it mounted sees the new text.
    @discardableResult
    private static func write(_ text: String, _ file: String, _ folder: TemporaryFolder) throws -> String {
        let own = "\(folder.path)/\((file as NSString).lastPathComponent)"
        try Data(text.utf8).write(to: URL(filePath: own))
        return own
    }

    @Test("a name that leads to another server, after the first has died, is looked up anew: the other one is in use")
    func changed() throws {
        let folder = try TemporaryFolder()
        let port = try FreePort.find()
        let servers = try ["127.0.0.1", "127.0.0.2"].map { try RedisProcess(["--port", "\(port)", "--bind", $0]) }
        defer { for server in servers { server.kill9() } }
        let stage = try Stage()
        let daemon = try stage.addDaemon(
            .url("redis://redis.test:\(port)"), launcher: Self.launcher("/etc/hosts", "127.0.0.1 redis.test\n", folder))
        let client = try daemon.client()
        let first = try client.issue()
        #expect(try client.validate(first).status == "valid")
        servers[0].kill9()
        try awaitThat("the name leads nowhere") {
            try client.call("TOKEN.ISSUE").errorCode == "UNAVAILABLE"
        }
        try Self.write("127.0.0.2 redis.test\n", "/etc/hosts", folder)
        let token = try eventually("it is served by the other server") { try? client.issue() }
        let key = "\(stage.prefix)s:\(TokenText.sid(token))"
        #expect(try RESPClient(path: servers[1].socket).call("EXISTS", key) == .integer(1))
        #expect(try client.answered("TOKEN.VALIDATE", first).status == "unknown")
        try daemon.stop()
    }

    @Test("of two addresses the first is silent: the second one is reached in time")
    func silentAddress() throws {
        let folder = try TemporaryFolder()
        let port = try FreePort.find()
        let server = try RedisProcess(["--port", "\(port)", "--bind", "127.0.0.1"])
        defer { server.kill9() }
        let silent = try SilentPort.tcp("127.0.0.2", port)
        defer { silent.close() }
        let stage = try Stage()
        let daemon = try stage.addDaemon(
            .url("redis://redis.test:\(port)"),
            launcher: Self.launcher("/etc/hosts", "127.0.0.2 redis.test\n127.0.0.1 redis.test\n", folder))
        let client = try daemon.client()
        #expect(try client.validate(client.issue()).status == "valid")
        try daemon.stop()
    }

    @Test("a resolver that does not answer leaves no descriptor behind")
    func silentResolver() throws {
        let folder = try TemporaryFolder()
        let silent = try SilentPort.udp("127.0.0.9", 53)
        defer { silent.close() }
        let stage = try Stage()
        let daemon = try stage.addDaemon(
            .url("redis://redis.test:6379"),
            launcher: Self.launcher("/etc/resolv.conf", "nameserver 127.0.0.9\n", folder), readiness: .answers)
        func descriptors() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/\(daemon.pid)/fd").count
        }
        letPass(.seconds(1))
        let first = try descriptors()
        letPass(.seconds(5))
        // One attempt of each connection may be under way.
        #expect(try descriptors() <= first + 4)
        try daemon.stop()
    }
}
