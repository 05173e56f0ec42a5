import Foundation
import Histogram
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
                    return ComparisonRow(
                        contender: contender, throughput: try #require(Spread(rates)),
                        ratio: Spread([rate / 400_000]), serverMicroseconds: Spread([1e6 / rate]), serverLoad: 0.5,
                        clientLoad: contender == .limit ? 1 : 0.8, isClientBound: contender == .limit,
                        throughputs: rates, microseconds: rates.map { 1e6 / $0 })
                })
        }
        result.latencies = try Contender.allCases.map {
            LatencyRow(contender: $0, rate: 90_000, summary: try latency(), unsent: 0, late: 0)
        }
        result.mixedTails = [2, 2.5, 4]
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

    /// HTML's void elements and doctype as XML wants them; all else must be well formed as it is.
    private static func asXML(_ page: String) -> String {
        page.replacing("<!doctype html>", with: "")
            .replacing("<meta charset=\"utf-8\">", with: "<meta charset=\"utf-8\"/>")
            .replacing("initial-scale=1\">", with: "initial-scale=1\"/>")
    }

    @Test("figures: reached at the limit itself, not below it, not judged without a measurement")
    func figures() throws {
        let figures = try #require(try Self.report().comparison).figures
        #expect(figures.map(\.id) == ["P1", "P1", "P1", "P1", "P2", "P2", "P3", "P4", "P7"])
        #expect(figures.map(\.isReached) == [true, true, true, true, true, false, true, nil, true])
        #expect(Targets.atLeast(1, Spread([1]), "", "").isReached == true)
        #expect(Targets.atMost(1, Spread([1.01]), "", "").isReached == false)
    }

    @Test("JSON is read back as it was, and CSV has the same columns in every line")
    func machineReadable() throws {
        let report = try Self.report()
        let again = try JSONDecoder().decode(Report.self, from: Data(report.json().utf8))
        #expect(again.json() == report.json())
        let lines = report.csv().split(separator: "\n")
        let columns = Set(lines.map { $0.split(separator: ",", omittingEmptySubsequences: false).count })
        #expect(columns.count == 1 && lines.count == 1 + 15 + 5)
    }

    @Test("text and Markdown show the same tables, and say who was the bottleneck")
    func text() throws {
        let report = try Self.report()
        for form in [report.text(), report.markdown()] {
            for word in ["redis-server GET", "400k *", "EVALSHA", "P7", "not reached", "1 in flight"] {
                #expect(form.contains(word), "\(word) is missing")
            }
        }
        #expect(report.text().contains("the client was the bottleneck"))
    }

    @Test("the folder of documents holds a page and two pictures that stand alone")
    func docs() throws {
        let top = NSTemporaryDirectory() + "load-docs-\(UUID().uuidString)"
        let folder = "\(top)/a/b"
        defer { try? FileManager.default.removeItem(atPath: top) }
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
