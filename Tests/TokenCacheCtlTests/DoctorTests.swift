import TestSupport
import Testing
import TokenCacheClient

@testable import tokencachectl

@Suite("tokencachectl doctor")
struct DoctorTests {
    static let path = "/run/tc/s"
    static let worker = Account(name: "www-data", uid: 33, groups: [33, 500], isSelf: false)
    static let stranger = Account(name: "ann", uid: 1000, groups: [1000], isSelf: true)
    static let root = Account(name: "root", uid: 0, groups: [0], isSelf: false)

    static func facts(
        folder: UInt32 = 0o755, socket: UInt32 = 0o660, kind: FileFacts.Kind = .socket
    ) -> (String) -> FileFacts.Lookup {
        func entry(_ kind: FileFacts.Kind, _ mode: UInt32, _ owner: UInt32, _ group: UInt32) -> FileFacts.Lookup {
            .found(
                FileFacts(
                    kind: kind, mode: mode, owner: owner, group: group, ownerName: "u\(owner)", groupName: "g\(group)"))
        }
        return { path in
            switch path {
            case "/", "/run": entry(.folder, 0o755, 0, 0)
            case "/run/tc": entry(.folder, folder, 90, 500)
            case Self.path: entry(kind, socket, 90, 500)
            default: .missing
            }
        }
    }

    private func level(_ account: Account, folder: UInt32 = 0o755, socket: UInt32 = 0o660) -> Finding.Level? {
        Doctor.rights(to: Self.path, for: account, facts: Self.facts(folder: folder, socket: socket)).first?.level
    }

    @Test("connecting takes write on the socket and search on every folder above, by the first class that fits")
    func arithmetic() {
        #expect(level(Self.worker) == .ok)
        #expect(level(Self.stranger) == .fail)
        #expect(level(Self.stranger, socket: 0o666) == .ok)
        #expect(level(Self.stranger, folder: 0o750, socket: 0o666) == .fail)
        #expect(level(Self.worker, folder: 0o750) == .ok)
        #expect(level(Self.worker, socket: 0o606) == .fail)
        #expect(level(Self.worker, socket: 0o640) == .fail)
        #expect(level(Account(name: "tc", uid: 90, groups: [500], isSelf: false), socket: 0o060) == .fail)
        #expect(level(Self.root, folder: 0, socket: 0) == .ok)
    }

