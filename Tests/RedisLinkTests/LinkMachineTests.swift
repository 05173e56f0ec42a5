import EventLoop
import SeededRandom
import Testing
import UnixTime

@testable import RedisLink

@Suite("The link's machine")
struct LinkMachineTests {
    let script = RedisScript(name: "touch", source: Array("return 1".utf8))

    @Test("requests before the connection are sent when it is ready, and answered in order")
    func requestsBeforeConnection() {
        var driver = MachineDriver()
        driver.start()
        driver.submit(1)
        driver.submit(2)
        #expect(driver.commands.isEmpty)
        driver.becomeReady()
        #expect(driver.states == [.connecting, .ready])
        #expect(driver.results == [1: [bulk(1)], 2: [bulk(2)]])
        #expect(driver.machine.serverInfo.role == "master")
        #expect(driver.machine.serverInfo.runID == "abc")
        #expect(driver.machine.clock.time(at: driver.now) == UnixMilliseconds(1_700_000_000_000))
    }

    @Test("a late reply is swallowed in its position")
    func lateReply() {
        var driver = MachineDriver()
        driver.start()
        driver.becomeReady()
        driver.submit(1)
        driver.advance(.milliseconds(200))
        driver.submit(2)
        driver.advance(.milliseconds(49))
        #expect(driver.results.isEmpty)
        driver.advance(.milliseconds(1))
        #expect(driver.results[1]?.map(\.faultKind) == [.timeout])
        driver.answerAll()
        #expect(driver.results[2] == [bulk(2)])
        #expect(driver.results[1]?.count == 1)
        #expect(driver.machine.counters.lateReplies == 1)
        #expect(driver.machine.counters.timeouts == 1)
        #expect(driver.connects == 1)
    }

    @Test("a connection is given up when its oldest reply is a second late")
    func oldestReplyIsLate() {
        var driver = MachineDriver()
        driver.start()
        driver.becomeReady()
        driver.submit(1)
        driver.advance(.milliseconds(1249))
        #expect(driver.connects == 1)
        driver.advance(.milliseconds(1))
        #expect(driver.connects == 2)
        #expect(driver.states.last == .connecting)
    }

    @Test("the heartbeat finds a silent connection")
    func heartbeat() {
        var driver = MachineDriver()
        driver.start()
        driver.becomeReady()
        driver.advance(.seconds(1))
        #expect(driver.commands == [["TIME"]])
        driver.advance(.milliseconds(1250))
        #expect(driver.connects == 2)
    }

    @Test("what is repeatable is sent once more after a loss, and the rest fails")
    func repeatedAfterLoss() {
        var driver = MachineDriver()
        driver.start()
        driver.becomeReady()
        driver.submit(1, repeatable: true)
        driver.submit(2)
        driver.submit(3, repeatable: true)
        driver.disconnect()
        #expect(driver.results[2]?.map(\.faultKind) == [.closed])
        driver.submit(4)
        driver.connect()
        while driver.commands.first?.first != "ECHO" { driver.answerAllPreparation() }
        #expect(driver.commands.map(\.last) == ["1", "3", "4"])
        driver.disconnect()
        #expect(driver.results[1]?.map(\.faultKind) == [.closed])
        #expect(driver.results[3]?.map(\.faultKind) == [.closed])
        #expect(driver.machine.counters.resends == 2)
        #expect(driver.machine.pendingBytes == 0)
    }

    @Test("retrieved requests have until their deadline, new ones fail at once in backoff")
    func backoffAndDeadline() {
        var driver = MachineDriver()
        driver.start()
        driver.becomeReady()
        driver.submit(1, repeatable: true)
        driver.disconnect()
        driver.submit(2)
        driver.disconnect(RedisFault(.unreachable, "refused"))
        #expect(driver.states.last == .down(RedisFault(.unreachable, "refused")))
        #expect(driver.results[2]?.map(\.faultKind) == [.unreachable])
        driver.submit(3)
        #expect(driver.results[3]?.map(\.faultKind) == [.unreachable])
        #expect(driver.results[1] == nil)
        driver.advance(.milliseconds(50))
        #expect(driver.connects == 3)
        driver.becomeReady()
        #expect(driver.results[1] == [bulk(1)])
    }

