import TestSupport
import Testing
import UnixTime

@testable import RedisLink

@Suite("The mark of a move")
struct MoveMarkTests {
    private static let key = MoveMark.key(prefix: Array("tc:".utf8))
    private static let mark = RedisReply.bulk(Array("1700000000000 redis://web@10.0.0.5:6379".utf8))
    private static let moved = RedisFault(.moved, .moved, " to redis://web@10.0.0.5:6379")

    private func driver(_ keys: [[UInt8]] = [Self.key]) -> MachineDriver {
        var driver = MachineDriver()
        driver.machine.move.keys = keys
        driver.start()
        return driver
    }

    /// Answers the questions for the mark with this, and all else as a healthy Redis does.
    private func prepare(_ driver: inout MachineDriver, _ answers: RedisReply...) {
        driver.connect()
        var answers = answers[...]
        while let command = driver.commands.first {
            driver.reply(command[0] == "GET" ? answers.popFirst() ?? .null : driver.answer(to: command))
        }
    }

    @Test("a server that has it is not used, its reason is plain, and it is asked again at the longest wait")
    func refused() {
        var driver = driver()
        driver.submit(1)
        prepare(&driver, Self.mark)
        #expect(driver.states.last == .down(Self.moved))
        #expect(driver.results[1] == [.failure(Self.moved)])
        #expect(Self.moved.remedy.contains("redis.url") && Self.moved.needsOperator && !Self.moved.isSilence)
        driver.advance(.milliseconds(1_900))
        #expect(driver.connects == 1)
        driver.advance(.milliseconds(100))
        #expect(driver.connects == 2)
        // It was taken away.
        prepare(&driver, .null)
        #expect(driver.states.last == .ready)
    }

    @Test("whoever may not read it, and a key of another type or another server's, is asked for nothing else")
    func unasked() {
        for text in ["NOPERM no", "WRONGTYPE no", "MOVED 1 127.0.0.1:7001", "ASK 1 127.0.0.1:7001", "TRYAGAIN"] {
            var driver = driver()
            prepare(&driver, .error(text))
            #expect(driver.states.last == .ready, "\(text)")
            driver.submit(1)
            #expect(driver.commands == [["ECHO", "1"]])
        }
        var without = self.driver([])
        prepare(&without)
        #expect(without.states.last == .ready)
    }

    @Test("a cluster's server that is down is asked again before each request, until it says")
    func open() {
        var driver = driver([Self.key, Self.key + Array("{a}".utf8)])
        let down = RedisReply.error("CLUSTERDOWN The cluster is down")
        prepare(&driver, .error("MOVED 1 127.0.0.1:7001"), down)
        #expect(driver.states.last == .ready)
        driver.submit(1)
        driver.submit(2)
        #expect(driver.commands.map(\.[0]) == ["GET", "GET", "ECHO", "ECHO"])
        for _ in 0..<4 { driver.reply(down) }
        #expect(driver.results[1]?.map(\.faultKind) == [.clusterDown])
        driver.submit(3)
        #expect(driver.commands.map(\.[0]) == ["GET", "GET", "ECHO"])
        driver.reply(.error("MOVED 1 127.0.0.1:7001"))
        driver.reply(.null)
        driver.reply(driver.answer(to: driver.commands[0]))
        driver.submit(4)
        #expect(driver.commands == [["ECHO", "4"]])
    }

    @Test("what was sent behind the question is not believed where the mark stands")
    func openAndMoved() {
        var driver = driver()
        prepare(&driver, .error("CLUSTERDOWN The cluster is down"))
        driver.submit(1)
        driver.reply(Self.mark)
        #expect(driver.states.last == .down(Self.moved))
        #expect(driver.results[1] == [.failure(Self.moved)])
    }

    @Test("what is told of it is printable and short, whatever stands there")
    func text() {
        let time = MoveMark.text(to: "redis://a:1", at: UnixMilliseconds(5))
        #expect(MoveMark.place(in: time) == "redis://a:1")
        #expect(MoveMark.place(in: []).isEmpty && MoveMark.place(in: Array("moved".utf8)).isEmpty)
        #expect(MoveMark.place(in: Array("1 a\u{1b}[2J\nb é".utf8)) == "a?[2J?b???")
        #expect(MoveMark.place(in: Array("1 ".utf8) + [UInt8](repeating: 65, count: 999)).utf8.count == 200)
        #expect(MoveMark.fault(.null) == nil && MoveMark.fault(.bulk([]))?.kind == .moved)
    }
}