    @Test("an obstacle says what is wrong and what to do")
    func words() throws {
        let group = try #require(
            Doctor.rights(to: Self.path, for: Self.stranger, facts: Self.facts()).first)
        #expect(group.detail == "permission denied: your user is not in group g500")
        #expect(group.remedy.contains("`adduser ann g500`"))
        let mode = try #require(
            Doctor.rights(to: Self.path, for: Self.worker, facts: Self.facts(socket: 0o600)).first)
        #expect(mode.detail == "permission denied: user www-data may not open the socket (mode 0600, u90:g500)")
        #expect(mode.remedy.contains("socket.mode"))
        let file = try #require(
            Doctor.rights(to: Self.path, for: Self.worker, facts: Self.facts(kind: .other)).first)
        #expect(file.detail == "/run/tc/s is not a socket")
        let missing = try #require(
            Doctor.rights(to: "/run/other/s", for: Self.worker, facts: Self.facts()).first)
        #expect(missing.detail == "/run/other does not exist")
    }

    @Test("what is said about a folder's rights opens it: no circle")
    func folderRights() throws {
        func remedy(_ mode: UInt32, group: UInt32) throws -> String {
            let facts: (String) -> FileFacts.Lookup = { path in
                guard path == "/run/tc" else { return Self.facts()(path) }
                return .found(
                    FileFacts(
                        kind: .folder, mode: mode, owner: 0, group: group, ownerName: "root", groupName: "g\(group)"))
            }
            return try #require(Doctor.rights(to: Self.path, for: Self.worker, facts: facts).first).remedy
        }
        let names = [33, 500].map { Account.groupName($0) }.sorted().joined(separator: ", ")
        // The mode is right already, and the group has nobody in it.
        #expect(try remedy(0o750, group: 0) == "`chgrp GROUP /run/tc`, GROUP being one of \(names)")
        #expect(
            try remedy(0o700, group: 0) == "`chgrp GROUP /run/tc && chmod g+x /run/tc`, GROUP being one of \(names)")
        #expect(try remedy(0o700, group: 500) == "`chmod g+x /run/tc`")
        #expect(try remedy(0o750, group: 501).contains("`adduser www-data g501`"))
    }

    @Test("doors left open are warned of")
    func openDoors() {
        let world = Doctor.rights(to: Self.path, for: Self.worker, facts: Self.facts(folder: 0o777, socket: 0o666))
        #expect(world.map(\.level) == [.ok, .warn, .warn])
        let sticky = Doctor.rights(to: Self.path, for: Self.worker, facts: Self.facts(folder: 0o1777))
        #expect(sticky.map(\.level) == [.ok])
    }

    static let healthy = [
        "tokencached_version:1", "upstream_state:ready", "upstream_role:master", "upstream_server:Redis",
        "upstream_redis_version:7.0.15",
        "upstream_maxmemory_policy:noeviction", "upstream_clock_skew_ms:-3", "connected_clients:3", "maxclients:10",
        "guests_issued:0", "keyring_fingerprint:0123456789abcdef", "unavailable_answers:0", "upstream_data_losses:0",
        "near_cache_enabled:1", "near_cache_armed:1", "near_cache_entries:0", "open_descriptors:20",
        "descriptor_limit:10042",
    ]

    @Test("a master that only its replicas confirm is told as a warning")
    func confirmedByReplicas() {
        func row(_ confirmer: String) -> String {
            "upstream_node_0:endpoint=h:1,state=ready,role=master,slots=,proof_age_ms=7,confirmed_by=\(confirmer),fault="
        }
        func finding(_ confirmer: String) -> Finding? { InfoFindings.nodes(Info(parsing: row(confirmer))).first }
        #expect(finding("sentinels")?.level == .ok)
        #expect(finding("replicas")?.level == .warn)
        #expect(finding("replicas")?.detail.contains("too few Sentinels answer") == true)
        let page = Status.rows(Info(parsing: row("replicas")), colours: false)
        let text = "h:1, ready, role master, proved 7 ms ago, confirmed by replicas"
        #expect(page.contains { $0.label == "node" && $0.text == text }, "\(page)")
    }

    /// Two masters of a cluster: one does well, of the other nothing is heard.
    private static let nodes = Info(
        parsing: """
            # Upstream
            upstream_clock_skew_ms:1
            upstream_node_0:endpoint=h:1,state=ready,role=master,slots=0-8191,proof_age_ms=7,beat_us=412,\
            clock_skew_ms=-2001,confirmed_by=,fault=,remedy=
            upstream_node_1:endpoint=h:2,state=down,role=,slots=8192-16383,proof_age_ms=,beat_us=,clock_skew_ms=2000,\
            confirmed_by=,fault=silent, so far,remedy=is it up? try a=b, c
            # Tokens
            tokens_issued:3
            """)

    @Test("status has each server's row, with its age of freshness, its beat, its clock, its fault and the remedy")
    func nodeRows() {
        let page = Status.rows(Self.nodes, colours: false).filter { $0.label == "node" }.map(\.text)
        #expect(
            page == [
                "h:1, ready, role master, slots 0-8191, proved 7 ms ago, beat 412 µs, clock skew -2001 ms",
                "h:2, down, slots 8192-16383, clock skew 2000 ms, silent, so far: is it up? try a=b, c",
            ])
        let rows = """
            "nodes":[{"endpoint":"h:1","state":"ready","role":"master","slots":"0-8191","proof_age_ms":7,"beat_us":412,\
            "clock_skew_ms":-2001},{"endpoint":"h:2","state":"down","slots":"8192-16383","clock_skew_ms":2000,\
            "fault":"silent, so far","remedy":"is it up? try a=b, c"}],"tokens_issued":3}
            """
        #expect(Status.json(Self.nodes).text.hasSuffix(rows), "\(Status.json(Self.nodes).text)")
        #expect(Status.json(Info(parsing: "upstream_state:ready")).text == #"{"upstream_state":"ready","nodes":[]}"#)
    }

    @Test("doctor has the remedy of each server's fault, and names the one whose clock is farthest away")
    func nodeFindings() {
        #expect(
            InfoFindings.nodes(Self.nodes) == [
                .ok("redis node h:1", "master, slots 0-8191"),
                .fail("redis node h:2", "silent, so far, slots 8192-16383", remedy: "is it up? try a=b, c"),
            ])
        let clock = InfoFindings.skew(Self.nodes)
        #expect(clock.level == .warn && clock.detail == "this host and h:1 differ by -2001 ms")
    }

    @Test("a healthy daemon passes every check")
    func health() {
        let findings = InfoFindings.all(Info(parsing: Self.healthy.joined(separator: "\n")), ownVersion: "1")
        #expect(findings.count == 12 && findings.allSatisfy { $0.level == .ok })
    }

    @Test(
        "each ill is found, and only it",
        arguments: [
            ("upstream_state:down", "redis link", .fail), ("upstream_state:connecting", "redis link", .fail),
            ("upstream_role:slave", "redis role", .fail), ("upstream_redis_version:", "redis version", .warn),
            ("upstream_maxmemory_policy:allkeys-lru", "redis memory", .fail),
            ("upstream_clock_skew_ms:-2001", "clock", .warn),
            ("upstream_clock_skew_ms:-9223372036854775808", "clock", .warn),
            ("upstream_clock_skew_ms:", "clock", .warn), ("connected_clients:9", "clients", .warn),
            ("maxclients:0", "clients", .warn), ("keyring_fingerprint:", "key ring", .warn),
            ("tokencached_version:2", "version", .warn), ("near_cache_armed:0", "near cache", .warn),
            ("open_descriptors:9000", "descriptors", .warn), ("descriptor_limit:0", "descriptors", .warn),
            ("upstream_data_losses:1", "redis data", .fail),
        ] as [(String, String, Finding.Level)])
    func ills(line: String, check: String, level: Finding.Level) {
        let name = line.prefix { $0 != ":" } + ":"
        let lines = Self.healthy.filter { !$0.hasPrefix(name) } + [line]
        let findings = InfoFindings.all(Info(parsing: lines.joined(separator: "\r\n")), ownVersion: "1")
        let bad = findings.filter { $0.level != .ok }
        #expect(bad.map(\.check) == [check] && bad.map(\.level) == [level])
        #expect(bad.allSatisfy { !$0.remedy.isEmpty })
    }

    @Test("answers that were UNAVAILABLE are a finding, with the fault's remedy", arguments: [5, 100, 4_000])
    func unavailable(age: Int) throws {
        let fault = [
            "unavailable_answers:7", "upstream_last_fault:Redis did not answer in time",
            "upstream_last_fault_remedy:look at its disk", "upstream_last_fault_seconds_ago:\(age)",
        ]
        let lines = Self.healthy.filter { !$0.hasPrefix("unavailable_answers") } + fault
        let finding = InfoFindings.answers(Info(parsing: lines.joined(separator: "\n")))
        #expect(finding.level == (age < 60 ? .fail : age < 3_600 ? .warn : .ok))
        #expect(finding.detail.contains("7 were UNAVAILABLE") && finding.detail.contains("did not answer in time"))
        #expect(finding.remedy == (age < 3_600 ? "look at its disk" : ""))
    }

    @Test("a near cache that is off is no ill; one that is not armed says why")
    func nearCache() {
        let off = Info(parsing: "near_cache_enabled:0\nnear_cache_armed:0")
        #expect(InfoFindings.nearCache(off).level == .ok)
        let refused = Info(
            parsing: "near_cache_enabled:1\nnear_cache_armed:0\nnear_cache_fault:no right\nnear_cache_remedy:give it")
        #expect(InfoFindings.nearCache(refused).detail.hasSuffix("no right"))
        #expect(InfoFindings.nearCache(refused).remedy == "give it")
    }

    @Test("where Redis answers slowly, the near cache has the fault that the trial met")
    func nearCacheBesideTrouble() throws {
        let info = Self.healthy.filter { !$0.hasPrefix("near_cache_armed") } + ["near_cache_armed:0"]
        let probe = "*6\r\n+status\r\n+failed\r\n+fault\r\n+slow\r\n+remedy\r\n+its disk\r\n"
        let server = try ScriptedServer { command in
            switch command[0] {
            case "PING": .reply("+PONG\r\n")
            case "INFO": .reply(AnswerTests.bulk(info.joined(separator: "\r\n")))
            case "PROBE": .reply(probe)
            default: .reply("*0\r\n")
            }
        }
        let result = try ControlProgram.run(["doctor", "--socket", server.path])
        let lines = result.output.split(separator: "\n")
        let at = try #require(lines.firstIndex { $0.hasPrefix("warn  near cache") })
        #expect(lines[at].hasSuffix("every access asks Redis: slow") && lines[at + 1].hasSuffix("→ its disk"))
    }

    @Test(
        "rings are compared with those of daemons that are there: a mark that nobody renewed for a minute is a note",
        arguments: [(60, .fail), (75, .fail), (76, .ok), (179, .ok)] as [(Int64, Finding.Level)])
    func keyRings(age: Int64, level: Finding.Level) throws {
        func daemon(_ name: String, _ fingerprint: String, _ age: Int64) -> ReplyValue {
            .array([
                .text("name".bytes), .text(name.bytes), .text("fingerprint".bytes), .text(fingerprint.bytes),
                .text("age".bytes), .integer(age),
            ])
        }
        func finding(_ daemons: [ReplyValue]) throws -> Finding {
            let reply: ReplyValue = .array([
                .text("name".bytes), .text("a:/s".bytes), .text("daemons".bytes), .array(daemons),
            ])
            let fields = try #require(reply.fields)
            return try #require(ProbeFindings.keyRings(fields))
        }
        let own = daemon("a:/s", "01", 0)
        let pair = try finding([own, daemon("b:/s", "02", age)])
        #expect(pair.level == level && pair.detail.contains("b:/s has 02"))
        let three = try finding([own, daemon("b:/s", "02", age), daemon("c:/s", "01", 3)])
        #expect(three.level == level && three.detail.hasPrefix("the same at all 2") == (level == .ok))
    }

    @Test(
        "replicas that are waited for are compared with those that are connected",
        arguments: [(0, 2, nil), (2, 2, .ok), (1, 2, .warn), (1, -1, nil), (2, 1, .ok)]
            as [(Int64, Int64, Finding.Level?)])
    func replicas(awaited: Int64, connected: Int64, level: Finding.Level?) throws {
        let reply: ReplyValue = .array([
            .text("replicas".bytes), .integer(connected), .text("wait_replicas".bytes), .integer(awaited),
        ])
        #expect(ProbeFindings.replicas(try #require(reply.fields))?.level == level)
    }

    @Test("a Redis in the daemon's place is recognised")
    func notOurs() {
        let findings = InfoFindings.all(Info(parsing: "# Server\r\nredis_version:7.0.15"), ownVersion: "1")
        #expect(findings.map(\.level) == [.fail])
    }

    @Test(
        "the role is told by what is refused",
        arguments: [
            (["CLIENT", "TOKEN.GET", "TOKEN.INSPECT"], "none", 1), (["CLIENT", "TOKEN.GET"], "validator", 0),
            (["CLIENT"], "worker", 0), ([], "admin", 0),
        ] as [([String], String, Int32)])
    func role(refused: [String], role: String, status: Int32) throws {
        let info = Self.healthy.joined(separator: "\r\n").replacing("version:1", with: "version:0.1.0")
        let server = try ScriptedServer { command in
            switch command[0] {
            case "PING": .reply("+PONG\r\n")
            case "INFO": .reply(AnswerTests.bulk(info))
            case let name: refused.contains(name) ? .reply("-NOPERM no\r\n") : .reply("*0\r\n")
            }
        }
        let result = try ControlProgram.run(["doctor", "--socket", server.path])
        #expect(result.status == status, "\(result.output)")
        #expect(result.output.contains("role           \(role)"))
        let json = try ControlProgram.run(["doctor", "--json", "--socket", server.path])
        #expect(json.output.hasPrefix("[{\"check\":\"socket\",\"result\":\"ok\","))
    }

    @Test("a Redis that is connected but does not answer is a failure")
    func hangingRedis() throws {
        let info = Self.healthy.joined(separator: "\r\n")
        let server = try ScriptedServer { command in
            switch command[0] {
            case "PING": .reply("+PONG\r\n")
            case "INFO": .reply(AnswerTests.bulk(info))
            case "CLIENT": .reply("-NOPERM no\r\n")
            default: .reply("-UNAVAILABLE Redis did not answer in time\r\n")
            }
        }
        let result = try ControlProgram.run(["doctor", "--socket", server.path])
        #expect(result.status == 1)
        #expect(result.output.contains("ok    role           worker"))
        #expect(result.output.contains("fail  redis answer   Redis did not answer in time"))
    }

    @Test("who may not let the daemon try is told the remedy of the last fault")
    func remedyForWorkers() throws {
        let fault = [
            "unavailable_answers:1", "upstream_last_fault:Redis did not answer in time",
            "upstream_last_fault_remedy:look at its disk", "upstream_last_fault_seconds_ago:0",
        ]
        let info = Self.healthy.filter { !$0.hasPrefix("unavailable_answers") } + fault
        let server = try ScriptedServer { command in
            switch command[0] {
            case "PING": .reply("+PONG\r\n")
            case "INFO": .reply(AnswerTests.bulk(info.joined(separator: "\r\n")))
            case "CLIENT", "PROBE": .reply("-NOPERM no\r\n")
            default: .reply("-UNAVAILABLE Redis did not answer in time\r\n")
            }
        }
        let result = try ControlProgram.run(["doctor", "--socket", server.path])
        let lines = result.output.split(separator: "\n")
        let at = try #require(lines.firstIndex { $0.hasPrefix("fail  redis answer") })
        #expect(lines[at + 1].hasSuffix("→ look at its disk"))
    }

    @Test("durations show their two largest units")
    func durations() {
        let expected: [(Int64, String)] = [
            (-1, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (7_140, "1h 59m"), (90_061, "1d 1h"), (86_401, "1d"),
        ]
        for (seconds, text) in expected { #expect(Layout.duration(seconds: seconds) == text) }
    }

    @Test("text that is not UTF-8 is kept as base64", arguments: [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")])
    func base64(text: String, expected: String) {
        #expect(JSONText.base64(Array(text.utf8)) == expected)
        #expect(JSONText(.text([0xff] + Array(text.utf8))).text.hasPrefix("{\"base64\":\"/"))
    }
}
