import Foundation
import TestSupport
import Testing

@Suite("Who may do what", .parallel)
struct AccessTests {
    private static let nobody = "65534"

    /// One command as another user, by redis-cli. Needs root, as a CI container has it.
    private func asNobody(_ world: World, _ arguments: String...) throws -> String {
        try world.openTheWay()
        let user = ["--reuid", Self.nobody, "--regid", Self.nobody, "--clear-groups"]
        let tool = try Tool.run(
            world.stage, "setpriv", user + ["redis-cli", "-s", world.daemon.socket] + arguments)
        return tool.output + tool.errors
    }

    @Test("the socket is 0660: another user cannot even connect", .enabled(if: getuid() == 0))
    func mode() throws {
        try withWorld { world in
            #expect(try asNobody(world, "PING").contains("Permission denied"))
            let attributes = try FileManager.default.attributesOfItem(atPath: world.daemon.socket)
            #expect(attributes[.posixPermissions] as? Int == 0o660)
        }
    }

    @Test("whoever can open it is a worker, and no admin", .enabled(if: getuid() == 0))
    func worker() throws {
        try withWorld(settings: ["socket.mode": "0666"]) { world in
            #expect(try asNobody(world, "PING") == "PONG\n")
            #expect(try asNobody(world, "TOKEN.ISSUE").contains("sessiontoken"))
            for command in [["SHUTDOWN"], ["CLIENT", "LIST"], ["CLIENT", "KILL", "ID", "1"], ["RELOAD"], ["PROBE"]] {
                let reply = try Tool.run(
                    world.stage, "setpriv",
                    [
                        "--reuid", Self.nobody, "--regid", Self.nobody, "--clear-groups", "redis-cli", "-s",
                        world.daemon.socket,
                    ]
                        + command)
                #expect(reply.output.hasPrefix("NOPERM"), "\(command): \(reply.output)")
            }
            #expect(try world.client().call("PING") == .simple("PONG"))
        }
    }

    @Test("a validator validates and inspects, and that is all", .enabled(if: getuid() == 0))
    func validator() throws {
        try withWorld(settings: ["socket.mode": "0666", "access.default": "validator"]) { world in
            let token = try world.client().issue()
            #expect(try asNobody(world, "TOKEN.VALIDATE", token).contains("valid"))
            #expect(try asNobody(world, "TOKEN.INSPECT", token).contains("successor"))
            for command in ["TOKEN.REVOKE", "TOKEN.ROTATE", "TOKEN.GET", "TOKEN.VISIT"] {
                #expect(try asNobody(world, command, token).hasPrefix("NOPERM"), "\(command)")
            }
            #expect(try world.client().validate(token).status == "valid", "root is always admin")
        }
    }

    @Test("with none, the connection is refused", .enabled(if: getuid() == 0))
    func nobody() throws {
        try withWorld(settings: ["socket.mode": "0666", "access.default": "none"]) { world in
            let reply = try asNobody(world, "PING")
            #expect(!reply.contains("PONG"), "\(reply)")
            #expect(try world.client().call("PING") == .simple("PONG"))
        }
    }

    @Test("SHUTDOWN ends the daemon as a signal does")
    func shutdown() throws {
        try withWorld { world in
            let client = try world.client()
            try client.send("SHUTDOWN")
            _ = try client.readToEnd(limit: .seconds(10))
            #expect(try world.daemon.wait(.seconds(10)) == .exited(0))
        }
    }

    @Test("RELOAD and SIGHUP take a changed file; a wrong one changes nothing and is said", arguments: [true, false])
    func reload(_ byCommand: Bool) throws {
        try withWorld { world in
            let folder = try world.stage.folder.folder("configured")
            let file = "\(folder)/c.yaml"
            let socket = "\(folder)/t.sock"
            func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: file)) }
            try write("rotation:\n  after: 15m\nredis:\n  prefix: \"\(world.stage.prefix)\"\n")
            let daemon = try ChildProcess(
                Daemon.program,
                [
                    "--config", file, "--socket", socket, "--redis", world.requireServer().url, "--state-dir", folder,
                    "--set", "redis.timeout=2s",
                ],
                name: "configured", folder: folder)
            let client = try eventually("the daemon") { try? RESPClient(path: socket, book: world.stage.book) }
            let token = try eventually("service") { try? client.issue() }
            letPass(.milliseconds(150))
            #expect(try client.validate(token).status == "valid")
            func reload() throws {
                if byCommand { _ = try client.call("RELOAD") } else { daemon.signal(SIGHUP) }
            }
            try write("rotation:\n  after: soon\n")
            try reload()
            _ = try eventually("the complaint") { daemon.errors.contains("rotation.after") ? true : nil }
            #expect(try client.validate(token).status == "valid")
            try write("rotation:\n  after: 100ms\nredis:\n  prefix: \"\(world.stage.prefix)\"\n")
            try reload()
            _ = try client.rotateWhenDue(token)
            daemon.signal(SIGTERM)
            #expect(try daemon.wait(.seconds(10)) == .exited(0))
        }
    }
}
