import Foundation
import Histogram
import TestSupport
import Testing

@testable import LoadTest

#if canImport(FoundationXML)
    import FoundationXML
#endif

@Suite("Reports")
struct ReportTests {
    static func latency() throws -> LatencySummary {
        var histogram = LoadOutcome.emptyHistogram
        for value in 1...5_000 { histogram.record(UInt64(value) * 731) }
        return try #require(LatencySummary(histogram))
    }

    static func report() throws -> Report {
        var machine = MachineFacts(
            processor: "A <fast> & \"good\" one", cores: 2, memoryBytes: 8 << 30, kernel: "Linux 6", system: "Debian")
        machine.versions = ["redis-server": "7.0.15"]
        var report = Report(command: "tokencache-load --compare", machine: machine)
        let throughputs: [Contender: Double] = [
            .limit: 400_000, .tokencached: 360_000, .redisGet: 300_000, .redisEvalsha: 180_000, .memcached: 320_000,
        ]
        var result = ComparisonResult(
            rounds: 3, seconds: 1, connections: 50, sessions: 1_000, requestBytes: 164, replyBytes: 260)
        result.tables = try ClientForm.allCases.map { form in
            ComparisonTable(
                form: form,
                rows: try Contender.allCases.map { contender in
                    let rate = throughputs[contender] ?? 1
                    let rates = [rate * 0.9, rate, rate * 1.1]
                    return SpeedRow(
                        contender,
                        Speed(
                            throughput: try #require(Spread(rates)), ratio: Spread([rate / 400_000]),
                            serverMicroseconds: Spread([1e6 / rate]), serverLoad: 0.5,
                            clientLoad: contender == .limit ? 1 : 0.8, isClientBound: contender == .limit,
                            throughputs: rates, microseconds: rates.map { 1e6 / $0 }))
                })
        }
        result.latencies = try Contender.allCases.map {
            LatencyRow(contender: $0, rate: 90_000, summary: try latency(), unsent: 0, late: 0)
        }
        result.mixedTails = [2, 2.5, 4].map { MixedTail(p90: $0 / 2, p99: $0) }
        result.figures = Targets.judge(result)
        report.comparison = result
        return report
    }

