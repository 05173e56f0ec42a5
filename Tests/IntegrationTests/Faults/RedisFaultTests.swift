import TestSupport
import Testing

@Suite("Redis faults: each row is injected, and the daemon does what the row says", .parallel)
struct RedisFaultTests {
    @Test("SCRIPT FLUSH is unseen by clients")
    func scriptFlush() throws {
        try withWorld(daemons: 2, settings: ["rotation.after": "50ms"]) { world in
            let redis = try world.daemon.redis()
            let flush = Background {
                // Not so often that it strikes twice while one command is repeated: that is the row's limit.
                _ = try redis.call("SCRIPT", "FLUSH")
                letPass(.milliseconds(500))
            }
            _ = try concurrently(4) {
                try world.client(ofDaemon: $0)
            } work: { thread, client in
                for round in 0..<75 {
                    var token = try client.issue("SUBJECT", "user-\(thread)")
                    for command in ["VALIDATE", "VISIT", "GET", "INSPECT"] {
                        let reply = try client.fields("TOKEN.\(command)", token)
                        guard reply.isAccepted else { throw HarnessFailure("\(command): \(reply)") }
                        if let newer = reply.sessionToken { token = newer }
                    }
                    _ = try client.fields("TOKEN.SET", token, "DATA", "a", "\(round)")
                    token = try client.fields("TOKEN.ROTATE", token).newToken()
                    token = try client.fields("TOKEN.LOGIN", token, "user-\(thread)").newToken()
                    _ = try client.fields("TOKEN.REVOKE", token)
                    _ = try client.fields("TOKEN.REVOKEALL", "user-\(thread)")
                }
            }
            try flush.stop()
            let reloads = try world.daemons.map {
                try DaemonFacts($0.client(), "upstream").number("upstream_script_reloads")
            }
            #expect(reloads.allSatisfy { $0 > 0 }, "nobody missed a script: \(reloads)")
        }
    }

    @Test("kill -9 and restart: only UNAVAILABLE in between, and every answer is right")
    func crash() throws {
        try withWorld(settings: ["redis.timeout": "500ms"]) { world in
            let server = try world.requireServer()
            let token = try world.client().issue()
            let readers = try (0..<4).map { _ in
                let client = try world.client()
                return Background {
                    letPass(.milliseconds(1))
                    let reply = try client.call("TOKEN.VALIDATE", token)
                    if reply.errorCode == "UNAVAILABLE" { return }
                    let fields = try Fields(reply)
                    guard fields.status == "valid" else { throw HarnessFailure("answered \(fields)") }
                }
            }
            for _ in 0..<3 {
                letPass(.milliseconds(200))
                try server.restart()
                let client = try world.client()
                _ = try eventually(within: .seconds(5), "service again") { try? client.validate(token) }
            }
            for reader in readers { try reader.stop() }
        }
    }

    @Test("a late reply is never given to another")
    func lateReply() throws {
        try withWorld(settings: ["redis.timeout": "250ms"]) { world in
            let redis = try world.daemon.redis()
            let tokens = try (0..<8).map { try world.client().issue("SUBJECT", "s\($0)") }
            let visitors = try tokens.enumerated().map { index, token in
                let client = try world.client()
                return Background {
                    letPass(.milliseconds(1))
                    let reply = try client.call("TOKEN.VALIDATE", token)
                    if reply.errorCode == "UNAVAILABLE" { return }
                    let fields = try Fields(reply)
                    guard fields.sid == TokenText.sid(token), fields.text("subject") == "s\(index)" else {
                        throw HarnessFailure("the answer of somebody else: \(fields)")
                    }
                }
            }
            for pause in [100, 300, 400, 700, 300, 1500, 300] {
                _ = try redis.call("CLIENT", "PAUSE", "\(pause)", "ALL")
                letPass(.milliseconds(pause + 150))
            }
            let start = ContinuousClock.now
            _ = try eventually("service again") { try? world.client().validate(tokens[0]) }
            #expect(ContinuousClock.now - start < .seconds(3))
            for visitor in visitors { try visitor.stop() }
        }
    }

    @Test("a command that was given up does not act later")
    func notAfter() throws {
        try withWorld(settings: ["redis.timeout": "250ms"]) { world in
            let client = try world.client()
            let server = try world.requireServer()
            let token = try client.issue("SUBJECT", "ann")
            server.pause()
            for command in [["TOKEN.REVOKE", token], ["TOKEN.ROTATE", token], ["TOKEN.REVOKEALL", "ann"]] {
                expectError("UNAVAILABLE", try client.call(command))
            }
            // Past redis.timeout and a second, whatever still lies in the socket has no effect.
            letPass(.milliseconds(1600))
            server.resume()
            let reply = try eventually("service again") { try? client.validate(token) }
            #expect(reply.status == "valid", "\(reply)")
            letPass(.milliseconds(300))
            #expect(try client.answered("TOKEN.VALIDATE", token).status == "valid")
        }
    }

    @Test("a write that lay in Redis's socket past its not-after changes nothing")
    func notAfterOfWrites() throws {
        try withWorld(settings: ["redis.timeout": "250ms"]) { world in
            let server = try world.requireServer()
            server.pause()
            // ISSUE writes without reading first, so these lie in the socket while Redis does not look.
            let client = try world.client()
            for reply in try client.pipeline((0..<50).map { _ in ["TOKEN.ISSUE"] }) {
                expectError("UNAVAILABLE", reply)
            }
            letPass(.milliseconds(1600))
            server.resume()
            let redis = try server.client()
            letPass(.milliseconds(100))
            #expect(try KeyAudit.keysOfUsers(redis) == [], "commands acted after they were given up")
            try client.awaitService()
        }
    }

