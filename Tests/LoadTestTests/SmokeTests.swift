import Foundation
import Host
import TestSupport
import Testing

@testable import LoadTest

/// The program itself, against a real daemon and a real redis-server.
@Suite("The program", .serialized)
struct SmokeTests {
    private static func load(
        _ arguments: [String], environment: [String: String] = [:], outputPath: String? = nil
    ) throws -> Tool {
        try Tool.run(
            PackageFolder.program("tokencache-load"), arguments, environment: environment, outputPath: outputPath)
    }

    /// Small, and held on no core: other tests run beside it.
    private static let sizes = ["--no-pin", "-c", "8", "--json", "--set", "redis.timeout=10s"]

    @Test("each workload runs for two seconds without a failure", arguments: Workload.allCases)
    func workload(_ workload: Workload) throws {
        let sessions = [.validateCold, .captchaVerify].contains(workload) ? 5_000 : 500
        let size = workload.usesSessions ? ["--sessions", "\(sessions)"] : []
        let warmUp = workload.warmsUp ? ["--warm-up", "100ms"] : []
        let outcome = try Self.load([workload.rawValue, "-d", "2s"] + Self.sizes + size + warmUp)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        let result = try #require(report.workloads.first)
        #expect(result.workload == workload && result.failures.isEmpty && result.isClean)
        #expect(result.requests > 50 && result.throughput > 0)
        #expect(result.latency?.count ?? 0 > 50)
        #expect(try #require(result.serverMicroseconds) > 0)
    }

    @Test("at a rate, as many requests are sent as were asked for; the files are written")
    func rate() throws {
        let folder = try TemporaryFolder()
        let files = ["--hgrm", folder.file("a.hgrm"), "--report", folder.file("a.html")]
        let outcome = try Self.load(
            ["validate", "--rate", "500", "-d", "2s", "--sessions", "50", "--warm-up", "100ms"] + Self.sizes + files)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        let result = try #require(report.workloads.first)
        #expect((600...1_010).contains(result.latency?.count ?? 0))
        #expect(try String(contentsOfFile: folder.file("a.hgrm"), encoding: .utf8).contains("#[Mean"))
        #expect(try String(contentsOfFile: folder.file("a.html"), encoding: .utf8).contains("<polyline"))
    }

    /// A daemon that is somebody's, with a Redis of its own.
    private final class OtherDaemon {
        private let folder: TemporaryFolder
        let process: ChildProcess
        let socket: String

        init() throws {
            folder = try TemporaryFolder()
            socket = folder.file("tokencached.sock")
            process = try ChildProcess(
                PackageFolder.program("tokencached"),
                [
                    "--socket", socket, "--state-dir", folder.file("state"), "--redis", "embedded", "--set",
                    "redis.timeout=10s",
                ], name: "daemon", folder: folder.path)
            _ = try SmokeTests.socket(in: folder.path)
        }

        deinit {
            process.signal(SIGCONT)
            process.signal(SIGTERM)
            _ = try? process.wait()
        }

        var store: ControlConnection {
            get throws { try ControlConnection(path: folder.file("state/redis/redis.sock")) }
        }

        func number(_ field: String) throws -> Int {
            guard case .text(let text) = try ControlConnection(path: socket).demand("INFO") else { return 0 }
            let lines = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isNewline)
            return lines.lazy.compactMap { $0.hasPrefix("\(field):") ? Int($0.dropFirst(field.count + 1)) : nil }.first
                ?? 0
        }

        /// Until the daemon has counted more of it.
        func wait(for field: String, above count: Int) throws {
            _ = try eventually(within: .seconds(60), "\(field) above \(count)") {
                try number(field) > count ? true : nil
            }
        }

        func expectNoSession() throws {
            let store = try store
            guard case .list(let keys) = try store.demand("KEYS", "tc:s:*") else { throw LoadTestError.refused("KEYS") }
            var left = 0
            for key in keys.compactMap(\.string) where !key.contains("~") {
                // What is left of a session that was ended: its reason.
                if try store.demand("HGET", key, "z").string != "logout" { left += 1 }
            }
            #expect(left == 0 && !keys.isEmpty, "\(left) of \(keys.count) are still sessions")
        }

