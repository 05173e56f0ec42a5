import TestSupport
import Testing

@Suite("Real clients, unmodified", .parallel)
struct RealToolTests {
    private func redisCLI(_ world: World, _ arguments: String..., input: String? = nil) throws -> Tool {
        try Tool.run(world.stage, "redis-cli", ["-s", world.daemon.socket] + arguments, input: input)
    }

    @Test("redis-cli: one command, RESP2 and RESP3")
    func command() throws {
        try withWorld { world in
            let ping = try redisCLI(world, "PING")
            #expect(ping.end == .exited(0) && ping.output == "PONG\n")
            for protocolFlag in ["-2", "-3"] {
                let issued = try redisCLI(world, protocolFlag, "TOKEN.ISSUE", "SUBJECT", "ann")
                #expect(issued.output.contains("sessiontoken") && issued.output.contains("issued"))
                #expect(issued.errors.isEmpty, "\(issued.errors)")
            }
            let json = try redisCLI(world, "--json", "TOKEN.LIST", "ann", "LIMIT", "1")
            #expect(json.output.hasPrefix("[{\"sid\":"), "\(json.output)")
            let wrong = try redisCLI(world, "TOKEN.ISSUE", "IDLE")
            #expect(wrong.output.contains("ERR"))
        }
    }

    @Test("redis-cli -x reads the token from standard input")
    func standardInput() throws {
        try withWorld { world in
            let token = try world.client().issue()
            let reply = try redisCLI(world, "-x", "TOKEN.VALIDATE", input: token)
            #expect(reply.output.contains("valid") && !reply.output.contains("unknown"))
        }
    }

    @Test("redis-cli, interactive, at a terminal")
    func interactive() throws {
        try withWorld { world in
            let reply = try Tool.run(
                world.stage, "timeout",
                ["20", "script", "-qec", "redis-cli -s \(world.daemon.socket)", "/dev/null"],
                input:
                    "PING\nTOKEN.ISSUE SUBJECT ann\nTOKEN.ISSUE IDLE\nHELLO 3\nTOKEN.LIST ann\nhelp TOKEN.ISSUE\nquit\n"
            )
            #expect(reply.end == .exited(0), "\(reply.end)")
            for piece in ["PONG", "issued", "sessiontoken", "(error) ERR", "absolute_in"] {
                #expect(reply.output.contains(piece), "no \(piece) in: \(reply.output)")
            }
        }
    }

    @Test("redis-cli --latency for a second")
    func latency() throws {
        try withWorld { world in
            let reply = try redisCLI(world, "--latency", "-i", "1")
            #expect(reply.end == .exited(0))
            let samples = reply.output.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) }
            #expect((samples ?? 0) > 3, "\(reply.output)")
        }
    }

    @Test("redis-cli --stat reads INFO")
    func stat() throws {
        try withWorld { world in
            let reply = try Tool.run(
                world.stage, "timeout",
                ["4", "stdbuf", "-oL", "redis-cli", "-s", world.daemon.socket, "--stat", "-i", "0.2"])
            #expect(reply.output.contains("keys") && reply.output.contains("clients"))
            #expect(reply.output.split(separator: "\n").count >= 4, "\(reply.output)\(reply.errors)")
        }
    }

    @Test("redis-cli --pipe: inline lines and RESP, then its own ECHO")
    func pipe() throws {
        try withWorld { world in
            let lines = (0..<500).map { "TOKEN.ISSUE SUBJECT user-\($0)\r\n" }.joined()
            let inline = try redisCLI(world, "--pipe", input: lines)
            #expect(inline.output.contains("errors: 0, replies: 500"), "\(inline.output)\(inline.errors)")
            let commands = (0..<500).map { _ in "*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n" }.joined()
            let framed = try redisCLI(world, "--pipe", input: commands)
            #expect(framed.output.contains("errors: 0, replies: 500"), "\(framed.output)\(framed.errors)")
        }
    }

    @Test("redis-benchmark, with and without a pipeline")
    func benchmark() throws {
        try withWorld { world in
            let token = try world.client().issue()
            for extra in [
                ["TOKEN.VALIDATE", token], ["-P", "16", "TOKEN.VALIDATE", token], ["-t", "ping"],
                ["TOKEN.VISIT", token],
            ] {
                let reply = try Tool.run(
                    world.stage, "redis-benchmark", ["-s", world.daemon.socket, "-n", "2000", "-q"] + extra)
                #expect(reply.end == .exited(0))
                #expect(reply.output.contains("requests per second"), "\(reply.output)\(reply.errors)")
                #expect(!reply.output.contains("Error") && !reply.output.contains("WARNING"), "\(reply.output)")
            }
        }
    }

    @Test("python3-redis")
    func python() throws {
        try withWorld { world in
            let script = """
                import redis, sys
                path = sys.argv[1]
                r = redis.Redis(unix_socket_path=path, client_name="worker-7", socket_timeout=10)
                assert r.ping() is True
                assert r.client_getname() == "worker-7", r.client_getname()
                def fields(reply):
                    return dict(zip(reply[::2], reply[1::2]))
                issued = fields(r.execute_command("TOKEN.ISSUE", "SUBJECT", "ann", "DATA", "a", b"\\x00\\xff"))
                token = issued[b"sessiontoken"]
                valid = fields(r.execute_command("TOKEN.VALIDATE", token))
                assert valid[b"status"] == b"valid" and valid[b"accepted"] == 1, valid
                data = fields(r.execute_command("TOKEN.GET", token))[b"data"]
                assert fields(data) == {b"a": b"\\x00\\xff"}, data
                pipe = r.pipeline(transaction=False)
                for _ in range(100):
                    pipe.execute_command("TOKEN.VALIDATE", token)
                assert all(fields(reply)[b"status"] == b"valid" for reply in pipe.execute())
                try:
                    r.pipeline(transaction=True).ping().execute()
                    raise AssertionError("MULTI was taken")
                except redis.ResponseError as error:
                    assert "use a pipeline without a transaction" in str(error), error
                try:
                    r.execute_command("TOKEN.ISSUE", "IDLE")
                    raise AssertionError("no error")
                except redis.ResponseError as error:
                    pass
                assert r.info("server")["process_id"] > 0
                assert r.config_get("save") == {"save": ""}
                assert isinstance(r.dbsize(), int) and r.echo(b"\\r\\n") == b"\\r\\n"
                print("fine")
                """
            let reply = try Tool.run(world.stage, "/usr/bin/python3", ["-c", script, world.daemon.socket])
            #expect(reply.output == "fine\n", "\(reply.output)\(reply.errors)")
        }
    }
}