    @Test("the backoff grows to its maximum")
    func backoffGrows() {
        var driver = MachineDriver()
        driver.start()
        var waits: [Duration] = []
        for _ in 0..<12 {
            driver.disconnect(RedisFault(.unreachable, "refused"))
            let begin = driver.now
            guard let wake = driver.machine.nextWake else { return #expect(Bool(false)) }
            waits.append(wake - begin)
            driver.advance(wake - begin)
        }
        #expect(driver.connects == 13)
        #expect(waits[0] <= .milliseconds(50) && waits[0] > .milliseconds(37))
        for wait in waits.suffix(4) { #expect(wait <= .seconds(2) && wait >= .milliseconds(1500)) }
    }

    @Test("lost scripts are loaded once for all, and repeated unseen")
    func lostScripts() {
        var driver = MachineDriver(scripts: [script])
        driver.start()
        driver.becomeReady()
        driver.scriptCache = []
        for id in 1...3 { driver.run(id) }
        driver.answerAll()
        #expect(driver.results == [1: [bulk(1)], 2: [bulk(2)], 3: [bulk(3)]])
        #expect(driver.machine.counters.scriptReloads == 1)
    }

    @Test("a script that cannot be kept is a fault, not a loop")
    func scriptIsNotKept() {
        var driver = MachineDriver(scripts: [script])
        driver.start()
        driver.becomeReady()
        driver.scriptCache = []
        driver.run(1)
        driver.reply(.error("NOSCRIPT"))
        driver.reply(.error("ERR no memory for scripts"))
        driver.reply(.error("NOSCRIPT"))
        #expect(driver.results[1]?.map(\.faultKind) == [.scriptError])
    }

    @Test("READONLY closes the connection, and a replica is down")
    func readOnly() {
        var driver = MachineDriver()
        driver.start()
        driver.becomeReady()
        driver.submit(1)
        driver.reply(.error("READONLY You can't write against a read only replica."))
        #expect(driver.results[1]?.map(\.faultKind) == [.readOnly])
        #expect(driver.connects == 2)
        driver.role = "slave"
        driver.becomeReady()
        #expect(driver.states.last == .down(RedisFault(.readOnly, "Redis is a read-only replica")))
    }

    @Test(
        "a refused preparation takes the link down",
        arguments: [
            ("LOADING Redis is loading", RedisFault.Kind.loading), ("BUSY Redis is busy", .busy),
            ("NOAUTH Authentication required.", .credentials), ("ERR max number of clients reached", .maxClients),
            ("DENIED Redis is running in protected mode", .misconfigured),
        ])
    func refusedPreparation(text: String, kind: RedisFault.Kind) {
        var driver = MachineDriver()
        driver.start()
        driver.connect()
        driver.reply(.error(text))
        guard case .down(let fault)? = driver.states.last else { return #expect(Bool(false)) }
        #expect(fault.kind == kind)
    }

    @Test("faults never quote arguments")
    func noArguments() {
        for text in [
            "ERR unknown command 'sekret', with args beginning with: 'sekret'", "sekret", "OOM sekret",
            "ERR Error running script sekret", "NOPERM User sekret has no permissions", "WRONGTYPE sekret",
        ] {
            #expect(!RedisFault.classify(error: text).fault.description.contains("sekret"))
        }
    }

    @Test("a reply that nobody asked for closes the connection")
    func replyNobodyAskedFor() {
        var driver = MachineDriver()
        driver.start()
        driver.becomeReady()
        driver.reply(.status("OK"))
        #expect(driver.machine.counters.protocolErrors == 1)
        #expect(driver.connects == 2)
    }

    @Test("waiting requests are bounded")
    func bound() {
        var settings = LinkSettings()
        settings.maxPending = 3
        var driver = MachineDriver(settings: settings)
        driver.start()
        driver.becomeReady()
        for id in 1...4 { driver.submit(id) }
        #expect(driver.results[4]?.map(\.faultKind) == [.overloaded])
        // Given up is not gone: its reply still has to come.
        driver.advance(.milliseconds(250))
        driver.submit(5)
        #expect(driver.results[5]?.map(\.faultKind) == [.overloaded])
        driver.answerAll()
        driver.submit(6)
        driver.answerAll()
        #expect(driver.results[6] == [bulk(6)])
    }

    @Test("a close fails everything, once")
    func close() {
        var driver = MachineDriver()
        driver.start()
        driver.becomeReady()
        driver.submit(1, repeatable: true)
        driver.machine.close()
        driver.machine.close()
        driver.settle()
        driver.submit(2)
        #expect(driver.results.mapValues { $0.map(\.faultKind) } == [1: [.closed], 2: [.closed]])
        #expect(driver.machine.nextWake == nil)
    }

    @Test("every request completes once, with its own reply", arguments: 0..<200)
    func everyRequestCompletes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var driver = MachineDriver(scripts: [script], seed: seed)
        var submitted: [Int: MonotonicInstant] = [:]
        driver.start()
        for id in 0..<400 {
            switch random.next() % 20 {
            case 0..<7:
                submitted[id] = driver.now
                driver.submit(id, repeatable: random.next() % 2 == 0)
            case 7..<10:
                submitted[id] = driver.now
                driver.run(id, repeatable: random.next() % 2 == 0)
            case 10..<15:
                if let command = driver.commands.first { driver.reply(driver.answer(to: command)) }
            case 15: driver.advance(.milliseconds(Int64(random.next() % 120)))
            case 16:
                if random.next() % 4 == 0 { driver.disconnect() }
            case 17:
                if random.next() % 2 == 0 { driver.scriptCache = [] } else { driver.answerAll() }
            case 18:
                if random.next() % 8 == 0, !driver.commands.isEmpty { driver.reply(.error("READONLY")) }
            default:
                if case .connecting = driver.machine.phase { driver.connect() }
                driver.answerAll()
            }
            #expect(driver.machine.pendingBytes >= 0)
            for (other, at) in submitted where driver.results[other] == nil {
                #expect(driver.now < at + driver.machine.settings.timeout)
            }
        }
        driver.advance(.milliseconds(250))
        for id in submitted.keys {
            let results = driver.results[id] ?? []
            #expect(results.count == 1)
            if case .success(let reply)? = results.first { #expect(.success(reply) == bulk(id)) }
        }
        #expect(driver.results.count == submitted.count)
        driver.machine.close()
        #expect(driver.machine.pendingBytes == 0)
    }
}

extension MachineDriver {
    /// Answers what stands before the first request.
    mutating func answerAllPreparation() {
        while let command = commands.first, command.first != "ECHO" { reply(answer(to: command)) }
    }

    @Test(
        "a changed password: the connection authenticates again between its requests, and stands where that is refused")
    func password() {
        var driver = MachineDriver()
        driver.start()
        driver.becomeReady()
        driver.submit(1)
        driver.machine.authenticate(login: RedisLogin(user: "u", password: RedisPassword("new")), now: driver.now)
        driver.submit(2)
        #expect(driver.commands == [["ECHO", "1"], ["AUTH", "u", "new"], ["ECHO", "2"]])
        driver.answerAll()
        #expect(driver.results == [1: [bulk(1)], 2: [bulk(2)]] && driver.refusedLogins.isEmpty)
        driver.machine.authenticate(login: RedisLogin(password: RedisPassword("wrong")), now: driver.now)
        driver.submit(3)
        driver.reply(.error("WRONGPASS invalid username-password pair or user is disabled."))
        driver.answerAll()
        #expect(driver.refusedLogins.map(\.kind) == [.credentials] && driver.results[3] == [bulk(3)])
        #expect(driver.connects == 1 && driver.states == [.connecting, .ready])
    }

    @Test("a changed password: a link that waits to try again does at once")
    func passwordWhileDown() {
        var driver = MachineDriver()
        driver.start()
        driver.disconnect(RedisFault(.credentials, .wrongPassword))
        #expect(driver.connects == 1)
        driver.machine.authenticate(login: RedisLogin(password: RedisPassword("new")), now: driver.now)
        driver.settle()
        #expect(driver.connects == 2)
        driver.becomeReady()
        #expect(driver.states.last == .ready)
    }

    @Test("what is published comes between the replies; where nothing was subscribed to, it is no reply")
    func messages() {
        let message = RedisReply.array(RedisArray(["message", "+c", "news"].map { .bulk(Array($0.utf8)) }))
        var settings = LinkSettings()
        (settings.isSentinel, settings.isSubscriber) = (true, true)
        var driver = MachineDriver(settings: settings)
        driver.start()
        driver.becomeReady()
        driver.submit(1)
        driver.machine.received(message, now: driver.now)
        driver.answerAll()
        driver.machine.received(message, now: driver.now)
        driver.settle()
        #expect(driver.told == ["news", "news"] && driver.results == [1: [bulk(1)]] && driver.connects == 1)

        var other = MachineDriver()
        other.start()
        other.becomeReady()
        other.machine.received(message, now: other.now)
        other.settle()
        #expect(other.told.isEmpty && other.machine.counters.protocolErrors == 1)
    }
}
