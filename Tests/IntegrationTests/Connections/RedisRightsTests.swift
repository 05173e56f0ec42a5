import TestSupport
import Testing

/// `TEST_ACL=1` runs every test so.
@Suite("The rights that conf/redis-users.acl gives are enough, and no more than that", .parallel)
struct RedisRightsTests {
    /// What a user without a permission is told, wherever it is told.
    private static func expectNoDenial(_ world: World, at location: SourceLocation = #_sourceLocation) throws {
        let log = try world.daemon.redis().call("ACL", "LOG")
        #expect(log == .array([]), "\(log)", sourceLocation: location)
        for daemon in world.daemons {
            #expect(!daemon.log.contains("permission"), "\(daemon.log.suffix(500))", sourceLocation: location)
        }
    }

    @Test("every command of the daemon, over two of them")
    func everyCommand() throws {
        let settings = ["rotation.after": "100ms", "rotation.overlap": "200ms", "session.touch-interval": "1ms"]
        try withWorld(daemons: 2, settings: settings, isRestricted: true) { world in
            let client = try world.client()
            let token = try client.issue("SUBJECT", "ann", "DATA", "a", "1")
            let next = try client.rotateAndConfirm(token)
            try client.awaitStatus("replayed", of: token)
            _ = try client.fields("TOKEN.SET", next, "DATA", "a", "", "b", "2")
            #expect(try world.client(ofDaemon: 1).fields("TOKEN.GET", next).data() == ["b": "2"])
            let login = try client.fields("TOKEN.LOGIN", next, "bob").newToken()
            let rotated = try client.fields("TOKEN.ROTATE", login).newToken()
            #expect(try client.call("TOKEN.LIST", "bob").elements?.count == 1)
            #expect(try client.call("DBSIZE").integer ?? 0 > 0)
            #expect(try client.fields("PROBE").status == "ok")
            #expect(try client.fields("TOKEN.REVOKEALL", "bob", "EXCEPT", rotated).status == "revoked")
            #expect(try client.fields("TOKEN.REVOKE", rotated).status == "revoked")
            // Noted in the tombstone; repeated with other limits.
            let again = try client.fields("TOKEN.LOGIN", rotated, "bob").newToken()
            let last = try client.fields("TOKEN.LOGIN", again, "bob").newToken()
            let longer = try client.fields("TOKEN.LOGIN", again, "bob", "ABSOLUTE", "30d", "DATA", "a", "1")
            #expect(longer.sessionToken == last)
            let guest = try client.guest()
            let captcha = try client.captcha("FOR", guest)
            #expect(try client.answer(captcha.text, captcha.solution, "FOR", guest) == "passed")
            #expect(try client.answer(captcha.text, captcha.solution, "FOR", guest) == "spent")
            _ = try client.fields("TOKEN.SET", guest, "DATA", "a", "1").newToken()
            try Self.expectNoDenial(world)
        }
    }

    @Test("the near cache: armed, and told of what another daemon ends", .needsNearCache)
    func nearCache() throws {
        try withWorld(daemons: 2, isRestricted: true) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let client = try world.client()
            let other = try client.issue("SUBJECT", "eve")
            let there = try world.client(ofDaemon: 1)
            try there.warm(other)
            _ = try client.call("TOKEN.REVOKEALL", "eve")
            try there.letInvalidationsCome()
            #expect(try there.validate(other).status == "revoked")
            try Self.expectNoDenial(world)
        }
    }

    @Test("over a Unix socket, too: unix://user:password@/path")
    func unixSocket() throws {
        try withWorld(isRestricted: false) { world in
            let server = try world.requireServer()
            let keys = ["s", "u", "n", "x", "d"].map { "~\(world.stage.prefix)\($0):*" }
            let redis = try server.client()
            _ = try redis.call(
                ["ACL", "SETUSER", "tokencached", "on", ">p@ss", "&\(world.stage.prefix)none"] + keys + ["+@all"])
            _ = try redis.call("ACL", "SETUSER", "default", "off")
            defer { _ = try? redis.call("ACL", "SETUSER", "default", "on") }
            let daemon = try world.stage.addDaemon(.url("unix://tokencached:p%40ss@\(server.socket)"))
            #expect(try daemon.client().fields("PROBE").status == "ok")
            #expect(!daemon.log.contains("p@ss") && !daemon.log.contains("p%40ss"))
        }
    }

    @Test("after a restart of Redis and after its scripts are gone, too")
    func restart() throws {
        try withWorld(isRestricted: true) { world in
            let client = try world.client()
            let token = try client.issue()
            _ = try world.requireServer().client().call("SCRIPT", "FLUSH")
            #expect(try client.fields("TOKEN.ROTATE", token).status == "rotated")
            try world.requireServer().restart()
            try client.awaitService()
            try Self.expectNoDenial(world)
        }
    }

    @Test("the user can do nothing else: other keys, other commands, other channels")
    func nothingElse() throws {
        try withWorld(isRestricted: true) { world in
            // As the daemon is seen by Redis.
            let daemon = try RESPClient(path: world.requireServer().socket)
            let prefix = world.stage.prefix
            for command in [
                ["GET", "other"], ["KEYS", "*"], ["RANDOMKEY"], ["FLUSHALL"], ["FLUSHDB"],
                ["CONFIG", "SET", "save", ""],
                ["SHUTDOWN"], ["MONITOR"], ["ACL", "LIST"], ["EVAL", "return 1", "0"], ["SCRIPT", "FLUSH"],
                ["CLIENT", "LIST"], ["CLIENT", "KILL", "TYPE", "normal"], ["DEBUG", "SLEEP", "0"],
                ["REPLICAOF", "NO", "ONE"],
                ["HGETALL", "other:s:1"], ["HSET", "other", "a", "1"], ["SET", "other", "1"],
                ["SET", "\(prefix)other", "1"], ["DEL", "\(prefix)other"], ["SUBSCRIBE", "news"],
                ["PUBLISH", "news", "x"],
            ] {
                let reply = try daemon.call(command)
                #expect(reply.errorCode == "NOPERM", "\(command): \(reply)")
            }
            #expect(try daemon.call("PING") == .simple("PONG"))
        }
    }
}
