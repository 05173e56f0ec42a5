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

    @Test("a move that goes on keeps it away as well, and says so; then that it is over", arguments: [true, false])
    func moving(isEnded: Bool) {
        var driver = driver()
        let moving = RedisFault(.moved, .moving, " to redis://web@10.0.0.5:6379")
        prepare(&driver, .bulk(MoveMark(.moving, to: "redis://web@10.0.0.5:6379").text(at: UnixMilliseconds(5))))
        #expect(driver.states.last == .down(moving))
        #expect(moving.description.contains("is being moved to redis://") && moving.remedy.contains("--resume"))
        driver.advance(.seconds(2))
        prepare(&driver, isEnded ? Self.mark : .null)
        #expect(driver.states.last == (isEnded ? .down(Self.moved) : .ready))
    }

    @Test("whoever may not read it, and a key of another type or another server's, is asked for nothing else")
    func unasked() {
        for text in ["NOPERM no", "WRONGTYPE no", "ERR unknown command 'GET'"] {
            var driver = driver()
            prepare(&driver, .error(text))
            #expect(driver.states.last == .ready, "\(text)")
            driver.submit(1)
            #expect(driver.commands == [["ECHO", "1"]], "\(text)")
        }
        var member = driver([Self.key, Self.ownKey])
        prepare(&member, .error("MOVED 1 127.0.0.1:7001"), .null)
        member.submit(1)
        #expect(member.states.last == .ready && member.commands == [["ECHO", "1"]])
        var without = self.driver([])
        prepare(&without)
        #expect(without.states.last == .ready)
    }

    private static let ownKey = key + Array("{a}".utf8)

    @Test(
        "an answer that says nothing of its own mark leaves it open: it is asked again before each request, until it says",
        arguments: [
            "CLUSTERDOWN The cluster is down", "MOVED 1 127.0.0.1:7001", "ASK 1 127.0.0.1:7001", "TRYAGAIN later",
            "BUSY Redis is busy",
        ])
    func open(text: String) {
        var driver = driver([Self.key, Self.ownKey])
        let elsewhere = RedisReply.error("MOVED 1 127.0.0.1:7001")
        prepare(&driver, elsewhere, .error(text.hasPrefix("BUSY") ? "TRYAGAIN later" : text))
        #expect(driver.states.last == .ready && driver.machine.move.isOpen)
        driver.submit(1)
        driver.submit(2)
        #expect(driver.commands.map(\.[0]) == ["GET", "GET", "ECHO", "ECHO"])
        driver.reply(elsewhere)
        driver.reply(.error(text))
        for _ in 0..<2 { driver.reply(.error("CLUSTERDOWN The cluster is down")) }
        #expect(driver.results[1]?.map(\.faultKind) == [.clusterDown])
        #expect(driver.machine.move.isOpen && driver.notMoved == 0)
        driver.submit(3)
        #expect(driver.commands.map(\.[0]) == ["GET", "GET", "ECHO"])
        driver.reply(elsewhere)
        driver.reply(.null)
        #expect(driver.notMoved == 1 && !driver.machine.move.isOpen)
        driver.reply(driver.answer(to: driver.commands[0]))
        driver.submit(4)
        #expect(driver.commands == [["ECHO", "4"]])
    }

    @Test("the mark of all that is on its way to another server is asked for again, too")
    func onItsWay() {
        var driver = driver([Self.key, Self.ownKey])
        prepare(&driver, .error("ASK 1 127.0.0.1:7001"), .null)
        driver.submit(1)
        #expect(driver.commands.map(\.[0]) == ["GET", "GET", "ECHO"])
    }

    @Test("where nobody asks for anything, it is asked with each heartbeat")
    func idle() {
        var driver = driver()
        prepare(&driver, .error("CLUSTERDOWN The cluster is down"))
        driver.advance(LinkSettings().heartbeat)
        #expect(driver.commands.map(\.[0]) == ["GET", "TIME"])
        driver.reply(Self.mark)
        #expect(driver.states.last == .down(Self.moved))
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

    @Test("what is told of it is printable and short, whatever stands there; what was written is read")
    func text() {
        for stage in [MoveMark.Stage.moving, .moved] {
            for place in ["redis://a:1", "", "redis://moving"] {
                let mark = MoveMark(stage, to: place)
                #expect(mark.place == place && mark.stage == stage)
                #expect(MoveMark(mark.text(at: UnixMilliseconds(5))) == mark)
            }
            let long = MoveMark(stage, to: String(repeating: "é b", count: 99))
            #expect(long.place.utf8.count == 200 && MoveMark(long.text(at: UnixMilliseconds(5))) == long)
        }
        func place(_ text: [UInt8]) -> String { MoveMark(text).place }
        #expect(place([]).isEmpty && place(Array("moved".utf8)).isEmpty && place(Array("1 moving".utf8)).isEmpty)
        #expect(place(Array("1 a\u{1b}[2J\nb é".utf8)) == "a?[2J?b???")
        #expect(place(Array("1 ".utf8) + [UInt8](repeating: 65, count: 999)).utf8.count == 200)
        #expect(MoveMark.fault(.null) == nil && MoveMark.fault(.bulk([]))?.kind == .moved)
    }
}