    @Test("out of memory: ISSUE and SET are UNAVAILABLE; touch, rotation, confirmation and revocation work")
    func outOfMemory() throws {
        try withWorld(settings: ["rotation.after": "300ms", "session.touch-interval": "50ms"]) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            let tokens = try (0..<3).map { _ in try client.issue("SUBJECT", "ann") }
            #expect(try redis.call("CONFIG", "SET", "maxmemory", "1") == .simple("OK"))
            for command in [["TOKEN.ISSUE"], ["TOKEN.SET", tokens[0], "DATA", "a", "1"]] as [[String]] {
                expectError("UNAVAILABLE", try client.call(command))
            }
            expectError("UNAVAILABLE", try client.call("TOKEN.LOGIN", tokens[1], "ann"))
            #expect(try client.validate(tokens[1]).isAccepted, "what was refused has ended nothing")
            let successor = try client.rotateWhenDue(tokens[0])
            #expect(try client.validate(successor).status == "valid")
            #expect(try client.fields("TOKEN.ROTATE", tokens[1]).status == "rotated")
            #expect(try client.fields("TOKEN.REVOKE", tokens[2]).status == "revoked")
            expectRefused("revoked", reason: "logout", try client.validate(tokens[2]))
            #expect(try client.fields("TOKEN.REVOKEALL", "ann").status == "revoked")
            _ = try redis.call("CONFIG", "SET", "maxmemory", "0")
            _ = try client.issue()
        }
    }

    @Test(
        "faults that Redis names: UNAVAILABLE, never acknowledged, and service afterwards",
        arguments: roleLosses)
    func named(_ inject: [String], _ undo: [String]) throws {
        try withWorld { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            let token = try client.issue("SUBJECT", "ann")
            _ = try redis.call(inject)
            for command in [
                ["TOKEN.REVOKE", token], ["TOKEN.ROTATE", token], ["TOKEN.ISSUE"], ["TOKEN.LOGIN", token, "ann"],
                ["TOKEN.SET", token, "DATA", "a", "1"],
            ] { expectError("UNAVAILABLE", try client.call(command), hiding: [token]) }
            _ = try redis.call(undo)
            let reply = try eventually(within: .seconds(8), "service again") {
                try? client.fields("TOKEN.REVOKE", token)
            }
            #expect(reply.status == "revoked")
        }
    }

    @Test("a busy script: UNAVAILABLE at once, and it is not killed")
    func busy() throws {
        try withWorld(redis: ["--busy-reply-threshold", "50"]) { world in
            let client = try world.client()
            let redis = try world.daemon.redis()
            // Of three masters one is busy.
            let tokens = try client.issue(count: world.requireServer().masters.count > 1 ? 24 : 1)
            let loop =
                "local e=redis.call('TIME')[1]+4; while tonumber(redis.call('TIME')[1])<e do end; return 'through'"
            try redis.send("EVAL", loop, "0")
            letPass(.milliseconds(300))
            var isRefused = false
            for token in tokens {
                let start = ContinuousClock.now
                let reply = try client.call("TOKEN.VALIDATE", token)
                #expect(ContinuousClock.now - start < .milliseconds(1_900), "waited for redis.timeout")
                guard reply.errorText != nil else { continue }
                expectError("UNAVAILABLE", reply)
                isRefused = true
            }
            #expect(isRefused)
            #expect(try redis.readReply().text == "through", "somebody killed the script")
            for token in tokens {
                let reply = try eventually(within: .seconds(5), "service again") { try? client.validate(token) }
                #expect(reply.status == "valid")
            }
        }
    }

    @Test("FLUSHALL: every token is unknown, and new ones are good")
    func flushAll() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            #expect(try client.validate(token).status == "valid")
            _ = try world.daemon.redis().call("FLUSHALL")
            try client.letInvalidationsCome()
            expectRefused("unknown", try client.validate(token))
            #expect(try client.validate(client.issue()).status == "valid")
        }
    }

    @Test("garbage under a session's key is a fault, not an answer that is made up")
    func foreignRecord() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            let redis = try world.daemon.redis()
            let key = "\(world.stage.prefix)s:\(TokenText.sid(token))"
            _ = try redis.call("DEL", key)
            _ = try redis.call("SET", key, "not a session", "EX", "100")
            let reply = try client.call("TOKEN.VALIDATE", token)
            let isAccepted = (try? Fields(reply).isAccepted) ?? false
            #expect(!isAccepted, "\(reply)")
            #expect(try client.call("PING") == .simple("PONG"))
        }
    }

    @Test(
        "redis:// with user, password and database, over TCP; the password stands nowhere",
        .topologies(.alone, why: "the server has a port of its own"))
    func url() throws {
        let port = try FreePort.find()
        let password = "pw\(UInt32.random(in: 0...UInt32.max))secret"
        try withWorld(
            redis: [
                "--port", "\(port)", "--bind", "127.0.0.1", "--user", "tc", "on", ">\(password)", "~*", "&*", "+@all",
            ], isRestricted: false
        ) { world in
            let daemon = try world.stage.addDaemon(.url("redis://tc:\(password)@127.0.0.1:\(port)/3"))
            let client = try daemon.client()
            let token = try client.issue()
            #expect(try client.validate(token).status == "valid")
            let redis = try world.requireServer().client()
            _ = try redis.call("SELECT", "3")
            #expect(try KeyAudit.keysOfUsers(redis).count == 1)
            for command in [["INFO"], ["CLIENT", "LIST"], ["INFO", "upstream"]] {
                let text = try #require(try client.call(command).text)
                #expect(!text.contains(password))
            }
            let config = try Fields(client.call("CONFIG", "GET", "*"))
            for entry in config.entries { #expect(entry.value.text?.contains(password) != true) }
            #expect(!daemon.log.contains(password))
        }
    }
}
