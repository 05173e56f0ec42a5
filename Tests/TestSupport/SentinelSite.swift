import Foundation
import Synchronization

/// A master, its replicas, and three Sentinels that watch them, each on a loopback port.
public final class SentinelSite: Sendable {
    /// A server of the site.
    public struct Member: Sendable {
        public let port: Int
        let child: ChildProcess

        public func signal(_ number: Int32) { child.signal(number) }
    }

    public let servers: [Member]
    public let sentinels: [Member]
    public static let masterName = "main"

    /// Sentinels take a busy machine's pauses for a master's death: `TEST_TOPOLOGIES=1` runs their tests, by themselves.
    public static let isWanted = ProcessInfo.processInfo.environment["TEST_TOPOLOGIES"] == "1"

    /// Of all Sentinels.
    public var url: String {
        "sentinel://" + sentinels.map { "127.0.0.1:\($0.port)" }.joined(separator: ",") + "/\(Self.masterName)"
    }

    /// - Parameters:
    ///   - folder: where it works.
    ///   - password: asked for by the Sentinels.
    public init(in folder: String, replicas: Int = 2, password: String? = nil) throws {
        var servers: [Member] = []
        for number in 0...replicas {
            let port = try FreePort.find()
            let place = "\(folder)/r\(number)"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            let master = servers.first.map { ["--replicaof", "127.0.0.1", "\($0.port)"] } ?? []
            let child = try ChildProcess(
                "redis-server",
                [
                    "--port", "\(port)", "--dir", place, "--save", "", "--appendonly", "no",
                    "--repl-diskless-sync-delay", "0",
                    "--repl-ping-replica-period", "1",
                ] + master, name: "redis", folder: place)
            servers.append(Member(port: port, child: child))
        }
        self.servers = servers
        // A Sentinel asks a master for its replicas every ten seconds: they are there when it asks first.
        _ = try eventually("the replicas are connected") {
            let tool = try Tool.run("redis-cli", ["-p", "\(servers[0].port)", "INFO", "replication"])
            return tool.output.contains("connected_slaves:\(replicas)") ? true : nil
        }
        var sentinels: [Member] = []
        for number in 0..<3 {
            let port = try FreePort.find()
            let place = "\(folder)/s\(number)"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            let lines =
                [
                    "port \(port)", "dir \(place)",
                    "sentinel monitor \(Self.masterName) 127.0.0.1 \(servers[0].port) 2",
                    "sentinel down-after-milliseconds \(Self.masterName) 1000",
                    "sentinel failover-timeout \(Self.masterName) 3000",
                ] + (password.map { ["requirepass \($0)", "sentinel sentinel-pass \($0)"] } ?? [])
            try lines.joined(separator: "\n").write(toFile: "\(place)/s.conf", atomically: true, encoding: .utf8)
            let child = try ChildProcess(
                "redis-server", ["\(place)/s.conf", "--sentinel"], name: "sentinel", folder: place)
            sentinels.append(Member(port: port, child: child))
        }
        self.sentinels = sentinels
        for sentinel in sentinels {
            _ = try eventually(within: .seconds(40), "the Sentinels know each other and the replicas") {
                () throws -> Bool? in
                let words = try fields(of: sentinel, password: password)
                return words["num-slaves"] == "\(replicas)" && words["num-other-sentinels"] == "2" ? true : nil
            }
        }
    }

    deinit { for member in servers + sentinels { member.child.kill9() } }

    /// What a Sentinel says of the master.
    private func fields(of sentinel: Member, password: String? = nil) throws -> [String: String] {
        let lines = try ask(sentinel, ["SENTINEL", "MASTER", Self.masterName], password: password)
        return Dictionary(
            stride(from: 0, to: lines.count - 1, by: 2).map { (lines[$0], lines[$0 + 1]) }, uniquingKeysWith: { $1 })
    }

    /// The port of the master, as a Sentinel has it now.
    public func masterPort(at sentinel: Member) throws -> Int? {
        try ask(sentinel, ["SENTINEL", "get-master-addr-by-name", Self.masterName]).last.flatMap { Int($0) }
    }

    /// Ends everything.
    public func stop() { for member in servers + sentinels { member.child.kill9() } }

    /// The lines of a member's answer; none where it does not answer.
    @discardableResult
    public func ask(_ member: Member, _ words: [String], password: String? = nil) throws -> [String] {
        let login = password.map { ["-a", $0, "--no-auth-warning"] } ?? []
        let tool = try Tool.run("redis-cli", ["-p", "\(member.port)"] + login + words)
        return tool.status == 0 ? tool.output.split(separator: "\n").map(String.init) : []
    }
}
