import Foundation
import Synchronization

/// A master, its replicas, and three Sentinels that watch them, each on a loopback port.
public final class SentinelSite: Sendable {
    public let servers: [SiteMember]
    private let watchers: Sentinels
    private let transport: SiteTransport
    public var sentinels: [SiteMember] { watchers.members }
    public static var masterName: String { Sentinels.masterName }

    /// Sentinels take a busy machine's pauses for a master's death: `TEST_TOPOLOGIES=1` runs their tests, by themselves.
    public static let isWanted = ProcessInfo.processInfo.environment["TEST_TOPOLOGIES"] == "1"

    /// Of all Sentinels.
    public var url: String { watchers.url + transport.query }

    /// What a daemon must be told besides.
    public var settings: [String: String] { transport.settings }

    /// - Parameters:
    ///   - folder: where it works.
    ///   - password: asked for by the Sentinels.
    ///   - authority: they speak TLS and nothing else, with certificates of this one.
    public init(
        in folder: String, replicas: Int = 2, password: String? = nil, authority: CertificateAuthority? = nil
    ) throws {
        let transport = try SiteTransport(authority)
        self.transport = transport
        var servers: [SiteMember] = []
        for number in 0...replicas {
            let port = try FreePort.find()
            let place = "\(folder)/r\(number)"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            let master = servers.first.map { ["--replicaof", "127.0.0.1", "\($0.port)"] } ?? []
            servers.append(
                try SiteMember(
                    port: port,
                    transport.options(port: port) + [
                        "--dir", place, "--save", "", "--appendonly", "no",
                        "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
                    ] + master, folder: place))
        }
        self.servers = servers
        // A Sentinel asks a master for its replicas every ten seconds: they are there when it asks first.
        _ = try eventually("the replicas are connected") {
            let tool = try Tool.run("redis-cli", transport.tool + ["-p", "\(servers[0].port)", "INFO", "replication"])
            return tool.output.contains("connected_slaves:\(replicas)") ? true : nil
        }
        watchers = try Sentinels(
            in: folder, master: servers[0].port,
            [
                "sentinel down-after-milliseconds \(Self.masterName) 1000",
                "sentinel failover-timeout \(Self.masterName) 3000",
            ] + (password.map { ["requirepass \($0)", "sentinel sentinel-pass \($0)"] } ?? []),
            by: transport)
        for sentinel in sentinels {
            _ = try eventually(within: .seconds(40), "the Sentinels know each other and the replicas") {
                () throws -> Bool? in
                let words = try fields(of: sentinel, password: password)
                return words["num-slaves"] == "\(replicas)" && words["num-other-sentinels"] == "2" ? true : nil
            }
        }
    }

    deinit { stop() }

    /// What a Sentinel says of the master.
    private func fields(of sentinel: SiteMember, password: String? = nil) throws -> [String: String] {
        let lines = try ask(sentinel, ["SENTINEL", "MASTER", Self.masterName], password: password)
        return Dictionary(
            stride(from: 0, to: lines.count - 1, by: 2).map { (lines[$0], lines[$0 + 1]) }, uniquingKeysWith: { $1 })
    }

    /// The port of the master, as a Sentinel has it now.
    public func masterPort(at sentinel: SiteMember) throws -> Int? {
        try ask(sentinel, ["SENTINEL", "get-master-addr-by-name", Self.masterName]).last.flatMap { Int($0) }
    }

    /// When a majority of the Sentinels names another master than `before`, a port.
    @discardableResult
    public func awaitAnotherMaster(than before: Int) throws -> ContinuousClock.Instant {
        try eventually(within: .seconds(30), every: .milliseconds(20), "most Sentinels name another master") {
            let others = try sentinels.filter { try masterPort(at: $0).map { $0 != before } ?? false }
            return others.count >= 2 ? .now : nil
        }
    }

    /// Until the master, whichever it is by now, has so many replicas in step, and every Sentinel holds them for fit.
    public func awaitReplicas(_ count: Int) throws {
        _ = try eventually(within: .seconds(30), every: .milliseconds(50), "the replicas are in step") {
            () throws -> Bool? in
            let port = try masterPort(at: sentinels[0])
            guard let master = servers.first(where: { $0.port == port }) else { return nil }
            return try ask(master, ["INFO", "replication"]).count { $0.contains("state=online") } == count ? true : nil
        }
        for sentinel in sentinels {
            _ = try eventually(within: .seconds(60), "the Sentinels know the replicas") {
                let lines = try ask(sentinel, ["SENTINEL", "REPLICAS", Self.masterName])
                let flags = zip(lines, lines.dropFirst()).filter { $0.0 == "flags" }.map(\.1)
                return flags.count == count && flags.allSatisfy { $0 == "slave" } ? true : nil
            }
        }
    }

    /// Ends everything.
    public func stop() {
        watchers.stop()
        for member in servers { member.kill9() }
    }

    /// The lines of a member's answer; none where it does not answer.
    @discardableResult
    public func ask(_ member: SiteMember, _ words: [String], password: String? = nil) throws -> [String] {
        let login = password.map { ["-a", $0, "--no-auth-warning"] } ?? []
        let tool = try Tool.run("redis-cli", transport.tool + ["-p", "\(member.port)"] + login + words)
        return tool.status == 0 ? tool.output.split(whereSeparator: \.isNewline).map(String.init) : []
    }
}