        /// The load test under way here.
        func load(_ arguments: [String]) throws -> ChildProcess {
            try ChildProcess(
                PackageFolder.program("tokencache-load"), arguments + ["--socket", socket, "--no-pin", "-c", "4"],
                name: "load", folder: folder.path)
        }
    }

    @Test(
        "at somebody's daemon it ends the sessions that it made",
        arguments: ["validate", "issue", "rotate", "mixed"])
    func leavesNothing(_ workload: String) throws {
        let daemon = try OtherDaemon()
        let outcome = try Self.load(
            [workload, "--socket", daemon.socket, "-d", "500ms", "--no-pin", "-c", "4", "--json"]
                + (workload == "issue" ? [] : ["--sessions", "200"]))
        #expect(outcome.status == 0, "\(outcome.errors)")
        try daemon.expectNoSession()
    }

    @Test(
        "Ctrl-C at somebody's daemon: the sessions are ended all the same",
        arguments: [
            ("issue -d 60s", "tokens_issued", 130), ("issue -d 60s -t 2", "tokens_issued", 130),
            ("validate --sessions 200000", "tokens_issued", 130), ("issue -d 1s", "sessions_ended", 0),
        ] as [(String, String, Int32)])
    func leavesNothingAfterInterruption(_ line: String, _ field: String, _ status: Int32) throws {
        let daemon = try OtherDaemon()
        let load = try daemon.load(line.split(separator: " ").map(String.init))
        try daemon.wait(for: field, above: 100)
        load.signal(SIGINT)
        let end = try load.wait(.seconds(120))
        let text = load.errors
        #expect(end == .exited(status), "\(text)")
        // One that comes when it was ending them already may come too late to be told of.
        #expect(status == 0 || text.contains("SIGINT came: ending the "), "\(text)")
        #expect(!text.contains("could not be ended"))
        try daemon.expectNoSession()
    }

    @Test("a second Ctrl-C stops at once, although the daemon does not answer")
    func secondInterruption() throws {
        let daemon = try OtherDaemon()
        let load = try daemon.load(["issue", "-d", "60s"])
        try daemon.wait(for: "tokens_issued", above: 100)
        daemon.process.signal(SIGSTOP)
        load.signal(SIGINT)
        _ = try eventually("the first one is told") {
            load.errors.contains("a second one stops at once") ? true : nil
        }
        #expect(load.ended == nil)
        load.signal(SIGINT)
        #expect(try load.wait() == .killed(SIGINT))
    }

    @Test(
        "a comparison in full has a session of its own, before all others, and ends with whoever asked for it",
        .enabled(if: geteuid() == 0 && access("/proc/self/autogroup", W_OK) == 0))
    func firstInLine() throws {
        let folder = try TemporaryFolder()
        let load = try ChildProcess(
            PackageFolder.program("tokencache-load"), ["--compare", "--quiet", "--no-pin"], name: "load",
            folder: folder.path)
        func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
        let own = try eventually("it runs once more") {
            text("/proc/\(load.pid)/task/\(load.pid)/children").split(separator: " ").first.flatMap { Int32($0) }
        }
        _ = try eventually("its group is before the others") {
            text("/proc/\(own)/autogroup").contains("nice -20") ? true : nil
        }
        #expect(getsid(own) == own)
        #expect(!text("/proc/self/autogroup").contains("nice -20"), "that is for what is measured alone")
        load.signal(SIGTERM)
        #expect(try load.wait() == .exited(128 + SIGTERM))
        #expect(kill(own, 0) != 0)
    }

    @Test("several threads share the work")
    func threads() throws {
        let outcome = try Self.load(["mixed", "-t", "2", "-p", "4", "-d", "1s", "--sessions", "500"] + Self.sizes)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        let result = try #require(report.workloads.first)
        #expect(result.threads == 2 && result.pipeline == 4 && result.connections == 8 && result.isClean)
        #expect(result.requests > 500)
        #expect(try #require(result.latency).count > 500)
    }

    @Test("a comparison, as short as it can be, measures every server in every form")
    func comparison() throws {
        let outcome = try Self.load(["--compare", "-d", "300ms", "--rounds", "1"] + Self.sizes)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        let result = try #require(report.comparison)
        #expect(result.tables.map(\.form) == ClientForm.allCases)
        for table in result.tables {
            // The fifth is not everywhere.
            let contenders = Set(table.rows.map(\.subject)).union([.memcached])
            #expect(contenders == Set(Contender.allCases), "\(table.form)")
        }
        #expect(result.tables.allSatisfy { $0.rows.allSatisfy { $0.speed.throughput.median > 0 } })
        #expect(result.figures.allSatisfy { $0.isReached != nil })
    }

    @Test("20,000 page views by bots write nothing into Redis; a session for each does; speeds stand beside sessions'")
    func guests() throws {
        let top = try TemporaryFolder()
        let folder = top.file("docs")
        let outcome = try Self.load(["--guests", "-d", "300ms", "--rounds", "1", "--docs", folder] + Self.sizes)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        let result = try #require(report.guests)
        #expect(result.rows.map(\.subject) == GuestQuestion.allCases)
        #expect(result.rows.allSatisfy { $0.speed.throughput.median > 0 && $0.speed.ratio != nil })
        let bots = try #require(result.visitors.first)
        let sessions = try #require(result.visitors.last)
        #expect(bots.pageViews == 20_000 && bots.writes == [:] && bots.keys == 0)
        #expect(sessions.pageViews == 20_000 && sessions.keys == 20_000 && sessions.writeCount >= 20_000)
        #expect(sessions.bytes > 100 * 20_000)
        #expect(result.figures.first { $0.id == "G1" }?.isReached == true)
        let page = try String(contentsOfFile: "\(folder)/guests.md", encoding: .utf8)
        #expect(page.contains("| 20,000 | 0 |") && page.contains("CAPTCHA.VERIFY"))
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/README.md"))
    }

    @Test("Ctrl-C ends what was started and leaves nothing behind")
    func interruption() throws {
        let top = try TemporaryFolder()
        let folder = try top.folder("t")
        let load = try ChildProcess(
            PackageFolder.program("tokencache-load"), ["validate", "-d", "60s"] + Self.sizes, name: "load",
            folder: top.path, environment: ["TMPDIR": folder])
        _ = try Self.socket(in: folder)
        load.signal(SIGINT)
        #expect(try load.wait(.seconds(120)) == .exited(130))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        #expect(Leftovers.below(folder).isEmpty)
    }

    @Test("Ctrl-C in the second workload: the first one is told, marked, and written where it was asked for")
    func interruptedReport() throws {
        let top = try TemporaryFolder()
        let folder = try top.folder("t")
        let files = ["--report", "\(folder)/a.html", "--hgrm", "\(folder)/a.hgrm"]
        // Each ends after its 300 sessions, but for the last one.
        let workloads = ["captcha-verify", "issue", "-d", "60s", "--sessions", "300"]
        let load = try ChildProcess(
            PackageFolder.program("tokencache-load"), workloads + Self.sizes + files, name: "load", folder: top.path,
            environment: ["TMPDIR": folder])
        let bed = try Self.socket(in: folder)
        // `issue` has begun when there are sessions.
        let control = try ControlConnection(path: bed.replacing("tokencached.sock", with: "store.sock"))
        _ = try eventually(within: .seconds(120), "a thousand sessions") { () throws -> Bool? in
            guard case .number(let count) = try control.demand("DBSIZE") else { throw LoadTestError.refused("DBSIZE") }
            return count >= 1_000 ? true : nil
        }
        load.signal(SIGINT)
        #expect(try load.wait(.seconds(120)) == .exited(130))
        let report = try JSONDecoder().decode(Report.self, from: Data(load.output.utf8))
        #expect(report.ended == "interrupted by SIGINT" && report.workloads.map(\.workload) == [.captchaVerify])
        #expect(try String(contentsOfFile: "\(folder)/a.html", encoding: .utf8).contains("interrupted by SIGINT"))
        #expect(
            Set(try FileManager.default.contentsOfDirectory(atPath: folder)) == ["a.html", "a-captcha-verify.hgrm"])
        #expect(Leftovers.below(folder).isEmpty)
    }

    /// The daemon's socket, when it is there.
    private static func socket(in folder: String) throws -> String {
        try eventually(within: .seconds(60), "a daemon in \(folder)") {
            try FileManager.default.subpathsOfDirectory(atPath: folder).first { $0.hasSuffix("tokencached.sock") }
                .map { "\(folder)/\($0)" }
        }
    }

    @Test(
        "an option that a run does not take is an error, never left unheard",
        arguments: [
            "--scale --set nonsense=1", "--scale -c 3", "--scale -p 2", "--scale -r 5", "--scale --warm-up 1s",
            "--scale -t 2", "--scale --sessions 100", "--scale --require --quick", "--scale --require --sessions 10000",
            "--compare -p 2", "--compare -r 5", "--compare --warm-up 1s", "--guests -p 2", "--guests -r 5",
            "--guests --memcached x", "--require", "--rounds 2", "--quick", "--docs x", "--memcached x",
            "issue --sessions 5", "connect -p 2", "validate-cold --warm-up 1s", "--rate 1e9", "--rate 5 -p 65",
            "--socket x --set a=b", "--socket x --daemon y", "--socket x --redis-server y",
        ])
    func unheard(_ line: String) throws {
        let outcome = try Self.load(line.split(separator: " ").map(String.init))
        #expect(outcome.status == 64 && outcome.output.isEmpty && outcome.errors.contains("Error: --"))
    }

    @Test("the range of a rate is told")
    func rateRange() throws {
        #expect(try Self.load(["--rate", "1e9"]).errors.contains("--rate is above 0 and at most 100000000"))
    }

    @Test("files that cannot be written and a full standard output are errors, the former before anything starts")
    func badOutputs() throws {
        let top = try TemporaryFolder()
        let folder = top.file("none")
        for option in ["--report", "--hgrm"] {
            // Without a daemon to start, it would be 69.
            let outcome = try Self.load([option, "\(folder)/x", "--daemon", "\(folder)/no-daemon"])
            #expect(outcome.status == 73 && outcome.errors.contains("\(folder)/x"))
        }
        let full = try Self.load(
            ["validate", "-d", "100ms", "--sessions", "10"] + Self.sizes, outputPath: "/dev/full")
        #expect(full.status == 74)
    }

    @Test("memory and growth, as small as it can be: everything is measured, and only what has its full size is judged")
    func scale() throws {
        let outcome = try Self.load(
            ["--scale", "--sessions", "10000", "--rounds", "1", "-d", "400ms", "--no-pin", "--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        let result = try #require(report.scale)
        #expect(result.growth.count == 4 && result.data.map(\.data) == SessionData.allCases + SessionData.allCases)
        #expect(result.data.allSatisfy { $0.microseconds.median > 0 })
        #expect(result.figures.count == 11 && result.figures.count { $0.unjudged != nil } == 5)
        #expect(try #require(result.freshBytes) > 100 && result.rotatedBytes != nil && result.pendingBytes != nil)
        #expect(try #require(result.historyEntryBytes) > result.nearCacheEntryBytes ?? 0)
    }

    @Test("a wrong command line is told apart from a daemon that is not there")
    func statuses() throws {
        #expect(try Self.load(["--connections", "0"]).status == 64)
        #expect(try Self.load(["--compare", "validate"]).status == 64)
        #expect(try Self.load(["--compare", "--guests"]).status == 64)
        #expect(try Self.load(["--socket", "/nonexistent/socket"]).status == 69)
        #expect(try Self.load(["--help"]).output.contains("WORKLOADS"))
    }

    @Test("the load test says its version")
    func version() throws {
        let outcome = try Self.load(["--version"])
        #expect(outcome.status == 0 && outcome.output == "tokencache-load \(Product.version)\n")
    }
}