    @Test("the page is well formed, needs no network and no script, and holds what it should")
    func page() throws {
        let page = try Self.report().html()
        let parser = XMLParser(data: Data(Self.asXML(page).utf8))
        #expect(parser.parse(), "\(String(describing: parser.parserError)) at line \(parser.lineNumber)")
        for outside in ["<script", "src=", "href=", "@import", "url("] { #expect(!page.contains(outside)) }
        for inside in [
            "<svg", "prefers-color-scheme: dark", "99.9 %", "tokencached VALIDATE", "redis-server EVALSHA", "360k",
            "A &lt;fast&gt; &amp; &quot;good&quot; one", "redis-server 7.0.15", "✓ reached", "P3", "0.90 ×",
        ] { #expect(page.contains(inside), "\(inside) is missing") }
        #expect(page.components(separatedBy: "<polyline").count - 1 == Contender.allCases.count)
    }

    @Test(
        "on a telephone, 390 px wide, pictures and tables are pushed aside in frames of their own, not shrunk or cut off"
    )
    func narrow() throws {
        let page = try Self.report().html()
        let pictures = page.components(separatedBy: "<svg").count - 1
        #expect(pictures > 0 && page.components(separatedBy: "<div class=\"wide\"><svg").count - 1 == pictures)
        #expect(
            page.components(separatedBy: "<div class=\"wide\"><table>").count
                == page.components(separatedBy: "<table>").count)
        #expect(page.contains(".wide { overflow-x: auto; }") && page.contains("figure svg { min-width: 40rem; }"))
    }

    /// HTML's void elements and doctype as XML wants them; all else must be well formed as it is.
    private static func asXML(_ page: String) -> String {
        page.replacing("<!doctype html>", with: "")
            .replacing("<meta charset=\"utf-8\">", with: "<meta charset=\"utf-8\"/>")
            .replacing("initial-scale=1\">", with: "initial-scale=1\"/>")
    }

    @Test("figures: reached at the limit itself, not below it, not judged without a measurement")
    func figures() throws {
        let figures = try #require(try Self.report().comparison).figures
        #expect(
            figures.map(\.id)
                == ["P1", "P1", "P1", "P1", "P2", "P2", "P2", "P2", "P3", "P3", "P4", "P7", "P7"])
        #expect(
            figures.map(\.isReached)
                == [false, false, false, true, false, false, true, false, true, true, nil, true, false])
        #expect(Targets.atLeast(1, Spread([1]), "", "").isReached == true)
        #expect(Targets.atMost(1, Spread([1.01]), "", "").isReached == false)
    }

    @Test("JSON is read back as it was, and CSV has the same columns in every line")
    func machineReadable() throws {
        let report = try Self.report()
        let again = try JSONDecoder().decode(Report.self, from: Data(report.json().utf8))
        #expect(again.json() == report.json())
        let lines = report.csv().split(separator: "\n")
        let columns = Set(lines.map { Self.fields($0).count })
        #expect(columns.count == 1 && lines.count == 1 + 15 + 5 + 13)
    }

    /// Lines of the CSV form, cell by cell, by the kind they begin with.
    private static func cells(_ report: Report) -> [String: [[String: String]]] {
        let lines = report.csv().split(separator: "\n").map(Self.fields)
        let head = lines.first ?? []
        let rows = lines.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(head, $0)) }
        return Dictionary(grouping: rows) { $0["kind"] ?? "" }
    }

    /// The cells of a line by RFC 4180.
    private static func fields(_ line: Substring) -> [String] {
        line.split(separator: "\"", omittingEmptySubsequences: false).enumerated().reduce(into: [""]) { cells, part in
            // Every second part stands within quotes.
            guard part.offset % 2 == 0 else { return cells[cells.count - 1] += part.element }
            let pieces = part.element.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            cells[cells.count - 1] += pieces.first ?? ""
            cells += pieces.dropFirst()
        }
    }

    @Test("CSV holds what the tables hold: cold sessions, the mix and every figure of a comparison")
    func comparisonCSV() throws {
        var report = try Self.report()
        let table = report.comparison?.tables.first
        report.comparison?.cold = table
        report.comparison?.mixed = WorkloadResult(
            workload: .mixed, sessions: 10, connections: 50, pipeline: 1, threads: 1, rate: 5_000, seconds: 1,
            requests: 5_000, throughput: 5_000, clientLoad: 0.1, failed: 0, failures: [:], unanswered: 1, unsent: 7,
            late: 0, latency: try Self.latency(), hitLatency: try Self.latency(), notes: [])
        let cells = Self.cells(report)
        #expect(cells["cold"]?.count == 5 && cells["cold"]?.first?["ratio_to"] == "redis-evalsha")
        #expect(cells["mix"]?.map { $0["form"] } == ["", "hits"])
        #expect(cells["mix"]?.first?["unsent"] == "7" && cells["mix"]?.first?["failed"] == "1")
        #expect(cells["mix"]?.allSatisfy { Double($0["p99_us"] ?? "") != nil } == true)
        let figures = try #require(report.comparison).figures
        #expect(cells["figure"]?.map { $0["form"] } == figures.map(\.text))
        #expect(cells["figure"]?.first?["wanted"] == "≤ 0.80" && cells["figure"]?.first?["verdict"] == "not reached")
    }

    @Test("CSV holds guests and what page views left in Redis")
    func guestsCSV() throws {
        var report = Report(command: "tokencache-load --guests", machine: try Self.report().machine)
        var result = GuestResult(rounds: 1, seconds: 1, connections: 50, sessions: 1_000)
        result.rows = [
            SpeedRow(
                .guest,
                Speed(
                    throughput: try #require(Spread([5])), ratio: Spread([0.75]), clientLoad: 0.5, isClientBound: false)
            )
        ]
        result.visitors = [
            VisitorRow(
                site: "guests: VISIT, \"captcha\"", pageViews: 20, writes: ["set": 2], keysBefore: 1, keysAfter: 4,
                bytes: 100)
        ]
        result.figures = GuestResult.judge(result)
        report.guests = result
        let cells = Self.cells(report)
        #expect(cells["guests"]?.first?["name"] == "guest" && cells["guests"]?.first?["ratio"] == "0.750")
        #expect(cells["visitors"]?.map { $0["value"] } == ["20", "2", "3", "100"])
        #expect(cells["visitors"]?.first?["name"] == "guests: VISIT, captcha")
        #expect(report.csv().contains("\"guests: VISIT, \"\"captcha\"\"\""))
        #expect(cells["figure"]?.count == 4)
    }

    private static func scale(sessions: Int) throws -> ScaleResult {
        func spread(_ value: Double) throws -> Spread { try #require(Spread([value])) }
        var result = ScaleResult(
            sessions: sessions, freshBytes: 280, pendingBytes: 400, rotatedBytes: 390, connections: 10_000,
            idleBytes: 30 << 20, emptyBytes: 20 << 20, nearCacheEntryBytes: 144, historyEntryBytes: 344)
        for (what, large) in [("sessions", sessions), ("connections", 5_000)] {
            result.growth.append(
                GrowthRow(
                    contender: .tokencached, what: what, small: 50, large: large, smallMicroseconds: try spread(3),
                    largeMicroseconds: try spread(4.5), ratio: try spread(1.5)))
        }
        for command in DataCommand.allCases {
            for (data, ratio) in zip(SessionData.allCases, [1, 1.2, 1.4]) {
                result.data.append(
                    DataRow(
                        command: command, data: data, microseconds: try spread(3 * ratio), ratio: try spread(ratio)))
            }
        }
        result.figures = ScaleResult.judge(result)
        return result
    }

    @Test("P5 and P6 are judged at full size, and what depends on the sessions is not judged below it")
    func scaleFigures() throws {
        let full = try Self.scale(sessions: 1_000_000).figures
        #expect(full.map(\.id) == ["P5", "P5", "P5", "P5", "P5", "P6", "P6", "P6", "P6", "P6", "P6"])
        #expect(full.map(\.isReached) == [true, true, true, true, true, false, false, true, false, true, false])
        // More connections cost the bare loop as much.
        var like = try Self.scale(sessions: 1_000_000)
        let connections = try #require(like.growth.last)
        like.growth.append(
            GrowthRow(
                contender: .limit, what: "connections", small: 50, large: 5_000,
                smallMicroseconds: connections.smallMicroseconds, largeMicroseconds: connections.largeMicroseconds,
                ratio: try #require(Spread([1.6]))))
        #expect(ScaleResult.judge(like).map(\.isReached)[5...6] == [false, true])
        let small = try Self.scale(sessions: 10_000).figures
        #expect(small.map(\.isReached) == [nil, nil, nil, nil, true, nil, false, true, false, true, false])
        #expect(small.first?.verdict == "not judged: fewer than 1,000,000 sessions")
        #expect(small.first?.measured == "280 B")
    }

    @Test("a scale run that ended early shows what it has, in every form; what it has not is not judged")
    func partialScale() throws {
        var report = Report(command: "tokencache-load --scale", machine: try Self.report().machine)
        var result = ScaleResult(sessions: 1_000_000, connections: 10_000, idleBytes: 30 << 20, emptyBytes: 20 << 20)
        result.figures = ScaleResult.judge(result)
        report.scale = result
        report.ended = LoadTestError.interrupted(signal: SIGINT).description
        for form in [report.text(), report.scaleMarkdown(), report.html(), report.csv(), report.json()] {
            #expect(form.contains("interrupted by SIGINT"))
        }
        #expect(result.figures.map(\.isReached) == [nil, nil, nil, nil, true])
        #expect(Self.cells(report)["memory"]?.compactMap { Int($0["value"] ?? "") } == [20 << 20, 30 << 20])
    }

    @Test("CSV holds memory, growth and the cost of data")
    func scaleCSV() throws {
        var report = Report(command: "tokencache-load --scale", machine: try Self.report().machine)
        report.scale = try Self.scale(sessions: 1_000_000)
        let cells = Self.cells(report)
        #expect(cells["memory"]?.map { $0["value"] } == ["280", "400", "390", "144", "344", "20971520", "31457280"])
        #expect(cells["growth"]?.map { $0["ratio"] } == ["1", "1.500", "1", "1.500"])
        #expect(cells["growth"]?.last?["form"] == "5000 connections")
        #expect(cells["data"]?.map { $0["ratio"] } == ["1", "1.200", "1.400", "1", "1.200", "1.400"])
        #expect(cells["data"]?.last?["name"] == "TOKEN.VISIT" && cells["data"]?.last?["form"] == "hundred-fields")
        #expect(cells["figure"]?.count == 11)
    }

    @Test("data of a session is about as much as the near cache keeps, and not more")
    func dataSizes() {
        #expect(SessionData.allCases.map(\.bytes) == [0, 4_000, 3_300])
        #expect(SessionData.hundredFields.fields.count == 100)
        #expect(Set(SessionData.hundredFields.fields.map(\.name)).count == 100)
    }

    @Test("where results go is looked at before anything is measured, and nothing is made by looking")
    func outputs() throws {
        let top = try TemporaryFolder()
        let folder = top.file("out")
        #expect(throws: LoadTestError.file(path: "\(folder)/a", number: ENOENT)) {
            try Output.check(file: "\(folder)/a")
        }
        try Output.prepare(folder: "\(folder)/b/c")
        try Output.check(file: "\(folder)/b/c/file")
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/b/c") == [])
        #expect(throws: LoadTestError.file(path: "\(folder)/b", number: EISDIR)) {
            try Output.check(file: "\(folder)/b")
        }
        try writeFile("\(folder)/file", "")
        #expect(throws: LoadTestError.file(path: "\(folder)/file/x", number: ENOTDIR)) {
            try Output.check(file: "\(folder)/file/x")
        }
        #expect(throws: LoadTestError.file(path: "\(folder)/file", number: ENOTDIR)) {
            try Output.prepare(folder: "\(folder)/file")
        }
    }

    @Test("text and Markdown show the same tables, and say who was the bottleneck")
    func text() throws {
        let report = try Self.report()
        let (plain, markdown) = (report.text(), report.markdown())
        let tables = report.tables
        #expect(tables.map { $0.rows.count } == [5, 5, 5, 5, 13])
        for row in tables.flatMap(\.rows) {
            #expect(markdown.contains("| \(row.joined(separator: " | ")) |\n"), "\(row)")
            let words = row.joined(separator: " ").split(separator: " ")
            #expect(plain.split(separator: "\n").contains { $0.split(separator: " ") == words }, "\(row)")
        }
        for form in [plain, markdown] {
            for word in ["redis-server GET", "400k *", "EVALSHA", "P7", "not reached", "1 in flight"] {
                #expect(form.contains(word), "\(word) is missing")
            }
        }
        #expect(report.text().contains("the client was the bottleneck"))
    }

    @Test("the folder of documents holds a page and two pictures that stand alone")
    func docs() throws {
        let top = try TemporaryFolder()
        let folder = top.file("a/b")
        try Self.report().writeDocs(to: folder)
        for name in ["throughput.svg", "latency.svg"] {
            let parser = XMLParser(data: try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))
            #expect(parser.parse())
        }
        let text = try String(contentsOfFile: "\(folder)/README.md", encoding: .utf8)
        #expect(text.contains("![Requests a second](throughput.svg)"))
    }

    @Test("numbers as people read them")
    func numbers() {
        #expect(Figures.grouped(1_234_567) == "1,234,567" && Figures.grouped(-12) == "-12")
        #expect([512, 28_900, 381_000, 4_520_000].map { Figures.rate($0) } == ["512", "28.9k", "381k", "4.52M"])
        #expect(
            [0.224, 14.52, 350, 3_120, 45_000, 2e6].map { Figures.time(microseconds: $0) }
                == ["0.22 µs", "14.5 µs", "350 µs", "3.12 ms", "45.0 ms", "2.00 s"])
        #expect(Figures.bytes(277) == "277 B" && Figures.bytes(64 * 1_048_576) == "64.0 MiB")
    }
}
