import Foundation
import TestSupport
import Testing

@Suite("Places for admins", .parallel, .enabled(if: getuid() == 0))
struct PlacesTests {
    private func control(_ world: World, _ arguments: String...) throws -> Tool {
        try Tool.run(
            world.stage, PackageFolder.program("tokencachectl"), ["--socket", world.daemon.socket] + arguments)
    }

    private func overload(_ world: World) throws -> String {
        String(decoding: try world.client().readToEnd(limit: .seconds(5)), as: UTF8.self)
    }

    @Test("one process of the lowest role takes every place: root, tokencachectl status and reload are served")
    func crowded() throws {
        let settings = ["socket.mode": "0666", "access.default": "validator", "limits.max-clients": "50"]
        try withWorld(settings: settings) { world in
            let crowd = try Crowd(80, in: world)
            #expect(crowd.served == 50 && crowd.overloaded == 30 && crowd.unanswered == 0)
            for command in ["status", "reload", "ping"] {
                let tool = try control(world, command)
                #expect(tool.end == .exited(0), "\(command): \(tool.output) \(tool.errors)")
            }
            let first = try world.client()
            // The tools' places are free when the daemon has seen them go.
            _ = try eventually("the tools' places") {
                try first.call("INFO", "clients").text?.contains("admin_places_taken:1\r\n") == true ? true : nil
            }
            var admins = try [first] + (0..<15).map { _ in try world.client() }
            for admin in admins { #expect(try admin.call("PING") == .simple("PONG")) }
            #expect(try overload(world).hasPrefix("-OVERLOADED"), "16 places, and no more")
            let info = try admins[0].call("INFO", "clients").text ?? ""
            #expect(info.contains("connected_clients:66\r\n") && info.contains("maxclients:50\r\n"))
            #expect(info.contains("admin_places:16\r\n") && info.contains("admin_places_taken:16\r\n"))
            crowd.leave()
            // Who sits on a place for admins leaves the others to whoever comes.
            _ = try eventually("free places") {
                try admins[0].call("INFO", "clients").text?.contains("connected_clients:16\r\n") == true ? true : nil
            }
            #expect(try Crowd(80, in: world).served == 50)
            // Whoever looks at the daemon last finds a place.
            admins.removeLast(15)
            _ = try eventually("free places for admins") {
                try first.call("INFO", "clients").text?.contains("admin_places_taken:1\r\n") == true
                    || first.call("INFO", "clients").text?.contains("admin_places_taken:0\r\n") == true ? true : nil
            }
        }
    }

    @Test("CLIENT KILL USER closes every connection of a user, by name or number, but the one that asks")
    func killUser() throws {
        try withWorld(settings: ["socket.mode": "0666"]) { world in
            let admin = try world.client()
            for name in ["nobody", Crowd.nobody] {
                let crowd = try Crowd(20, in: world)
                #expect(crowd.served == 20)
                #expect(try admin.call("CLIENT", "KILL", "USER", name) == .integer(20))
                try admin.awaitOnlyClient()
            }
            let other = try world.client()
            #expect(try other.call("PING") == .simple("PONG"))
            #expect(try admin.call("CLIENT", "KILL", "USER", "root") == .integer(1))
            #expect(try other.readToEnd(limit: .seconds(5)).isEmpty)
            #expect(try admin.call("CLIENT", "KILL", "USER", "root") == .integer(0))
            for wrong in ["", "no-such-user-of-this-host", "a b", "4294967295"] {
                expectError("ERR", try admin.call("CLIENT", "KILL", "USER", wrong), hiding: [wrong])
            }
        }
    }

    @Test("limits.max-clients-per-user bounds each user that is no admin; a reload changes it")
    func perUser() throws {
        try withWorld(settings: ["socket.mode": "0666", "limits.max-clients-per-user": "5"]) { world in
            let admins = try (0..<8).map { _ in try world.client() }
            let crowd = try Crowd(9, in: world)
            #expect(crowd.served == 5 && crowd.overloaded == 4)
            for admin in admins { #expect(try admin.call("PING") == .simple("PONG")) }
            #expect(world.daemon.log.contains("limits.max-clients-per-user is reached"))
            crowd.leave()
        }
    }

    @Test(
        "with ulimit -n 64 nobody of 120 clients hangs: as many as descriptors allow are served, the rest is OVERLOADED",
        arguments: Backend.allCases)
    func fewDescriptors(_ backend: Backend) throws {
        // Without the right to raise its own limit, as in a container.
        let launcher = ["prlimit", "--nofile=64:64", "setpriv", "--bounding-set", "-sys_resource"]
        try withWorld(backend, settings: ["socket.mode": "0666"], launcher: launcher) { world in
            let crowd = try Crowd(120, in: world)
            #expect(crowd.served == 16 && crowd.overloaded == 104 && crowd.unanswered == 0)
            #expect(crowd.slowest < 2_000, "\(crowd.slowest) ms")
            let admins = try (0..<15).map { _ in try world.client() }
            for admin in admins { #expect(try Fields(admin.call("TOKEN.ISSUE")).status == "issued") }
            let status = try control(world, "status")
            #expect(status.output.contains("31 of 16") || status.output.contains("32 of 16"), "\(status.output)")
            #expect(status.output.contains("limits.max-clients is 10000, the limit of open files allows no more"))
            let reload = try control(world, "reload")
            #expect(reload.end == .exited(0), "\(reload.output) \(reload.errors)")
            let info = try admins[0].call("INFO", "clients").text ?? ""
            #expect(info.contains("maxclients:16\r\n") && info.contains("maxclients_configured:10000\r\n"))
            #expect(world.daemon.log.contains("fewer clients are served limit=64 maxclients=16 needed=10048"))
            #expect(!world.daemon.log.contains("no descriptor left"), "\(world.daemon.log)")
        }
    }
}
