import EventLoop
import Logging
import Synchronization
import Testing

@testable import TokenCacheServer

@Suite("Log lines that peers can cause")
struct LimitedLogTests {
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
        var texts: [String] { all.withLock { $0 } }

        func logger() -> Logger {
            LogOutput(style: .journal, level: .info, now: HostClock.now) { line in
                self.all.withLock { $0.append(line) }
                return true
            }
            .limitedLogger(label: "test")
        }
    }

    @Test("a flood of one message leaves a bounded number of lines, and room for another message")
    func flood() {
        let lines = Lines()
        let logger = lines.logger()
        let start = ContinuousClock.now
        for number in 0..<20_000 { logger.notice("a retired token came back", metadata: ["sid": "\(number)"]) }
        logger.info("session ended", metadata: ["sid": "x"])
        let seconds = Int((ContinuousClock.now - start) / .seconds(1))
        #expect(lines.texts.count <= MessageLimits.linesPerSecond * (seconds + 1) + 1)
        #expect(lines.texts.first == "<5>a retired token came back sid=0\n")
        #expect(lines.texts.last == "<6>session ended sid=x\n")
    }

    @Test("the next line that is written tells how many were left out")
    func suppressed() throws {
        let lines = Lines()
        let logger = lines.logger()
        let start = ContinuousClock.now
        // Told in the second after the one in which the limit was reached.
        var calls = 0
        while lines.texts.last?.contains("suppressed=") != true, ContinuousClock.now - start < .seconds(20) {
            logger.info("again")
            calls += 1
        }
        let told = lines.texts.compactMap { line in
            line.split(separator: "suppressed=").dropFirst().first.flatMap { Int($0.dropLast()) }
        }
        #expect(told.count == 1 && told.first.map { $0 > 0 && $0 < calls } == true, "\(told) of \(calls)")
    }

    @Test("messages without end are counted in bounded memory, and bounded together")
    func manyMessages() {
        let lines = Lines()
        let logger = lines.logger()
        let start = ContinuousClock.now
        for number in 0..<10_000 { logger.info("message \(number)") }
        let seconds = Int((ContinuousClock.now - start) / .seconds(1))
        let bound = MessageLimits.maxMessages + MessageLimits.linesPerSecond * (seconds + 1)
        #expect(lines.texts.count <= bound)
    }

    @Test("levels and metadata of the logger count as they do without a limit")
    func passesOn() {
        let lines = Lines()
        var logger = lines.logger()
        logger.debug("not written")
        logger[metadataKey: "site"] = "shop"
        logger.info("written", metadata: ["sid": "1"])
        logger.logLevel = .debug
        logger.debug("now written")
        #expect(lines.texts == ["<6>written sid=1 site=shop\n", "<7>now written site=shop\n"])
    }
}
