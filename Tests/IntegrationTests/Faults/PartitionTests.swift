import Foundation
import Synchronization
import TestSupport
import Testing

/// A network that falls in two, between real servers on hosts of their own: for how long a session is still accepted that
/// was ended on the other side. The bounds are those of docs/operations.md, "What may be promised".
@Suite(
    "Partitions", .serialized, .enabled(if: SentinelSite.isWanted && getuid() == 0, "as root: make test-topologies"))
struct PartitionTests {
    /// How often each is tried: `PARTITION_RUNS=20` for a measurement.
    private static let runs = ProcessInfo.processInfo.environment["PARTITION_RUNS"].flatMap { Int($0) } ?? 1
    private static let settings = [
        "redis.timeout": "250ms", "near-cache.serve-stale": "3s", "near-cache.max-memory": "64mib",
    ]

    /// Hosts 0 to 2 have servers; the daemon of 3 stays with most of them, that of 4 is on the other side.
    private struct Site {
        let network: HostNetwork
        let url: String
        /// What daemons are told besides.
        var settings: [String: String] = [:]
        let servers: [ChildProcess]
        /// Makes a session whose master is on host 0.
        let session: (RESPClient, Stage) throws -> String

        func stop() {
            for server in servers { server.kill9() }
            network.stop()
        }
    }

    private static func server(_ network: HostNetwork, _ host: Int, _ folder: String, _ name: String, _ words: [String])
        throws -> ChildProcess
    {
        let place = "\(folder)/\(name)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let launcher = network.launcher(host)
        return try ChildProcess(
            launcher[0], Array(launcher.dropFirst()) + ["redis-server"] + words + ["--dir", place], name: name,
            folder: place)
    }

    @discardableResult
    private static func ask(_ network: HostNetwork, _ host: Int, _ port: Int, _ words: [String]) throws -> String {
        let launcher = network.launcher(host)
        return try Tool.run(
            launcher[0],
            Array(launcher.dropFirst()) + ["redis-cli", "-h", network.address(host), "-p", "\(port)"] + words
        ).output
    }

    private static let common = ["--protected-mode", "no", "--save", "", "--repl-diskless-sync-delay", "0"]

    /// Seconds that a replica may be behind where the Sentinels' word is not needed.
    private static let maxLag = 2

    private static func sentinels(_ folder: String) throws -> Site { try sentinels(folder, [], [:]) }

