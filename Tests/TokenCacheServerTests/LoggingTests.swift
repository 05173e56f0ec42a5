import Foundation
import Host
import Logging
import SeededRandom
import Synchronization
import TestSupport
import Testing
import UnixTime

@testable import TokenCacheServer

/// Lines that a logger wrote.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    var last: String? { all.last }

    func output(_ style: LogStyle, level: Logger.Level = .trace) -> LogOutput {
        let moment = UnixMilliseconds(1_795_255_200_123)
        return LogOutput(style: style, level: level, now: { moment }) { line in
            self.lines.withLock { $0.append(line) }
            return true
        }
    }
}

@Suite("The log")
struct LoggingTests {
    @Test("readable lines have time, level, message and pairs in order")
    func readable() {
        let lines = Lines()
        let logger = lines.output(.readable).logger(label: "test")
        logger.info("listening", metadata: ["socket": "/run/x.sock", "clients": "3", "a": "two words"])
        #expect(lines.last == "2026-11-21T10:00:00.123Z info  listening a=\"two words\" clients=3 socket=/run/x.sock\n")
        logger.critical("x")
        #expect(lines.last == "2026-11-21T10:00:00.123Z critical x\n")
    }

    @Test(
        "journal lines have the priority of sd-daemon(3) and no time",
        arguments: [
            (.trace, "<7>"), (.debug, "<7>"), (.info, "<6>"), (.notice, "<5>"), (.warning, "<4>"), (.error, "<3>"),
            (.critical, "<2>"),
        ] as [(Logger.Level, String)])
    func journal(level: Logger.Level, prefix: String) {
        let lines = Lines()
        lines.output(.journal).logger(label: "test").log(level: level, "up", metadata: ["n": "1"])
        #expect(lines.last == "\(prefix)up n=1\n")
    }

