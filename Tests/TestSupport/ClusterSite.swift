import Foundation

/// A cluster of masters, each with a replica where there are any, on loopback ports.
public final class ClusterSite: Sendable {
    public let members: [SiteMember]
    private let folder: String
    private let transport: SiteTransport

    /// How long, milliseconds, a server is silent before the others take it for dead.
    public static let nodeTimeout = 1_000

    /// Names the first two members: the others are for the daemon to find.
    public var url: String {
        "cluster://" + members.prefix(2).map { "127.0.0.1:\($0.port)" }.joined(separator: ",") + transport.query
    }

    /// What a daemon must be told besides.
    public var settings: [String: String] { transport.settings }

    /// - Parameter authority: they speak TLS and nothing else, with certificates of this one.
    public init(
        in folder: String, masters: Int = 3, replicas: Int = 0, authority: CertificateAuthority? = nil
    ) throws {
        self.folder = folder
        let transport = try SiteTransport(authority)
        self.transport = transport
        members = try (0..<masters * (1 + replicas)).map { number in
            let place = "\(folder)/c\(number)"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            return try Self.start(place, transport)
        }
        let tool = try Tool.run(
            "redis-cli",
            transport.tool + ["--cluster", "create"] + members.map { "127.0.0.1:\($0.port)" } + [
                "--cluster-replicas", "\(replicas)", "--cluster-yes",
            ])
        guard tool.status == 0 else { throw HarnessFailure("redis-cli: \(tool.output) \(tool.errors)") }
        for member in members {
            _ = try eventually(within: .seconds(30), "the cluster is whole, and replicas are connected") {
                let map = try ask(member, ["CLUSTER", "NODES"])
                let isOK = try ask(member, ["CLUSTER", "INFO"]).first?.hasPrefix("cluster_state:ok") == true
                return isOK && map.count { $0.contains("slave") } == masters * replicas
                    && !map.contains { $0.contains("handshake") || $0.contains("fail") } ? true : nil
            }
        }
        if replicas > 0 { try awaitReplicas() }
    }

    /// Until each master has one that is in step.
    public func awaitReplicas() throws {
        for member in try masters() {
            _ = try eventually(within: .seconds(30), "the replicas are in step") {
                try ask(member, ["INFO", "replication"]).contains { $0.contains("state=online") } ? true : nil
            }
        }
    }

    /// Another site may take a port that was free a moment ago: then with others.
    private static func start(_ place: String, _ transport: SiteTransport) throws -> SiteMember {
        for _ in 0..<10 {
            let port = try FreePort.find()
            let member = try start(transport.options(port: port), at: port, bus: FreePort.find(), place)
            let isThere = try eventually("a server of the cluster answers or has ended") { () throws -> Bool? in
                if member.hasEnded { return false }
                let tool = try Tool.run("redis-cli", transport.tool + ["-p", "\(port)", "CLUSTER", "MYID"])
                return tool.status == 0 && tool.output.count >= 40 ? true : nil
            }
            if isThere, !member.hasEnded { return member }
        }
        throw HarnessFailure("no server of a cluster could be started in \(place)")
    }

    private static func start(
        _ listening: [String], at port: Int, bus: Int, _ place: String
    ) throws -> SiteMember {
        try SiteMember(
            port: port,
            listening + [
                "--cluster-port", "\(bus)", "--dir", place, "--save", "", "--appendonly", "no",
                "--cluster-enabled", "yes", "--cluster-node-timeout", "\(nodeTimeout)",
                "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes",
            ], folder: place)
    }

    deinit { stop() }

    /// Ends everything.
    public func stop() { for member in members { member.kill9() } }

    /// Those that are masters with slots, as whichever answers first has it.
    public func masters() throws -> [SiteMember] {
        for member in members {
            let map = try ask(member, ["CLUSTER", "NODES"])
            guard !map.isEmpty else { continue }
            let ports = map.compactMap { line -> Int? in
                let words = line.split(separator: " ")
                guard words.count > 8, words[2].contains("master"), !words[2].contains("fail") else { return nil }
                return words[1].split(separator: "@").first?.split(separator: ":").last.flatMap { Int($0) }
            }
            return members.filter { ports.contains($0.port) }
        }
        return []
    }

