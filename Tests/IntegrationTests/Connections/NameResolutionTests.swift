import Foundation
import TestSupport
import Testing

/// The daemon's Redis is called by a name, in a mount namespace with the test's own `/etc/hosts` or `/etc/resolv.conf`.
@Suite("Names of Redis", .parallel)
struct NameResolutionTests {
    private static func launcher(_ file: String, _ text: String, _ folder: TemporaryFolder) throws -> [String] {
        let own = "\(folder.path)/\((file as NSString).lastPathComponent)"
        try Data(text.utf8).write(to: URL(filePath: own))
        return ["unshare", "--mount", "/bin/sh", "-c", "mount --bind '\(own)' \(file) && exec \"$@\"", "sh"]
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