    @Test("log.format: json writes an object a line, whole whatever it holds, bounded, and switched while it runs")
    func json() throws {
        let lines = Lines()
        let output = lines.output(.readable)
        let logger = output.logger(label: "test")
        output.format = .json
        logger.info("listening", metadata: ["socket": "/run/x.sock", "level": "mine"])
        #expect(
            lines.last == #"{"time":"2026-11-21T10:00:00.123Z","level":"info","message":"listening","#
                + #""_level":"mine","socket":"/run/x.sock"}"# + "\n")
        var random = SeededRandom(seed: 5)
        let pieces = [
            "\n", "\u{1b}[2J", "\0", "\u{85}", "\u{2028}", "\u{202e}", "\"", "\\", "é", "🙂", "{",
            String(repeating: "x", count: 900),
        ]
        for _ in 0..<500 {
            let text = (0..<12).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            logger.error(
                "\(text)", metadata: ["a": "\(text)", "b": "\(text)", "c": "\(text)", "d": "\(text)", "\(text)": "1"])
            let line = try #require(lines.last)
            #expect(line.utf8.count <= LogLine.maxBytes && line.last == "\n")
            #expect(line.dropLast().unicodeScalars.allSatisfy { !$0.isTerminalControl })
            let fields = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String])
            #expect(fields["level"] == "error")
            #expect(text.utf8.count > 900 || fields["message"] == text)
        }
        output.format = .text
        logger.info("x")
        #expect(lines.last == "2026-11-21T10:00:00.123Z info  x\n")
        let journal = lines.output(.journal)
        journal.format = .json
        journal.logger(label: "test").warning("x")
        #expect(lines.last?.hasPrefix("<4>{\"time\":") == true)
    }

    @Test("S7 log injection is impossible: whatever is logged stays on one line, without controls")
    func injection() {
        var random = SeededRandom(seed: 3)
        let bad = ["\n", "\r", "\r\n", "\u{1b}[2J", "\0", "\u{85}", "\u{9b}", "\u{2028}", "\u{202e}", "\u{7f}", "\t"]
        let good = ["a", " ", "\"", "\\", "=", "é", "🙂", "<0>"]
        for _ in 0..<2_000 {
            let text = (0..<12).map { _ in (bad + good).randomElement(using: &random) ?? "" }.joined()
            let lines = Lines()
            for style in [LogStyle.journal, .readable] {
                let logger = lines.output(style).logger(label: "test")
                logger.info("\(text)", metadata: ["k": "\(text)", "\(text)": ["\(text)", "x"]])
            }
            for line in lines.all {
                #expect(line.last == "\n")
                #expect(line.dropLast().unicodeScalars.allSatisfy { !$0.isTerminalControl })
            }
        }
    }

    @Test("values are quoted so that they can be read back, and keys hold no separators")
    func quoting() {
        let lines = Lines()
        let logger = lines.output(.journal).logger(label: "test")
        logger.info(
            "m",
            metadata: ["a": "", "b": "x=y", "c": "say \"hi\"", "d": "back\\slash", "e": "l1\nl2\u{1b}", "f g=h": "1"])
        #expect(
            lines.last
                == #"<6>m a="" b="x=y" c="say \"hi\"" d="back\\slash" e="l1\nl2\x1b" f_g_h=1"# + "\n")
    }

    @Test("a line is bounded, and cut between characters")
    func bounded() throws {
        let lines = Lines()
        for padding in 0..<5 {
            let text = String(repeating: "a", count: padding) + String(repeating: "🙂", count: 5_000)
            lines.output(.journal).logger(label: "test").info("\(text)")
            let line = try #require(lines.last)
            #expect(line.utf8.count <= LogLine.maxBytes)
            #expect(line.hasSuffix("🙂…\n"))
        }
    }

    @Test("the level can be set while the daemon runs, and a logger's own level stays its own")
    func levels() {
        let lines = Lines()
        let output = lines.output(.journal, level: .warning)
        let logger = output.logger(label: "test")
        var own = output.logger(label: "own")
        own.logLevel = .error
        logger.info("one")
        output.level = .debug
        logger.debug("two")
        own.warning("three")
        output.level = .critical
        logger.error("four")
        own.error("five")
        #expect(output.level == .critical)
        #expect(lines.all == ["<7>two\n", "<3>five\n"])
    }

    @Test("metadata of the call win over those of the logger")
    func metadata() {
        let lines = Lines()
        var logger = lines.output(.journal).logger(label: "test")
        logger[metadataKey: "a"] = "1"
        logger[metadataKey: "b"] = "1"
        logger.info("m", metadata: ["b": "2"])
        #expect(lines.last == "<6>m a=1 b=2\n")
    }

    @Test("the journal is recognised by device and inode, and by nothing else")
    func journalStream() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("log")
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var status = stat()
        try #require(fstat(descriptor, &status) == 0)
        #expect(LogOutput.isJournal("\(status.st_dev):\(status.st_ino)", descriptor: descriptor))
        for other in [nil, "", ":", "1:2", "\(status.st_dev):\(status.st_ino):1", "\(status.st_dev)", "x:y", "-1:-1"] {
            #expect(!LogOutput.isJournal(other, descriptor: descriptor))
        }
        #expect(!LogOutput.isJournal("1:1", descriptor: -1))

        #expect(LogOutput.send("one line\n", to: descriptor))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "one line\n")
        #expect(!LogOutput.send("nobody listens\n", to: -1))
    }

    @Test("a reader that stops reading loses lines, and holds nobody up")
    func stoppedReader() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let line = String(repeating: "x", count: 999) + "\n"
        let written = (0..<1_000).count { _ in LogOutput.send(line, to: ends[1]) }
        #expect((16...128).contains(written), "a pipe holds 64 KiB: \(written)")
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        #expect(read(ends[0], &bytes, bytes.count) > 0)
        #expect(LogOutput.send(line, to: ends[1]), "it reads again")
    }

    @Test("an auditor's event is whole in either format, whatever its length", arguments: LogFormat.allCases)
    func auditEvent(_ format: LogFormat) throws {
        let lines = Lines()
        let output = lines.output(.readable)
        output.format = format
        let event =
            "{\"event\":\"login\",\"subject\":\"\(String(repeating: "\\u001b", count: 250))\",\"peer\":{\"uid\":1}}"
        #expect(output.writeAudit(event))
        let line = try #require(lines.last)
        #expect(line.hasSuffix("\"peer\":{\"uid\":1}}\n"))
        let object = try #require(line.firstIndex(of: "{"))
        let json = try JSONSerialization.jsonObject(with: Data(line[object...].utf8)) as? [String: Any]
        #expect(json?["event"] as? String == "login")
    }
}
