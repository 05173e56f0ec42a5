import TestSupport
import Testing

@Suite("Connection commands, as clients.md lists what clients send", .parallel)
struct ConnectionCommandTests {
    @Test("HELLO names the protocol, in both protocols")
    func hello() throws {
        try withWorld { world in
            let client = try world.client()
            let two = try client.call("HELLO")
            guard case .array = two else { throw HarnessFailure("HELLO in RESP2: \(two)") }
            #expect(try Fields(two).integer("proto") == 2)
            let three = try client.call("HELLO", "3")
            guard case .map = three else { throw HarnessFailure("HELLO 3: \(three)") }
            let fields = try Fields(three)
            #expect(fields.integer("proto") == 3)
            #expect(
                fields.names
                    == ["server", "version", "proto", "id", "mode", "role", "modules", "tokencached_version"])
            #expect(fields.text("server") == "tokencached" && fields.text("mode") == "standalone")
            #expect(fields["modules"] == .array([]))
            // Clients choose features by it; ours is told beside.
            #expect(fields.text("version")?.hasPrefix("7.0.") == true)
            #expect(fields.text("tokencached_version")?.hasPrefix("0.") == true)
            #expect(fields.text("role") == "master" && fields.integer("id") != nil)
            let named = try client.call("HELLO", "3", "AUTH", "default", "secret", "SETNAME", "worker-1")
            #expect(try Fields(named).integer("proto") == 3)
            #expect(try client.call("CLIENT", "GETNAME").text == "worker-1")
            #expect(try Fields(client.call("HELLO", "2")).integer("proto") == 2)
            expectError("NOPROTO", try client.call("HELLO", "4"))
            #expect(try client.call("HELLO", "x").errorText != nil)
            #expect(try client.call("PING") == .simple("PONG"))
        }
    }

    @Test("PING and ECHO give the same bytes back, whatever they are")
    func echo() throws {
        try withWorld { world in
            let client = try world.client()
            #expect(try client.call("PING") == .simple("PONG"))
            #expect(try client.call("PING", "hello") == .bulk(Array("hello".utf8)))
            for bytes in [
                [], (0..<256).map { UInt8($0) }, Array("\r\n$-1\r\n".utf8), [UInt8](repeating: 7, count: 100_000),
            ] {
                #expect(try client.call(bytes: [Array("ECHO".utf8), bytes]) == .bulk(bytes))
            }
            expectError("ERR", try client.call("ECHO"))
            expectError("ERR", try client.call("ECHO", "a", "b"))
            expectError("ERR", try client.call("PING", "a", "b"))
        }
    }

    @Test("AUTH is taken and said to be of no use; the password stands nowhere")
    func auth() throws {
        try withWorld { world in
            let client = try world.client()
            #expect(try client.call("AUTH", "hunter2hunter2") == .simple("OK"))
            #expect(try client.call("AUTH", "default", "hunter2hunter2") == .simple("OK"))
            expectError("ERR", try client.call("AUTH"))
            _ = try eventually("a warning in the log") { world.daemon.log.contains("password") ? true : nil }
            #expect(!world.daemon.log.contains("hunter2"))
        }
    }

    @Test("SELECT, RESET, QUIT, MULTI")
    func small() throws {
        try withWorld { world in
            let client = try world.client()
            #expect(try client.call("SELECT", "0") == .simple("OK"))
            expectError("ERR", try client.call("SELECT", "1"))
            expectError("ERR", try client.call("SELECT", "x"))
            #expect(try client.call("MULTI") == .error("ERR use a pipeline without a transaction"))
            expectError("ERR", try client.call("SUBSCRIBE", "x"))
            expectError("ERR", try client.call("GET", "key"))

            _ = try client.call("HELLO", "3")
            _ = try client.call("CLIENT", "SETNAME", "x")
            #expect(try client.call("RESET") == .simple("RESET"))
            #expect(try client.call("CLIENT", "GETNAME").text ?? "" == "")
            try expectShape(try client.call("TOKEN.ISSUE"), acceptedFields + ["sessiontoken"], resp3: false)

            #expect(try client.call("QUIT") == .simple("OK"))
            #expect(try client.readToEnd(limit: .seconds(10)).isEmpty)
        }
    }

    @Test("CLIENT")
    func clientCommand() throws {
        try withWorld { world in
            let client = try world.client()
            let other = try world.client()
            let id = try #require(try client.call("CLIENT", "ID").integer)
            #expect(try other.call("CLIENT", "ID").integer != id)
            #expect(try client.call("CLIENT", "GETNAME").text ?? "" == "")
            #expect(try client.call("CLIENT", "SETNAME", "web-3") == .simple("OK"))
            #expect(try client.call("CLIENT", "GETNAME").text == "web-3")
            expectError("ERR", try client.call("CLIENT", "SETNAME", "with space"))
            #expect(try client.call("CLIENT", "SETINFO", "LIB-NAME", "redis-py") == .simple("OK"))
            #expect(try client.call("client", "setinfo", "lib-ver", "8.0") == .simple("OK"))
            let info = try #require(try client.call("CLIENT", "INFO").text)
            #expect(info.contains("id=\(id) ") && info.contains("name=web-3"))
            let list = try #require(try client.call("CLIENT", "LIST").text)
            #expect(list.contains("name=web-3") && list.split(separator: "\n").count >= 2)
            expectError("ERR", try client.call("CLIENT", "NONSENSE"))
            expectError("ERR", try client.call("CLIENT"))
        }
    }

    @Test("CONFIG GET with 1,000 patterns is refused at once: it names how many it takes")
    func manyPatterns() throws {
        try withWorld { world in
            let client = try world.client()
            let most = ["CONFIG", "GET"] + (0..<16).map { _ in "limits.*" }
            #expect(try client.call(most).elements?.isEmpty == false)
            for patterns in [17, 1_000] {
                let reply = try client.call(["CONFIG", "GET"] + (0..<patterns).map { "*\($0)*" })
                #expect(reply.errorText?.contains("at most 16 patterns") == true, "\(reply)")
            }
            let long = try client.call("CONFIG", "GET", String(repeating: "[a-z]", count: 20_000))
            #expect(long.errorText?.contains("at most 128 bytes") == true, "\(long)")
        }
    }

    @Test("CLIENT INFO and LIST have every field of Redis 7.0, in its order")
    func clientLine() throws {
        try withWorld { world in
            let redis = try #require(try world.requireServer().client().call("CLIENT", "INFO").text)
            let ours = try #require(try world.client().call("CLIENT", "INFO").text)
            func names(_ line: String) -> [String] {
                line.split(whereSeparator: \.isWhitespace).map { String($0.prefix { $0 != "=" }) }
            }
            let theirs = names(redis)
            #expect(Array(names(ours).prefix(theirs.count)) == theirs)
            #expect(ours.contains(" lib-name= lib-ver= role=admin") && ours.contains(" flags=U "))
        }
    }

    @Test("CLIENT LIST shows some clients, or those of a type")
    func clientList() throws {
        try withWorld { world in
            let client = try world.client()
            let other = try world.client()
            let id = try #require(try client.call("CLIENT", "ID").integer)
            let second = try #require(try other.call("CLIENT", "ID").integer)
            func ids(_ words: String...) throws -> [String] {
                let text = try #require(try client.call(["CLIENT", "LIST"] + words).text)
                return text.split(separator: "\n").compactMap { $0.split(separator: " ").first.map(String.init) }
            }
            #expect(try ids("ID", "\(id)") == ["id=\(id)"])
            #expect(try ids("id", "\(second)", "\(id)", "987654", "\(id)") == ["id=\(id)", "id=\(second)"])
            #expect(try ids("TYPE", "normal").contains("id=\(second)"))
            for type in ["master", "replica", "slave", "pubsub"] { #expect(try ids("TYPE", type).isEmpty) }
            for wrong in [["ID"], ["ID", "x"], ["TYPE"], ["TYPE", "x"], ["x"], ["TYPE", "normal", "x"]] {
                expectError("ERR", try client.call(["CLIENT", "LIST"] + wrong))
            }
        }
    }

    @Test("CLIENT KILL closes that connection and no other")
    func kill() throws {
        try withWorld { world in
            let admin = try world.client()
            let victim = try world.client()
            let id = try #require(try victim.call("CLIENT", "ID").integer)
            #expect(try admin.call("CLIENT", "KILL", "ID", "\(id)") == .integer(1))
            #expect(try victim.readToEnd(limit: .seconds(10)).isEmpty)
            #expect(try admin.call("PING") == .simple("PONG"))
            #expect(try admin.call("CLIENT", "KILL", "ID", "\(id)") == .integer(0))
        }
    }

    @Test("COMMAND tells of every command", arguments: [false, true])
    func command(_ resp3: Bool) throws {
        try withWorld { world in
            let client = try world.client()
            if resp3 { _ = try client.call("HELLO", "3") }
            let all = try #require(try client.call("COMMAND").elements)
            #expect(try client.call("COMMAND", "COUNT") == .integer(all.count))
            let names = all.compactMap { $0.elements?.first?.text }
            for name in [
                "token.visit", "token.validate", "token.issue", "token.login", "token.rotate", "token.revoke",
                "token.revokeall", "token.list", "token.inspect", "token.set", "token.get", "ping", "hello", "info",
            ] { #expect(names.contains(name), "\(name)") }
            for entry in all {
                let parts = entry.elements ?? []
                #expect(parts.count >= 6, "name, arity, flags, first, last, step: \(parts.first?.text ?? "?")")
                #expect(parts.dropFirst().first?.integer != nil)
            }
            let some = try #require(try client.call("COMMAND", "INFO", "token.validate", "nonsense", "PING").elements)
            #expect(some.count == 3 && some[1] == .null)
            #expect(some[0].elements?.first?.text == "token.validate")
            let docs = try Fields(client.call("COMMAND", "DOCS"))
            #expect(docs.entries.count == all.count)
            #expect(docs.names == names)
            let one = try Fields(client.call("COMMAND", "DOCS", "token.issue"))
            #expect(one.names == ["token.issue"])
            let about = try Fields(#require(one["token.issue"]))
            #expect(about.text("summary") == "Makes a session", "\(about)")
        }
    }

    @Test("CONFIG GET answers what benchmarks ask, and no secret")
    func config() throws {
        try withWorld { world in
            let client = try world.client()
            for name in ["save", "appendonly"] {
                let reply = try client.call("CONFIG", "GET", name)
                #expect(try Fields(reply).names == [name] && Fields(reply).text(name) == "", "\(reply)")
            }
            let all = try Fields(client.call("CONFIG", "GET", "*"))
            #expect(all.text("save") == "" && all.text("session.idle") == "2h")
            #expect(try Fields(client.call("CONFIG", "GET", "nonsense")).entries.isEmpty)
            expectError("ERR", try client.call("CONFIG", "SET", "save", "x"))
            _ = try client.call("HELLO", "3")
            guard case .map = try client.call("CONFIG", "GET", "save") else { throw HarnessFailure("no map in RESP3") }
        }
    }

    @Test("INFO has Redis's sections and our own")
    func info() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            _ = try client.validate(token)
            try client.awaitOnlyClient()
            let text = try #require(try client.call("INFO").text)
            for line in [
                "# Server", "tokencached_version:", "redis_version:", "process_id:\(world.daemon.pid)", "run_id:",
                "uptime_in_seconds:", "# Clients", "connected_clients:1", "maxclients:", "blocked_clients:",
                "rejected_connections:", "# Memory", "used_memory:", "used_memory_rss:", "# Stats",
                "total_connections_received:", "total_commands_processed:", "instantaneous_ops_per_sec:",
                "total_net_input_bytes:", "total_net_output_bytes:", "total_error_replies:", "# CPU", "# Keyspace",
                "# Upstream", "# Tokens",
            ] { #expect(text.contains("\r\n\(line)") || text.hasPrefix(line), "INFO lacks \(line)") }
            let server = try #require(try client.call("INFO", "server").text)
            #expect(server.contains("# Server") && !server.contains("# Clients"))
            let several = try #require(try client.call("INFO", "CLIENTS", "tokens").text)
            #expect(several.contains("# Clients") && several.contains("# Tokens") && !several.contains("# Server"))
            for name in ["all", "everything", "default"] {
                #expect(try client.call("INFO", name).text?.contains("# Server") == true)
            }
            // Clients wait for it before they send anything else.
            let replication = try #require(try client.call("INFO", "replication").text)
            #expect(replication == "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n")
            #expect(try client.call("INFO", "nonsense").text ?? "?" == "")
            #expect(try client.call("INFO", "commandstats").text?.lowercased().contains("token.validate") == true)
        }
    }

    @Test("DBSIZE, SLOWLOG, LATENCY are well-formed")
    func empty() throws {
        try withWorld { world in
            let client = try world.client()
            #expect(try client.call("DBSIZE").integer != nil)
            #expect(try client.call("SLOWLOG", "GET") == .array([]))
            #expect(try client.call("SLOWLOG", "GET", "10") == .array([]))
            #expect(try client.call("SLOWLOG", "LEN") == .integer(0))
            #expect(try client.call("LATENCY", "LATEST") == .array([]))
            #expect(try client.call("LATENCY", "HISTORY", "command") == .array([]))
        }
    }

    @Test("inline commands work, quotes and all")
    func inline() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue()
            func inline(_ line: String) throws -> RESPValue {
                try client.sendRaw(line)
                return try client.readReply()
            }
            #expect(try inline("PING\r\n") == .simple("PONG"))
            #expect(try inline("ping\n") == .simple("PONG"))
            #expect(try inline("\r\n\r\n  PING  \r\n") == .simple("PONG"))
            #expect(try inline("ECHO \"a b\\x41\\n\"\r\n") == .bulk(Array("a bA\n".utf8)))
            #expect(try Fields(inline("TOKEN VALIDATE \(token)\r\n")).status == "valid")
            #expect(try Fields(inline("TOKEN.VISIT \"\"\r\n")).status == "none")
        }
    }
}
