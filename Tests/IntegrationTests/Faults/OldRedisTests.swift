import Foundation
import TestSupport
import Testing

/// A Redis before 7.0 has no flags for scripts: it is named with the version that is needed, not with what it says to a
/// script that it cannot read.
@Suite("Redis 6", .parallel)
struct OldRedisTests {
    /// Answers as a Redis 6.0.16 does to what a daemon says first, in the place of `redis-server`.
    private static let program = """
        #!/usr/bin/python3
        import os, socket, sys, threading
        options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
        os.chdir(options['--dir'])
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(options['--unixsocket'])
        listener.listen(16)
        def bulk(text): return b'$%d\\r\\n%s\\r\\n' % (len(text), text)
        def answer(words):
            name = words[0].upper()
            if name == b'INFO': return bulk(b'redis_version:6.0.16\\r\\nrun_id:abc\\r\\nrole:master\\r\\n')
            if name == b'TIME': return b'*2\\r\\n' + bulk(b'1700000000') + bulk(b'1')
            if name == b'CONFIG': return b'*2\\r\\n' + bulk(b'maxmemory-policy') + bulk(b'noeviction')
            if name == b'SCRIPT': return b"-ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'\\r\\n"
            return b'+OK\\r\\n'
        def serve(client):
            reader = client.makefile('rb')
            while line := reader.readline():
                words = []
                for _ in range(int(line[1:])):
                    length = int(reader.readline()[1:])
                    words.append(reader.read(length))
                    reader.read(2)
                client.sendall(answer(words))
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()
        """

    private static func install(_ folder: String) throws -> String {
        let path = "\(folder)/redis-server"
        try program.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
        return path
    }

    @Test("an external one: answers, log, INFO and doctor name its version and the one that is needed")
    func external() throws {
        try withWorld { world in
            let folder = try world.stage.folder.folder("old")
            let fake = try ChildProcess(
                try Self.install(folder), ["--dir", folder, "--unixsocket", "r.sock"], name: "old", folder: folder)
            let daemon = try world.stage.addDaemon(.url("unix://\(folder)/r.sock"), readiness: .answers)
            let client = try daemon.client()
            let words = "Redis is too old: 6.0.16, and 7.0 is the least"
            _ = try eventually("the version is told") {
                try client.call("TOKEN.ISSUE").errorText?.contains(words) == true ? true : nil
            }
            #expect(daemon.log.contains(words) && daemon.log.contains("update Redis to 7.0 or newer"), "\(daemon.log)")
            #expect(!daemon.log.contains("script"), "\(daemon.log)")
            let facts = try DaemonFacts(client, "upstream")
            #expect(facts["upstream_last_fault"] == words)
            let page = try Tool.run(
                world.stage, PackageFolder.program("tokencachectl"), ["--socket", daemon.socket, "doctor"])
            #expect(page.output.contains(words) && page.output.contains("→ update Redis to 7.0"), "\(page.output)")
            try daemon.stop()
            fake.kill9()
        }
    }

    @Test("an embedded one ends the daemon at its start, with status 69")
    func embedded() throws {
        try withWorld { world in
            let folder = try world.stage.folder.folder("old")
            let child = try ChildProcess(
                Daemon.program,
                [
                    "--socket", "\(folder)/s", "--state-dir", "\(folder)/state", "--redis", "embedded", "--set",
                    "redis.executable=\(try Self.install(folder))",
                ], name: "daemon", folder: folder)
            #expect(try child.wait(.seconds(20)) == .exited(69))
            #expect(
                child.errors.contains("Redis is too old: 6.0.16, and 7.0 is the least: update Redis to 7.0 or newer"),
                "\(child.errors)")
        }
    }
}
