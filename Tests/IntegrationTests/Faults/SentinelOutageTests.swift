import Foundation
import TestSupport
import Testing

/// Real Sentinels that are away, and that begin anew.
@Suite("Sentinels that do not answer", .parallel, .enabled(if: SentinelSite.isWanted, "make test-topologies"))
struct SentinelOutageTests {
    private static let refusal = "UNAVAILABLE the Sentinels do not confirm that Redis is still the master"

    /// Reads and writes for so long.
    /// - Returns: what was answered with an error, and how long after the beginning.
    private func refusals(_ client: RESPClient, _ token: String, for span: TimeInterval) throws -> [(
        TimeInterval, String
    )] {
        let start = Date()
        var refusals: [(TimeInterval, String)] = []
        while Date().timeIntervalSince(start) < span {
            for words in [["TOKEN.VALIDATE", token], ["TOKEN.ISSUE"], ["TOKEN.INSPECT", token]] {
                guard let text = try client.call(words).errorText else { continue }
                refusals.append((Date().timeIntervalSince(start), text))
            }
            letPass(.milliseconds(20))
        }
        return refusals
    }

    /// When the last request was answered, while all are refused in the end.
    private func lastAnswer(_ client: RESPClient, _ token: String, since start: Date) throws -> TimeInterval {
        var last: TimeInterval = 0
        while Date().timeIntervalSince(start) < 4 {
            for words in [["TOKEN.VALIDATE", token], ["TOKEN.ISSUE"]] {
                let error = try client.call(words).errorText
                if error == nil { last = Date().timeIntervalSince(start) } else { #expect(error == Self.refusal) }
            }
            letPass(.milliseconds(5))
        }
        return last
    }

    @Test(
        "S11: two of three Sentinels killed: nothing is refused while all replicas are in step; where one sleeps or is promoted, all is within a second",
        arguments: ["sleeps", "is promoted", "all sleep"])
    func replicas(how: String) throws {
        try withSentinelSite(daemons: 1) { _, site, daemons in
            let client = try daemons[0].client()
            let token = try client.issue()
            #expect(try client.validate(token).isAccepted)
            for sentinel in site.sentinels.prefix(2) { sentinel.signal(SIGKILL) }
            let refused = try refusals(client, token, for: 10)
            #expect(refused.isEmpty, "\(refused.count) refused, the first: \(refused.first.map { "\($0)" } ?? "")")

            let row = try DaemonFacts(client, "upstream")["upstream_node_0"] ?? ""
            #expect(row.contains(",confirmed_by=replicas,"), "\(row)")

            let replica = site.servers[1]
            let start = Date()
            switch how {
            case "sleeps": replica.signal(SIGSTOP)
            case "all sleep": for replica in site.servers.dropFirst() { replica.signal(SIGSTOP) }
            default: try site.ask(replica, ["REPLICAOF", "NO", "ONE"])
            }
            let last = try lastAnswer(client, token, since: start)
            print("a replica \(how): the last answer came after \(Int(last * 1_000)) ms")
            #expect(last < 1.1)
            guard how != "is promoted" else { return }
            for replica in site.servers.dropFirst() { replica.signal(SIGCONT) }
            _ = try eventually("it is served again") { try client.call("TOKEN.ISSUE").errorText == nil ? true : nil }
        }
    }

    @Test(
        "/readyz and the page say that nobody confirms the master, with a near cache and without",
        arguments: ["64MiB", "0"])
    func readiness(cache: String) throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/http.sock"
        let settings = ["near-cache.max-memory": cache, "http.listen": "unix:\(path)"]
        try withSentinelSite(daemons: 1, settings: settings) { _, site, _ in
            let http = try HTTPClient(path: path)
            #expect(try http.get("/readyz").status == 200)
            for sentinel in site.sentinels.prefix(2) { sentinel.signal(SIGKILL) }
            site.servers[1].signal(SIGSTOP)
            let answer = try eventually("it is not ready") { () -> HTTPClient.Response? in
                let answer = try http.get("/readyz")
                return answer.status == 503 ? answer : nil
            }
            #expect(
                answer.body.contains("the Sentinels do not confirm that Redis is still the master"), "\(answer.body)")
            #expect(try http.get("/status.json").body.contains("the Sentinels do not confirm"))
            site.servers[1].signal(SIGCONT)
            _ = try eventually("it is ready again") { try http.get("/readyz").status == 200 ? true : nil }
        }
    }

    /// All Sentinels forget the master, and are told of one.
    private func monitorAnew(_ site: SentinelSite, _ port: Int) throws {
        for sentinel in site.sentinels { try site.ask(sentinel, ["SENTINEL", "REMOVE", SentinelSite.masterName]) }
        for sentinel in site.sentinels {
            try site.ask(sentinel, ["SENTINEL", "MONITOR", SentinelSite.masterName, "127.0.0.1", "\(port)", "2"])
        }
    }

    /// The port of the server that a failover has made the master, so that the epoch is none of a beginning.
    private func failOver(_ site: SentinelSite, _ client: RESPClient) throws -> Int {
        let before = site.servers[0].port
        try site.ask(site.sentinels[0], ["SENTINEL", "FAILOVER", SentinelSite.masterName])
        try site.awaitAnotherMaster(than: before)
        _ = try eventually("it is served by the new master") {
            let endpoint = try DaemonFacts(client, "upstream")["upstream_endpoint"] ?? ""
            return try !endpoint.hasSuffix(":\(before)") && client.call("TOKEN.ISSUE").errorText == nil ? true : nil
        }
        return try #require(try site.masterPort(at: site.sentinels[0]))
    }

    @Test(
        "Sentinels that are told of the same master anew, with a lower epoch: nothing is refused, and their word counts"
    )
    func monitoredAnew() throws {
        try withSentinelSite(daemons: 1) { _, site, daemons in
            let client = try daemons[0].client()
            let port = try failOver(site, client)
            let token = try client.issue()
            // Sooner than a Sentinel would tell it; and it is known who follows.
            try site.ask(site.servers[0], ["REPLICAOF", "127.0.0.1", "\(port)"])
            letPass(.milliseconds(1_500))
            try monitorAnew(site, port)
            let refused = try refusals(client, token, for: 14)
            #expect(refused.isEmpty, "\(refused.count) refused, the first: \(refused.first.map { "\($0)" } ?? "")")
            // The replicas are not needed any more.
            for replica in site.servers where replica.port != port { replica.signal(SIGSTOP) }
            #expect(try refusals(client, token, for: 4).isEmpty)
        }
    }

    @Test("Sentinels that are told of another master, with a lower epoch, are followed without a restart")
    func otherMaster() throws {
        try withSentinelSite(daemons: 1) { _, site, daemons in
            let client = try daemons[0].client()
            let port = try failOver(site, client)
            let other = try #require(site.servers.first { $0.port != port })
            for sentinel in site.sentinels { try site.ask(sentinel, ["SENTINEL", "REMOVE", SentinelSite.masterName]) }
            try site.ask(other, ["REPLICAOF", "NO", "ONE"])
            for server in site.servers where server.port != other.port {
                try site.ask(server, ["REPLICAOF", "127.0.0.1", "\(other.port)"])
            }
            let start = Date()
            try monitorAnew(site, other.port)
            _ = try eventually(within: .seconds(20), every: .milliseconds(50), "the other master is used") {
                let endpoint = try DaemonFacts(client, "upstream")["upstream_endpoint"] ?? ""
                return try endpoint.hasSuffix(":\(other.port)") && client.call("TOKEN.ISSUE").errorText == nil
                    ? true : nil
            }
            let passed = Date().timeIntervalSince(start)
            print("another master of a lower epoch is in use after \(Int(passed * 1_000)) ms")
            #expect((10...16).contains(passed))
        }
    }
}
