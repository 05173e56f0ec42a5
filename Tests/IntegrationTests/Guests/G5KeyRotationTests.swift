import Foundation
import Synchronization
import TestSupport
import Testing

@Suite("G5: keys rotate without one valid token being refused", .parallel)
struct G5KeyRotationTests {
    @Test("a key to come is handed to both daemons before it signs; then it signs, and old tokens are still good")
    func handover() throws {
        try withWorld(daemons: 2) { world in
            let ring = try TestRing(world.stage)
            let first = ring.key("k1", activeFrom: 1)
            try ring.write([first])
            for daemon in world.daemons { #expect(try daemon.client().call("RELOAD") == .simple("OK")) }
            let clients = try world.daemons.map { try $0.client() }
            let old = try [clients[0].guest(), clients[1].guest()]
            let oldCSRF = try old.map { try clients[0].csrf($0) }
            let oldCaptcha = try clients[0].captcha()
            #expect(try Set((old + [oldCaptcha.text]).map { try TestRing.kid(of: $0) }) == ["k1"])

            // Somebody makes, hands over and presents tokens all the time, at both daemons.
            let kids = Mutex<Set<String>>([])
            let workers = try (0..<4).map { index in
                let maker = try world.client(ofDaemon: index)
                let checker = try world.client(ofDaemon: index + 1)
                return Background {
                    letPass(.milliseconds(1))
                    let guest = try maker.guest()
                    try kids.withLock { _ = try $0.insert(TestRing.kid(of: guest)) }
                    let csrf = try maker.csrf(guest, "FORM", "f")
                    let captcha = try maker.captcha("FOR", guest)
                    let status = try [
                        checker.validateGuest(guest).status, checker.verify(guest, csrf, "FORM", "f"),
                        checker.answer(captcha.text, captcha.solution, "FOR", guest),
                    ]
                    guard status == ["valid", "passed", "passed"] else { throw HarnessFailure("refused: \(status)") }
                    for (token, csrf) in zip(old, oldCSRF) {
                        guard try checker.validateGuest(token).isAccepted, try checker.verify(token, csrf) == "passed"
                        else { throw HarnessFailure("an old token was refused") }
                    }
                }
            }
            let start = TestRing.now + 3
            try ring.write([first, ring.key("k2", activeFrom: start)])
            // One by a signal, as after a copy; the other by the command, a moment later.
            world.daemons[0].signal(SIGHUP)
            let fingerprint = try DaemonFacts(clients[1], "tokens")["keyring_fingerprint"]
            #expect(try clients[1].call("RELOAD") == .simple("OK"))
            try awaitThat("both have the same ring") {
                let prints = try clients.map { try DaemonFacts($0, "tokens")["keyring_fingerprint"] }
                return prints[0] == prints[1] && prints[0] != fingerprint && prints[0]?.count == 16
            }
            if TestRing.now < start - 1 { #expect(try TestRing.kid(of: clients[0].guest()) == "k1") }
            try awaitThat("the new key signs at both") {
                try clients.allSatisfy { try TestRing.kid(of: $0.guest()) == "k2" }
            }
            for (token, csrf) in zip(old, oldCSRF) {
                for client in clients {
                    #expect(try client.validateGuest(token).isAccepted)
                    #expect(try client.verify(token, csrf) == "passed")
                }
            }
            #expect(try clients[1].answer(oldCaptcha.text, oldCaptcha.solution) == "passed")
            for worker in workers { try worker.stop() }
            #expect(kids.withLock { $0 } == ["k1", "k2"])
            // A guest of the old key that becomes a session now, at two daemons.
            let session = try clients[0].fields("TOKEN.SET", old[0], "DATA", "a", "1").newToken()
            #expect(try clients[1].fields("TOKEN.SET", old[0], "DATA", "a", "1").newToken() == session)
        }
    }

    @Test(
        "a guest that became a session under the old key, whose token is renewed under the new one, finds its session")
    func promotionAcrossKeys() throws {
        try withWorld(daemons: 2, settings: ["guest.lifetime": "6s"]) { world in
            let ring = try TestRing(world.stage)
            let first = ring.key("k1", activeFrom: 1)
            try ring.write([first])
            for daemon in world.daemons { #expect(try daemon.client().call("RELOAD") == .simple("OK")) }
            let client = try world.client()
            let old = try client.guest()
            try ring.write([first, ring.key("k2", activeFrom: 2)])
            for daemon in world.daemons { #expect(try daemon.client().call("RELOAD") == .simple("OK")) }
            let renewed = try eventually("renewal") {
                let reply = try client.validateGuest(old)
                return reply.status == "rotated" ? try reply.newToken() : nil
            }
            #expect(try TestRing.kid(of: renewed) == "k2")
            let session = try client.fields("TOKEN.SET", old, "DATA", "a", "1").newToken()
            #expect(try world.client(ofDaemon: 1).fields("TOKEN.SET", renewed, "DATA", "b", "2").newToken() == session)
            #expect(try client.fields("TOKEN.GET", renewed).data() == ["a": "1", "b": "2"])
        }
    }

    @Test("a removed key's tokens are unknown, nothing of it is guessed by another key")
    func removed() throws {
        try withWorld { world in
            let ring = try TestRing(world.stage)
            let client = try world.client()
            let guest = try client.guest()
            let csrf = try client.csrf(guest)
            let captcha = try client.captcha()
            let session = try client.fields("TOKEN.SET", client.guest(), "DATA", "a", "1").newToken()
            let sessionCSRF = try client.csrf(session)
            // The same name with another secret is no better than another name.
            for kid in ["k2", "k1"] {
                try ring.write([ring.key(kid, activeFrom: 2)])
                #expect(try client.call("RELOAD") == .simple("OK"))
                expectRefused("unknown", try client.validateGuest(guest))
                expectRefused("unknown", try client.fields("TOKEN.SET", guest, "DATA", "a", "1"))
                #expect(try client.answer(captcha.text, captcha.solution) == "unknown")
                #expect(try client.verify(guest, csrf) == "unknown", "the holder is nobody")
                #expect(try client.verify(session, sessionCSRF) == "failed")
                #expect(try client.validate(session).isAccepted, "sessions need no key")
            }
        }
    }

    /// What stands in the file, and a word that RELOAD says of it.
    private static let badRings = [
        ("{", "key ring"), ("{\"keys\":[]}", "at least one key"), ("", "key ring"), ("[]", "key ring"),
        ("{\"keys\":[{\"kid\":\"a\",\"key\":\"AAAA\",\"created\":1,\"active_from\":1}]}", "keys[0]"),
        ("{\"keys\":[{\"kid\":\"a b\",\"key\":\"AAAA\",\"created\":1,\"active_from\":1}]}", "keys[0]"),
        ("{\"keys\":[],\"extra\":1}", "key ring"),
    ]

    @Test("a bad ring on reload leaves the old one in force, and RELOAD says why without a byte of it")
    func badRing() throws {
        try withWorld { world in
            let ring = try TestRing(world.stage)
            let client = try world.client()
            let guest = try client.guest()
            let csrf = try client.csrf(guest)
            let fingerprint = try DaemonFacts(client, "tokens")["keyring_fingerprint"]
            let good = try #require(FileManager.default.contents(atPath: ring.path))
            for (text, word) in Self.badRings {
                try Data(text.utf8).write(to: URL(filePath: ring.path))
                let reply = try client.call("RELOAD")
                #expect(reply.errorCode == "ERR" && reply.errorText?.contains(word) == true, "\(reply)")
                #expect(reply.errorText?.contains("AAAA") != true)
                #expect(try client.validateGuest(guest).isAccepted && client.verify(guest, csrf) == "passed")
                #expect(try client.guest() != guest)
                #expect(try DaemonFacts(client, "tokens")["keyring_fingerprint"] == fingerprint)
            }
            // By the signal, too: it is said in the log.
            let before = world.daemon.log
            world.daemon.signal(SIGHUP)
            try awaitThat("the log says so") { world.daemon.log.dropFirst(before.count).contains("key ring") }
            #expect(try client.validateGuest(guest).isAccepted)
            try good.write(to: URL(filePath: ring.path))
            chmod(ring.path, 0o600)
            #expect(try client.call("RELOAD") == .simple("OK"))
        }
    }

    @Test(
        "a ring that others can read, or that is no file, is refused: at a reload and at the start",
        arguments: [0o604, 0o620, 0o660])
    func exposed(_ mode: Int) throws {
        try withWorld { world in
            let ring = try TestRing(world.stage)
            let client = try world.client()
            let guest = try client.guest()
            chmod(ring.path, mode_t(mode))
            let reply = try client.call("RELOAD")
            #expect(
                reply.errorCode == "ERR" && reply.errorText?.contains("0\(String(mode, radix: 8))") == true, "\(reply)")
            #expect(try client.validateGuest(guest).isAccepted)
            try world.daemon.stop()
            #expect(throws: HarnessFailure.self) { try world.daemon.start() }
            #expect(try world.daemon.wait() == .exited(78))
            #expect(world.daemon.log.contains("chmod 600"))
            chmod(ring.path, 0o600)
            try world.daemon.start()
            #expect(try world.client().validateGuest(guest).isAccepted)
        }
    }

    @Test("without a ring: NOKEYS for what needs one, sessions go on; a reload that finds one mends it")
    func missing() throws {
        let stage = try Stage()
        let server = try stage.addRedis()
        let path = "\(stage.folder.path)/later.json"
        let daemon = try stage.addDaemon(.redis(server), settings: ["keyring.file": path])
        let client = try daemon.client()
        let session = try client.issue("SUBJECT", "ann")
        let jws = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"
        for command in [
            ["GUEST.ISSUE"], ["CSRF.ISSUE", session], ["CSRF.VERIFY", session, "x"], ["CAPTCHA.ISSUE"],
            ["CAPTCHA.OPEN", "x"], ["CAPTCHA.VERIFY", "x", "y"], ["TOKEN.VISIT", ""],
            ["TOKEN.VISIT", TokenText.random()],
            ["TOKEN.VISIT", session, "CSRF", "f"], ["TOKEN.VISIT", session, "CHECK", "x", "f"],
            ["TOKEN.VALIDATE", jws], ["TOKEN.SET", jws, "DATA", "a", "1"],
        ] { expectError("NOKEYS", try client.call(command), hiding: [session]) }
        for command in [
            ["TOKEN.VALIDATE", session], ["TOKEN.VISIT", session], ["TOKEN.GET", session], ["TOKEN.INSPECT", session],
            ["TOKEN.SET", session, "DATA", "a", "1"],
        ] { #expect(try client.fields(command).isAccepted) }
        let login = try client.fields("TOKEN.LOGIN", jws, "bob")
        #expect(login.status == "issued", "whatever the client sent")
        expectRefused("unknown", try client.fields("TOKEN.VALIDATE", "x"))
        let ring = TestRing(path: path)
        try ring.write([ring.key("k1", activeFrom: 1)])
        #expect(try client.call("RELOAD") == .simple("OK"))
        #expect(try client.validateGuest(client.guest()).isAccepted)
        // Gone again: what is in force stays.
        try FileManager.default.removeItem(atPath: path)
        _ = try client.call("RELOAD")
        #expect(try client.validateGuest(client.guest()).isAccepted)
        let problems = stage.finish()
        #expect(problems.isEmpty, "\(problems)")
    }

    @Test("a ring whose only key is still to come verifies and seals nothing until then")
    func toCome() throws {
        try withWorld { world in
            let ring = try TestRing(world.stage)
            let client = try world.client()
            // Clocks differ: such a key is used two minutes before its time.
            let start = TestRing.now + 123
            try ring.write([ring.key("k9", activeFrom: start)])
            #expect(try client.call("RELOAD") == .simple("OK"))
            if TestRing.now < start - 121 { expectError("NOKEYS", try client.call("GUEST.ISSUE")) }
            try awaitThat("it signs") { try client.call("GUEST.ISSUE").errorText == nil }
            // By the daemon's estimate of Redis's clock.
            #expect(Date().timeIntervalSince1970 > Double(start) - 120.2)
            // The log has the same rule: a start with a key that is used already is no warning.
            let words = "no key of the key ring signs yet"
            #expect(world.daemon.log.components(separatedBy: words).count == 2)
            try awaitThat("it signs by this host's clock, too") { TestRing.now >= start - 120 }
            try world.daemon.stop()
            try world.daemon.start()
            _ = try world.client().guest()
            #expect(world.daemon.log.components(separatedBy: words).count == 2)
        }
    }

    @Test("bindings without a ring do not start")
    func bindingsNeedKeys() throws {
        let stage = try Stage()
        let server = try stage.addRedis()
        let settings = ["keyring.file": "\(stage.folder.path)/nowhere.json", "binding.ip": "log"]
        #expect(throws: HarnessFailure.self) { _ = try stage.addDaemon(.redis(server), settings: settings) }
        let problems = stage.finish()
        #expect(problems.isEmpty, "\(problems)")
    }

    @Test("beside an embedded Redis the daemon makes its own ring, mode 0600, and keeps it over restarts")
    func embedded() throws {
        try withWorld(.embedded) { world in
            let path = "\(world.daemon.stateFolder)/keyring.json"
            var facts = stat()
            #expect(stat(path, &facts) == 0 && facts.st_mode & 0o7777 == 0o600)
            let client = try world.client()
            let guest = try client.guest()
            let csrf = try client.csrf(guest)
            let fingerprint = try DaemonFacts(client, "tokens")["keyring_fingerprint"]
            let ring = try #require(FileManager.default.contents(atPath: path))
            for isKilled in [false, true] {
                if isKilled { world.daemon.kill9() } else { try world.daemon.stop() }
                try world.daemon.start()
                let again = try world.client()
                #expect(try again.validateGuest(guest).isAccepted && again.verify(guest, csrf) == "passed")
                #expect(try DaemonFacts(again, "tokens")["keyring_fingerprint"] == fingerprint)
                #expect(FileManager.default.contents(atPath: path) == ring)
            }
            // Its key is nowhere but there.
            let json = try #require(try JSONSerialization.jsonObject(with: ring) as? [String: [[String: Any]]])
            let key = try #require(json["keys"]?.first?["key"] as? String)
            #expect(!world.daemon.log.contains(key))
            for entry in try Fields(world.client().call("CONFIG", "GET", "*")).entries {
                #expect(entry.value.text?.contains(key) != true)
            }
        }
    }
}