    /// A master without a replica refuses writes by itself.
    private static func ignoredSentinels(_ folder: String) throws -> Site {
        try sentinels(
            folder, ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "\(maxLag)"],
            ["redis.sentinel-quorum": "ignore"])
    }

    private static func sentinels(
        _ folder: String, _ options: [String], _ settings: [String: String]
    ) throws -> Site {
        let network = try HostNetwork(5, in: folder)
        var servers = try (0..<3).map { host in
            try server(
                network, host, folder, "r\(host)",
                common + options + ["--port", "6379", "--repl-ping-replica-period", "1"]
                    + (host > 0 ? ["--replicaof", network.address(0), "6379"] : []))
        }
        _ = try eventually("replicas") {
            try ask(network, 0, 6379, ["INFO", "replication"]).contains("connected_slaves:2") ? true : nil
        }
        for host in 0..<3 {
            let file = "\(folder)/s\(host).conf"
            try """
            port 26379
            protected-mode no
            sentinel monitor main \(network.address(0)) 6379 2
            sentinel down-after-milliseconds main 1000
            sentinel failover-timeout main 3000
            """.write(toFile: file, atomically: true, encoding: .utf8)
            let launcher = network.launcher(host)
            servers.append(
                try ChildProcess(
                    launcher[0], Array(launcher.dropFirst()) + ["redis-server", file, "--sentinel"],
                    name: "sentinel\(host)", folder: folder))
        }
        for host in 0..<3 {
            _ = try eventually(within: .seconds(40), "Sentinels know each other") {
                let told = try ask(network, host, 26379, ["SENTINEL", "MASTER", "main"]).split(separator: "\n")
                let others = told.firstIndex(of: "num-other-sentinels").map { told[$0 + 1] }
                let replicas = told.firstIndex(of: "num-slaves").map { told[$0 + 1] }
                return others == "2" && replicas == "2" ? true : nil
            }
        }
        let url = "sentinel://" + (0..<3).map { "\(network.address($0)):26379" }.joined(separator: ",") + "/main"
        return Site(network: network, url: url, settings: settings, servers: servers) { client, _ in
            try eventually("a session") {
                let answer = try client.call("TOKEN.ISSUE")
                return answer.errorText == nil ? try Fields(answer).newToken() : nil
            }
        }
    }

    private static func cluster(_ folder: String) throws -> Site {
        let network = try HostNetwork(5, in: folder)
        let places = [7_000, 7_001].flatMap { port in (0..<3).map { (host: $0, port: port) } }
        let servers = try places.map { place in
            try server(
                network, place.host, folder, "c\(place.host)-\(place.port)",
                common + ["--port", "\(place.port)", "--cluster-enabled", "yes", "--cluster-node-timeout", "1000"])
        }
        for place in places {
            _ = try eventually("a server") {
                try ask(network, place.host, place.port, ["PING"]).hasPrefix("PONG") ? true : nil
            }
        }
        let launcher = network.launcher(0)
        let made = try Tool.run(
            launcher[0],
            Array(launcher.dropFirst()) + ["redis-cli", "--cluster", "create"]
                + places.map { "\(network.address($0.host)):\($0.port)" }
                + ["--cluster-replicas", "1", "--cluster-yes"], limit: .seconds(60))
        guard made.status == 0 else { throw HarnessFailure("\(made.output) \(made.errors)") }
        for place in places {
            _ = try eventually(within: .seconds(30), "a whole cluster") {
                let map = try ask(network, place.host, place.port, ["CLUSTER", "NODES"])
                let isOK = try ask(network, place.host, place.port, ["CLUSTER", "INFO"]).hasPrefix("cluster_state:ok")
                return isOK && map.split(separator: "\n").count { $0.contains("slave") } == 3 ? true : nil
            }
        }
        for host in 0..<3 {
            _ = try eventually(within: .seconds(30), "replicas in step") {
                try ask(network, host, 7_000, ["INFO", "replication"]).contains("state=online") ? true : nil
            }
        }
        let url = "cluster://" + (0..<3).map { "\(network.address($0)):7000" }.joined(separator: ",")
        return Site(network: network, url: url, servers: servers) { client, stage in
            try eventually("a session of the first master") {
                let token = try client.issue()
                let slot = try ask(
                    network, 0, 7_000, ["CLUSTER", "KEYSLOT", "\(stage.prefix)s:\(TokenText.sid(token))"])
                let isFirst = Int(slot.filter(\.isNumber)).map { $0 < 5_461 } ?? false
                return isFirst ? token : nil
            }
        }
    }

    /// - Returns: for how long after the acknowledgement requests were sent that were accepted, milliseconds; and how long
    ///   after the cut the session could be ended.
    private func stale(
        _ make: (String) throws -> Site, cutting hosts: [Int], killing: Bool, watching span: Duration
    ) throws -> (stale: Double, ended: Double) {
        let stage = try Stage(isRestricted: false)
        let site = try make(stage.folder.folder("site"))
        defer { site.stop() }
        let daemons = try [3, 4].map { host in
            try stage.addDaemon(
                .url(site.url), settings: Self.settings.merging(site.settings) { $1 },
                launcher: site.network.launcher(host))
        }
        defer { for daemon in daemons { daemon.kill9() } }
        let clients = try daemons.map { try $0.client() }
        let token = try site.session(clients[0], stage)
        for daemon in daemons { try NearCacheFacts.awaitArmed(daemon) }
        for client in clients { #expect(try client.validate(token).isAccepted) }
        letPass(.milliseconds(600))

        let start = ContinuousClock.now
        let latest = Mutex(start)
        let poll = Background { [other = clients[1]] in
            let sent = ContinuousClock.now
            let answer = try other.call("TOKEN.VALIDATE", token)
            if answer.errorText == nil, try Fields(answer).isAccepted { latest.withLock { $0 = sent } }
            letPass(.milliseconds(2))
        }
        letPass(.milliseconds(200))
        let cut = ContinuousClock.now
        if killing {
            for server in site.servers where server.name == "r0" || server.name == "c0-7000" { server.kill9() }
        } else {
            try site.network.cutOff(hosts)
        }
        let acknowledged = try eventually(within: .seconds(20), "it is ended on the other side") {
            () throws -> ContinuousClock.Instant? in
            let answer = try clients[0].call("TOKEN.REVOKE", token)
            return answer.errorText == nil ? ContinuousClock.now : nil
        }
        letPass(span)
        try poll.stop()
        let late = (latest.withLock { $0 } - acknowledged) / .milliseconds(1)
        return (max(0, late), (acknowledged - cut) / .milliseconds(1))
    }

    private func measure(
        _ name: String, bound: Double, _ make: (String) throws -> Site, cutting hosts: [Int], killing: Bool = false
    ) throws {
        var (stale, ended): ([Double], [Double]) = ([], [])
        for _ in 0..<Self.runs {
            let span = Duration.milliseconds(max(4_000, Int(bound) + 1_000))
            let run = try self.stale(make, cutting: hosts, killing: killing, watching: span)
            stale.append(run.stale)
            ended.append(run.ended)
        }
        let worst = stale.max() ?? 0
        print(
            "\(name): accepted for at most \(Int(worst)) ms after the end (bound \(Int(bound))); ended",
            "\(Int(ended.min() ?? 0)) to \(Int(ended.max() ?? 0)) ms after the cut; \(Self.runs) runs")
        #expect(worst <= bound)
    }

    @Test("Sentinels: the old master is killed, both daemons see the failover")
    func sentinelsKilled() throws {
        try measure("Sentinels, master killed", bound: 1_000, Self.sentinels, cutting: [], killing: true)
    }

    @Test("Sentinels: a daemon on the minority's side, whose master answers")
    func sentinelsMinority() throws {
        try measure("Sentinels, minority", bound: 2_000, Self.sentinels, cutting: [0, 4])
    }

    @Test("Sentinels: a daemon that is cut off from all")
    func sentinelsCutOff() throws {
        try measure("Sentinels, cut off", bound: 3_000, Self.sentinels, cutting: [4])
    }

    @Test("Sentinels that are not asked for a word: a daemon on the minority's side, whose master misses its replicas")
    func ignoredMinority() throws {
        let bound = Double(Self.maxLag * 1_000 + 2_000)
        try measure("Sentinels, ignore, minority", bound: bound, Self.ignoredSentinels, cutting: [0, 4])
    }

    @Test("Sentinels that are not asked for a word: the old master is killed, both daemons see the failover")
    func ignoredKilled() throws {
        try measure("Sentinels, ignore, master killed", bound: 1_000, Self.ignoredSentinels, cutting: [], killing: true)
    }

    @Test("Sentinels that are not asked for a word: a daemon that is cut off from all")
    func ignoredCutOff() throws {
        try measure("Sentinels, ignore, cut off", bound: 3_000, Self.ignoredSentinels, cutting: [4])
    }

    @Test("a cluster: a master is killed, both daemons see the failover")
    func clusterKilled() throws {
        try measure("Cluster, master killed", bound: 1_250, Self.cluster, cutting: [], killing: true)
    }

    @Test("a cluster: a daemon on the minority's side, whose master answers")
    func clusterMinority() throws {
        try measure("Cluster, minority", bound: 1_000, Self.cluster, cutting: [0, 4])
    }

    @Test("a cluster: a daemon that is cut off from all")
    func clusterCutOff() throws {
        try measure("Cluster, cut off", bound: 3_000, Self.cluster, cutting: [4])
    }
}
