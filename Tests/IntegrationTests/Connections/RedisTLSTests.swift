import Foundation
import TestSupport
import Testing

@Suite("TLS to Redis", .parallel)
struct RedisTLSTests {
    @Test("two daemons over TLS: what one ends, the other refuses within 50 ms")
    func twoDaemons() throws {
        try withWorld(daemons: 2, speaksTLS: true) { world in
            let (near, far) = (try world.client(ofDaemon: 0), try world.client(ofDaemon: 1))
            for _ in 0..<20 {
                let session = try near.issue()
                #expect(try far.validate(session).isAccepted)
                _ = try far.validate(session)
                _ = try near.call("TOKEN.REVOKE", session)
                usleep(50_000)
                #expect(try far.validate(session).status == "revoked")
            }
        }
    }

    @Test("a reload takes new certificates for new connections; one that cannot be used changes nothing")
    func reload() throws {
        try withWorld(speaksTLS: true) { world in
            let server = try world.requireServer()
            // A file of the daemon's own: Redis reads its own at every start.
            let good = try String(contentsOfFile: #require(server.settings["redis.tls-ca-cert-file"]), encoding: .utf8)
            let path = try world.stage.folder.folder("own") + "/ca.pem"
            try good.write(toFile: path, atomically: true, encoding: .utf8)
            let daemon = try world.stage.addDaemon(.redis(server), settings: ["redis.tls-ca-cert-file": path])
            let client = try daemon.client()
            let session = try client.issue()

            try "no certificate\n".write(toFile: path, atomically: true, encoding: .utf8)
            #expect(
                try client.call("RELOAD").errorText?.contains(
                    "redis.tls-ca-cert-file: \"\(path)\" has no certificate in PEM form") == true)
            try server.restart()
            _ = try eventually("the old certificates are in use") {
                try client.call("TOKEN.INSPECT", session).errorText == nil ? true : nil
            }

            // Another authority: what stands goes on, and the next connection is refused.
            let other = try CertificateAuthority(in: world.stage.certificates(), name: "other")
            try String(contentsOfFile: other.certificate, encoding: .utf8).write(
                toFile: path, atomically: true, encoding: .utf8)
            #expect(try client.call("RELOAD").errorText == nil)
            #expect(try client.call("TOKEN.INSPECT", session).errorText == nil)
            try server.restart()
            _ = try eventually("the other authority is in use") {
                try client.call("TOKEN.INSPECT", session).errorText?.contains("signed by nobody trusted here")
                    == true
                    ? true : nil
            }
            let doctor = try Tool.run(
                world.stage, PackageFolder.program("tokencachectl"), ["--socket", daemon.socket, "doctor"])
            #expect(doctor.output.contains("redis.tls-ca-cert-file"), "\(doctor.output) \(doctor.errors)")

            try good.write(toFile: path, atomically: true, encoding: .utf8)
            #expect(try client.call("RELOAD").errorText == nil)
            _ = try eventually("the first authority is trusted again") {
                try client.call("TOKEN.INSPECT", session).errorText == nil ? true : nil
            }
        }
    }

    @Test(
        "files that cannot be used are told with key and path, and nothing starts",
        arguments: [
            (["redis.tls-ca-cert-file": "/no/such/file"], #"redis.tls-ca-cert-file: "/no/such/file" cannot be read"#),
            (["redis.tls-ca-cert-file": "/etc/hostname"], #""/etc/hostname" has no certificate in PEM form"#),
            (["redis.tls-cert-file": "/etc/hostname"], "redis.tls-cert-file: needs redis.tls-key-file"),
            (["redis.tls-key-file": "/etc/hostname"], "redis.tls-key-file: needs redis.tls-cert-file"),
            (
                ["redis.tls-cert-file": "/etc/hostname", "redis.tls-key-file": "/etc/hostname"],
                #"redis.tls-key-file: "/etc/hostname" is not used: its mode"#
            ),
            (["redis.tls-server-name": "a b"], "redis.tls-server-name"),
        ] as [([String: String], String)])
    func files(settings: [String: String], told: String) throws {
        let folder = try TemporaryFolder()
        for check in [["--check-config"], []] {
            let words = [
                "--socket", "\(folder.path)/t.sock", "--state-dir", folder.path, "--redis", "rediss://127.0.0.1:1",
            ]
            let tool = try Tool.run(
                Daemon.program, words + settings.flatMap { ["--set", "\($0)=\($1)"] } + check, in: folder.path)
            #expect(tool.status == 78)
            #expect(tool.errors.contains(told), "\(tool.errors)")
        }
    }

    @Test("keys for TLS without TLS are said to be of no use")
    func unused() throws {
        let tool = try Tool.run(
            Daemon.program, ["--redis", "redis://127.0.0.1:1", "--set", "redis.tls-server-name=x", "--check-config"])
        #expect(tool.status == 0)
        #expect(tool.errors.contains("redis.tls-server-name: not used, as redis.url has no TLS"), "\(tool.errors)")
    }
}