    /// A replica of a master.
    public func replica(of master: SiteMember) throws -> SiteMember? {
        guard let id = try ask(master, ["CLUSTER", "MYID"]).first else { return nil }
        return try members.first { member in
            try ask(member, ["CLUSTER", "NODES"]).contains { $0.contains("myself,slave") && $0.contains(id) }
        }
    }

    /// When the cluster has a master for every slot again, as a server other than the lost one has it.
    public func awaitWhole(without lost: SiteMember) throws -> ContinuousClock.Instant {
        let others = members.filter { $0.port != lost.port }
        return try eventually(within: .seconds(30), every: .milliseconds(20), "the cluster is whole") {
            let map = try ask(others[0], ["CLUSTER", "NODES"])
            let isOver = map.contains { $0.contains(":\(lost.port)@") && $0.contains("fail") && !$0.contains("fail?") }
            let hasHeir = map.count { $0.contains("master") && !$0.contains("fail") } == 3
            let isOK = try ask(others[0], ["CLUSTER", "INFO"]).first?.hasPrefix("cluster_state:ok") == true
            return isOver && hasHeir && isOK ? .now : nil
        }
    }

    /// The master that has the slot of a key.
    public func owner(ofKey key: String) throws -> SiteMember? {
        guard let slot = try ask(members[0], ["CLUSTER", "KEYSLOT", key]).first.flatMap({ Int($0) }) else { return nil }
        return try masters().first { member in
            try ask(member, ["CLUSTER", "NODES"]).contains { line in
                line.contains("myself")
                    && line.split(separator: " ").dropFirst(8).contains { range in
                        let ends = range.split(separator: "-").compactMap { Int($0) }
                        return ends.first.map { $0 <= slot && slot <= ends[ends.count - 1] } ?? false
                    }
            }
        }
    }

    /// Moves slots from one master to another, as an operator does.
    public func reshard(_ count: Int, from: SiteMember, to: SiteMember) throws {
        guard let source = try ask(from, ["CLUSTER", "MYID"]).first,
            let target = try ask(to, ["CLUSTER", "MYID"]).first
        else { throw HarnessFailure("a server does not tell its id") }
        let tool = try Tool.run(
            "redis-cli",
            transport.tool + [
                "--cluster", "reshard", "127.0.0.1:\(from.port)", "--cluster-from", source, "--cluster-to", target,
                "--cluster-slots", "\(count)", "--cluster-yes",
            ], limit: .seconds(300))
        guard tool.status == 0 else { throw HarnessFailure("redis-cli: \(tool.output.suffix(500)) \(tool.errors)") }
    }

    /// Moves the one slot of a key, with what is in it.
    public func give(slotOf key: String, from: SiteMember, to: SiteMember) throws {
        guard let slot = try ask(from, ["CLUSTER", "KEYSLOT", key]).first,
            let source = try ask(from, ["CLUSTER", "MYID"]).first, let target = try ask(to, ["CLUSTER", "MYID"]).first
        else { throw HarnessFailure("a server does not tell its id") }
        func step(_ member: SiteMember, _ words: [String]) throws {
            let answer = try ask(member, words)
            guard answer == ["OK"] else { throw HarnessFailure("\(words): \(answer)") }
        }
        try step(to, ["CLUSTER", "SETSLOT", slot, "IMPORTING", source])
        try step(from, ["CLUSTER", "SETSLOT", slot, "MIGRATING", target])
        let keys = try ask(from, ["CLUSTER", "GETKEYSINSLOT", slot, "100"])
        if !keys.isEmpty { try step(from, ["MIGRATE", "127.0.0.1", "\(to.port)", "", "0", "5000", "KEYS"] + keys) }
        for member in [to, from] { try step(member, ["CLUSTER", "SETSLOT", slot, "NODE", target]) }
    }

    /// The lines of a member's answer; none where it does not answer.
    @discardableResult
    public func ask(_ member: SiteMember, _ words: [String]) throws -> [String] {
        let tool = try Tool.run("redis-cli", transport.tool + ["-p", "\(member.port)"] + words)
        return tool.status == 0
            ? tool.output.split(whereSeparator: \.isNewline).map(String.init) : []
    }
}
